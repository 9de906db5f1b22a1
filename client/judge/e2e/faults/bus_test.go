package faults_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quartet/bus/testkit"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const roleBus = "bus"

// beBus is the life of a process that is a NATS server and nothing else: it ends when
// nobody holds the other end of its standard input any more.
func beBus() int {
	port, err := strconv.Atoi(os.Getenv(roleVariable + "_PORT"))
	if err == nil {
		err = serveBus(port, os.Getenv(roleVariable+"_STORE"), strings.Fields(os.Getenv(roleVariable+"_ROUTES")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serveBus is one server, or one of a cluster: the first of the routes is then its own.
func serveBus(port int, store string, routes []string) error {
	o := &server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true,
	}
	for i, route := range routes {
		u, err := url.Parse("nats://" + route)
		if err != nil {
			return err
		}
		o.Routes = append(o.Routes, u)

		// The routes begin with its own.
		if i > 0 {
			continue
		}
		o.ServerName = "s" + u.Port()
		o.Cluster = server.ClusterOpts{Name: "faults", Host: u.Hostname()}
		if o.Cluster.Port, err = strconv.Atoi(u.Port()); err != nil {
			return err
		}
	}

	s, err := server.NewServer(o)
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
	routes         []string // of a cluster: of all its servers, this one's first
	p              *testkit.Child
}

// startBuses starts a cluster of servers, and waits until its JetStream works.
func startBuses(t testing.TB, dir string, servers int) []*natsServer {
	t.Helper()
	var routes []string
	for range servers {
		routes = append(routes, testkit.FreeAddress(t))
	}
	var list []*natsServer
	for i := range servers {
		b := &natsServer{address: testkit.FreeAddress(t), store: filepath.Join(dir, fmt.Sprint("bus", i+1))}
		b.routes = append([]string{routes[i]}, slices.Delete(slices.Clone(routes), i, i+1)...)
		b.start(t)
		list = append(list, b)
	}

	nc, err := nats.Connect("nats://" + list[0].address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, startLimit, "the servers have agreed on who leads", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.AccountInfo(ctx)
		return err
	})
	return list
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
	cmd.Env = append(os.Environ(), roleVariable+"="+roleBus, roleVariable+"_PORT="+port, roleVariable+"_STORE="+b.store,
		roleVariable+"_ROUTES="+strings.Join(b.routes, " "))
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
