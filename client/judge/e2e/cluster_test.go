package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client/internal/program"
	"quartet/master/masternode/supervise"
)

// Limits are what a test waits for before it fails. None of them is reached where all is
// well, on a machine that is several times slower, or busy, either; what time things take
// is measured elsewhere (task measure:views).
const (
	buildLimit = 5 * time.Minute // of the program, with a cache that is cold
	startLimit = time.Minute
	stopLimit  = 30 * time.Second
	askLimit   = 20 * time.Second
	restLimit  = time.Minute      // until what is under way has ended
	deadLimit  = 10 * time.Second // until a process that was killed, or has been waited for by its master, is gone

	// calm is the suspicion time of clusters whose replicas are not to be suspected, however
	// long the machine has no time for them.
	calm = "20s"
)

// binary is the program under test, which TestMain builds.
var binary string

// lives are what processes of this test binary do that are no test, by the variable of their
// environment that holds the address of the cluster at which they do it. Each returns the status
// with which its process exits.
var lives = map[string]func(url string) (status int){}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the program that the tests start, and runs them.
func run(m *testing.M) (status int) {
	// This process may be no test at all.
	for variable, live := range lives {
		if url := os.Getenv(variable); url != "" {
			return live(url)
		}
	}

	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	dir, err := os.MkdirTemp("", "quartet-e2e")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	if binary, err = program.Build(ctx, dir); err != nil {
		return fail(err)
	}

	if err := testkit.AtOnce(atOnce); err != nil {
		return fail(err)
	}
	return m.Run()
}

// atOnce is how many of the tests run at the same time at least: most of what they do is wait for
// processes to start, to end or to be missed. Tests that judge how long something takes are not
// parallel, so they run before all others and by themselves.
const atOnce = 3

// master is a process `quartet master`, and what it said.
type master struct {
	*testkit.Child
	url  string
	logs string
	tmp  string // its TMPDIR: what --memory keeps between masters is under it
}

// folder is where masters of one test keep their files.
type folder struct{ logs, tmp string }

func newFolder(t testing.TB) folder {
	t.Helper()
	dir := t.TempDir()
	p := folder{logs: filepath.Join(dir, "log"), tmp: filepath.Join(dir, "tmp")}
	if err := os.MkdirAll(p.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// launch starts a master and does not wait. It ends with the test, whatever happens.
func launch(t testing.TB, p folder, args ...string) *master {
	t.Helper()
	return launchOf(t, binary, p, args...)
}

// launchOf launches one of another program than the one under test.
func launchOf(t testing.TB, program string, p folder, args ...string) *master {
	t.Helper()
	cmd := exec.Command(program, append([]string{"master", "--log-dir", p.logs}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+p.tmp)
	m := &master{Child: testkit.Launch(t, cmd), logs: p.logs, tmp: p.tmp}
	t.Cleanup(func() {
		if m.Gone() {
			return
		}
		if status := m.stop(t, os.Interrupt); status != 0 {
			t.Errorf("the master ended with status %d\n%s", status, &m.Stderr)
		}
	})
	return m
}

// start launches a master on a free port in memory (unless args say otherwise), which
// suspects nobody soon, and waits for its ready line.
func start(t testing.TB, args ...string) *master {
	t.Helper()
	return startIn(t, newFolder(t), append([]string{"--memory", "--listen", "127.0.0.1:-1", "--suspect", calm}, args...)...)
}

var readyLine = regexp.MustCompile(`(?m)^ready (\S+)$`)

func startIn(t testing.TB, p folder, args ...string) *master {
	t.Helper()
	m := launch(t, p, args...)
	m.awaitReady(t)
	return m
}

// awaitReady waits for the line that says at which URL the cluster is ready.
func (m *master) awaitReady(t testing.TB) {
	t.Helper()
	m.AwaitStdout(t, startLimit, "a ready line", func(said string) bool {
		found := readyLine.FindStringSubmatch(said)
		if found != nil {
			m.url = found[1]
		}
		return found != nil
	})
}

// stop sends the master a signal, waits for its end and returns the exit status.
func (m *master) stop(t testing.TB, signal os.Signal) int {
	t.Helper()
	return m.Stop(t, signal, stopLimit)
}

// awaitDead waits until none of some processes runs.
func awaitDead(t testing.TB, limit time.Duration, pids ...int) {
	t.Helper()
	testkit.Eventually(t, limit, "the replicas' end", func() error {
		for _, pid := range pids {
			if supervise.Alive(pid) {
				return fmt.Errorf("process %d still runs", pid)
			}
		}
		return nil
	})
}

// connect opens a bare NATS connection.
func connect(t testing.TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.ReconnectBufSize(-1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// header makes headers from pairs.
func header(pairs ...string) nats.Header {
	h := nats.Header{}
	for i := 0; i+1 < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// request sends one request as any NATS client would.
func request(nc *nats.Conn, body string, pairs ...string) (*nats.Msg, error) {
	return nc.RequestMsg(&nats.Msg{Subject: "quartet.request", Header: header(pairs...), Data: []byte(body)}, askLimit)
}

// ask is request for who cannot go on without a reply.
func ask(t testing.TB, nc *nats.Conn, body string, pairs ...string) *nats.Msg {
	t.Helper()
	m, err := request(nc, body, pairs...)
	if err != nil {
		t.Fatalf("%q: %v", short(body), err)
	}
	return m
}

// mustOK asks and wants an OK.
func mustOK(t testing.TB, nc *nats.Conn, body string, pairs ...string) *nats.Msg {
	t.Helper()
	m := ask(t, nc, body, pairs...)
	if code(m) != "" {
		t.Fatalf("%q %q: %s %s", short(body), pairs, code(m), m.Data)
	}
	return m
}

// code is the error code of a FAIL, "" of an OK, "no ack" of what is neither.
func code(m *nats.Msg) string {
	switch m.Header.Get(bus.HeaderAck) {
	case "OK":
		return ""
	case "FAIL":
		return m.Header.Get(bus.HeaderErrorCode)
	}
	return "no ack"
}

func short(s string) string { return s[:min(len(s), 60)] }

// rid is the reply's request id.
func rid(t testing.TB, m *nats.Msg) uint64 { return number(t, m, bus.HeaderRequestID) }

func number(t testing.TB, m *nats.Msg, name string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(m.Header.Get(name), 10, 64)
	if err != nil {
		t.Fatalf("header %s of %q: %v", name, m.Data, err)
	}
	return n
}

func status(nc *nats.Conn) (bus.Status, error) {
	var s bus.Status
	m, err := nc.Request("quartet.status", nil, askLimit)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(m.Data, &s)
}

func mustStatus(t testing.TB, nc *nats.Conn) bus.Status {
	t.Helper()
	s, err := status(nc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pids(s bus.Status) []int {
	var all []int
	for _, r := range s.Replicas {
		all = append(all, r.PID)
	}
	return all
}

// atRest waits until the cluster is ready, nothing is under way, and all replicas stand
// at one position with one number of keys.
func atRest(t testing.TB, nc *nats.Conn) bus.Status {
	t.Helper()
	var s bus.Status
	testkit.Eventually(t, restLimit, "all replicas equal and idle", func() (err error) {
		if s, err = status(nc); err != nil {
			return err
		}
		if !s.Ready || len(s.Replicas) == 0 {
			return fmt.Errorf("not ready: %s", s.Reason)
		}
		first := s.Replicas[0]
		for _, r := range s.Replicas {
			if r.Position != first.Position || r.Keys != first.Keys || r.Timestamp != s.Master.Last || r.Tentative+r.Queue+r.Pending != 0 {
				return fmt.Errorf("%+v", s.Replicas)
			}
		}
		return nil
	})
	return s
}

// commandEnd is how a command of the program ended.
type commandEnd struct {
	stdout, stderr string
	status         int
}

// quartet runs a command of the program to its end.
func quartet(t testing.TB, args ...string) commandEnd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &stdout, &stderr, io.NopCloser(strings.NewReader(""))
	cmd.Dir = t.TempDir()
	err := cmd.Run()
	var bad *exec.ExitError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("quartet %q: %v", args, err)
	}
	return commandEnd{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
