package mastercmd

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/nodelog"
	"quartet/master/masternode"
	"quartet/replica/replicacmd"
)

// manager is a service manager's socket.
type manager struct{ conn *net.UnixConn }

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{conn}
}

// next returns the next state that is told, "" of none within wait.
func (m *manager) next(t *testing.T, wait time.Duration) string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// until reads states until one is told.
func (m *manager) until(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if got := m.next(t, time.Until(deadline)); got == want {
			return
		} else if got == "" {
			t.Fatalf("%q is not told", want)
		}
	}
}

// What a service manager hears: that the cluster is ready, that its loop turns, nothing while
// it stands still, and that it stops.
func TestServiceManager(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", strconv.Itoa(int((90 * time.Millisecond).Microseconds())))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s := service{slog.New(slog.DiscardHandler)}
	s.ready("nats://127.0.0.1:1")
	if got := m.next(t, 20*time.Second); got != "READY=1\nSTATUS=ready nats://127.0.0.1:1" {
		t.Errorf("ready: %q", got)
	}

	probe := bus.NewProbe[masternode.Figures]()
	stopping, stop := context.WithCancel(t.Context())
	ended, done, still := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.watch(stopping, probe, ended)
	}()
	m.until(t, "WATCHDOG=1") // it has not begun, and that may take its time

	turning := make(chan struct{})
	go func() {
		defer close(turning)
		for {
			select {
			case reply := <-probe.Asked():
				reply <- masternode.Figures{}
			case <-still:
				return
			}
		}
	}()
	probe.Begin()
	m.until(t, "WATCHDOG=1")

	close(still)
	<-turning
	for m.next(t, 200*time.Millisecond) != "" { // what was told before it stood still
	}
	if got := m.next(t, 300*time.Millisecond); got != "" {
		t.Errorf("of a loop that stands still is told: %q", got)
	}

	stop()
	m.until(t, "STOPPING=1")
	close(ended)
	<-done
}

// What is to be deployed fits the program: its settings are known and good, and the unit and
// the container start a command line that there is.
func TestDeployment(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}

	m := Master(nil, nil, "", nil, func(nodelog.Options) masternode.Runner { return nil }, nil)
	r := replicacmd.Replica(nil, nil)
	client := &cobra.Command{Use: "client"}
	client.Flags().String("nats", "", "")
	tables := config.Tables{
		{Name: "master", Commands: []*cobra.Command{m}},
		{Name: "replica", Commands: []*cobra.Command{r}},
		{Name: "client", Commands: []*cobra.Command{client}},
	}

	file, err := config.Read(filepath.Join("..", "deploy", "quartet.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.Known(file); err != nil {
		t.Error(err)
	}
	if err := tables.Apply(m, func(string) string { return "" }, file); err != nil {
		t.Error(err)
	}

	_, start, _ := strings.Cut(read("quartet.service"), "ExecStart=/usr/local/bin/quartet ")
	start, _, _ = strings.Cut(start, "\n")
	args := strings.Fields(start)
	root := &cobra.Command{Use: "quartet"}
	config.FileFlag(root)
	root.AddCommand(m)
	if len(args) == 0 || args[0] != m.Name() {
		t.Fatalf("the unit starts %q", start)
	}
	if err := m.ParseFlags(args[1:]); err != nil {
		t.Error(err)
	}

	for line := range strings.SplitSeq(read("Containerfile"), "\n") {
		text, ok := strings.CutPrefix(line, "ENV ")
		if !ok {
			continue
		}
		for pair := range strings.FieldsSeq(text) {
			name, value, _ := strings.Cut(pair, "=")
			flag := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "QUARTET_"), "_", "-"))
			if err := m.Flags().Set(flag, value); err != nil {
				t.Errorf("%s: %v", pair, err)
			}
		}
	}
}
