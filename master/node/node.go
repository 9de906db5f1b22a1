// Package node promises a master's process: it embeds the NATS server or uses one,
// spawns the replicas or adopts those that still run, and then one goroutine owns the
// machine (package master): it takes what clients and replicas have sent, steps the
// machine, and sends what the turn produced. Callbacks of the bus only append to the
// inbox.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/link"
	"quartet/bus/server"
	"quartet/master"
	"quartet/replica/lamport"
)

// Errors of Run.
var (
	ErrOptions = errors.New("master: wrong options")
	ErrStopped = errors.New("master: stopped before the cluster was ready")
)

// event is what callbacks hand to the loop.
type event struct {
	source source
	msg    *nats.Msg
	at     time.Time
}

type source uint8

const (
	fromNode source = iota
	fromClient
	askStatus
	askReport
)

// node is the shell around the machine.
type node struct {
	opts     *Options
	dir      *runDir
	server   *server.Server // nil with an external NATS
	clients  *nats.Conn     // in the clients' account
	nodes    *nats.Conn     // in the nodes' account
	link     *link.Link
	subs     []*bus.Subscription
	subjects bus.Subjects
	inbox    *bus.Inbox[event]
	super    *supervisor
	machine  *master.Machine
	out      master.Output
	rand     *rand.Rand

	replies   bus.ReplyWriter
	taken     map[uint64]*taken // by token
	lastToken uint64
	asked     map[uint64]string // status requests: token → reply subject
	failing   bool
	debug     bool // the log shows every message
	refused   uint64
}

const inboxBytes = 512 << 20

// Run serves until ctx ends, then drains, stops the replicas and the server, and
// returns nil. When now is closed it stops at once.
func Run(ctx context.Context, now <-chan struct{}, o Options) (err error) {
	if err := check(&o); err != nil {
		return err
	}
	dir, err := openRunDir(&o)
	if err != nil {
		return err
	}
	n := &node{
		opts: &o, dir: dir, taken: map[uint64]*taken{}, asked: map[uint64]string{},
		inbox: bus.NewBoundedInbox(inboxBytes, func(e event) int { return len(e.msg.Data) }),
		rand:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		debug: o.Log.Enabled(ctx, slog.LevelDebug),
	}
	clean, begun := false, false
	defer func() {
		n.close()
		if clean || dir.fresh && !begun {
			dir.remove()
		}
		dir.release()
	}()
	if err := n.connect(ctx); err != nil {
		return err
	}
	defer func() { // before the server goes
		n.super.stop(now)
		if err == nil {
			err = dir.settle(n.machine.NextRID(), n.machine.Now()+1)
			clean = err == nil
		}
	}()
	if err := n.boot(ctx); err != nil {
		return err
	}
	begun = true
	n.banner()
	if err := n.serve(ctx); err != nil {
		return err
	}
	return n.drain(now)
}

func check(o *Options) error {
	switch {
	case o.Replicas < MinReplicas || o.Replicas > MaxReplicas:
		return fmt.Errorf("%w: %d replicas: want %d to %d", ErrOptions, o.Replicas, MinReplicas, MaxReplicas)
	case o.Missing >= o.Replicas:
		return fmt.Errorf("%w: %d of %d replicas cannot be missing: one must remain", ErrOptions, o.Missing, o.Replicas)
	case o.Timeout < Tick || o.CausalWait < 0 || o.OrphanTimeout <= 0 || o.Suspect < 10*Tick:
		return fmt.Errorf("%w: a duration is too short", ErrOptions)
	}
	if _, err := bus.NewSubjects(o.Prefix); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// connect starts the server, joins the bus in both accounts and makes the machine.
func (n *node) connect(ctx context.Context) error {
	o := n.opts
	n.subjects, _ = bus.NewSubjects(o.Prefix) // checked
	clients := bus.DialOptions{URL: o.NATS, Name: "quartet master", Log: o.Log}
	nodes := bus.DialOptions{URL: o.NATS, Name: "quartet master, nodes", Log: o.Log}
	n.super = &supervisor{
		opts: o, dir: n.dir, url: o.NATS, children: map[lamport.Node]*child{}, ended: bus.NewInbox[ended](),
	}
	if o.NATS == "" {
		var err error
		n.server, err = server.Start(ctx, server.Options{
			Listen: o.Listen, StoreDir: filepath.Join(n.dir.path, "jetstream"), NodePassword: n.dir.record.Password,
			Prefix: o.Prefix, AllowInsecureBind: o.AllowInsecure, Log: o.Log,
		})
		if err != nil {
			return err
		}
		n.super.url = n.server.ClientURL()
		n.super.user, n.super.password = n.server.NodeCredentials()
		clients.URL, nodes.URL = n.super.url, n.super.url
		nodes.User, nodes.Password = n.super.user, n.super.password
		clients.User, clients.Password = n.server.FrontCredentials()
	}
	var err error
	if n.clients, err = bus.Dial(ctx, clients); err != nil {
		return err
	}
	if n.nodes, err = bus.Dial(ctx, nodes); err != nil {
		return err
	}
	n.machine = n.newMachine()
	if err := n.dir.reserve(n.machine.NextRID(), n.machine.Now()); err != nil {
		return err
	}
	n.link, err = link.Open(n.nodes, n.subjects, lamport.Master(1), n.push(fromNode), o.Log)
	return err
}

func (n *node) newMachine() *master.Machine {
	o := n.opts
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: uint64(time.Now().UnixNano()), Faults: o.faults(),
		NextRID: n.dir.record.NextRID, Clock: n.dir.record.Clock,
		TimeoutTicks: uint64(o.Timeout / Tick), SuspectTicks: uint64(o.Suspect / Tick),
		ProbeTicks: 10, AgainTicks: 50, MaxInFlight: 1 << 16,
	}
	for i := range o.Replicas {
		cfg.Replicas = append(cfg.Replicas, lamport.Replica(i+1))
	}
	return master.New(cfg)
}

func (n *node) push(from source) func(*nats.Msg) {
	return func(m *nats.Msg) { n.inbox.Push(event{source: from, msg: m, at: time.Now()}) }
}

// subscribe opens the doors for clients.
func (n *node) subscribe() error {
	for subject, from := range map[string]source{
		n.subjects.Request(): fromClient, n.subjects.Status(): askStatus, n.subjects.Report(): askReport,
	} {
		sub, err := bus.Subscribe(n.clients, subject, n.push(from))
		if err != nil {
			return err
		}
		n.subs = append(n.subs, sub)
	}
	return nil
}

// boot finds or starts the replicas and waits until all work in one view.
func (n *node) boot(ctx context.Context) error {
	if err := n.subscribe(); err != nil {
		return err
	}
	living := n.super.living()
	deadline := time.Now().Add(adoptWait)
	spawned := false
	return n.loop(ctx, func(time.Time) (bool, error) {
		if !spawned && (n.reported(living) || time.Now().After(deadline)) {
			spawned = true
			if err := n.populate(living); err != nil {
				return false, err
			}
		}
		return spawned && n.machine.Ready(), nil
	}, ErrStopped)
}

// reported reports whether all replicas that live have said HELLO.
func (n *node) reported(living map[lamport.Node]int) bool {
	if len(living) == 0 {
		return true
	}
	heard := 0
	for _, r := range n.machine.Snapshot().Replicas {
		if r.PID != 0 && living[r.Node] == r.PID {
			heard++
		}
	}
	return heard == len(living)
}

// populate adopts the replicas that have reported and spawns the missing ones.
func (n *node) populate(living map[lamport.Node]int) error {
	for _, r := range n.machine.Snapshot().Replicas {
		var err error
		if r.PID != 0 {
			n.opts.Log.Info("adopting a replica that still runs", "replica", r.Node, "pid", r.PID)
			err = n.super.adopt(r.Node, r.PID)
		} else {
			if pid := living[r.Node]; pid != 0 {
				n.opts.Log.Warn("a process that may be this replica still runs but does not report", "replica", r.Node, "pid", pid)
			}
			err = n.super.spawn(r.Node)
		}
		if err != nil {
			return err
		}
	}
	return n.dir.save()
}

// close shuts everything that was opened.
func (n *node) close() {
	if n.clients != nil {
		n.clients.Close()
	}
	if n.nodes != nil {
		n.nodes.Close()
	}
	if n.server != nil {
		n.server.Shutdown()
	}
}

// banner prints the ready line and what one needs to begin.
func (n *node) banner() {
	s := n.machine.Snapshot()
	fmt.Fprintf(n.opts.Stdout, "ready %s\n", n.url())
	where := "in memory"
	if !n.opts.Memory {
		where = n.opts.Dir + " (ids and streams; in this version the replicas' data are in memory and end with them)"
	}
	fmt.Fprintf(n.opts.Stdout, "  data      %s\n  logs      %s\n", where, n.opts.LogDir)
	for i, r := range s.Replicas {
		label := ""
		if i == 0 {
			label = "replicas"
		}
		fmt.Fprintf(n.opts.Stdout, "  %-9s %s  pid %d\n", label, r.Node, r.PID)
	}
	fmt.Fprintf(n.opts.Stdout, "  try       nats -s %s req %s '1, 1, key ::: value'\n", n.url(), n.subjects.Request())
	n.opts.Log.Info("ready", "url", n.url(), "pid", os.Getpid(), "epoch", s.Epoch, "replicas", len(s.Replicas))
}

func (n *node) url() string {
	if n.server != nil {
		return n.server.ClientURL()
	}
	return n.opts.NATS
}
