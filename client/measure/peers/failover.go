package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// FailoverOptions say which systems lose a machine, and how often. Start from [FailoverDefaults].
type FailoverOptions struct {
	Systems  []string // of [FailoverSystems]
	Rounds   int      // 1 to 100: in each, each machine of each system is killed once
	Seed     uint64   // of the order
	Programs Programs
	DiskDir  string // where files are kept
	Talk     io.Writer
}

// The systems of [Failover], each of three machines.
const (
	quartetNodes = "quartet"
	failNATS     = "nats-r3"
	failEtcd     = "etcd"
)

// FailoverSystems returns the names of the systems that can lose a machine.
func FailoverSystems() []string { return []string{quartetNodes, failNATS, failEtcd} }

// FailoverDefaults are what the project's figures are measured with.
func FailoverDefaults() FailoverOptions {
	d := Defaults()
	return FailoverOptions{Systems: FailoverSystems(), Rounds: 1, Seed: 1, Programs: d.Programs, Talk: io.Discard}
}

// Check refuses impossible options.
func (o *FailoverOptions) Check() error {
	for i, name := range o.Systems {
		if !slices.Contains(FailoverSystems(), name) {
			return fmt.Errorf("%w: unknown system %q (want some of %s)", ErrOptions, name, strings.Join(FailoverSystems(), ", "))
		}
		if slices.Contains(o.Systems[:i], name) {
			return fmt.Errorf("%w: system %q is named twice", ErrOptions, name)
		}
	}
	switch {
	case len(o.Systems) == 0:
		return fmt.Errorf("%w: no system", ErrOptions)
	case o.Rounds < 1 || o.Rounds > 100:
		return fmt.Errorf("%w: %d rounds (want 1 to 100)", ErrOptions, o.Rounds)
	case o.Talk == nil:
		return fmt.Errorf("%w: nowhere to talk to", ErrOptions)
	}
	return nil
}

// Whose machine a [Failure] is of.
const (
	VictimLeader = "leader" // of quartet the node that leads, of etcd the leader, of NATS that of the bucket's stream
	VictimOther  = "other"
)

// Failure is one machine that was killed with SIGKILL under load, and what clients saw of it.
type Failure struct {
	At      time.Time     `json:"at"`
	System  string        `json:"system"`
	Version string        `json:"version"`
	Victim  string        `json:"victim"`
	Worst   time.Duration `json:"worst_ns"`   // the longest time that a client was without an acknowledgement
	Typical time.Duration `json:"typical_ns"` // the median of the clients
	Service time.Duration `json:"service_ns"` // the longest time in which no client had any
}

const (
	machinesOfAll = 3
	perMachine    = 2           // clients that are connected with each machine at first
	tryTimeout    = time.Second // a put is given up after it, and the next one tried
	putPause      = 5 * time.Millisecond
	settleTime    = 2 * time.Second  // of load before a machine is killed
	leastWindow   = 4 * time.Second  // after it
	mostWindow    = 30 * time.Second // by then all clients are served again, or the run has failed
	calmWindow    = time.Second      // served for so long, a client counts as served again
	wholeLimit    = time.Minute      // for a machine to be one of the three again
)

// trio is a system of three machines, each one process.
type trio interface {
	start(ctx context.Context, machine int) error
	kill(machine int) error
	// whole reports, as nil, that all machines are there and in step, and which of them leads.
	whole(ctx context.Context) (leader int, err error)
	// open connects a client that knows all machines with one of them.
	open(ctx context.Context, machine int) (putter, func(), error)
	version() string
	processes() []*child
}

// putter puts a value under a key, once, by the system's usual client.
type putter func(ctx context.Context, key string, value []byte) error

// Failover kills each machine of each system in turn, under load, and returns what clients saw. On
// an error it returns what was measured before.
func Failover(ctx context.Context, o FailoverOptions) (all []Failure, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.DiskDir, "quartet-failover-")
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	order := rand.New(rand.NewPCG(o.Seed, 0))
	for round := range o.Rounds {
		for _, i := range order.Perm(len(o.Systems)) {
			name := o.Systems[i]
			fmt.Fprintf(o.Talk, "round %d of %d: %s\n", round+1, o.Rounds, name)
			some, err := failover(ctx, &o, name, filepath.Join(dir, fmt.Sprintf("%s-%d", name, round)))
			all = append(all, some...)
			if err != nil {
				return all, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return all, nil
}

// failover starts one system, and kills the machine that leads, and then each of the others while
// it does not, as far as there is one.
func failover(ctx context.Context, o *FailoverOptions, name, dir string) (list []Failure, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	t, err := newTrio(name, &o.Programs, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(t.processes())) }()
	for i := range machinesOfAll {
		if err := t.start(ctx, i); err != nil {
			return nil, err
		}
	}

	var killed []int
	for len(killed) < machinesOfAll {
		leader, err := awaitWhole(ctx, t)
		if err != nil {
			return list, err
		}
		machine := next(killed, leader)
		f := Failure{At: time.Now().UTC(), System: name, Version: t.version(), Victim: VictimOther}
		if machine == leader {
			f.Victim = VictimLeader
		}
		if err := lose(ctx, t, machine, &f); err != nil {
			return list, err
		}
		fmt.Fprintf(o.Talk, "  %s killed: longest gap of a client %s, of the median client %s, of all %s\n",
			f.Victim, round(f.Worst), round(f.Typical), round(f.Service))
		list, killed = append(list, f), append(killed, machine)
	}
	return list, nil
}

// next is the machine that is to be killed: first the one that leads, then one that does not.
func next(killed []int, leader int) int {
	if len(killed) == 0 {
		return leader
	}
	for i := range machinesOfAll {
		if i != leader && !slices.Contains(killed, i) {
			return i
		}
	}
	return (leader + 1) % machinesOfAll // only the one that leads is left
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func awaitWhole(ctx context.Context, t trio) (leader int, err error) {
	ctx, cancel := context.WithTimeout(ctx, wholeLimit)
	defer cancel()
	err = serving(ctx, nil, func(ctx context.Context) (err error) {
		leader, err = t.whole(ctx)
		return err
	})
	return leader, err
}

// lose kills a machine under load, notes what clients see, and starts it again.
func lose(ctx context.Context, t trio, machine int, f *Failure) error {
	var clients []*gapClient
	defer func() {
		for _, c := range clients {
			c.stop()
		}
	}()
	for i := range machinesOfAll * perMachine {
		c, err := startGapClient(ctx, t, i)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	if err := servedSince(ctx, clients, time.Now(), settleTime, wholeLimit); err != nil {
		return err
	}

	killed := time.Now()
	if err := t.kill(machine); err != nil {
		return err
	}
	if err := servedSince(ctx, clients, killed, leastWindow, mostWindow); err != nil {
		return err
	}
	for _, c := range clients {
		c.stop()
	}
	f.Worst, f.Typical, f.Service = gaps(clients, killed)
	return t.start(ctx, machine)
}

// servedSince waits until some time has passed since a moment, and each client was served again and
// again for calmWindow; it fails when that takes too long.
func servedSince(ctx context.Context, clients []*gapClient, since time.Time, least, most time.Duration) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		late := slices.ContainsFunc(clients, func(c *gapClient) bool { return !c.isCalm(now, since) })
		switch {
		case !late && now.Sub(since) >= least:
			return nil
		case now.Sub(since) > most:
			return fmt.Errorf("peers: a client is not served after %s: %w", most, lastError(clients))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
