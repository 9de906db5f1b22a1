package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/client/judge/history"
	"quartet/master"
	"quartet/master/membership"
	"quartet/replica"
	"quartet/replica/store"
)

// Result is what a run came to.
type Result struct {
	Failure *Failure // nil: nothing was found
	History []history.Operation

	Requests, Events, Messages, Delivered, Crashes, Masters, Views int
	Waited                                                         int64 // see serving.longest, unread.longest
	Time                                                           int64 // simulated, in time units
}

// Failure is the first thing that was found wrong.
type Failure struct {
	Kind string // invariant, liveness, history, wire
	What string
	At   int64
}

// Error describes the failure.
func (f *Failure) Error() string { return fmt.Sprintf("%s, at %d: %s", f.Kind, f.At, f.What) }

// node is a process, dead or alive.
type node struct {
	id       lamport.Node
	replica  *replica.Machine // or the master
	store    *recording       // its committed layer
	disk     *disk            // nil: it has none
	master   *master.Machine
	inbox    []message.Message
	requests []*sending
	results  []membership.Result
	lost     []loss
	tick     bool // one is due
	turning  bool // a turn is on the agenda
	paused   int
	slow     int64

	dead       bool
	forever    bool // it is not started again
	deaf       bool // it hears nothing any more
	away       bool // it has not joined yet, or has been taken out
	ending     ending
	born       int // processes so far
	pid        int
	lostAt     int64          // step of the history at which it lost its memory or its disk last
	life       int            // counts deaths: what is on its way to an earlier life does not arrive
	installed  map[uint64]int // by the nonce of a record: it has worked by it
	copies     []*disk        // of its disk, made at times
	putBack    putBack
	first      bool // it has delivered something in this turn before all others
	putBackDue bool // its disk is put back at the end of this turn
	misplaced  bool // its disk is one that does not belong here
	nextRID    uint64
	clock      uint64
	skew       int64 // of its clock on the wall, in milliseconds
	stated     stated
	deaths     []int64  // steps of the history at which its processes ended
	out        [2]int64 // steps between which it was no replica of the cluster last
}

// loss is what a supervisor tells its master.
type loss struct {
	node lamport.Node
	pid  int
}

type cluster struct {
	opts   Options
	rand   *rand.Rand
	agenda agenda
	now    int64
	step   int64 // the clock of the history: rises with every call and return

	nodes        []*node // replicas, then masters
	left         bool
	cutAt        int64        // step of the history at which the power was cut
	leaving      lamport.Node // that an operator wants out
	net          network
	registry     registry
	registryLoss float64
	votes        map[ballotOf]uint64 // a bit for each replica that has accepted in it
	clientDrop   float64
	sessions     []*session
	watchers     []*watcher
	listers      []*lister
	cuts         []cut
	published    map[published]lamport.Node
	told         uint64 // the highest position that a session has heard
	due          *fault // a disk is to be put back once its replica has delivered something before all others
	tokens       map[uint64]*sending
	values       map[string]bool // what was to be set: key=value
	nextToken    uint64

	healed   bool
	healedAt int64
	final    bool // the last gets are being made
	failure  *Failure

	watch   invariants
	live    serving
	unread  unread
	history []history.Operation

	events, messages, crashes, masters, views int
	out                                       replica.Output
	masterOut                                 master.Output
}

// Bounds of a run after everything has healed, in ticks: what is pending is answered,
// and the cluster comes to rest. The request timeout is in it, some times over, since
// sessions have requests left that they make then.
const (
	requestTimeout = 40 // where the options say nothing else
	livenessFactor = 80 // times the timeout
)

// timeout is for how many ticks a master waits for a request's outcome.
func (c *cluster) timeout() int64 {
	if c.opts.Timeout > 0 {
		return int64(c.opts.Timeout)
	}
	return requestTimeout
}

// liveness is the bound, in ticks, within which a cluster comes to rest after it has healed.
func (c *cluster) liveness() int64 { return livenessFactor * c.timeout() }

// clientTimeout is for how long a patient session waits, in time units.
func (c *cluster) clientTimeout() int64 { return (c.timeout() + 10) * tickUnits }

func newMemory() *store.Memory { return store.NewMemory(0) }

// Run runs the options to the end or to the first failure.
func Run(o Options) Result {
	c := &cluster{
		opts: o, rand: rand.New(rand.NewPCG(o.Seed, 1)), net: newNetwork(&o, o.Replicas+o.masters()),
		votes:      map[ballotOf]uint64{},
		clientDrop: o.Client, registryLoss: o.Registry, tokens: make(map[uint64]*sending), values: make(map[string]bool),
	}

	c.boot()
	c.open()
	c.beginWatchers()
	c.beginListers()
	c.planFaults()
	c.planLinks()
	c.live.begin(c)
	c.planUnread()
	c.unread.begin(c)

	c.agenda.push(event{at: o.Horizon, kind: heals})

	for c.failure == nil && !c.finished() {
		e := c.agenda.pop()
		c.now = e.at
		c.events++
		c.happen(e)
		if c.healed && c.failure == nil && c.now > c.healedAt+c.liveness()*tickUnits {
			c.fail("liveness", "not at rest %d ticks after everything healed: %s", c.liveness(), c.restless())
		}
	}
	if c.failure == nil {
		c.judge()
	}

	return Result{
		Failure: c.failure, History: c.history, Requests: len(c.history), Events: c.events, Messages: c.messages,
		Delivered: len(c.watch.log), Crashes: c.crashes, Masters: c.masters, Views: c.views, Time: c.now,
		Waited: max(c.live.longest, c.unread.longest),
	}
}

func (c *cluster) boot() {
	for i := range c.opts.Replicas {
		c.nodes = append(c.nodes, &node{id: lamport.Replica(i + 1)})
	}
	for i := range c.opts.masters() {
		c.nodes = append(c.nodes, &node{id: lamport.Master(1), dead: i > 0, nextRID: uint64(i) << 30})
	}
	c.watch = newInvariants(c)
	for i := range c.opts.Replicas {
		if i < c.opts.Replicas-c.opts.Late {
			c.bear(i)
		} else {
			c.nodes[i].dead, c.nodes[i].away = true, true
		}
	}
	c.startMaster(c.opts.Replicas)
	for i := range c.nodes {
		c.agenda.push(event{at: 1 + c.rand.Int64N(tickUnits), kind: ticks, node: i})
	}
}

func (c *cluster) happen(e event) {
	switch e.kind {
	// What a node takes with its next turn.
	case arrives:
		if n := c.nodes[e.node]; !n.dead {
			n.inbox = append(n.inbox, e.msg)
			c.schedule(e.node)
		}
	case ticks:
		c.nodes[e.node].tick = true
		c.schedule(e.node)
		if e.node == c.opts.Replicas {
			c.live.tick(c)
			c.unread.tick(c)
			c.endsLate()
		}
		c.agenda.push(event{at: c.now + tickUnits, kind: ticks, node: e.node})
	case turns:
		c.turn(e.node)

	// What a client sends and hears.
	case asks:
		c.asked(e.sent)
	case answers:
		c.answered(e.sent, e.reply)
	case goesOn:
		c.sessions[e.node].next(c)
	case givesUp:
		c.answered(e.sent, nil)

	// What a watcher does and hears.
	case watches:
		c.watches(e.watched)
	case listens:
		c.listens(e.watched)

	// What a lister does and hears.
	case lists:
		c.lists(e.listing)
	case pages:
		c.pageCame(e.listing, e.reply)

	// What goes wrong, and is put right.
	case faultBegins:
		c.beginFault(e.fault)
	case faultEnds:
		c.endFault(e.fault)
	case heals:
		c.heal()

	// What a master asks of the registry, and hears from it.
	case commands:
		c.execute(e.node, e.cmd)
	case results:
		if n := c.nodes[e.node]; !n.dead && n.life == e.cmd.life {
			n.results = append(n.results, e.cmd.result)
			c.schedule(e.node)
		}

	// What becomes of processes.
	case revives:
		c.revive(e.node)
	case tidies:
		c.takeAway(e.node)
	case noticed:
		for i := c.opts.Replicas; i < len(c.nodes); i++ {
			if m := c.nodes[i]; !m.dead {
				m.lost = append(m.lost, loss{c.nodes[e.node].id, e.pid})
				c.schedule(i)
			}
		}
	}
}

// asked brings a request to one of the masters: they share the subject as a queue group.
func (c *cluster) asked(s *sending) {
	var living []int
	for i := c.opts.Replicas; i < len(c.nodes); i++ {
		if !c.nodes[i].dead {
			living = append(living, i)
		}
	}
	if len(living) > 0 {
		i := living[c.rand.IntN(len(living))]
		c.nodes[i].requests = append(c.nodes[i].requests, s)
		c.schedule(i)
	}
}

// schedule puts a turn of a node on the agenda, unless one is there or it stands still.
func (c *cluster) schedule(i int) {
	n := c.nodes[i]
	if n.turning || n.paused > 0 || n.dead {
		return
	}
	n.turning = true
	c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(5+n.slow), kind: turns, node: i})
}

// turn steps a node's machine with all that its inbox holds: natural batching.
func (c *cluster) turn(i int) {
	n := c.nodes[i]
	n.turning = false
	if n.paused > 0 || n.dead {
		return
	}
	if n.ending == beforePersist { // nobody will ever know of the turn
		c.kill(i)
		return
	}

	inbox, tick := n.inbox, n.tick
	n.inbox, n.tick = nil, false
	if n.master != nil {
		c.masterTurn(i, inbox, tick)
		return
	}

	c.out.Sends, n.first = c.out.Sends[:0], false
	for _, msg := range inbox {
		c.trace("%6d  %s <- %s", c.now, n.id, describe(msg))
		c.watch.stepped(i, msg)
		n.replica.Step(msg, &c.out)
	}
	if tick {
		n.replica.Wall(c.wall(n))
		n.replica.Tick(&c.out)
	}
	n.replica.EndTurn(&c.out)

	// The disk has the turn before anything of it is sent.
	if n.disk != nil {
		c.commit(n)
	}

	sends := c.out.Sends
	if c.voted(i, sends); c.failure != nil {
		return
	}
	switch n.ending {
	case beforeSend:
		sends = nil
	case halfSent:
		sends = sends[:c.rand.IntN(len(sends)+1)]
	}

	sends = c.ahead(i, sends)
	for _, s := range sends {
		c.watch.sent(i, s.Msg)
	}
	c.send(i, sends)
	if n.ending == lives {
		c.tellWatchers(i, c.out.Events)
	}
	c.publish(i, c.out.Published)
	c.out.Events, c.out.Published = c.out.Events[:0], c.out.Published[:0]
	if n.replica.Busy() {
		c.schedule(i)
	}

	if r := n.replica.Record(); n.replica.Installed() {
		if n.installed == nil {
			n.installed = map[uint64]int{}
		}
		n.installed[r.Nonce]++
		n.misplaced = false            // it was loaded anew, and the disk is its own
		if r.Epoch > n.putBack.epoch { // it was loaded, or brought what it lacked
			n.putBack.incarnation = 0
		}
	}

	c.watch.turned(i)
	if c.putBackNow(i) {
		return
	}
	if n.ending != lives || n.replica.Dismissed() || n.replica.Foreign() != "" {
		n.away = n.replica.Dismissed()
		c.kill(i)
	}
}

// tellOfSilence tells a master now and then that a replica does not answer any more. It may.
func (c *cluster) tellOfSilence(n *node) {
	const often = 15
	if !c.opts.Words || c.healed || c.rand.IntN(often) > 0 {
		return
	}
	of := c.nodes[c.rand.IntN(c.opts.Replicas)].id
	c.trace("%6d  %s is told that %s does not answer", c.now, n.id, of)
	n.master.Silent(of)
}

func (c *cluster) masterTurn(i int, inbox []message.Message, tick bool) {
	n, out := c.nodes[i], &c.masterOut
	*out = master.Output{Sends: out.Sends[:0], Replies: out.Replies[:0]}
	requests, results, lost := n.requests, n.results, n.lost
	n.requests, n.results, n.lost = nil, nil, nil

	for _, l := range lost {
		n.master.Lost(l.node, l.pid)
	}
	if tick {
		c.tellOfSilence(n)
	}
	for _, r := range results {
		n.master.Result(r, out)
	}

	if c.leaving != 0 && n.master == c.leader() {
		n.master.Remove(c.leaving)
		c.leaving = 0
	}

	for _, msg := range inbox {
		c.trace("%6d  %s <- %s", c.now, n.id, describe(msg))
		n.master.Step(msg, out)
	}

	for _, s := range requests {
		c.trace("%6d  %s <- %s", c.now, n.id, s)
		if r := c.record(); r != nil {
			s.epoch = r.Epoch
		}
		n.master.Request(master.Incoming{Token: s.token, Request: s.request, Replica: s.replica, Told: s.told, Age: s.age, Wall: c.wall(n),
			Cursor:   cursorOf(&s.request.Request),
			ReadOnly: readOnly(s.request.Value, s.request.Type), Draw: c.rand.Uint32()}, out)
	}

	if tick {
		n.master.Tick(out)
		c.operate(n.master)
	}

	n.master.EndTurn(out)
	n.nextRID, n.clock = max(n.nextRID, n.master.NextRID()), max(n.clock, n.master.Now())
	if n.master.Superseded() { // the process ends, and answers nothing any more
		c.kill(i)
		return
	}

	if out.Command != nil {
		c.ask(i, out.Command)
	}

	sends := slices.Clone(out.Sends)
	if n.ending != lives {
		sends = sends[:c.rand.IntN(len(sends)+1)]
	}
	for _, s := range sends {
		c.watch.numbered(s.Msg)
	}
	c.send(i, sends)
	if n.ending != lives {
		c.kill(i)
		return
	}

	for _, r := range out.Replies {
		c.watch.replied(n.master, &r)
		c.reply(n.master, r)
	}
}

// leader is the master that leads the newest epoch, or nil.
func (c *cluster) leader() *master.Machine {
	r := c.record()
	for i := c.opts.Replicas; i < len(c.nodes); i++ {
		if m := c.nodes[i].master; m != nil && r != nil && m.Incarnation() == r.Master {
			return m
		}
	}
	return nil
}

func (c *cluster) fail(kind, format string, args ...any) {
	if c.failure == nil {
		c.failure = &Failure{Kind: kind, What: fmt.Sprintf(format, args...), At: c.now}
		c.trace("%6d  FAILURE %v", c.now, c.failure)
	}
}

func (c *cluster) trace(format string, args ...any) {
	if c.opts.Trace != nil {
		fmt.Fprintf(c.opts.Trace, format+"\n", args...)
	}
}
