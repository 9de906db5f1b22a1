package membership_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/trouble"
	"quartet/master/membership"
)

const (
	suspect  = 40
	readmit  = 100
	join     = 10
	repeated = 5
	quiet    = 10
	self     = 5 // incarnation of the master
)

// one is the membership of a master, driven by hand: the test speaks for the replicas and
// for the store of the record.
type one struct {
	t *testing.T
	*membership.Machine
	clock   lamport.Clock
	out     membership.Output
	silent  map[lamport.Node]bool
	nonce   uint64
	attempt uint64 // of the newest PREPARE
	now     uint64
	cut     map[membership.Pair]bool
	last    map[membership.Pair]uint64 // when the one heard the other last
}

type option func(*membership.Config)

func missing(n int) option { return func(c *membership.Config) { c.Missing = n } }

func fresh(t *testing.T, replicas int, options ...option) *one {
	t.Helper()
	cfg := membership.Config{
		Self: lamport.Master(1), Incarnation: self, Missing: -1, Cluster: 77, Nonce: 1 << 40,
		SuspectTicks: suspect, ReadmitTicks: readmit, JoinTicks: join, AgainTicks: repeated,
		QuietTicks: quiet,
	}
	for i := range replicas {
		cfg.Replicas = append(cfg.Replicas, lamport.Replica(i+1))
	}
	for _, o := range options {
		o(&cfg)
	}
	o := &one{t: t, silent: map[lamport.Node]bool{}, cut: map[membership.Pair]bool{}, last: map[membership.Pair]uint64{}}
	o.Machine = membership.New(cfg, &o.clock)
	o.turn(func() {})
	if c := o.out.Command; c == nil || c.Propose != nil {
		t.Fatalf("it begins with %+v, want a read", c)
	}
	return o
}

// led is the membership in the middle of an epoch that this master leads: epoch 4, and
// every replica a member that works.
func led(t *testing.T, replicas int, options ...option) *one {
	t.Helper()
	o := fresh(t, replicas, options...)
	o.reads(recordOf(3, replicas, self-1, options...), 7)
	for _, m := range o.Record().Members {
		o.hello(m.Node, func(h *message.Hello) { h.Phase = message.PhaseWedged })
	}
	for _, m := range o.Record().Members {
		o.state(m.Node, 0, make([]uint64, replicas)...)
	}
	o.wins()
	o.installAll()
	if why := o.Why(); why != "" || !o.Leads() || o.Record().Epoch != 4 {
		t.Fatalf("leads %t, %q, record %+v", o.Leads(), why, o.Record())
	}
	o.pass(1)
	return o
}

// recordOf is a record with all replicas for members, each as incarnation 7.
func recordOf(epoch uint64, replicas int, master uint64, options ...option) *message.Record {
	cfg := membership.Config{Missing: -1}
	for _, o := range options {
		o(&cfg)
	}
	r := &message.Record{View: message.View{Epoch: epoch}, Master: master, Nonce: 1000 * master, Start: 1}
	for i := range replicas {
		r.Configured = append(r.Configured, lamport.Replica(i+1))
		r.Members = append(r.Members, message.Member{Node: lamport.Replica(i + 1), Incarnation: 7})
	}
	r.Missing = cfg.Missing
	if r.Missing < 0 {
		r.Missing = replicas - (replicas/2 + 1)
	}
	r.Faults = min(r.Missing, replicas-1)
	return r
}

func (o *one) turn(f func()) {
	o.out = membership.Output{}
	f()
	o.Advance(&o.out)
	o.prepared()
	o.advised()
}

// prepared takes note of the PREPARE of a turn.
func (o *one) prepared() {
	for _, s := range o.out.Sends {
		if p, ok := s.Msg.(*message.Prepare); ok {
			o.attempt = p.Attempt
		}
	}
}

// advised sees that whatever is said after a turn is known to those who advise on it.
func (o *one) advised() {
	o.t.Helper()
	for _, why := range []string{o.Why(), o.Short(), o.Split()} {
		if why != "" && trouble.Of(why) == nil {
			o.t.Errorf("nobody knows what to do about %q", why)
		}
	}
}

func (o *one) head(n lamport.Node) message.Header {
	h := message.Header{From: n, Incarnation: 7, Epoch: o.Record().Epoch, Clock: o.clock.Now()}
	if i := o.Record().Index(n); i >= 0 {
		h.Incarnation = o.Record().Members[i].Incarnation
	}
	return h
}

func (o *one) hello(n lamport.Node, change func(*message.Hello)) {
	o.turn(func() { o.helloIn(n, change) })
}

func (o *one) helloIn(n lamport.Node, change func(*message.Hello)) {
	o.nonce++
	h := &message.Hello{Header: o.head(n), PID: 100 + int(n), Phase: message.PhaseBoot, Master: self, Nonce: o.nonce, Heard: o.heardBy(n)}
	change(h)
	o.silent[n] = false
	if o.Heard(h.Head()) {
		o.Hello(h, &o.out)
	}
}

// caught is a turn in which a learner says that it is loaded. It and the others hear each
// other.
func (o *one) caught(n lamport.Node, incarnation uint64) {
	o.turn(func() {
		o.helloIn(n, func(h *message.Hello) {
			h.Incarnation, h.Phase, h.PID = incarnation, message.PhaseCaught, 100*int(incarnation)
		})
		for _, r := range o.Replicas() {
			if r.Node != n {
				o.report(r)
			}
		}
	})
}

// report is what a replica answers a heartbeat with, if it can.
func (o *one) report(r *membership.Replica) {
	if r.Incarnation == 0 || o.silent[r.Node] {
		return
	}
	o.nonce++
	h := message.Header{From: r.Node, Incarnation: r.Incarnation}
	o.Heard(&h)
	o.Reported(&message.Report{Header: h, Nonce: o.nonce, Heard: o.heardBy(r.Node)})
}

// heardBy is what n hears of the others: all that are not silent, but for links that are cut.
func (o *one) heardBy(n lamport.Node) []message.Heard {
	var list []message.Heard
	for _, r := range o.Replicas() {
		if r.Node == n {
			continue
		}
		link := membership.Pair{Deaf: n, Of: r.Node}
		if !o.silent[r.Node] && !o.cut[link] {
			o.last[link] = o.now
		}
		list = append(list, message.Heard{Node: r.Node, Silent: o.now - o.last[link]})
	}
	return list
}

// state is a turn in which a replica says what it holds.
func (o *one) state(n lamport.Node, watermark uint64, contiguous ...uint64) {
	o.stateOf(n, o.head(n).Incarnation, watermark, contiguous...)
}

func (o *one) stateOf(n lamport.Node, incarnation, watermark uint64, contiguous ...uint64) {
	s := &message.State{Header: o.head(n), Attempt: o.attempt, Watermark: watermark, Contiguous: contiguous}
	s.Incarnation = incarnation
	o.turn(func() {
		if !o.Heard(s.Head()) || !o.State(s) {
			o.t.Errorf("STATE of %v is refused", n)
		}
	})
}

func (o *one) result(fate membership.Fate, r *message.Record, revision uint64) {
	o.t.Helper()
	c := o.out.Command
	if c == nil {
		o.t.Fatalf("no command is under way: %s", o.Why())
	}
	o.turn(func() {
		o.Result(membership.Result{Number: c.Number, Fate: fate, Record: r, Revision: revision}, &o.out)
	})
}

func (o *one) reads(r *message.Record, revision uint64) {
	o.t.Helper()
	o.result(membership.Read, r, revision)
}

// proposed is the record that is to be written.
func (o *one) proposed() *message.Record {
	o.t.Helper()
	if o.out.Command == nil || o.out.Command.Propose == nil {
		o.t.Fatalf("nothing is proposed: %s", o.Why())
	}
	return o.out.Command.Propose
}

func (o *one) wins() {
	o.t.Helper()
	o.proposed()
	o.result(membership.Won, nil, o.out.Command.Revision+1)
}

func (o *one) install(n lamport.Node) {
	h := message.Installed{Header: o.head(n), Position: 100 * o.Record().Epoch}
	o.turn(func() {
		if o.Heard(&h.Header) {
			o.Installed(&h)
		}
	})
}

func (o *one) installAll() {
	for _, m := range o.Record().Members {
		o.install(m.Node)
	}
}

// lost is a turn with the news that a replica's process has ended.
func (o *one) lost(n lamport.Node) {
	o.silent[n] = true
	o.turn(func() { o.Lost(n, o.Replica(n).PID) })
}

// pass is n ticks, a turn each; whoever is not silent is heard in each. What they bring is
// kept.
func (o *one) pass(n int) {
	o.out = membership.Output{}
	for range n {
		for _, r := range o.Replicas() {
			o.report(r)
		}
		o.now++
		o.Tick()
		o.Advance(&o.out)
		o.prepared()
		o.advised()
	}
}

// waitsInVain is n ticks in which nothing is proposed; the record is read again meanwhile,
// and is what it was.
func (o *one) waitsInVain(n int) {
	o.t.Helper()
	for range n {
		o.pass(1)
		c := o.out.Command
		if c != nil && c.Propose != nil {
			o.t.Fatalf("proposed %+v", c.Propose)
		}
		if c != nil {
			same := *o.Record()
			o.reads(&same, 8)
		}
	}
}

// awaitCommand lets time pass until there is a command.
func (o *one) awaitCommand() {
	o.t.Helper()
	for range 3 * suspect {
		if o.out.Command != nil {
			return
		}
		o.pass(1)
	}
	o.t.Fatalf("no command: %s", o.Why())
}

// sent tells who was sent what: "PREPARE r1 r2".
func (o *one) sent() []string {
	var all []string
	for _, s := range o.out.Sends {
		line := s.Msg.Kind().String()
		for _, n := range s.To {
			line += " " + n.String()
		}
		all = append(all, line)
	}
	return all
}

func (o *one) expectSent(want ...string) {
	o.t.Helper()
	if got := o.sent(); !slices.Equal(got, want) {
		o.t.Errorf("sent %q, want %q", got, want)
	}
}

func nodes(r *message.Record) string {
	var all []string
	for _, m := range r.Members {
		all = append(all, fmt.Sprintf("%v/%d", m.Node, m.Incarnation))
	}
	return strings.Join(all, " ")
}

func (o *one) expectWhy(what, got, want string) {
	o.t.Helper()
	if got != want {
		o.t.Errorf("%s: %q, want %q", what, got, want)
	}
}
