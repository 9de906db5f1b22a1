package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

// The ready line and the banner are all that stdout ever holds; a signal ends everything
// with status 0 and leaves the reports.
func TestStartAndStop(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			p := newFolder(t)
			m := startIn(t, p, "--memory", "--listen", "127.0.0.1:-1", "--replicas", "2")
			nc := connect(t, m.url, nats.MaxReconnects(0))
			mustOK(t, nc, "1, 1, key ::: value", bus.HeaderClient, "Tester")
			running := pids(mustStatus(t, nc))

			if status := m.stop(t, signal); status != 0 {
				t.Errorf("status %d\n%s", status, m.Stderr.String())
			}

			banner := regexp.MustCompile(`^ready nats://127\.0\.0\.1:\d+
  data      in memory \(survives the death of the master and of no replica; run files in \S+\)
  logs      \S+
  replicas  r1  pid ` + strconv.Itoa(running[0]) + `
            r2  pid ` + strconv.Itoa(running[1]) + `
  WARNING   the next death of a replica stops models 1 and 2 and causal sets: 2 of 2 replicas work, and 2 are needed
  try       nats -s nats://127\.0\.0\.1:\d+ req quartet\.request '1, 1, key ::: value'
$`)
			if out := m.Stdout.String(); !banner.MatchString(out) {
				t.Errorf("stdout:\n%s", out)
			}

			for _, pid := range running {
				if supervise.Alive(pid) {
					t.Errorf("process %d is left behind", pid)
				}
			}

			for file, content := range map[string]string{
				"report.json": `"linearizable"`, "report.txt": "linearizable", "requests.csv": "Tester",
				"report.html": "until it left for r", // the steps of the one request
				"m1.log":      "ready", "r1.log": "replica stopped", "r2.log": "replica stopped",
			} {
				b, err := os.ReadFile(filepath.Join(p.logs, file))
				if err != nil || !strings.Contains(strings.ToLower(string(b)), strings.ToLower(content)) {
					t.Errorf("%s: %v, %q is not in it:\n%s", file, err, content, short(string(b)))
				}
			}

			if left, err := os.ReadDir(p.tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind in the temporary directory: %v %v", left, err)
			}
			if _, err := nats.Connect(m.url); !errors.Is(err, nats.ErrNoServers) {
				t.Errorf("somebody listens still: %v", err)
			}
		})
	}
}

// killAfter is how long a master that stops waits for a replica's end.
const killAfter = 5 * time.Second

// A request under way and a replica that does not move would hold a stop up for seconds.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	m := start(t)
	nc := connect(t, m.url, nats.MaxReconnects(0))
	running := pids(mustStatus(t, nc))

	if err := syscall.Kill(running[1], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("quartet.request", nats.NewInbox(), []byte("1, 1, stuck ::: v")); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	m.Signal(t, os.Interrupt)
	testkit.Eventually(t, restLimit, "a word that once more stops at once", func() error {
		if !strings.Contains(m.Stderr.String(), "once more") {
			return errors.New(m.Stderr.String())
		}
		return nil
	})
	if m.Gone() {
		t.Fatal("the first signal did not wait for the replica that stands still: the second proves nothing")
	}

	begun := time.Now()
	m.stop(t, os.Interrupt)
	if took := time.Since(begun); took >= killAfter {
		t.Errorf("the second signal took %s: the replica that stands still was waited for", took)
	}
	awaitDead(t, deadLimit, running...)
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	m := launch(t, newFolder(t), "--memory", "--listen", l.Addr().String())
	if status := m.Wait(t, startLimit); status != 1 {
		t.Errorf("status %d", status)
	}

	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, word := range []string{port, "--listen 127.0.0.1:-1"} {
		if !strings.Contains(m.Stderr.String(), word) {
			t.Errorf("stderr does not say %q:\n%s", word, m.Stderr.String())
		}
	}

	if m.Stdout.String() != "" {
		t.Errorf("stdout: %s", m.Stdout.String())
	}
	if left, err := os.ReadDir(m.tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary directory: %v %v", left, err)
	}
}

func TestTwoMastersOnOneDirectory(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	first := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1", "--replicas", "1", "--suspect", calm)
	nc := connect(t, first.url)
	before := mustStatus(t, nc)

	// In other words and in the same: what is wrong is that a master runs here already, and that
	// is said although the log directory is its own, too.
	for _, at := range []folder{newFolder(t), p} {
		second := launch(t, at, "--dir", dir, "--listen", "127.0.0.1:-1", "--replicas", "1")
		if status := second.Wait(t, startLimit); status != exit.StatusLed {
			t.Errorf("status %d", status)
		}
		for _, word := range []string{"a master runs here already", dir, strconv.Itoa(first.PID()), first.url, "--dir"} {
			if !strings.Contains(second.Stderr.String(), word) {
				t.Errorf("stderr does not say %q:\n%s", word, second.Stderr.String())
			}
		}

		if _, err := os.Stat(at.logs); at.logs != p.logs && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a start that was refused has made a directory for logs: %v", err)
		}

		wrong := launch(t, at, "--dir", dir, "--replicas", "0")
		if status := wrong.Wait(t, startLimit); status != exit.StatusUsage || !strings.Contains(wrong.Stderr.String(), "replicas") {
			t.Errorf("wrong usage beside a master that runs: status %d\n%s", status, wrong.Stderr.String())
		}
	}

	// In another directory at the same address.
	third := launch(t, newFolder(t), "--dir", filepath.Join(p.tmp, "other"), "--listen", strings.TrimPrefix(first.url, "nats://"))
	if status := third.Wait(t, startLimit); status != 1 ||
		!strings.Contains(third.Stderr.String(), fmt.Sprintf("a master runs there already: m1, pid %d", first.PID())) {
		t.Errorf("status %d\n%s", status, third.Stderr.String())
	}
	if _, err := os.Stat(filepath.Join(p.tmp, "other")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is left behind: %v", err)
	}
	unharmed(t, nc, before)

	// A clean stop and a start on the same directory go on counting.
	last := rid(t, mustOK(t, nc, "1, 2, serves1"))
	if status := first.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d\n%s", status, first.Stderr.String())
	}
	again := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1", "--replicas", "1")
	if next := rid(t, mustOK(t, connect(t, again.url), "4, 1, key ::: value")); next <= last {
		t.Errorf("rID %d after a restart, %d before", next, last)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"master", "--memory", "--replicas", "0"},
		{"master", "--memory", "--replicas", "10"},
		{"master", "--memory", "--replicas", "three"},
		{"master", "--memory", "--dir", "x"},
		{"master", "--memory", "--listen", "nowhere"},
		{"master", "--memory", "--listen", "0.0.0.0:-1"},
		{"master", "--memory", "--nats", "nats://127.0.0.1:1", "--client-jetstream"},
		{"master", "--memory", "--listen", "127.0.0.1:-1", "--prefix", "a b"},
		{"master", "--memory", "--replicas", "3", "--missing", "3"},
		{"master", "--no-such-flag"},
		{"master", "argument"},
		{"replica", "--memory"},
		{"replica", "--memory", "--id", "m1"},
		{"replica", "--id", "r1", "--dir", "x", "--memory"},
		{"replica", "--id", "r1", "--dir", "x", "--sync", "sometimes"},
		{"master", "--dir", "x", "--sync", "never"},
		{"master", "--memory", "--sync", "always"},
		{"remove"},
		{"recover", "r1"},
		{"client"},
		{"client", "1, 1, no separator"},
		{"client", "no-such-file"},
		{"get"},
		{"get", "key", "--consistency", "strong"},
		{"nonsense"},
	} {
		o := quartet(t, args...)
		if o.status != 2 || o.stdout != "" || strings.TrimSpace(o.stderr) == "" {
			t.Errorf("quartet %q: status %d, want 2\nstdout %s\nstderr %s", args, o.status, o.stdout, o.stderr)
		}
	}

	if o := quartet(t, "get", "--nats", "nats://"+testkit.FreeAddress(t), "key"); o.status != 6 {
		t.Errorf("no cluster there: status %d\n%s", o.status, o.stderr)
	}
}

// freeAddress is [testkit.FreeAddress].
var freeAddress = testkit.FreeAddress

// externalServer is a bus that no master owns.
func externalServer(t *testing.T, jetstream bool) *server.Server {
	t.Helper()
	return externalServerOf(t, &server.Options{JetStream: jetstream})
}

// externalServerOf is one with options of its own.
func externalServerOf(t *testing.T, o *server.Options) *server.Server {
	t.Helper()
	o.StoreDir = t.TempDir()
	return servertest.Start(t, o)
}

// With --nats the master uses a server that is there, and leaves it alone: the same command
// again begins anew, since the data were in memory.
func TestExternalServer(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	m := startIn(t, newFolder(t), "--memory", "--nats", s.ClientURL(), "--suspect", calm)

	if m.url != s.ClientURL() {
		t.Errorf("ready at %s, want %s", m.url, s.ClientURL())
	}
	nc := connect(t, s.ClientURL())
	before := mustStatus(t, nc)
	replay(t, nc)
	unharmed(t, nc, before)
	running := pids(atRest(t, nc))
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Errorf("status %d\n%s", status, m.Stderr.String())
	}
	awaitDead(t, deadLimit, running...)
	if !s.Running() || !nc.IsConnected() {
		t.Fatal("the server is gone with the master")
	}
	if _, err := nc.Request("quartet.status", nil, askLimit); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("somebody listens still: %v", err)
	}
	testkit.Eventually(t, restLimit, "only the test is connected", func() error {
		if n := s.NumClients(); n != 1 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	startIn(t, newFolder(t), "--memory", "--nats", s.ClientURL())
	serves(t, nc)
}

// replay says again, whole, cut short and spoilt, what the nodes said to each other: on a
// server without accounts anybody can.
func replay(t *testing.T, nc *nats.Conn) {
	t.Helper()
	seen := make(chan *nats.Msg, 1<<16)
	sub, err := nc.ChanSubscribe("quartet.node.>", seen)
	if err != nil {
		t.Fatal(err)
	}

	for range 10 {
		serves(t, nc)
	}
	atRest(t, nc)
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}

	kinds := map[byte]bool{}
	for len(seen) > 0 {
		m := <-seen
		kinds[m.Data[2]] = true
		spoilt := append([]byte{}, m.Data...)
		spoilt[len(spoilt)/2] ^= 0xff
		for _, data := range [][]byte{m.Data, m.Data[:len(m.Data)-1], m.Data[:len(m.Data)/2], append([]byte{0xc1}, m.Data...), {}} {
			if err := nc.PublishMsg(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		// Spoilt in a way that can still be read it would be a lie of a node, which nobody
		// promises to survive; a kind that does not exist is none.
		spoilt[2] = 0x7f
		if err := nc.Publish(m.Subject, spoilt); err != nil {
			t.Fatal(err)
		}
	}

	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(kinds) < 5 { // FORWARD, ANSWERS, DATA, ACK, PROBE, REPORT
		t.Errorf("only kinds %v were said again", kinds)
	}
}

// Without JetStream there is no place for the record of the views.
func TestExternalServerWithoutJetStream(t *testing.T) {
	t.Parallel()
	m := launch(t, newFolder(t), "--memory", "--nats", externalServer(t, false).ClientURL())
	if status := m.Wait(t, startLimit); status != 1 || !strings.Contains(m.Stderr.String(), "JetStream") {
		t.Errorf("status %d\n%s", status, m.Stderr.String())
	}
}
