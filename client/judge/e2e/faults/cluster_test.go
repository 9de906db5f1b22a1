package faults_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
)

const (
	buildLimit = 5 * time.Minute  // of the program, with a cache that is cold
	startLimit = 60 * time.Second // the machine may be busy
	stopLimit  = 30 * time.Second
	healLimit  = 60 * time.Second // until a cluster is whole again: a replica that was out is let in after a while only
	look       = 10 * time.Millisecond
)

// launch starts a process that ends with the test, and is killed if this process ends before.
func launch(t testing.TB, cmd *exec.Cmd) *testkit.Child {
	t.Helper()
	c := testkit.Launch(t, cmd)
	children.add(c.PID())
	go func() {
		<-c.Exited
		children.remove(c.PID())
	}()
	return c
}

// cluster is a master with its replicas, and perhaps replicas and a bus that were started
// by hand.
type cluster struct {
	dir, logs, tmp, data string
	memory               bool
	address              string // of the bus
	args                 []string
	master               *testkit.Child
	bus                  *natsServer // nil: embedded in the master
	hands                map[string]*testkit.Child
	buses                []*natsServer     // of a cluster of them; the first is bus
	filters              map[string]*proxy // of replicas behind them
	nc                   *nats.Conn
	seen                 map[int]bool // pids of replicas that the master started
}

// shape says what cluster a scenario needs.
type shape struct {
	replicas int // 0: three
	memory   bool
	external bool // the bus is a process of its own
	servers  int  // likewise, and it is a cluster of so many; 0: of one
	filtered bool // likewise, and each replica was started by hand, behind a filter
}

func newCluster(t testing.TB, s shape, more ...string) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{
		dir: dir, logs: filepath.Join(dir, "log"), tmp: filepath.Join(dir, "tmp"), data: filepath.Join(dir, "data"),
		memory: s.memory, address: testkit.FreeAddress(t), hands: map[string]*testkit.Child{}, seen: map[int]bool{},
	}
	if err := os.MkdirAll(c.tmp, 0o700); err != nil {
		t.Fatal(err)
	}

	c.args = append([]string{"--replicas", fmt.Sprint(cmp.Or(s.replicas, 3)), "--log-dir", c.logs}, more...)
	if s.memory {
		c.args = append(c.args, "--memory")
	} else {
		c.args = append(c.args, "--dir", c.data)
	}

	if s.servers > 0 {
		c.buses = startBuses(t, dir, s.servers)
		c.bus, c.address = c.buses[0], c.buses[0].address
		var urls []string
		for _, b := range c.buses {
			urls = append(urls, "nats://"+b.address)
		}
		c.args = append(c.args, "--nats", strings.Join(urls, ","))
	} else if s.external || s.filtered {
		c.bus = startBus(t, c.address, filepath.Join(dir, "bus"))
		c.args = append(c.args, "--nats", c.url())
	} else {
		c.args = append(c.args, "--listen", c.address)
	}

	t.Cleanup(c.end)
	if s.filtered {
		c.behindFilters(t, cmp.Or(s.replicas, 3))
	}
	c.start(t)

	var err error
	if c.nc, err = c.dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.nc.Close)
	return c
}

// behindFilters starts the replicas of a cluster by hand, before there is a master: it finds them.
func (c *cluster) behindFilters(t testing.TB, replicas int) {
	t.Helper()
	c.filters = map[string]*proxy{}
	for i := range replicas {
		id := fmt.Sprintf("r%d", i+1)
		c.filters[id] = startFilter(t, c.address)
		c.byHand(t, id, c.filters[id].url())
	}
	nc, err := c.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for id := range c.filters { // a server says at once if nobody listens
		testkit.Eventually(t, startLimit, id+" listens", func() error {
			_, err := nc.Request(subjectOf(id), nil, look)
			if errors.Is(err, nats.ErrTimeout) {
				err = nil
			}
			return err
		})
	}
}

func (c *cluster) url() string { return "nats://" + c.address }

func (c *cluster) dial() (*nats.Conn, error) {
	return nats.Connect(c.url(), nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
}

var readyLine = regexp.MustCompile(`(?m)^ready `)

// start runs the master, the same command each time, and waits for its ready line.
func (c *cluster) start(t testing.TB) {
	t.Helper()
	c.launch(t)
	c.awaitReady(t)
}

func (c *cluster) awaitReady(t testing.TB) {
	t.Helper()
	c.master.AwaitStdout(t, startLimit, "the master's ready line", readyLine.MatchString)
}

func (c *cluster) launch(t testing.TB) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"master"}, c.args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+c.tmp)
	c.master = launch(t, cmd)
}

// byHand runs a replica at the master's side, which goes to the bus by url.
func (c *cluster) byHand(t testing.TB, id, url string) *testkit.Child {
	t.Helper()
	args := []string{"replica", "--id", id, "--nats", url, "--log-dir", c.logs}
	if c.memory {
		args = append(args, "--memory")
	} else {
		args = append(args, "--dir", filepath.Join(c.dir, id))
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = os.Environ()
	if c.bus == nil {
		cmd.Env = append(cmd.Env, bus.EnvNodeUser+"=quartet-node", bus.EnvNodePassword+"="+c.password(t))
	}
	c.hands[id] = launch(t, cmd)
	return c.hands[id]
}

// password is the nodes' one, from where the documentation of `quartet replica` says.
func (c *cluster) password(t testing.TB) string {
	t.Helper()
	pattern := filepath.Join(c.tmp, "quartet-*", "master.json")
	if !c.memory {
		pattern = filepath.Join(c.data, "master.json")
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	var record struct {
		Password string `json:"password"`
	}
	b, err := os.ReadFile(found[0])
	if err == nil {
		err = json.Unmarshal(b, &record)
	}
	if err != nil || record.Password == "" {
		t.Fatalf("no password in %s: %v", found[0], err)
	}
	return record.Password
}

// end kills what a failed test may have left: a master that is asked to stop takes its
// replicas with it.
func (c *cluster) end() {
	if c.master == nil {
		return
	}
	if endedWell := c.master.Gone() && c.master.Status() == 0; endedWell {
		return
	}

	c.master.Kill()
	for pid := range c.seen {
		if c.ours(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// ours reports whether a process is a replica of this cluster: its arguments name the
// test's own directory.
func (c *cluster) ours(pid int) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(args), c.dir)
}

// status asks the cluster how it is.
func (c *cluster) status() (bus.Status, error) {
	s, err := ask(c.nc, time.Second)
	if err != nil {
		return s, err
	}
	for _, r := range s.Replicas {
		if r.PID != 0 && c.hands[r.ID] == nil {
			c.seen[r.PID] = true
		}
	}
	return s, nil
}

func ask(nc *nats.Conn, limit time.Duration) (bus.Status, error) {
	var s bus.Status
	m, err := nc.Request("quartet.status", nil, limit)
	if err == nil {
		err = json.Unmarshal(m.Data, &s)
	}
	return s, err
}

func find(s bus.Status, id string) bus.ReplicaStatus {
	for _, r := range s.Replicas {
		if r.ID == id {
			return r
		}
	}
	return bus.ReplicaStatus{ID: id}
}

// await polls the status until it is as wanted; why says what is not.
func (c *cluster) await(t testing.TB, limit time.Duration, what string, why func(bus.Status) error) bus.Status {
	t.Helper()
	var s bus.Status
	testkit.Eventually(t, limit, what, func() (err error) {
		if s, err = c.status(); err != nil {
			return err
		}
		return why(s)
	})
	return s
}

// whole is what a cluster is when all is well: ready, and every replica a member.
func whole(replicas int) func(bus.Status) error {
	return func(s bus.Status) error {
		if !s.Ready || len(s.Replicas) != replicas {
			return fmt.Errorf("ready %t, %d replicas of %d: %s", s.Ready, len(s.Replicas), replicas, s.Reason)
		}
		for _, r := range s.Replicas {
			if !r.Member {
				return fmt.Errorf("%s is no member: %s, %s", r.ID, r.Phase, r.Reason)
			}
		}
		return nil
	}
}

// atRest is whole with nothing under way and all replicas at one place.
func atRest(replicas int) func(bus.Status) error {
	return func(s bus.Status) error {
		if err := whole(replicas)(s); err != nil {
			return err
		}
		for _, r := range s.Replicas {
			if f := s.Replicas[0]; r.Position != f.Position || r.Keys != f.Keys || r.Timestamp != s.Master.Last ||
				r.Tentative+r.Queue+r.Pending != 0 {
				return fmt.Errorf("not at rest: last causal number %d, %+v", s.Master.Last, s.Replicas)
			}
		}
		return nil
	}
}

// commandEnd is how a command of the program ended.
type commandEnd struct {
	stdout, stderr string
	status         int
}

// quartet runs a command of the program on the cluster.
func (c *cluster) quartet(t testing.TB, args ...string) commandEnd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), healLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, append(args, "--nats", c.url())...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var bad *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &bad) {
		t.Fatalf("quartet %q: %v", args, err)
	}
	return commandEnd{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
