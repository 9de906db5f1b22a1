package faults_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"quartet/bus/testkit"

	"github.com/nats-io/nats-server/v2/server"
)

const roleBus = "bus"

// beBus is the life of a process that is a NATS server and nothing else: it ends when
// nobody holds the other end of its standard input any more.
func beBus() int {
	port, err := strconv.Atoi(os.Getenv(roleVariable + "_PORT"))
	if err == nil {
		err = serveBus(port, os.Getenv(roleVariable+"_STORE"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveBus(port int, store string) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("the bus is not ready on port %d", port)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return nil
}

// natsServer is a NATS server in a process of its own.
type natsServer struct {
	address, store string
	p              *testkit.Child
}

func startBus(t testing.TB, address, store string) *natsServer {
	t.Helper()
	b := &natsServer{address: address, store: store}
	b.start(t)
	return b
}

func (b *natsServer) start(t testing.TB) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(b.address)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleBus, roleVariable+"_PORT="+port, roleVariable+"_STORE="+b.store)
	if _, err = cmd.StdinPipe(); err != nil { // is closed when this process ends
		t.Fatal(err)
	}
	b.p = launch(t, cmd)
	testkit.Eventually(t, startLimit, "the bus listens", func() error {
		c, err := net.Dial("tcp", b.address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// freeAddress is one that nobody listens on for now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
