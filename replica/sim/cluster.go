package sim

import (
	"fmt"
	"math/rand/v2"

	"quartet/client/history"
	"quartet/master"
	"quartet/replica"
	"quartet/replica/lamport"
	"quartet/replica/message"
	"quartet/replica/store"
)

// Result is what a run came to.
type Result struct {
	Failure *Failure // nil: nothing was found
	History []history.Operation

	Requests, Events, Messages, Delivered, Restarts int
	Time                                            int64 // simulated, in time units
}

// Failure is the first thing that was found wrong.
type Failure struct {
	Kind string // invariant, liveness, history, wire
	What string
	At   int64
}

// Error describes the failure.
func (f *Failure) Error() string { return fmt.Sprintf("%s, at %d: %s", f.Kind, f.At, f.What) }

// node is a machine with its inbox.
type node struct {
	id       lamport.Node
	replica  *replica.Machine // or the master
	store    store.Store      // its committed layer
	master   *master.Machine
	inbox    []message.Message
	requests []*sending
	tick     bool // one is due
	turning  bool // a turn is on the agenda
	paused   int
	slow     int64
}

type cluster struct {
	opts   Options
	rand   *rand.Rand
	agenda agenda
	now    int64
	step   int64 // the clock of the history: rises with every call and return

	nodes      []*node // replicas, then the master
	net        network
	clientDrop float64
	sessions   []*session
	tokens     map[uint64]*sending
	nextToken  uint64

	healed   bool
	healedAt int64
	final    bool // the last gets are being made
	failure  *Failure

	watch   invariants
	history []history.Operation

	events, messages, restarts int
	out                        replica.Output
	masterOut                  master.Output
}

// Bounds of a run after everything has healed, in ticks: what is pending is answered,
// and the cluster comes to rest. The request timeout is in it, some times over, since
// sessions have requests left that they make then.
const (
	requestTimeout = 40
	liveness       = 60 * requestTimeout
)

// Run runs the options to the end or to the first failure.
func Run(o Options) Result {
	c := &cluster{
		opts: o, rand: rand.New(rand.NewPCG(o.Seed, 1)), net: newNetwork(&o, o.Replicas+1),
		clientDrop: o.Client, tokens: make(map[uint64]*sending),
	}
	c.boot()
	c.open()
	c.planFaults()
	c.agenda.push(event{at: o.Horizon, kind: heals})
	for c.failure == nil && !c.finished() {
		e := c.agenda.pop()
		c.now = e.at
		c.events++
		c.happen(e)
		if c.healed && c.failure == nil && c.now > c.healedAt+liveness*tickUnits {
			c.fail("liveness", "not at rest %d ticks after everything healed: %s", liveness, c.restless())
		}
	}
	if c.failure == nil {
		c.judge()
	}
	return Result{
		Failure: c.failure, History: c.history, Requests: len(c.history), Events: c.events, Messages: c.messages,
		Delivered: len(c.watch.log), Restarts: c.restarts, Time: c.now,
	}
}

func (c *cluster) boot() {
	for i := range c.opts.Replicas {
		n := &node{id: lamport.Replica(i + 1), store: store.NewMemory()}
		n.replica = replica.New(replica.Config{
			Self: n.id, Incarnation: 1, PID: 1000 + i, Store: n.store, WaitTicks: 5, HelloTicks: 5,
			Window:    1000,
			Delivered: func(at lamport.Timestamp, position uint64, op *message.Operation) { c.delivered(i, at, position, op) },
			Mutant:    c.opts.Replica,
		})
		c.nodes = append(c.nodes, n)
	}
	c.nodes = append(c.nodes, &node{id: lamport.Master(1), master: c.newMaster(1, 1, 0)})
	c.watch = newInvariants(c)
	for i := range c.nodes {
		c.agenda.push(event{at: 1 + c.rand.Int64N(tickUnits), kind: ticks, node: i})
	}
}

func (c *cluster) newMaster(incarnation, nextRID, clock uint64) *master.Machine {
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: incarnation, Faults: c.faults(), NextRID: nextRID, Clock: clock,
		TimeoutTicks: requestTimeout, ProbeTicks: 5, SuspectTicks: 20, AgainTicks: 3, Window: 1000, MaxInFlight: 1000,
		RestampRetries: c.opts.RestampRetries,
	}
	for i := range c.opts.Replicas {
		cfg.Replicas = append(cfg.Replicas, lamport.Replica(i+1))
	}
	return master.New(cfg)
}

// faults is f: how many replicas may be missing.
func (c *cluster) faults() int { return c.opts.Replicas - (c.opts.Replicas/2 + 1) }

// restartMaster kills the master and starts it again, with what it would have reserved on
// disk: ids and Lamport times above all that it has told.
func (c *cluster) restartMaster() {
	c.restarts++
	n := c.nodes[c.opts.Replicas]
	n.master = c.newMaster(uint64(c.restarts+1), n.master.NextRID()+100, n.master.Now()+1000)
	n.inbox, n.requests = nil, nil
	clear(c.watch.stamps)
}

func (c *cluster) happen(e event) {
	switch e.kind {
	case arrives:
		n := c.nodes[e.node]
		n.inbox = append(n.inbox, e.msg)
		c.schedule(e.node)
	case ticks:
		c.nodes[e.node].tick = true
		c.schedule(e.node)
		c.agenda.push(event{at: c.now + tickUnits, kind: ticks, node: e.node})
	case turns:
		c.turn(e.node)
	case asks:
		n := c.nodes[c.opts.Replicas]
		n.requests = append(n.requests, e.sent)
		c.schedule(c.opts.Replicas)
	case answers:
		c.answered(e.sent, e.reply)
	case goesOn:
		c.sessions[e.node].next(c)
	case givesUp:
		c.answered(e.sent, nil)
	case faultBegins:
		c.beginFault(e.fault)
	case faultEnds:
		c.endFault(e.fault)
	case heals:
		c.heal()
	}
}

// schedule puts a turn of a node on the agenda, unless one is there or it is paused.
func (c *cluster) schedule(i int) {
	n := c.nodes[i]
	if n.turning || n.paused > 0 {
		return
	}
	n.turning = true
	c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(5+n.slow), kind: turns, node: i})
}

// turn steps a node's machine with all that its inbox holds: natural batching.
func (c *cluster) turn(i int) {
	n := c.nodes[i]
	n.turning = false
	if n.paused > 0 {
		return
	}
	inbox, tick := n.inbox, n.tick
	n.inbox, n.tick = nil, false
	if n.master != nil {
		c.masterTurn(n, inbox, tick)
		return
	}
	c.out.Sends = c.out.Sends[:0]
	for _, msg := range inbox {
		c.trace("%6d  %s <- %s", c.now, n.id, describe(msg))
		c.watch.stepped(i, msg)
		n.replica.Step(msg, &c.out)
	}
	if tick {
		n.replica.Tick(&c.out)
	}
	n.replica.EndTurn(&c.out)
	for _, s := range c.out.Sends {
		c.watch.stepped(i, s.Msg)
	}
	c.send(i, c.out.Sends)
	c.watch.turned(i)
}

func (c *cluster) masterTurn(n *node, inbox []message.Message, tick bool) {
	out := &c.masterOut
	out.Sends, out.Replies, out.Statuses = out.Sends[:0], out.Replies[:0], out.Statuses[:0]
	requests := n.requests
	n.requests = nil
	for _, msg := range inbox {
		c.trace("%6d  %s <- %s", c.now, n.id, describe(msg))
		n.master.Step(msg, out)
	}
	for _, s := range requests {
		c.trace("%6d  %s <- %s", c.now, n.id, s)
		n.master.Request(master.Incoming{Token: s.token, Request: s.request, Replica: s.replica, Draw: c.rand.Uint32()}, out)
	}
	if tick {
		n.master.Tick(out)
	}
	n.master.EndTurn(out)
	for _, s := range out.Sends {
		c.watch.numbered(s.Msg)
	}
	c.send(c.opts.Replicas, out.Sends)
	for _, r := range out.Replies {
		c.reply(r)
	}
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
