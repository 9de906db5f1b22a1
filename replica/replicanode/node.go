// Package replicanode is a replica's process. It promises to be the shell around the machine
// (package replica) that the duties of package loop ask for, with a disk, and to end by itself
// where the machine or the master is gone.
package replicanode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/host/lock"
	"quartet/bus/host/loop"
	"quartet/bus/host/room"
	"quartet/bus/host/tune"
	"quartet/bus/lamport"
	"quartet/bus/link"
	"quartet/replica"
	"quartet/replica/disk"
)

// Errors of Run. Those of the disk wrap the errors of package disk.
var (
	ErrOrphaned    = errors.New("replica: the master is gone and none came back")
	ErrBroken      = errors.New("replica: an invariant was found broken")
	ErrDisk        = errors.New("replica: its disk fails")
	ErrReplaced    = errors.New("replica: another process of this replica was started later; this one ends, for only one may speak as it")
	ErrForeign     = errors.New("replica: the directory holds the data of another replica, or of another cluster")
	ErrCredentials = errors.New("replica: the server does not let it speak to other nodes: " +
		"the credentials of the nodes' account are missing or wrong")
)

// Options say who the replica is and how to reach the others.
type Options struct {
	ID       lamport.Node // r1, r2, …
	PID      int          // tells this start from those before; 0: of the process, which has one replica then
	URL      string
	User     string // of the nodes' account; "": as the URL says
	Password string
	Connect  func(...nats.Option) (*nats.Conn, error) // in place of nats.Connect to URL; may be nil
	Prefix   string                                   // of subjects

	// Front makes the connection on which the replica speaks to clients, if User is "" and it is
	// another than that of the nodes; may be nil.
	Front func(...nats.Option) (*nats.Conn, error)

	CausalWait time.Duration // how long a get or set may wait for its minimum

	// PublishChanges has the first member publish each committed change, for whoever listens.
	PublishChanges bool

	Dir   string    // of this replica's data alone; "": they are in memory
	Sync  disk.Sync // of Dir; 0: disk.Interval
	Cache int64     // bytes of Dir's data that are kept in memory; 0: disk.DefaultCache

	// MasterLock, if not "", is the file that the master of this machine holds locked
	// while it lives. A replica that hears nothing for OrphanTimeout and finds the lock
	// free ends: it was spawned by a master that is gone. One with a Dir ends also if
	// the lock's holder is at another server than URL.
	MasterLock    string
	OrphanTimeout time.Duration

	Probe *bus.Probe[Figures] // asks the loop how it is; may be nil
	Awake *tune.Awake         // is told of the loop's turns; may be nil

	Log *slog.Logger
}

// node is the shell around the machine.
type node struct {
	opts     Options
	subjects bus.Subjects
	log      *slog.Logger
	machine  *replica.Machine
	disk     *disk.Disk // nil: in memory
	link     *link.Link
	front    front
	frames   frames          // for watchers that read them
	events   bus.EventWriter // for all others
	wake     chan struct{}   // holds a token while watchers are to be told more
	own      *claimed
	inbox    *bus.Inbox[*nats.Msg]
	back     *nats.Msg // stands in the inbox where a connection was there again
	loop     *loop.Loop[*nats.Msg, Figures]
	out      replica.Output
	heard    time.Time    // the last message of any kind, the master's heartbeat among them
	seen     condition    // that was logged last
	refuses  room.Refused // for want of room on the disk
	refused  uint64
	failing  bool // the last send failed
	sent     sent
	views    uint64 // that this process has seen to begin
}

// inboxBytes bounds what waits for the machine; beyond it messages are dropped and
// asked for again.
const inboxBytes = 256 << 20

// Run joins the bus and serves until ctx ends or an operator removes the replica from the
// cluster (nil), the master is gone ([ErrOrphaned]), the machine stopped ([ErrBroken]), or
// the disk failed. Data that are damaged are not served: then the error wraps
// [disk.ErrDamaged].
func Run(ctx context.Context, o Options) (err error) {
	subjects, err := bus.NewSubjects(o.Prefix)
	if err != nil {
		return err
	}

	own, err := claim(&o)
	if err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer own.release()

	data, err := open(ctx, &o)
	if err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer func() {
		if cerr := data.close(); cerr != nil && err == nil {
			err = fmt.Errorf("replica %s: %w: %w", o.ID, ErrDisk, cerr)
		}
	}()

	inbox := bus.NewBoundedInbox(inboxBytes, func(m *nats.Msg) int { return len(m.Data) })
	// What was told while a connection was away, or just before, is lost, and watchers are to know
	// at once. (They may be spoken to on this one.)
	back := &nats.Msg{}
	rejoined := func() { inbox.Push(back) }
	nc, err := bus.Dial(ctx, bus.DialOptions{
		URL: o.URL, Name: "quartet replica " + o.ID.String(), User: o.User, Password: o.Password, Connect: o.Connect, Log: o.Log,
		Rejoined: rejoined,
	})
	if err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer nc.Close()

	n := &node{
		opts: o, subjects: subjects, log: o.Log, wake: make(chan struct{}, 1), heard: time.Now(), disk: data.disk, own: own,
		inbox: inbox, back: back,
		machine: replica.New(replica.Config{
			Self: o.ID, Incarnation: data.incarnation, Life: rand.Uint64() | 1, PID: cmp.Or(o.PID, os.Getpid()),
			Store: data.store, Forms: codec.Forms{}, Saved: data.saved, Durable: data.disk != nil, Keeps: data.keeps(),
			WaitTicks: max(uint64(o.CausalWait/loop.Tick), 1), HelloTicks: 10, Publish: o.PublishChanges,
		}),
	}

	n.loop = &loop.Loop[*nats.Msg, Figures]{Inbox: n.inbox, Shell: n, Wake: n.wake, Probe: o.Probe, Figures: n.figures, Awake: o.Awake}

	if n.link, err = link.Open(nc, subjects, o.ID, n.inbox.Push, o.Log); err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer n.link.Close()
	if err = n.openFront(ctx, nc, rejoined); err != nil {
		return fmt.Errorf("replica %s: %w", o.ID, err)
	}
	defer n.closeFront()

	n.log.Info("replica started", "pid", os.Getpid(), "url", nc.ConnectedUrlRedacted(),
		"data", data.String(), "incarnation", n.machine.Incarnation())

	defer o.Probe.End()
	if err = n.begin(nc); err == nil {
		o.Probe.Begin()
		err = n.run(ctx)
	}
	n.endWatches()
	if err == nil {
		err = n.settle()
	}

	n.log.Info("replica stopped", "stats", fmt.Sprintf("%+v", n.machine.Stats()),
		"link", fmt.Sprintf("%+v", n.link.Counters()), "cause", err)
	return err
}

// helloWait bounds the round trip that shows whether the first HELLO was let through.
const helloWait = 5 * time.Second

// begin says HELLO, and finds out whether this connection may.
func (n *node) begin(nc *nats.Conn) error {
	if err := n.loop.First(); err != nil {
		return err
	}
	if err := nc.FlushTimeout(helloWait); err != nil {
		n.log.Warn("cannot tell whether the first HELLO has left; it is repeated", "error", err)
		return nil
	}
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w (%s and %s, or user and password in the URL)", ErrCredentials, bus.EnvNodeUser, bus.EnvNodePassword)
	}
	return nil
}

// run makes turns until ctx ends, or this process is to end.
func (n *node) run(ctx context.Context) error {
	_, err := n.loop.Run(ctx, n.over)
	return err
}

// over reports whether the last turn was the last of this process.
func (n *node) over(t loop.Turn) (bool, error) {
	if err := n.superfluous(); err != nil {
		return true, err
	}
	if n.machine.Dismissed() {
		n.log.Info("removed from the cluster by an operator")
		return true, nil
	}
	if !t.Tick {
		return false, nil
	}

	n.own.renew(t.Now)
	if n.orphaned() {
		n.log.Warn("the master is gone and none came back", "after", n.opts.OrphanTimeout)
		return true, ErrOrphaned
	}
	return false, nil
}

// superfluous says why this process is not to be the replica, or nil.
func (n *node) superfluous() error {
	switch foreign := n.machine.Foreign(); {
	case n.machine.Replaced():
		n.log.Error("another process of this replica was started later; this one ends", "replica", n.opts.ID)
		return ErrReplaced
	case foreign != "":
		n.log.Error("the directory belongs to another cluster; this process ends, and leaves it as it is",
			"dir", n.opts.Dir, "reason", foreign)
		return fmt.Errorf("%w: %s: %s; move it away, and the replica is loaded from the others", ErrForeign, n.opts.Dir, foreign)
	}
	return nil
}

// Look asks the disk for its room. It is a method of [loop.Shell], as those below are.
func (n *node) Look(t loop.Turn) error {
	if t.Events > 0 {
		n.heard = t.Now
	}
	return n.lookRoom()
}

// Take steps the machine through a message.
func (n *node) Take(raw **nats.Msg) {
	switch {
	case *raw == n.back:
		n.machine.Rejoined()
		return
	case n.flow(*raw):
		return
	}
	if msg, ok := n.link.Receive(*raw); ok {
		n.machine.Step(msg, &n.out)
	}
}

// Tick tells the machine that 10 ms have passed, and what the clock on the wall says.
func (n *node) Tick(now time.Time) {
	n.machine.Wall(uint64(max(now.UnixMilli(), 0)))
	n.machine.Tick(&n.out)
	n.watch()
}

// EndTurn ends the machine's turn, and the process where an invariant is broken.
func (n *node) EndTurn() error {
	n.machine.EndTurn(&n.out)
	if why := n.machine.Fault(); why != "" {
		n.log.Error("replica stops: " + why)
		return fmt.Errorf("%w: %s", ErrBroken, why)
	}
	return nil
}

// Persist puts on disk what the turn changed.
func (n *node) Persist() error {
	err := n.commit()
	if err != nil {
		n.log.Error("replica stops: its disk fails; nothing of this turn has been said to anybody", "error", err)
	}
	return err
}

// Send sends what the turn produced, and logs what has become of the view.
func (n *node) Send() {
	for _, s := range n.out.Sends {
		n.send(s.Msg, s.To)
	}
	clear(n.out.Sends)
	n.out.Sends = n.out.Sends[:0]

	n.tellWatchers(n.out.Events)
	clear(n.out.Events)
	n.out.Events = n.out.Events[:0]
	n.publish(n.out.Published)
	clear(n.out.Published)
	n.out.Published = n.out.Published[:0]
	if n.machine.Busy() {
		select {
		case n.wake <- struct{}{}:
		default: // a token is there
		}
	}

	n.tell()
}

// commit puts what the machine has handed over on disk, if there is one.
func (n *node) commit() error {
	if n.disk == nil || n.out.Turn == nil {
		return nil
	}
	if err := n.disk.Commit(n.out.Turn); err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}

// settle puts on disk, at a clean stop, what was only in memory.
func (n *node) settle() error {
	n.machine.Settle(&n.out)
	return n.commit()
}

// orphaned reports whether the master that spawned this process is gone for good. A
// master that is only paused still holds its lock.
func (n *node) orphaned() bool {
	if n.opts.MasterLock == "" || time.Since(n.heard) < n.opts.OrphanTimeout {
		return false
	}
	n.heard = time.Now().Add(50*loop.Tick - n.opts.OrphanTimeout) // look again in half a second
	master, held, err := lock.Look(n.opts.MasterLock)
	gone := !held || n.movedFrom(master)
	return err == nil && gone
}

// movedFrom reports whether the master that came back uses another server than this process
// does, and so never hears of it: the process ends, and that master starts it again at its
// own. What is in memory would end with it: then it waits.
func (n *node) movedFrom(master lock.Holder) bool {
	return n.disk != nil && master.URL != "" && master.URL != bus.Redact(n.opts.URL)
}
