package replica_test

import (
	"testing"

	"quartet/replica/lamport"
	"quartet/replica/message"
)

// What is of another epoch, incarnation or master, or not its sender's to say, is counted
// and dropped: it executes nothing, and nobody's clock follows it.
func TestTheDoor(t *testing.T) {
	const far = 1 << 20 // a clock that would show
	forward := func(h message.Header) message.Message {
		return &message.Forward{Header: h, Requests: []message.Request{request(1, "eventual set a 1")}}
	}
	data := func(h message.Header) message.Message { return weak(h, 1, request(1, "eventual set a 1")) }
	fill := func(h message.Header) message.Message {
		return &message.Fill{Header: h, Writes: []message.CausalWrite{{Number: 1, Request: request(1, "causal set a 1")}}}
	}
	install := func(change func(*message.Install)) message.Message {
		in := &message.Install{
			Header: message.Header{From: m1, Incarnation: 1, Epoch: 1, Clock: far},
			View:   message.View{Epoch: 1, Faults: 0, Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}}},
		}
		change(in)
		return in
	}
	for _, test := range []struct {
		name string
		msg  message.Message
	}{
		{"FORWARD of another epoch", forward(message.Header{From: m1, Incarnation: 1, Epoch: 2, Clock: far})},
		{"FORWARD of an older master", forward(message.Header{From: m1, Incarnation: 0, Epoch: 1, Clock: far})},
		{"FORWARD of a newer master that has installed nothing", forward(message.Header{From: m1, Incarnation: 2, Epoch: 1, Clock: far})},
		{"FORWARD of another master", forward(message.Header{From: lamport.Master(2), Incarnation: 1, Epoch: 1, Clock: far})},
		{"FORWARD of a replica", forward(message.Header{From: 2, Incarnation: 7, Epoch: 1, Clock: far})},
		{"DATA of another epoch", data(message.Header{From: 2, Incarnation: 7, Epoch: 2, Clock: far})},
		{"DATA of an older incarnation", data(message.Header{From: 2, Incarnation: 6, Epoch: 1, Clock: far})},
		{"DATA of a newer incarnation", data(message.Header{From: 2, Incarnation: 8, Epoch: 1, Clock: far})},
		{"DATA of no member", data(message.Header{From: 4, Incarnation: 7, Epoch: 1, Clock: far})},
		{"DATA of itself", data(message.Header{From: 1, Incarnation: 7, Epoch: 1, Clock: far})},
		{"DATA of nobody", data(message.Header{Incarnation: 7, Epoch: 1, Clock: far})},
		{"DATA that jumps", data(message.Header{From: 2, Incarnation: 7, Epoch: 1, Clock: 2 * lamport.MaxJump})},
		{"FILL of another epoch", fill(message.Header{From: 2, Incarnation: 7, Epoch: 2, Clock: far})},
		{"FILL from before the INSTALL", fill(message.Header{From: 2, Incarnation: 7, Epoch: 1, Clock: 0})},
		{"PROBE of an older master", &message.Probe{Header: message.Header{From: m1, Incarnation: 0, Epoch: 1, Clock: far}}},
		{"PROBE of a replica", &message.Probe{Header: message.Header{From: 2, Incarnation: 7, Epoch: 1, Clock: far}}},
		{"INSTALL of an older master", install(func(in *message.Install) { in.Incarnation = 0 })},
		{"INSTALL of a replica", install(func(in *message.Install) { in.From = 2 })},
		{"INSTALL of another epoch", install(func(in *message.Install) { in.View.Epoch = 2 })},
		{"INSTALL for another incarnation", install(func(in *message.Install) { in.View.Members[0].Incarnation = 8 })},
		{"INSTALL without this replica", install(func(in *message.Install) { in.View.Members = in.View.Members[1:] })},
		{"INSTALL of a view that cannot be", install(func(in *message.Install) { in.View.Faults = 2 })},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := alone(t, 3, 10)
			before := o.Stats()
			o.step(test.msg)
			after := o.Stats()
			if after.Refused != before.Refused+1 {
				t.Errorf("%d refused, want 1", after.Refused-before.Refused)
			}
			before.Refused = after.Refused
			if after != before || len(o.out.Sends) != 0 {
				t.Errorf("it changed %+v to %+v and was answered by %v", before, after, o.out.Sends)
			}
		})
	}
}

func TestWithoutAViewOnlyTheMasterIsHeard(t *testing.T) {
	o := fresh(t, 10)
	o.step(weak(o.peer(2), 1, request(1, "eventual set a 1")), &message.Forward{Header: o.master(), Requests: []message.Request{request(2, "eventual get a")}})
	if s := o.Stats(); s.Refused != 2 || s.Clock != 0 || len(o.out.Sends) != 0 {
		t.Errorf("%+v, sends %v", s, o.out.Sends)
	}
	o.step(&message.Probe{Header: message.Header{From: m1, Incarnation: 3}})
	if hello := taken[*message.Hello](o); len(hello) != 1 || hello[0].Master != 3 || o.Stats().Refused != 2 {
		t.Errorf("a PROBE brings %+v, %d refused", hello, o.Stats().Refused)
	}
	o.step(o.install(3, 2))
	if o.Installed() {
		t.Error("an older master than the one that was heard has installed a view")
	}
}

// A cluster that has run for long has a clock beyond MaxJump. A replica that begins takes
// it over with the view; otherwise it could never join.
func TestInstallBringsTheStartClock(t *testing.T) {
	o := fresh(t, 10)
	in := o.install(1, 1)
	in.Clock = 3 * lamport.MaxJump
	o.step(in)
	if !o.Installed() || o.Stats().Clock <= in.Clock {
		t.Errorf("installed %t, clock %d", o.Installed(), o.Stats().Clock)
	}
	in.Clock = 5 * lamport.MaxJump // the view is there: now it is a jump
	o.step(in)
	if o.Stats().Clock > 4*lamport.MaxJump || o.Stats().Refused != 1 {
		t.Errorf("clock %d, %d refused", o.Stats().Clock, o.Stats().Refused)
	}
}

func causal(number uint64, text string) message.CausalWrite {
	return message.CausalWrite{Number: number, Request: request(number, text)}
}

// The old master gave number 2 to a write that only this replica has, beyond a gap. The
// new one gives it to another write. Schedule: FORWARD {2 old}; PROBE of the new master;
// its first INSTALL is lost, and the one that arrives names number 2 already.
func TestANumberBeyondAGapIsVoid(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 2}, Writes: []message.CausalWrite{causal(2, "causal set a old")}})
	probe := message.Header{From: m1, Incarnation: 2, Clock: o.tick()}
	o.step(&message.Probe{Header: probe})
	if hello := taken[*message.Hello](o); len(hello) != 1 || hello[0].Watermark != 0 {
		t.Fatalf("HELLO %+v", hello)
	}
	// A FILL that is on its way must not raise the watermark after the HELLO, and none is sent.
	o.step(&message.Fill{Header: o.peer(2), Writes: []message.CausalWrite{causal(1, "causal set b old"), causal(2, "causal set a old")}},
		&message.Gap{Header: o.peer(2), Causal: true, First: 1, Last: 2})
	if s := o.Stats(); s.Watermark != 0 || len(o.out.Sends) != 0 {
		t.Fatalf("while the INSTALL is awaited: watermark %d, sends %v", s.Watermark, o.out.Sends)
	}
	in := o.install(3, 2)
	in.Marks = message.Marks{Last: 2, Safe: 2}
	o.step(in)
	h := o.master()
	h.Incarnation = 2
	o.step(&message.Forward{Header: h, Marks: in.Marks, Writes: []message.CausalWrite{causal(1, "causal set b new"), causal(2, "causal set a new")}})
	get := request(9, "causal get a")
	get.Min = 2
	h.Clock = o.tick()
	o.step(&message.Forward{Header: h, Marks: in.Marks, Requests: []message.Request{get}})
	o.expect(o.answers(), "#9 200 new number 2")
}

// A replica answers a GAP up to its watermark only: what it has beyond a gap may be void by
// the time that the FILL arrives.
func TestFillEndsAtTheWatermark(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 4}, Writes: []message.CausalWrite{
		causal(1, "causal set a 1"), causal(2, "causal set a 2"), causal(4, "causal set a 4"),
	}})
	o.step(&message.Gap{Header: o.peer(2), Causal: true, First: 1, Last: 9})
	fill := taken[*message.Fill](o)
	if len(fill) != 1 || len(fill[0].Writes) != 2 || fill[0].Writes[1].Number != 2 {
		t.Errorf("FILL %+v", fill)
	}
}

// A commit of what is not held ends the machine at that operation: nothing that stands
// behind it, in the same DATA too, is executed or answered.
func TestABrokenInvariantStopsTheMachine(t *testing.T) {
	o := alone(t, 3, 10)
	d := weak(o.peer(2), 1)
	set := request(1, "linearizable set a 1")
	d.Ops = []message.Operation{{Op: message.OpCommit, Number: 1}, {Op: message.OpStrong, Request: set}}
	o.step(d)
	o.agree(0, 1)
	if o.Fault() == "" || o.store.Len() != 0 {
		t.Errorf("fault %q, %d keys", o.Fault(), o.store.Len())
	}
	if answers := o.ask(request(2, "eventual get a")); len(answers) != 0 {
		t.Errorf("it answers %+v", answers)
	}
}

func TestRefusalsAreForgottenOnlyAfterManyMore(t *testing.T) {
	o := alone(t, 1, 10)
	set := request(1, "sequential set a never")
	set.Min = 1
	o.ask(set)
	o.pass(wait)
	for rid := uint64(2); rid < 1<<14; rid++ {
		other := set
		other.RID = rid
		o.ask(other)
	}
	o.pass(wait)
	o.ask(request(1<<20, "linearizable set b 1"))
	o.expect(o.ask(set), "#1 425 at 1")
}
