// Package masternode is a master's process. It promises to embed the NATS server or to use one, to
// spawn the replicas (as processes, or as goroutines of its own) or to adopt those that still run,
// to start again those that end, and to be the shell around the machine (package master) that the
// duties of package loop ask for. The store of the views' record is asked beside the loop.
package masternode

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
	"quartet/bus/host/incarnation"
	"quartet/bus/host/lock"
	"quartet/bus/host/loop"
	"quartet/bus/lamport"
	"quartet/bus/link"
	"quartet/bus/message"
	"quartet/bus/server"
	"quartet/master"
	"quartet/master/membership"
)

// Errors of Run.
var (
	ErrOptions = errors.New("master: wrong options")
	ErrStopped = errors.New("master: stopped before the cluster was ready")
	// ErrSuperseded: a newer master leads the cluster. This one has answered nothing since
	// it knows, and leaves the replicas' processes to run; replicas within its own end.
	ErrSuperseded = errors.New("master: a newer master leads this cluster; this one ends, and those of its replicas " +
		"that are processes go on with the newer one")
)

// event is what callbacks hand to the loop.
type event struct {
	source source
	msg    *nats.Msg
	at     time.Time
	ended  *commandEnd // fromStore, which has no msg
	call   func()      // fromJob
}

func (e event) size() int {
	if e.msg == nil {
		return 0
	}
	return len(e.msg.Data)
}

type source uint8

const (
	fromNode source = iota
	fromClient
	batchFromClient
	askStatus
	askReport
	askRecover
	askRemove
	askLead
	readFromClient
	fromStore
	kvRequest // of a client of buckets
	kvHears   // what came to the facade's own inbox
	fromJob   // of the facade: its end
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
	herald   *herald // tells other masters; nil: there can be none
	service  *service
	kv       *kvHost // the facade for NATS key-value clients; nil: it has not begun
	subjects bus.Subjects
	inbox    *bus.Inbox[event]
	loop     *loop.Loop[event, Figures]
	super    *supervisor
	views    views
	commands context.Context // of the commands for the views' store
	cancel   context.CancelFunc
	machine  *master.Machine
	out      master.Output
	rand     *rand.Rand

	replies     bus.ReplyWriter
	items       []bus.BatchItem // of the batch that is being taken
	answered    []*batch        // in this turn
	idle        []*batch        // all answered; their memory is used again
	ridText     []byte
	ridHeader   nats.Header
	history     bus.History // the last that a batch's answers named …
	word        string      // … and its word
	lastToken   uint64
	asked       map[uint64]string              // status requests: token → reply subject
	phases      map[lamport.Node]message.Phase // as the replicas said last
	discounts   map[lamport.Node]string        // why what a replica holds counts for nothing, as it was logged last
	waiting     waiting                        // requests of clients
	tracing     *tracing                       // nil: nobody is told
	room        roomLeft
	unready     time.Time         // since when the cluster is not ready; zero: it is
	said        bool              // that it is not
	apart       []membership.Pair // replicas that do not hear others: that has been said
	handedOver  bool              // by the master before, which has answered all that was under way
	hasFollowed bool              // another master has led while this one stood by: the cluster is not this one's to begin
	filesGone   bool              // of the directory, and cannot be written again: that has been said
	failing     bool
	debug       bool // the log shows every message
	refused     uint64
}

const inboxBytes = 512 << 20

// Run serves until ctx ends, then drains, stops the replicas and the server, and
// returns nil. When now is closed it stops at once.
func Run(ctx context.Context, now <-chan struct{}, o Options) error {
	d, err := Hold(ctx, &o)
	if err != nil {
		return err
	}
	return d.Run(ctx, now, o)
}

// Directory is a master's directory, which this process holds. Either [Directory.Run] or
// [Directory.Release] ends that.
type Directory struct{ dir *runDir }

// Hold checks the options and takes the master's directory, before anything else is opened or
// made. The error wraps [ErrOptions]; [ErrLocked], where a master works there; or one of
// [server.Check]. Then nothing was changed.
func Hold(ctx context.Context, o *Options) (*Directory, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	dir, err := openRunDir(o)
	if err != nil {
		return nil, err
	}
	if err := dir.keepsRecord(o.Record); err != nil {
		d := &Directory{dir: dir}
		d.Release()
		return nil, err
	}
	if o.NATS == "" {
		err := server.Check(ctx, server.Options{
			Listen: o.Listen, AllowInsecureBind: o.AllowInsecure, Secure: o.Secure, Config: o.Config, Cluster: o.cluster(),
		})
		if errors.Is(err, server.ErrPortTaken) {
			err = named(ctx, o, err)
		}
		if err != nil {
			d := &Directory{dir: dir}
			d.Release()
			return nil, err
		}
	}
	return &Directory{dir: dir}, nil
}

// Release lets go of a directory in which nothing was begun, and leaves nothing behind.
func (d *Directory) Release() {
	if d.dir.fresh {
		d.dir.remove()
	}
	d.dir.release()
}

// Run is [Run] in a directory that is held. The options are those with which it was taken.
func (d *Directory) Run(ctx context.Context, now <-chan struct{}, o Options) (err error) {
	dir := d.dir
	s := &seat{n: newNode(dir, &o), ctx: ctx, now: now}
	for _, note := range dir.notes {
		o.Log.Warn(note, "dir", dir.path)
	}
	for _, left := range sweep(dir.path, time.Now()) {
		o.Log.Info("removed what a master that was killed had left", "dir", left)
	}
	clean, begun := false, false
	defer func() {
		o.Probe.End()
		s.n.close()

		endedForGood := dir.temporary && clean
		holdsNothing := dir.temporary || s.n.views.newest == nil || len(dir.record.Own) == 0
		hasNotBegun := dir.fresh && !begun && holdsNothing
		if endedForGood || hasNotBegun {
			dir.remove()
		}
		dir.release()
	}()
	if err := s.n.connect(ctx); err != nil {
		return err
	}
	if !o.Standby {
		if err := s.n.found(ctx); err != nil {
			s.n.unmake(err)
			return err
		}
	}

	defer func() { // before the server goes
		n := s.n
		leaves := errors.Is(err, ErrSuperseded) || errors.Is(err, ErrDiffers) || s.succeeded
		if leaves && o.InProcess == nil {
			begun = o.Standby || len(n.super.restarts()) > 0 // they run, and look at the lock in this directory
			if !begun {
				return
			}
			err = errors.Join(err, dir.save())
			return
		}
		n.stopReplicas(now)
		switch {
		case err == nil:
			err = n.settle()
			clean = err == nil
		case !begun:
			n.unmake(err)
		}
	}()
	o.Probe.Begin()
	if o.Standby {
		begun = true
		return s.standBy()
	}

	if err := s.n.boot(ctx); err != nil {
		return err
	}
	begun = true
	s.n.banner()
	if err := s.n.serve(ctx); err != nil {
		return err
	}
	return s.n.drain(now)
}

// newNode returns a node that has opened nothing.
func newNode(dir *runDir, o *Options) *node {
	n := &node{
		opts: o, dir: dir, asked: map[uint64]string{},
		inbox: bus.NewBoundedInbox(inboxBytes, event.size), phases: map[lamport.Node]message.Phase{},
		discounts: map[lamport.Node]string{},
		tracing:   newTracing(o.Tracer),
		rand:      rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		debug:     o.Log.Enabled(context.Background(), slog.LevelDebug), ridHeader: nats.Header{bus.HeaderRequestID: {""}},
	}
	n.commands, n.cancel = context.WithCancel(context.Background()) // they outlive what asks to stop: the drain may need a view
	return n
}

// settle leaves behind, at a clean stop, all that the next start is to find.
func (n *node) settle() error {
	if n.opts.Memory && n.server == nil && !n.voting() && n.lost() { // of an embedded server nothing stays anyway
		ctx, cancel := context.WithTimeout(context.Background(), storeWait)
		defer cancel()
		if err := n.forgetViews(ctx); err != nil {
			return err
		}
	}
	if n.machine == nil { // it has stood by
		return n.dir.save()
	}
	return n.dir.settle(n.machine.NextRID(), n.machine.Now()+1)
}

func check(o *Options) error {
	switch {
	case o.Replicas < MinReplicas || o.Replicas > MaxReplicas:
		return fmt.Errorf("%w: %d replicas: want %d to %d", ErrOptions, o.Replicas, MinReplicas, MaxReplicas)
	case o.Missing >= o.Replicas:
		return fmt.Errorf("%w: %d of %d replicas cannot be missing: one must remain", ErrOptions, o.Missing, o.Replicas)
	case o.Timeout < LeastTimeout:
		return fmt.Errorf("%w: a request timeout of %s: want at least %s", ErrOptions, o.Timeout, LeastTimeout)
	case o.CausalWait < 0 || o.CausalWait >= o.Timeout:
		return fmt.Errorf("%w: a causal wait of %s: want at least 0s, and less than the request timeout of %s",
			ErrOptions, o.CausalWait, o.Timeout)
	case o.OrphanTimeout < LeastOrphanTimeout:
		return fmt.Errorf("%w: an orphan timeout of %s: want at least %s", ErrOptions, o.OrphanTimeout, LeastOrphanTimeout)
	case o.Suspect < LeastSuspect:
		return fmt.Errorf("%w: a suspicion time of %s: want at least %s", ErrOptions, o.Suspect, LeastSuspect)
	case o.Gets != "" && o.Gets != GetsFenced && o.Gets != GetsOrdered:
		return fmt.Errorf("%w: linearizable gets %q: want %s or %s", ErrOptions, o.Gets, GetsFenced, GetsOrdered)
	case o.Sync != "" && o.Sync != SyncInterval && o.Sync != SyncAlways:
		return fmt.Errorf("%w: sync %q: want %s or %s", ErrOptions, o.Sync, SyncInterval, SyncAlways)
	}

	if o.Sync == "" {
		o.Sync = SyncInterval
	}
	if err := checkRecord(o); err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = defaultName()
	}
	if !bus.IsMasterName(o.Name) {
		return fmt.Errorf("%w: a master cannot be called %q: want up to %d letters, digits, dots, dashes and underscores",
			ErrOptions, o.Name, bus.MaxMasterName)
	}
	if _, err := bus.NewSubjects(o.Prefix); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// connect starts the server and joins the bus in both accounts.
func (n *node) connect(ctx context.Context) error {
	o := n.opts
	n.subjects, _ = bus.NewSubjects(o.Prefix) // checked
	clients := bus.DialOptions{URL: o.NATS, Name: "quartet master", Log: o.Log}
	nodes := bus.DialOptions{URL: o.NATS, Name: "quartet master, nodes", Log: o.Log}

	n.super = newSupervisor(o, n.dir, n.another)
	if err := n.super.apart(); err != nil {
		return err
	}

	if o.Connection != nil {
		clients, nodes = o.Connection.Options(clients.Name, o.Log), o.Connection.Options(nodes.Name, o.Log)
	}

	if o.NATS == "" {
		if err := n.embed(ctx, &clients, &nodes); err != nil {
			return err
		}
	}

	inDir := n.dir.lock.Say(lock.Holder{PID: os.Getpid(), URL: n.url()})
	inLogs := o.Ledger.At(n.url())
	if err := errors.Join(inDir, inLogs); err != nil {
		return fmt.Errorf("master: %w", err)
	}
	var err error
	if n.clients, err = bus.Dial(ctx, clients); err != nil {
		return err
	}
	if n.server == nil {
		if err := n.alone(ctx); err != nil {
			return err
		}
	}
	if n.nodes, err = bus.Dial(ctx, nodes); err != nil {
		return err
	}
	if n.isOneOfSeveral() {
		return n.beginHerald(ctx)
	}
	return nil
}

// found finds the record of the views and makes the machine.
func (n *node) found(ctx context.Context) error {
	o := n.opts
	n.loop = &loop.Loop[event, Figures]{
		Inbox: n.inbox, Shell: n, Wake: n.super.ready(), Probe: o.Probe, Figures: n.look, Awake: o.Awake,
	}
	if err := n.openViews(ctx); err != nil {
		return err
	}
	n.restoreView()
	if n.lost() {
		o.Log.Warn("the cluster that was here is gone with its replicas' memory; a new one begins", "epoch", n.views.newest.Epoch)
		if err := n.forgetViews(ctx); err != nil {
			return err
		}
		if err := n.openViews(ctx); err != nil {
			return err
		}
	}

	if err := n.seedView(ctx); err != nil {
		return err
	}
	set, err := n.replicas()
	if err != nil {
		return err
	}

	n.machine = master.New(n.machineConfig(set))
	if err := n.dir.reserve(n.machine.NextRID(), n.machine.Now()); err != nil {
		return err
	}
	n.link, err = link.Open(n.nodes, n.subjects, lamport.Master(1), n.push(fromNode), o.Log)
	return err
}

// embed starts the server of this process, and has both connections and the replicas use it.
func (n *node) embed(ctx context.Context, clients, nodes *bus.DialOptions) (err error) {
	o := n.opts
	n.server, err = server.Start(ctx, server.Options{
		Listen: o.Listen, StoreDir: filepath.Join(n.dir.path, jetStreamDir), NodePassword: n.dir.record.Password,
		Prefix: o.Prefix, AllowInsecureBind: o.AllowInsecure, Secure: o.Secure, Config: o.Config,
		ClientJetStream: o.ClientJetStream, Cluster: o.cluster(), Log: o.Log,
	})
	if err != nil {
		return err
	}

	n.super.url = n.server.ClientURL()
	n.super.user, n.super.password = n.server.NodeCredentials()
	clients.URL, nodes.URL = n.super.url, n.super.url
	nodes.User, nodes.Password = n.super.user, n.super.password
	clients.User, clients.Password = n.server.FrontCredentials()
	if o.Secure != nil {
		clients.TLS = o.Secure.Client()
	}
	n.pipe(clients, nodes)
	return nil
}

// machineConfig is what this process's machine is born with. Its random numbers are of the
// runtime's generator, seeded by the system: two masters that start in one moment have different
// ones.
func (n *node) machineConfig(replicas []lamport.Node) master.Config {
	o := n.opts
	own := incarnation.Draw()
	clock := n.dir.record.Clock
	if r := n.views.newest; r != nil {
		own = max(own, r.Master+1)  // the clock may have been set back
		clock = max(clock, r.Start) // of a directory that has lost its record, or is another's
	}
	return master.Config{
		Self: lamport.Master(1), Incarnation: own, Draw: uint64(rand.Uint32()), Replicas: replicas, Missing: o.Missing,
		Cluster: max(1, rand.Uint64()), Nonce: rand.Uint64(), Voting: n.voting(),
		NextRID: n.dir.firstRID(time.Now()), Clock: clock,
		TimeoutTicks: uint64(o.Timeout / loop.Tick), ProbeTicks: 10, AgainTicks: 50, CheckTicks: uint64(checkEvery / loop.Tick),
		SuspectTicks: uint64(o.Suspect / loop.Tick), ReadmitTicks: uint64(o.Suspect / loop.Tick), JoinTicks: 50,
		MaxInFlight: 1 << 16, OrderedGets: o.Gets == GetsOrdered,
	}
}

func (n *node) push(from source) func(*nats.Msg) {
	return func(m *nats.Msg) { n.inbox.Push(event{source: from, msg: m, at: time.Now()}) }
}

// close shuts everything that was opened.
func (n *node) close() {
	n.cancel()
	n.herald.close()
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

func (n *node) url() string {
	if n.server != nil {
		return n.server.ClientURL()
	}
	return n.opts.NATS
}
