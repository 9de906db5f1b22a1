// Package node promises a replica's process: one goroutine owns the machine (package
// replica), takes all that has arrived, steps it, and sends what the turn produced. The
// batch is what arrived meanwhile; there is no timer that waits for more. Callbacks of
// the bus only append to the inbox.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/link"
	"quartet/replica"
	"quartet/replica/lamport"
	"quartet/replica/store"
)

// Tick is the unit in which the machine counts time.
const Tick = 10 * time.Millisecond

// Errors of Run.
var (
	ErrOrphaned = errors.New("replica: the master is gone and none came back")
	ErrBroken   = errors.New("replica: an invariant was found broken")
)

// Options say who the replica is and how to reach the others.
type Options struct {
	ID         lamport.Node // r1, r2, …
	URL        string
	User       string // of the nodes' account; "": as the URL says
	Password   string
	Prefix     string        // of subjects
	CausalWait time.Duration // how long a get or set may wait for its minimum

	// MasterLock, if not "", is the file that the master of this machine holds locked
	// while it lives. A replica that hears nothing for OrphanTimeout and finds the lock
	// free ends: it was spawned by a master that is gone.
	MasterLock    string
	OrphanTimeout time.Duration

	Log *slog.Logger
}

// node is the shell around the machine.
type node struct {
	opts    Options
	log     *slog.Logger
	machine *replica.Machine
	link    *link.Link
	inbox   *bus.Inbox[*nats.Msg]
	out     replica.Output
	heard   time.Time // the last message of any kind, the master's heartbeat among them
	refused uint64
	failing bool // the last send failed
}

// inboxBytes bounds what waits for the machine; beyond it messages are dropped and
// asked for again.
const inboxBytes = 256 << 20

// Run joins the bus and serves until ctx ends (nil), the master is gone
// ([ErrOrphaned]), or the machine stopped ([ErrBroken]).
func Run(ctx context.Context, o Options) error {
	subjects, err := bus.NewSubjects(o.Prefix)
	if err != nil {
		return err
	}
	nc, err := bus.Dial(ctx, bus.DialOptions{
		URL: o.URL, Name: "quartet replica " + o.ID.String(), User: o.User, Password: o.Password, Log: o.Log,
	})
	if err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer nc.Close()
	n := &node{
		opts: o, log: o.Log, heard: time.Now(),
		inbox: bus.NewBoundedInbox(inboxBytes, func(m *nats.Msg) int { return len(m.Data) }),
		machine: replica.New(replica.Config{
			Self: o.ID, Incarnation: uint64(time.Now().UnixNano()), PID: os.Getpid(), Store: store.NewMemory(),
			WaitTicks: max(uint64(o.CausalWait/Tick), 1), HelloTicks: 10,
		}),
	}
	if n.link, err = link.Open(nc, subjects, o.ID, n.inbox.Push, o.Log); err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer n.link.Close()
	n.log.Info("replica started", "pid", os.Getpid(), "url", nc.ConnectedUrlRedacted(), "data", "in memory")
	err = n.loop(ctx)
	n.log.Info("replica stopped", "stats", fmt.Sprintf("%+v", n.machine.Stats()), "link", fmt.Sprintf("%+v", n.link.Counters()), "cause", err)
	return err
}

func (n *node) loop(ctx context.Context) error {
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()
	var batch []*nats.Msg
	n.turn(nil, true) // the first HELLO
	for {
		tick := false
		select {
		case <-n.inbox.Ready():
		case <-ticker.C:
			tick = true
		case <-ctx.Done():
			return nil
		}
		batch = n.inbox.Drain(batch)
		if len(batch) > 0 {
			n.heard = time.Now()
		}
		n.turn(batch, tick)
		if why := n.machine.Fault(); why != "" {
			n.log.Error("replica stops: " + why)
			return fmt.Errorf("%w: %s", ErrBroken, why)
		}
		if tick && n.orphaned() {
			n.log.Warn("the master is gone and none came back", "after", n.opts.OrphanTimeout)
			return ErrOrphaned
		}
	}
}

// turn steps the machine through a batch and sends what came of it.
func (n *node) turn(batch []*nats.Msg, tick bool) {
	before := n.machine.Installed()
	for _, raw := range batch {
		if msg, ok := n.link.Receive(raw); ok {
			n.machine.Step(msg, &n.out)
		}
	}
	if tick {
		n.machine.Tick(&n.out)
		n.watch()
	}
	n.machine.EndTurn(&n.out)
	for _, s := range n.out.Sends {
		n.send(s.Msg, s.To)
	}
	clear(n.out.Sends)
	n.out.Sends = n.out.Sends[:0]
	if !before && n.machine.Installed() {
		v := n.machine.View()
		n.log.Info("view installed", "epoch", v.Epoch, "members", fmt.Sprint(v.Members))
	}
}

// watch logs messages that the machine refused, at most once a tick.
func (n *node) watch() {
	if refused := n.machine.Stats().Refused; refused != n.refused {
		n.log.Warn("messages refused: of another epoch or incarnation, or against a rule", "new", refused-n.refused, "all", refused)
		n.refused = refused
	}
}

// orphaned reports whether the master that spawned this process is gone for good. A
// master that is only paused still holds its lock.
func (n *node) orphaned() bool {
	if n.opts.MasterLock == "" || time.Since(n.heard) < n.opts.OrphanTimeout {
		return false
	}
	n.heard = time.Now().Add(Tick*50 - n.opts.OrphanTimeout) // look again in half a second
	lock := flock.New(n.opts.MasterLock)
	free, err := lock.TryRLock()
	if err != nil {
		return os.IsNotExist(err)
	}
	if free {
		_ = lock.Unlock() // nothing depends on it: the process ends
	}
	return free
}
