package transcript_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/master"
	"quartet/master/membership"
	"quartet/replica"
	"quartet/replica/abcast"
	"quartet/replica/store"
)

// cluster is the machines and what is in flight between them.
type cluster struct {
	out      strings.Builder
	master   *masterNode
	old      *masterNode // the one before, if it still lives
	replicas []*replicaNode
	flying   []flying
	record   *message.Record // that its store holds
	revision uint64
	missing  int
	ordered  bool // linearizable gets
	voting   bool // the replicas decide the record
	quiet    bool // nothing is written down
	brief    bool // what is idle is not

	collecting replica.Collecting

	tokens   uint64
	clients  map[uint64]string // by token
	lists    map[uint64]bool   // by token
	watchers map[string]*watcher
	next     map[string]string // by client: where its next page begins
}

// flying is a message on its way to one node.
type flying struct {
	to  lamport.Node
	msg message.Message
}

type masterNode struct {
	id          lamport.Node // here: both masters are m1 to everybody else
	machine     *master.Machine
	incarnation uint64
	paused      bool
}

type replicaNode struct {
	id          lamport.Node
	machine     *replica.Machine // nil: its process has ended
	store       store.Store
	incarnation uint64
	pid         int
	paused      bool
}

const (
	waitTicks  = 5
	probeTicks = 10
)

func (c *cluster) open(replicas, missing int) {
	c.missing, c.clients, c.lists = missing, map[uint64]string{}, map[uint64]bool{}
	c.watchers, c.next = map[string]*watcher{}, map[string]string{}
	c.replicas, c.flying, c.old = nil, nil, nil
	c.record, c.revision = nil, 0
	for i := range replicas {
		c.replicas = append(c.replicas, &replicaNode{id: lamport.Replica(i + 1)})
	}
	for _, r := range c.replicas {
		c.startReplica(r.id)
	}
	c.master = &masterNode{id: lamport.Master(1), incarnation: 1}
	c.newMaster(1, 0)
	c.quiet = true
	c.master.turn(c, c.master.machine.Tick)
	c.quiet = false
}

// boot installs the view without a word.
func (c *cluster) boot() {
	c.quiet = true
	for _, r := range c.replicas {
		c.tickNode(r.id)
	}
	c.run()
	c.quiet = false
}

func (c *cluster) newMaster(nextRID, clock uint64) {
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: c.master.incarnation, Missing: c.missing, NextRID: nextRID, Clock: clock,
		TimeoutTicks: 60, ProbeTicks: probeTicks, SuspectTicks: 40, ReadmitTicks: 50, JoinTicks: 10, AgainTicks: 3, OrderedGets: c.ordered,
	}
	if c.voting {
		cfg.Voting, cfg.Nonce = true, c.master.incarnation
	}
	for _, r := range c.replicas {
		cfg.Replicas = append(cfg.Replicas, r.id)
	}
	c.master.machine = master.New(cfg)
}

// restartMaster starts a master with what the first has reserved on disk: ids and Lamport
// times above all that were told. What was on its way to the old one is lost.
func (c *cluster) restartMaster() {
	old := c.master.machine
	c.master.incarnation++
	c.newMaster((old.NextRID()/100+1)*100, (old.Now()/100+1)*100)
	kept := c.flying[:0]
	for _, f := range c.flying {
		if f.to.IsReplica() {
			kept = append(kept, f)
		}
	}
	c.flying = kept
	c.line("m1 starts", "incarnation %d, next id %d, clock %d", c.master.incarnation, c.master.machine.NextRID(), c.master.machine.Now())
	c.master.turn(c, c.master.machine.Tick)
}

// secondMaster starts a master, on another machine, beside the first, which stands still.
func (c *cluster) secondMaster() {
	c.old = c.master
	c.old.id, c.old.paused = lamport.Master(2), true
	c.master = &masterNode{id: lamport.Master(1), incarnation: c.old.incarnation + 1}
	c.newMaster(1000, c.old.machine.Now())
	c.line("m1 starts", "incarnation %d", c.master.incarnation)
	c.master.turn(c, c.master.machine.Tick)
}

// masterOf returns the master to whom a message is on its way.
func (c *cluster) masterOf(n lamport.Node) *masterNode {
	if c.old != nil && n == c.old.id {
		return c.old
	}
	return c.master
}

// paused is whether a process stands still.
func (c *cluster) paused(n lamport.Node) *bool {
	if n.IsMaster() {
		return &c.masterOf(n).paused
	}
	return &c.replica(n).paused
}

func (c *cluster) replica(n lamport.Node) *replicaNode {
	for _, r := range c.replicas {
		if r.id == n {
			return r
		}
	}
	return nil
}

func (c *cluster) startReplica(n lamport.Node) {
	r := c.replica(n)
	if r == nil { // one that joins
		r = &replicaNode{id: n}
		c.replicas = append(c.replicas, r)
	}
	r.incarnation++
	r.pid += 100
	r.store = store.NewMemory(0)
	r.machine = replica.New(replica.Config{
		Self: n, Incarnation: r.incarnation, PID: r.pid, Store: r.store,
		WaitTicks: waitTicks, HelloTicks: probeTicks, Collecting: c.collecting, Forms: codec.Forms{},
		Delivered: func(at lamport.Version, _, position uint64, _ *message.Data, op *message.Operation) {
			c.line(n.String()+" delivers", "%s at %s, position %d", opOf(op), at.Timestamp, position)
		},
	})
}

// crash ends a replica's process; the master that started it hears of it.
func (c *cluster) crash(n lamport.Node) {
	r := c.replica(n)
	r.machine = nil
	c.flying = slices.DeleteFunc(c.flying, func(f flying) bool { return f.to == n })
	c.line(n.String()+" ends", "")
	c.master.turn(c, func(*master.Output) { c.master.machine.Lost(n, r.pid) })
}

// run delivers until nothing is in flight but for replicas that are paused.
func (c *cluster) run() {
	for {
		at := slices.IndexFunc(c.flying, func(f flying) bool { return !*c.paused(f.to) })
		if at < 0 {
			return
		}
		f := c.flying[at]
		c.flying = slices.Delete(c.flying, at, at+1)
		c.deliver(f)
	}
}

// pass lets time pass everywhere.
func (c *cluster) pass(n int) {
	c.brief = true
	for range n {
		c.tickNode(lamport.Master(1))
		for _, r := range c.replicas {
			if !r.paused {
				c.tickNode(r.id)
			}
		}
		c.run()
	}
	c.brief = false
}

func (c *cluster) deliver(f flying) {
	if f.to.IsMaster() {
		m := c.masterOf(f.to)
		m.turn(c, func(out *master.Output) {
			before := m.machine.Refused()
			m.machine.Step(f.msg, out)
			c.refused(f, before, m.machine.Refused())
		})
		return
	}
	r := c.replica(f.to)
	if r.machine == nil {
		return
	}
	r.turn(c, func(out *replica.Output) {
		before := r.machine.Stats().Refused
		r.machine.Step(f.msg, out)
		c.refused(f, before, r.machine.Stats().Refused)
	})
}

func (c *cluster) refused(f flying, before, after uint64) {
	if after != before {
		c.line(f.to.String()+" refuses", "%s from %s", f.msg.Kind(), f.msg.Head().From)
	}
}

func (c *cluster) tickNode(n lamport.Node) {
	if n.IsMaster() {
		m := c.masterOf(n)
		m.turn(c, m.machine.Tick)
	} else if r := c.replica(n); r.machine != nil {
		r.turn(c, r.machine.Tick)
	}
}

func (r *replicaNode) turn(c *cluster, step func(*replica.Output)) {
	var out replica.Output
	step(&out)
	r.machine.EndTurn(&out)
	if why := r.machine.Fault(); why != "" {
		c.line(r.id.String()+" stops", "%s", why)
	}
	c.send(r.id, out.Sends)
	c.tell(r, out.Events)
	if r.machine.Busy() { // it has more to tell, or to look for
		r.turn(c, func(*replica.Output) {})
	}
}

func (m *masterNode) turn(c *cluster, step func(*master.Output)) {
	var out master.Output
	step(&out)
	m.machine.EndTurn(&out)
	c.send(m.id, out.Sends)
	for _, r := range out.Replies {
		c.line(c.clients[r.Token]+" hears", "%s", c.replyOf(&r))
	}
	if out.Learned != nil {
		c.line(m.id.String()+" learns", "%s", recordOf(out.Learned))
	}
	if out.Command != nil {
		result := c.execute(m, out.Command)
		m.turn(c, func(out *master.Output) { m.machine.Result(result, out) })
	}
}

// execute is the store of the record.
func (c *cluster) execute(m *masterNode, command *membership.Command) membership.Result {
	who := m.id.String()
	if command.Propose == nil {
		c.line(who+" reads", "%s", recordOf(c.record))
		return membership.Result{Number: command.Number, Fate: membership.Read, Record: c.record, Revision: c.revision}
	}
	if command.Revision != c.revision {
		c.line(who+" loses", "%s", recordOf(command.Propose))
		return membership.Result{Number: command.Number, Fate: membership.Lost}
	}
	c.record = command.Propose
	c.revision++
	c.line(who+" decides", "%s", recordOf(c.record))
	return membership.Result{Number: command.Number, Fate: membership.Won, Revision: c.revision}
}

func (c *cluster) send(from lamport.Node, sends []abcast.Send) {
	for _, s := range sends {
		names := make([]string, len(s.To))
		for i, to := range s.To {
			names[i] = to.String()
			c.flying = append(c.flying, flying{to: to, msg: s.Msg})
			if to.IsMaster() && c.old != nil {
				c.flying = append(c.flying, flying{to: c.old.id, msg: s.Msg})
			}
		}
		if !c.brief || !idle(s.Msg) {
			c.line(from.String()+" -> "+strings.Join(names, ","), "%s", messageOf(s.Msg))
		}
	}
}

// idle reports whether a message is one that goes to and fro while nothing happens.
func idle(msg message.Message) bool {
	switch m := msg.(type) {
	case *message.Probe, *message.Report, *message.Hello, *message.Beat:
		return true
	case *message.Pull:
		return m.Scanned && !m.Wedged
	case *message.Chunk:
		return len(m.Entries)+len(m.Records) == 0 && m.Scanned && !m.Wedged
	}
	return false
}

// line writes one line: who does what, and the rest in a column of its own.
func (c *cluster) line(who string, format string, args ...any) {
	if c.quiet {
		return
	}
	fmt.Fprintln(&c.out, strings.TrimRight(fmt.Sprintf("%-15s %s", who, fmt.Sprintf(format, args...)), " "))
}

func (c *cluster) state(t *testing.T, d *datadriven.TestData) {
	for _, r := range c.replicas {
		unasked := len(d.CmdArgs) > 0 && !d.HasArg(r.id.String())
		if r.machine == nil || unasked {
			continue
		}
		s := r.machine.Stats()
		who := r.id.String()
		if s.Phase != message.PhaseMember {
			who += " " + s.Phase.Word()
		}
		c.line(who, "clock %d, position %d, queue %d, causal held %d safe %d, tentative %d, pending %d, committed {%s}",
			s.Clock, s.Position, s.Queue, s.Watermark, s.Safe, s.Tentative, s.Pending, committedOf(r.store))
	}
}
