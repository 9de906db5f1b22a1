package master_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/master/membership"
)

const (
	timeout = 20
	again   = 3
	suspect = 40
	probe   = 10
	repeat  = 5 // PREPARE and INSTALL
)

// one is a master that is driven by hand: the test speaks for replicas, clients and the
// store of the record.
type one struct {
	t *testing.T
	*master.Machine
	out      master.Output
	clock    uint64
	token    uint64
	record   message.Record // decided
	revision uint64
	silent   map[lamport.Node]bool
	nonce    uint64 // of the newest PROBE
	prepared uint64 // attempt of the newest PREPARE
	round    uint64 // of the newest FORWARD that has one
}

func configured(replicas, missing int) master.Config {
	cfg := master.Config{
		Self: lamport.Master(1), Incarnation: 5, Missing: missing,
		TimeoutTicks: timeout, ProbeTicks: probe, SuspectTicks: suspect, AgainTicks: again, ReadmitTicks: 100, JoinTicks: 10,
	}
	for i := range replicas {
		cfg.Replicas = append(cfg.Replicas, lamport.Replica(i+1))
	}
	return cfg
}

// started is a master that has read the record (nil: there is none) and has not heard of
// any replica.
func started(t *testing.T, cfg master.Config, record *message.Record) *one {
	t.Helper()
	o := &one{t: t, Machine: master.New(cfg), silent: map[lamport.Node]bool{}}
	o.turn(func() {})
	if o.out.Command == nil || o.out.Command.Propose != nil {
		t.Fatalf("it begins with %+v, want a read of the record", o.out.Command)
	}
	if record != nil {
		o.record, o.revision = *record, 9
	}
	o.result(membership.Read, record)
	return o
}

// ready is a master whose replicas work in its view.
func ready(t *testing.T, cfg master.Config) *one {
	t.Helper()
	o := started(t, cfg, nil)
	for _, n := range cfg.Replicas {
		o.step(o.hello(n, 7))
	}
	for _, n := range cfg.Replicas { // the answers to the heartbeat that it has sent then
		o.step(o.hello(n, 7))
	}
	o.decide()
	o.installed()
	if !o.Ready() {
		t.Fatalf("not ready: %s", o.Snapshot().Why)
	}
	return o
}

// result is a turn with the fate of the command that is under way.
func (o *one) result(fate membership.Fate, record *message.Record) {
	o.t.Helper()
	c := o.out.Command
	if c == nil {
		o.t.Fatalf("no command is under way: %s", o.Snapshot().Why)
	}
	if fate == membership.Won {
		o.revision++
	}
	o.turn(func() {
		o.Result(membership.Result{Number: c.Number, Fate: fate, Record: record, Revision: o.revision}, &o.out)
	})
}

// decide is a turn in which the record that is proposed is written.
func (o *one) decide() {
	o.t.Helper()
	if o.out.Command == nil || o.out.Command.Propose == nil {
		o.t.Fatalf("nothing is proposed: %s", o.Snapshot().Why)
	}
	o.record = *o.out.Command.Propose
	o.result(membership.Won, nil)
}

// installed is a turn in which all members acknowledge the record.
func (o *one) installed() {
	var all []message.Message
	for _, m := range o.record.Members {
		h := o.from(m.Node)
		h.Incarnation = m.Incarnation
		all = append(all, &message.Installed{Header: h})
	}
	o.step(all...)
}

// wedged is a turn in which these members answer PREPARE.
func (o *one) wedged(watermark uint64, nodes ...lamport.Node) {
	var all []message.Message
	for _, n := range nodes {
		all = append(all, &message.State{
			Header: o.from(n), Attempt: o.prepared, Contiguous: make([]uint64, len(o.record.Members)),
			Watermark: watermark,
		})
	}
	o.step(all...)
}

// lost is a turn with the news that a replica's process has ended.
func (o *one) lost(n lamport.Node) { o.turn(func() { o.Lost(n, 100+int(n)) }) }

func (o *one) from(n lamport.Node) message.Header {
	o.clock = max(o.clock, o.Now()) + 1
	return message.Header{From: n, Incarnation: 7, Epoch: o.record.Epoch, Clock: o.clock}
}

// hello is what a replica says that holds nothing, and answers the newest heartbeat.
func (o *one) hello(n lamport.Node, incarnation uint64) *message.Hello {
	h := o.from(n)
	h.Incarnation, h.Epoch = incarnation, 0
	return &message.Hello{Header: h, PID: 100 + int(n), Phase: message.PhaseBoot, Master: 5, Nonce: o.nonce}
}

func (o *one) turn(f func()) {
	o.out = master.Output{}
	f()
	o.EndTurn(&o.out)
	for _, f := range taken[*message.Forward](o) {
		o.round = max(o.round, f.Round)
	}
	o.probed()
}

// probed takes note of the heartbeats of a turn, and of its PREPARE.
func (o *one) probed() {
	for _, p := range taken[*message.Prepare](o) {
		o.prepared = p.Attempt
	}
	for _, p := range taken[*message.Probe](o) {
		o.nonce = max(o.nonce, p.Nonce)
	}
}

func (o *one) step(messages ...message.Message) {
	o.turn(func() {
		for _, msg := range messages {
			o.Step(msg, &o.out)
		}
	})
}

// pass is n ticks, a turn each; what they bring is kept. Members that are not silent
// report in each.
func (o *one) pass(n int) {
	o.out = master.Output{}
	for range n {
		for _, m := range o.record.Members {
			if !o.silent[m.Node] {
				h := o.from(m.Node)
				h.Incarnation = m.Incarnation
				o.Step(&message.Report{Header: h, Nonce: o.nonce}, &o.out)
			}
		}
		o.Tick(&o.out)
		o.EndTurn(&o.out)
		o.probed()
	}
}

// ask sends requests in one turn; their tokens count from 1.
func (o *one) ask(requests ...master.Incoming) {
	o.turn(func() {
		for _, in := range requests {
			o.token++
			in.Token = o.token
			o.Request(in, &o.out)
		}
	})
}

// answer is a turn with a replica's outcome.
func (o *one) answer(n lamport.Node, rid uint64, code model.Code) {
	o.step(&message.Answers{Header: o.from(n), Answers: []message.Answer{{Answer: model.Answer{RID: rid, Code: code, Position: 4}}}})
}

// holds is a turn with a replica's watermark.
func (o *one) holds(n lamport.Node, watermark uint64) {
	o.step(&message.Answers{Header: o.from(n), Watermark: watermark})
}

func taken[M message.Message](o *one) []M {
	var found []M
	for _, s := range o.out.Sends {
		if m, ok := s.Msg.(M); ok {
			found = append(found, m)
		}
	}
	return found
}

// forwarded tells what left in this turn: "r1 #4".
func (o *one) forwarded() []string {
	var all []string
	for _, s := range o.out.Sends {
		if f, ok := s.Msg.(*message.Forward); ok {
			for _, r := range f.Requests {
				all = append(all, fmt.Sprintf("%s #%d", s.To[0], r.RID))
			}
		}
	}
	return all
}

func in(text string) master.Incoming {
	words := strings.Fields(text)
	r := message.Request{Request: model.Request{Key: words[2]}}
	r.Model, _ = model.ParseConsistency(words[0])
	r.Type, _ = model.ParseType(words[1])
	if len(words) > 3 {
		r.Value = []byte(words[3])
	}
	return master.Incoming{Request: r}
}

func at(n lamport.Node, i master.Incoming) master.Incoming {
	i.Replica = n
	return i
}

func id(s string, i master.Incoming) master.Incoming {
	i.Request.Identity = s
	return i
}

// expect compares the replies: "token #rid code", and what else is there.
func (o *one) expect(want ...string) {
	o.t.Helper()
	var got []string
	for _, r := range o.out.Replies {
		s := fmt.Sprintf("%d #%d %d", r.Token, r.RID, r.Code)
		if r.Timestamp > 0 {
			s += fmt.Sprintf(" number %d", r.Timestamp)
		}
		if r.Repeated {
			s += " repeated"
		}
		got = append(got, s)
	}
	if !slices.Equal(got, want) {
		o.t.Errorf("replies %q, want %q", got, want)
	}
}

func TestIDsAreUniqueAndRise(t *testing.T) {
	cfg := configured(3, 1)
	cfg.NextRID = 40
	o := ready(t, cfg)
	var got []uint64
	for i := range 20 {
		switch i % 4 {
		case 0:
			o.ask(at(1, in("linearizable set a 1")))
			got = append(got, taken[*message.Forward](o)[0].Requests[0].RID)
		case 1: // refusals have an id too
			o.turn(func() { o.Refuse(1, model.Malformed, "no", &o.out) })
			got = append(got, o.out.Replies[0].RID)
		case 2:
			o.ask(in("causal set a 1"))
			got = append(got, taken[*message.Forward](o)[0].Writes[0].Request.RID)
		case 3: // a replica has seen a greater one, from a master before this
			h := o.hello(2, 7)
			h.Epoch, h.Phase, h.LastRID = 1, message.PhaseMember, got[len(got)-1]+5
			o.step(h)
		}
	}
	if got[0] != 40 || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("ids %v", got)
	}
}

func TestEveryReplyHasAGreaterClockThanTheLast(t *testing.T) {
	o := ready(t, configured(3, 1))
	last := uint64(0)

	for i := range 12 {
		switch i % 3 {
		case 0:
			o.turn(func() { o.Refuse(1, model.Malformed, "no", &o.out) })
		case 1:
			o.ask(at(1, in("eventual set a 1")))
			f := taken[*message.Forward](o)[0]
			if f.Clock <= last {
				t.Errorf("the FORWARD after a reply at %d is at %d: the replica would not pass it", last, f.Clock)
			}
			h := o.from(1)
			o.step(&message.Answers{
				Header: h,
				Answers: []message.Answer{
					{
						Answer: model.Answer{
							RID: f.Requests[0].RID, Code: model.OK, Clock: lamport.Timestamp{Time: h.Clock},
						},
					},
				},
			})
		case 2:
			o.ask(id("x", in("eventual set a 1")))
			o.pass(timeout)
		}
		if c := o.out.Replies[0].Clock; c.Time <= last {
			t.Errorf("reply %d at %v after one at %d", i, c, last)
		} else {
			last = c.Time
		}
	}
}

func TestTimeoutThenTheLateAnswer(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("linearizable set a 1"))), at(2, in("linearizable get a")))
	o.pass(timeout - 1)
	o.expect()
	o.pass(1)
	o.expect("1 #1 504", "2 #2 504")
	if n := o.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	o.answer(1, 1, model.OK) // nobody waits
	o.expect()
	// The retry learns the outcome: the same request, the same id, wherever it goes.
	o.ask(at(3, id("x", in("linearizable set a 1"))))
	if got := o.forwarded(); !slices.Equal(got, []string{"r3 #1"}) {
		t.Errorf("forwarded %v", got)
	}
	o.answer(3, 1, model.OK)
	o.expect("3 #1 200 repeated")
	o.ask(id("x", in("linearizable set a 1")))
	o.expect("4 #1 200 repeated")
}

// Each sending has its own timeout, also when several wait for one flight.
func TestEachSendingIsAnsweredOnce(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("linearizable set a 1"))))
	o.pass(timeout - 1)
	o.ask(at(1, id("x", in("linearizable set a 1"))))
	o.pass(1)
	o.expect("1 #1 504")
	o.answer(1, 1, model.OK)
	o.expect("2 #1 200 repeated")
	o.pass(2 * timeout)
	o.expect()
	if n := o.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// "Not executed" is a promise: a refusal is told only when every replica that was given
// the set has refused it.
func TestARefusalIsBelievedWhenAllHaveRefused(t *testing.T) {
	set := at(1, id("x", in("sequential set a 1")))
	retry := at(2, id("x", in("sequential set a 1")))

	t.Run("one of one", func(t *testing.T) {
		o := ready(t, configured(3, 1))
		o.ask(set)
		o.answer(1, 1, model.TooEarly)
		o.expect("1 #1 425")

		o.ask(retry) // it had no effect: the identity is free
		if got := o.forwarded(); !slices.Equal(got, []string{"r2 #2"}) {
			t.Errorf("forwarded %v", got)
		}
	})

	t.Run("one of two, twice: the other may still execute it", func(t *testing.T) {
		o := ready(t, configured(3, 1))
		o.ask(set)
		o.pass(again)
		o.ask(retry)
		o.answer(2, 1, model.TooEarly)
		o.expect()
		o.answer(2, 1, model.TooEarly)
		o.expect()
		o.answer(1, 1, model.OK)
		o.expect("1 #1 200", "2 #1 200 repeated")
	})

	t.Run("both", func(t *testing.T) {
		o := ready(t, configured(3, 1))
		o.ask(set)
		o.pass(again)
		o.ask(retry)
		o.answer(1, 1, model.TooEarly)
		o.answer(2, 1, model.TooEarly)
		o.expect("1 #1 425", "2 #1 425 repeated")
	})

	t.Run("late, of a flight that was answered Unknown", func(t *testing.T) {
		o := ready(t, configured(3, 1))
		o.ask(set)
		o.pass(timeout)
		o.ask(retry)
		o.answer(1, 1, model.TooEarly)
		o.expect()
		o.answer(2, 1, model.OK)
		o.expect("2 #1 200 repeated")
	})
}

func TestIdentities(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("linearizable set a 1"))), at(1, id("g", in("linearizable get a"))))
	o.answer(1, 1, model.OK)
	o.answer(1, 2, model.NotFound)
	for _, other := range []string{"linearizable set a 2", "linearizable set b 1", "sequential set a 1", "linearizable get a"} {
		o.ask(id("x", in(other)))
		if len(o.out.Replies) != 1 || o.out.Replies[0].Code != model.Conflict {
			t.Errorf("x again for %q: %+v", other, o.out.Replies)
		}
	}
	o.ask(id("g", in("linearizable set a 1")))
	if len(o.out.Replies) != 1 || o.out.Replies[0].Code != model.Conflict {
		t.Errorf("g again for a set: %+v", o.out.Replies)
	}
	o.ask(at(1, id("g", in("linearizable get a")))) // a get may simply be executed again
	if got := o.forwarded(); len(got) != 1 {
		t.Errorf("g again: forwarded %v", got)
	}
}

// A retry is the same weak write, not a younger one.
func TestARetryKeepsItsStamp(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("eventual set a 1"))))
	first := taken[*message.Forward](o)[0].Requests[0]
	o.ask(at(1, in("eventual set a 2")))
	second := taken[*message.Forward](o)[0].Requests[0]
	o.pass(again)
	o.ask(at(2, id("x", in("eventual set a 1"))))
	joined := taken[*message.Forward](o)[0].Requests[0]
	o.pass(timeout)
	o.ask(at(3, id("x", in("eventual set a 1"))))
	resumed := taken[*message.Forward](o)[0].Requests[0]
	if joined.Version != first.Version || resumed.Version != first.Version || resumed.RID != first.RID ||
		!first.Version.Less(second.Version) {
		t.Errorf("versions %v, %v, %v; of a later write %v", first.Version, joined.Version, resumed.Version, second.Version)
	}
}

func TestTheWindowOfIdentities(t *testing.T) {
	for _, form := range []string{"%d", "client.%d"} { // of clients that number theirs, too
		t.Run(form, func(t *testing.T) { windowOf(t, form) })
	}
}

func windowOf(t *testing.T, form string) {
	cfg := configured(3, 1)
	cfg.Window = 3
	o := ready(t, cfg)
	set := func(n int) string {
		o.ask(at(1, id(fmt.Sprintf(form, n), in("linearizable set a 1"))))
		if len(o.out.Replies) > 0 {
			return "remembered"
		}
		o.answer(1, taken[*message.Forward](o)[0].Requests[0].RID, model.OK)
		return "new"
	}
	var got []string
	for _, n := range []int{1, 2, 3, 1, 2, 3, 4, 1, 3, 4} {
		got = append(got, fmt.Sprint(n, " ", set(n)))
	}
	want := []string{
		"1 new", "2 new", "3 new", "1 remembered", "2 remembered", "3 remembered", "4 new", "1 new", "3 remembered",
		"4 remembered",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An identity that was refused, and so freed, and is used again has its full time.
func TestAnIdentityThatWasFreedIsNotForgottenEarly(t *testing.T) {
	cfg := configured(3, 1)
	cfg.Window = 2
	o := ready(t, cfg)
	o.ask(at(1, id("x", in("sequential set a 1"))))
	o.answer(1, 1, model.TooEarly)
	o.ask(at(1, id("x", in("sequential set a 1"))))
	o.answer(1, 2, model.OK)
	o.ask(at(1, id("y", in("sequential set a 1"))))
	o.answer(1, 3, model.OK)
	o.ask(id("x", in("sequential set a 1")))
	o.expect("4 #2 200 repeated")
}

func TestTooManyInFlight(t *testing.T) {
	cfg := configured(3, 1)
	cfg.MaxInFlight = 2
	o := ready(t, cfg)
	o.ask(at(1, id("x", in("linearizable set a 1"))), at(1, in("linearizable get a")), at(1, in("eventual get a")),
		at(1, id("x", in("linearizable set a 1"))))
	o.expect("3 #3 503", "4 #4 503") // one that would only wait as well is one too many
	o.answer(1, 2, model.NotFound)
	o.echo(o.round, 2)
	o.expect("2 #2 404")
	o.ask(at(1, in("eventual get a")))
	o.expect()
}
