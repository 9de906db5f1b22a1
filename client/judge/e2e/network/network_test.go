//go:build network

package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/client/internal/program"
)

var (
	rounds     = flag.Int("network.rounds", 1, "how often each fault is tried")
	loadRounds = flag.Int("network.load", 5, "rounds of the four models in turn, of 0.7 s each: a fault is to meet each")
)

const (
	nodes      = 3
	startLimit = time.Minute
	restLimit  = 2 * time.Minute
	stopLimit  = 30 * time.Second
	faultTime  = 6 * time.Second
	flap       = 300 * time.Millisecond
	begins     = 50 // operations, after which the fault comes: its keys are set by then
)

// cluster is a node on each host of a lab.
type cluster struct {
	*lab
	t      *testing.T
	binary string
	dir    string
	all    []*testkit.Child
}

func (c *cluster) url() string {
	var list []string
	for i := range nodes {
		list = append(list, fmt.Sprintf("nats://%s:4222", address(i)))
	}
	return strings.Join(list, ",")
}

// start starts node i, from 0. It ends with the test of all faults, not of the one that has it
// start.
func (c *cluster) start(i int) {
	t := c.t
	t.Helper()
	var others []string
	for k := range nodes {
		if k != i {
			others = append(others, address(k))
		}
	}
	args := c.args(c.hosts[i], c.binary, "node", "--name", c.hosts[i], "--listen", address(i)+":4222", "--join", strings.Join(others, ","),
		"--allow-insecure-bind", "--dir", filepath.Join(c.disk(i), "data"), "--log-dir", filepath.Join(c.dir, c.hosts[i]+"-log"))
	child := testkit.Launch(t, exec.Command(args[0], args[1:]...))
	c.all[i] = child
	t.Cleanup(func() {
		if !child.Gone() {
			child.Stop(t, syscall.SIGTERM, stopLimit)
		}
	})
}

// run runs a command of the program on the clients' host, and returns its exit status.
func (c *cluster) run(args ...string) (stdout []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), restLimit)
	defer cancel()
	line := c.args("clients", append([]string{c.binary}, args...)...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	stdout, err = cmd.Output()
	var bad *exec.ExitError
	if errors.As(err, &bad) {
		return stdout, bad.ExitCode(), fmt.Errorf("status %d: %s", bad.ExitCode(), bad.Stderr)
	}
	return stdout, 0, err
}

// whole waits until all replicas are members, and returns which node leads.
func (c *cluster) whole(t testing.TB) (leads int) {
	t.Helper()
	testkit.Eventually(t, restLimit, "all replicas are members", func() error {
		said, _, err := c.run("status", "--nats", c.url(), "-o", "json")
		var s bus.Status
		if jerr := json.Unmarshal(said, &s); jerr != nil {
			return errors.Join(err, jerr)
		}
		for _, r := range s.Replicas {
			if !r.Member {
				return fmt.Errorf("%s is no member: %s", r.ID, r.Reason)
			}
		}
		isNamed := len(s.Master.Name) == 2
		if !s.Ready || len(s.Replicas) != nodes || !isNamed {
			return fmt.Errorf("%d replicas, %q leads: %s", len(s.Replicas), s.Master.Name, s.Reason)
		}
		leads = int(s.Master.Name[1] - '1')
		return nil
	})
	return leads
}

// fault is what happens to a cluster under load, of which a node leads, and how it is over.
type fault struct {
	name       string
	begin, end func(t testing.TB, c *cluster, leads int)
}

// last has a fault last: nothing is waited for.
func last(d time.Duration) { <-time.NewTimer(d).C }

func other(i int) int { return (i + 1) % nodes }

func healAll(t testing.TB, c *cluster, _ int) {
	for i := range nodes {
		c.heal(t, i)
	}
}

func from(i int) string { return "ip saddr " + address(i) }

var faults = []fault{
	{"the node that leads is cut off", func(t testing.TB, c *cluster, leads int) { c.link(t, leads, "down") },
		func(t testing.TB, c *cluster, leads int) { c.link(t, leads, "up") }},
	{"another node is cut off", func(t testing.TB, c *cluster, leads int) { c.link(t, other(leads), "down") },
		func(t testing.TB, c *cluster, leads int) { c.link(t, other(leads), "up") }},
	{"the node that leads dies", func(_ testing.TB, c *cluster, leads int) { c.all[leads].Kill() },
		func(_ testing.TB, c *cluster, leads int) { c.start(leads) }},
	{"another node dies", func(_ testing.TB, c *cluster, leads int) { c.all[other(leads)].Kill() },
		func(_ testing.TB, c *cluster, leads int) { c.start(other(leads)) }},
	{"the node that leads stops", func(t testing.TB, c *cluster, leads int) { c.all[leads].Stop(t, syscall.SIGTERM, stopLimit) },
		func(_ testing.TB, c *cluster, leads int) { c.start(leads) }},
	{"the node that leads is paused", func(t testing.TB, c *cluster, leads int) { c.all[leads].Signal(t, syscall.SIGSTOP) },
		func(t testing.TB, c *cluster, leads int) { c.all[leads].Signal(t, syscall.SIGCONT) }},
	{"two nodes do not hear each other", func(t testing.TB, c *cluster, leads int) {
		c.drop(t, leads, from(other(leads)))
		c.drop(t, other(leads), from(leads))
	}, healAll},
	{"one does not hear the node that leads", func(t testing.TB, c *cluster, leads int) { c.drop(t, other(leads), from(leads)) }, healAll},
	{"5 % of all packets are lost", func(t testing.TB, c *cluster, _ int) {
		for i := range nodes {
			c.drop(t, i, "numgen random mod 100 < 5")
		}
	}, healAll},
	{"the link of the node that leads flaps", func(t testing.TB, c *cluster, leads int) {
		for range 6 {
			c.link(t, leads, "down")
			last(flap)
			c.link(t, leads, "up")
			last(flap)
		}
	}, func(testing.TB, *cluster, int) {}},
	{"the disk of the node that leads is full", func(t testing.TB, c *cluster, leads int) { c.fill(t, leads) },
		func(t testing.TB, c *cluster, leads int) { c.empty(t, leads) }},
	{"the disk of another node is full", func(t testing.TB, c *cluster, leads int) { c.fill(t, other(leads)) },
		func(t testing.TB, c *cluster, leads int) { c.empty(t, other(leads)) }},
}

// Whatever happens to machines and the network between them, what clients were told is as each
// model promises, and the cluster is whole when it is over.
func TestFaultsOfTheNetwork(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	binary, err := program.Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{lab: newLab(t, nodes), t: t, binary: binary, dir: t.ArtifactDir(), all: make([]*testkit.Child, nodes)}
	for i := range nodes {
		c.mount(t, i)
		c.start(i)
	}

	for round := range *rounds {
		for _, f := range faults {
			t.Run(f.name, func(t *testing.T) { c.under(t, f, round) })
		}
	}
	for i, n := range c.all {
		if n.Gone() {
			t.Errorf("node %d has ended: %s", i+1, &n.Stderr)
		}
	}
}

// under has a fault come and go under load, and judges what clients were told.
func (c *cluster) under(t *testing.T, f fault, round int) {
	leads := c.whole(t)
	history := filepath.Join(t.ArtifactDir(), "history")
	type end struct {
		stdout []byte
		status int
		err    error
	}
	done := make(chan end, 1)
	go func() {
		stdout, status, err := c.run("bench", "--nats", c.url(), "--consistency", "all", "--request", "mix", "--driver", "goroutine",
			"--concurrency", "8", "--rate", "100", "--keys", "12", "--rounds", fmt.Sprint(*loadRounds), "--round", "700ms", "--retries", "12",
			"--seed", fmt.Sprint(round+1), "--record", history)
		done <- end{stdout, status, err}
	}()

	testkit.Eventually(t, startLimit, "the load has begun", func() error {
		so, err := os.ReadFile(filepath.Join(history, "history.jsonl"))
		if n := bytes.Count(so, []byte("\n")); err == nil && n < begins {
			err = fmt.Errorf("%d operations", n)
		}
		return err
	})
	f.begin(t, c, leads)
	last(faultTime)
	f.end(t, c, leads)

	load := <-done
	isServed := load.status == 0 || load.status == exit.StatusRefused || load.status == exit.StatusUnknown
	if !isServed {
		t.Errorf("the load: %v\n%s", load.err, load.stdout)
	}
	c.whole(t)
	t.Logf("status %d\n%s", load.status, load.stdout)

	if said, _, err := c.run("check", "--budget", "60s", history); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
