//go:build long

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
)

// nodes are the processes of a cluster of nodes on this machine's loop, each in a folder of its
// own.
type nodes struct {
	all     []*master
	folders []folder
	listen  []string
	routes  []string
	args    []string
	more    func(i int) []string // arguments of node i alone; nil: none
	options []nats.Option        // with which the test connects

	programs []string // of each node; nil: the one under test
}

// newNodes prepares n nodes with folders and addresses of their own; none is started.
func newNodes(t testing.TB, n int, args ...string) *nodes {
	t.Helper()
	c := &nodes{all: make([]*master, n), args: args}
	for range n {
		c.folders = append(c.folders, newFolder(t))
		c.listen = append(c.listen, testkit.FreeAddress(t))
		c.routes = append(c.routes, testkit.FreeAddress(t))
	}
	return c
}

func (c *nodes) url() string { return "nats://" + strings.Join(c.listen, ",nats://") }

// arguments are those of node i, from 0.
func (c *nodes) arguments(i int) []string {
	others := slices.Delete(slices.Clone(c.routes), i, i+1)
	args := append([]string{
		"node", "--name", fmt.Sprintf("n%d", i+1), "--listen", c.listen[i], "--routes", c.routes[i], "--join", strings.Join(others, ","),
		"--dir", filepath.Join(c.folders[i].tmp, "data"), "--log-dir", c.folders[i].logs,
	}, c.args...)
	if c.more != nil {
		args = append(args, c.more(i)...)
	}
	return args
}

// launch starts node i, from 0.
func (c *nodes) launch(t testing.TB, i int) {
	t.Helper()
	program := binary
	if c.programs != nil {
		program = c.programs[i]
	}
	m := &master{Child: testkit.Launch(t, exec.Command(program, c.arguments(i)...)), logs: c.folders[i].logs, tmp: c.folders[i].tmp}
	c.all[i] = m
	t.Cleanup(func() {
		if !m.Gone() && m.stop(t, syscall.SIGTERM) != 0 {
			t.Errorf("node %d ended with status %d\n%s", i+1, m.Status(), &m.Stderr)
		}
	})
}

// connect connects to any node that listens, and goes on to the others when that one ends.
func (c *nodes) connect(t testing.TB) *nats.Conn {
	t.Helper()
	var nc *nats.Conn
	testkit.Eventually(t, startLimit, "a node listens", func() (err error) {
		nc, err = nats.Connect(c.url(), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectBufSize(-1)}, c.options...)...)
		return err
	})
	t.Cleanup(nc.Close)
	return nc
}

// awaitWhole waits until the cluster is ready, n replicas are members of its view, and one of the
// nodes leads, whose index is returned.
func (c *nodes) awaitWhole(t testing.TB, nc *nats.Conn, n int) int {
	t.Helper()
	var s bus.Status
	testkit.Eventually(t, restLimit, fmt.Sprintf("%d members and one that leads", n), func() (err error) {
		for i, m := range c.all {
			if m.Gone() {
				t.Fatalf("node %d has ended: status %d\n%s", i+1, m.Status(), &m.Stderr)
			}
		}

		if s, err = soon(nc); err != nil {
			return err
		}

		members := 0
		for _, r := range s.Replicas {
			if r.Member {
				members++
			}
		}

		if !s.Ready || members != n || !strings.HasPrefix(s.Master.Name, "n") {
			return fmt.Errorf("%s leads, %d members, ready %t: %s", s.Master.Name, members, s.Ready, s.Reason)
		}
		return nil
	})

	return int(s.Master.Name[1] - '1')
}

// awaitFound waits until the other nodes have found that the process of node i has ended (rule M8).
func (c *nodes) awaitFound(t testing.TB, i int) {
	t.Helper()
	name := fmt.Sprintf("n%d", i+1)
	for k := range c.all {
		if k == i {
			continue
		}
		testkit.Eventually(t, restLimit, "it is found that "+name+" has ended", func() error {
			log, err := os.ReadFile(filepath.Join(c.folders[k].logs, fmt.Sprintf("n%d.log", k+1)))
			isFound := strings.Contains(string(log), "process has ended") && strings.Contains(string(log), "node="+name)
			if err == nil && !isFound {
				err = errors.New("the log does not say so")
			}
			return err
		})
	}
}

// Three nodes: each is killed in turn under load, and started again; each is told to stop, whatever
// it does. Every sum that is acknowledged counts once, and none fails.
func TestNodesAreKilledAndStopped(t *testing.T) {
	t.Parallel()
	c := newNodes(t, 3, "--suspect", "2s")
	for i := range c.all {
		c.launch(t, i)
	}
	nc := c.connect(t)
	c.awaitWhole(t, nc, 3)
	load := startAdder(t, c.url())
	load.awaitMore(t, 50)

	for i := range c.all {
		c.all[i].Kill()
		c.all[i].Wait(t, restLimit)
		c.awaitFound(t, i)
		load.awaitMore(t, 20)
		c.launch(t, i)
		c.awaitWhole(t, nc, 3)
		load.awaitMore(t, 20)
	}
	for range c.all {
		i := c.awaitWhole(t, nc, 3)
		if code := c.all[i].stop(t, syscall.SIGTERM); code != 0 {
			t.Fatalf("node %d, which led and was told to stop, ended with status %d\n%s", i+1, code, &c.all[i].Stderr)
		}
		load.awaitMore(t, 20)
		c.launch(t, i)
		c.awaitWhole(t, nc, 3)
	}

	leads := c.awaitWhole(t, nc, 3)
	next := (leads + 1) % 3
	name := fmt.Sprintf("n%d", next+1)
	if end := quartet(t, "lead", "--nats", c.url(), name); end.status != 0 || end.stdout != name+" leads\n" {
		t.Errorf("lead: %+v", end)
	}
	load.awaitMore(t, 20)
	load.end(t)
}

// What a node cannot be is refused before anything is made.
func TestNodesAreRefused(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--name":                        {"--name", "alpha", "--join", "127.0.0.1:1"},
		"quartet master":                {"--name", "n1"},
		"twice":                         {"--name", "n1", "--join", "127.0.0.1:1,127.0.0.1:1"},
		"do not go together":            {"--name", "n4", "--join", "127.0.0.1:1,127.0.0.1:2"},
		"names this node itself":        {"--name", "n1", "--routes", "127.0.0.1:1", "--join", "127.0.0.1:1,127.0.0.1:2"},
		"is no HOST or HOST:PORT":       {"--name", "n1", "--join", "127.0.0.1:99999,127.0.0.1:2"},
		"without credentials and TLS":   {"--name", "n1", "--routes", "0.0.0.0:-1", "--join", "127.0.0.1:1"},
		"port from 1 to 65535":          {"--name", "n1", "--routes", "127.0.0.1:x", "--join", "127.0.0.1:1"},
		"\"127.0.0.1\" of routes: want": {"--name", "n1", "--routes", "127.0.0.1", "--join", "127.0.0.1:1"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		end := quartet(t, append([]string{"node", "--listen", "127.0.0.1:-1", "--dir", dir, "--log-dir", dir}, args...)...)
		if end.status != exit.StatusUsage || !strings.Contains(end.stderr, want) {
			t.Errorf("%q: status %d, want %q:\n%s", args, end.status, want, end.stderr)
		}
		nothingThere(t, dir)
	}
}

func nothingThere(t testing.TB, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}
