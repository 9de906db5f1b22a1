package replica_test

import (
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// conditions are a machine in each of its phases; but for boot its epoch is 2.
var conditions = map[message.Phase]func(*testing.T) *one{
	message.PhaseBoot: func(t *testing.T) *one { return fresh(t, 10) },
	message.PhaseMember: func(t *testing.T) *one {
		o := alone(t, 3, 10)
		o.wedge()
		o.install(o.next(0, 0, 0))
		return o
	},
	message.PhaseWedged: func(t *testing.T) *one {
		o := alone(t, 3, 10)
		o.wedge()
		o.install(o.next(0, 0, 0))
		o.wedge()
		return o
	},
	message.PhaseLearning: func(t *testing.T) *one {
		o := fresh(t, 10)
		o.install(without(recordOf(2, 3), 1))
		return o
	},
}

const far = 1 << 20 // a clock that would show

// knock is a message, and the phases in which it comes in.
type knock struct {
	name  string
	msg   message.Message
	comes string
}

const nobody, all = "", "boot member wedged learning"

// fromMaster and fromPeer are heads of what would move a clock far.
func fromMaster(incarnation, epoch uint64) message.Header {
	return message.Header{From: m1, Incarnation: incarnation, Epoch: epoch, Clock: far}
}

func fromPeer(n lamport.Node, incarnation, epoch uint64) message.Header {
	return message.Header{From: n, Incarnation: incarnation, Epoch: epoch, Clock: far}
}

// orders are what masters say, and who else tries.
func orders() []knock {
	get := func(h message.Header) message.Message {
		return &message.Forward{Header: h, Requests: []message.Request{request(1, "eventual get a")}}
	}
	prepare := func(h message.Header) message.Message { return &message.Prepare{Header: h, Attempt: 1} }
	installOf := func(from message.Header, change func(*message.Record)) message.Message {
		r := recordOf(3, 3)
		r.Cut = []uint64{0, 0, 0}
		change(&r)
		from.Epoch = r.Epoch
		return &message.Install{Header: from, Record: r}
	}
	install := func(from lamport.Node, change func(*message.Record)) message.Message {
		return installOf(message.Header{From: from, Incarnation: 1, Clock: far}, change)
	}

	return []knock{
		{"FORWARD", get(fromMaster(1, 2)), "member wedged learning"}, // in boot no master was heard yet
		{"FORWARD of another epoch", get(fromMaster(1, 1)), "member wedged learning"},
		{"FORWARD of an older master", get(fromMaster(0, 2)), nobody},
		{"FORWARD of a newer master that has said nothing else", get(fromMaster(2, 2)), nobody},
		{"FORWARD of another master", get(message.Header{From: lamport.Master(2), Incarnation: 1, Epoch: 2, Clock: far}), nobody},
		{"FORWARD of a replica", get(fromPeer(2, 7, 2)), nobody},
		{"PREPARE", prepare(fromMaster(1, 2)), all},
		{"PREPARE of an older master", prepare(fromMaster(0, 2)), "boot"},
		{"PREPARE of a newer master", prepare(fromMaster(2, 2)), all},
		{"PREPARE of a replica", prepare(fromPeer(2, 7, 2)), nobody},
		{"PROBE of a newer master", &message.Probe{Header: fromMaster(2, 0)}, all},
		{"PROBE of an older master", &message.Probe{Header: fromMaster(0, 2)}, all}, // it is told that there is a newer one
		{"PROBE of a replica", &message.Probe{Header: fromPeer(2, 7, 2)}, nobody},
		{"INSTALL", install(m1, func(*message.Record) {}), all},
		{"INSTALL by whatever master", install(lamport.Master(9), func(*message.Record) {}), all},
		{"INSTALL by a newer master", installOf(fromMaster(2, 0), func(*message.Record) {}), all},
		{"INSTALL by a master that is obeyed no more", installOf(fromMaster(0, 0), func(*message.Record) {}), "boot"},
		{"INSTALL by a replica", install(2, func(*message.Record) {}), nobody},
		{"INSTALL of an older epoch", install(m1, func(r *message.Record) { r.Epoch = 1 }), "boot"},
		{"INSTALL of no epoch", install(m1, func(r *message.Record) { r.Epoch = 0 }), nobody},
		{"INSTALL with too many faults", install(m1, func(r *message.Record) { r.Faults = 3 }), nobody},
		{
			"INSTALL with members out of order",
			install(m1, func(r *message.Record) { r.Members[0], r.Members[1] = r.Members[1], r.Members[0] }), nobody,
		},
		{"INSTALL with a member that is not configured", install(m1, func(r *message.Record) { r.Configured = r.Configured[:2] }), nobody},
		{"INSTALL with a number beyond limits", install(m1, func(r *message.Record) { r.High = lamport.Limit }), nobody},
	}
}

// exchanged is what replicas say to each other and to masters.
func exchanged() []knock {
	data := func(h message.Header) message.Message { return weak(h, 1, request(1, "eventual set a 1")) }

	ack := func(h message.Header) message.Message {
		return &message.Ack{Header: h, Received: message.Received{Received: []uint64{0, 0, 0}}}
	}
	fill := func(h message.Header) message.Message {
		return &message.Fill{Header: h, Writes: []message.CausalWrite{{Number: 1, Request: request(1, "causal set a 1")}}}
	}
	gap := func(h message.Header) message.Message {
		return &message.Gap{Header: h, Causal: true, First: 1, Last: 1}
	}
	pull := func(h message.Header) message.Message { return &message.Pull{Header: h, Nonce: 1} }
	chunk := func(h message.Header) message.Message { return &message.Chunk{Header: h, Nonce: 99} }
	state := func(h message.Header) message.Message {
		return &message.State{Header: h, Contiguous: []uint64{0, 0, 0}}
	}

	return []knock{
		{"DATA", data(fromPeer(2, 7, 2)), "member"},
		{"DATA of another epoch", data(fromPeer(2, 7, 1)), nobody},
		{"DATA of an older incarnation", data(fromPeer(2, 6, 2)), nobody},
		{"DATA of a newer incarnation", data(fromPeer(2, 8, 2)), nobody},
		{"DATA of no member", data(fromPeer(4, 7, 2)), nobody},
		{"DATA of itself", data(fromPeer(1, 7, 2)), nobody},
		{"DATA of nobody", data(fromPeer(0, 7, 2)), nobody},
		{"DATA of a master", data(fromMaster(1, 2)), nobody},
		{"ACK", ack(fromPeer(2, 7, 2)), "member"},
		{"ACK of another epoch", ack(fromPeer(2, 7, 3)), nobody},
		{"GAP", gap(fromPeer(2, 7, 2)), "member wedged"},
		{"GAP of another epoch", gap(fromPeer(2, 7, 1)), nobody},
		{"GAP of a master", gap(fromMaster(1, 2)), nobody},
		{"FILL", fill(fromPeer(2, 7, 2)), "member wedged"},
		{"FILL of another epoch", fill(fromPeer(2, 7, 1)), nobody},
		{"FILL of another incarnation", fill(fromPeer(2, 8, 2)), nobody},
		{"FILL of the master", fill(fromMaster(1, 2)), "member"},
		{"FILL of another master", fill(fromMaster(2, 2)), nobody},
		{"FILL of the master in another epoch", fill(fromMaster(1, 1)), nobody},
		{"PULL of a learner", pull(fromPeer(4, 1, 2)), "member wedged"},
		{"PULL of another epoch", pull(fromPeer(4, 1, 1)), nobody},
		{"CHUNK", chunk(fromPeer(2, 7, 2)), "learning"},
		{"CHUNK of another incarnation", chunk(fromPeer(2, 6, 2)), nobody},
		{"CHUNK of no member", chunk(fromPeer(4, 7, 2)), nobody},
		{"CHUNK of another epoch", chunk(fromPeer(2, 7, 3)), nobody},
		{"STATE", state(fromPeer(2, 7, 2)), nobody},
		{"HELLO", &message.Hello{Header: fromPeer(2, 7, 2), Phase: message.PhaseMember}, nobody},
	}
}

// Who may say what in which phase. What is of another epoch, incarnation or master, or not
// its sender's to say, is counted and dropped: it executes nothing, and nobody's clock
// follows it.
func TestTheDoor(t *testing.T) {
	for _, test := range append(orders(), exchanged()...) {
		for phase, name := range map[message.Phase]string{
			message.PhaseBoot: "boot", message.PhaseMember: "member", message.PhaseWedged: "wedged", message.PhaseLearning: "learning",
		} {
			t.Run(test.name+" to "+name, func(t *testing.T) {
				o := conditions[phase](t)
				before := o.Stats()
				if before.Phase != phase {
					t.Fatalf("phase %v, want %s", before.Phase, name)
				}

				o.out.Sends = nil
				o.Step(test.msg, &o.out)

				after := o.Stats()
				if strings.Contains(test.comes, name) {
					if after.Refused != before.Refused || after.Clock <= far {
						t.Errorf("refused: clock %d, %d refused", after.Clock, after.Refused-before.Refused)
					}
					return
				}

				if after.Refused != before.Refused+1 {
					t.Errorf("%d refused, want 1", after.Refused-before.Refused)
				}
				before.Refused = after.Refused
				if after != before || len(o.out.Sends) != 0 || o.Record().Epoch != o.record.Epoch {
					t.Errorf("it changed %+v to %+v and was answered by %v", before, after, o.out.Sends)
				}
			})
		}
	}
}

// A clock that jumps is refused by those who stand in an order; one who stands outside
// takes the cluster's clock over, however far it has come, and so does a record.
func TestClocksThatJump(t *testing.T) {
	for phase, build := range conditions {
		o := build(t)
		h := o.peer(2)
		h.Clock = 3 * lamport.MaxJump
		m := o.master()
		m.Clock = 3 * lamport.MaxJump
		o.step(&message.Probe{Header: m})
		o.step(&message.Gap{Header: h, Causal: true, First: 1, Last: 1})
		inside := phase == message.PhaseMember || phase == message.PhaseWedged
		if jumped := o.Stats().Clock >= 3*lamport.MaxJump; jumped == inside {
			t.Errorf("phase %d: clock %d", phase, o.Stats().Clock)
		}
		r := o.next(0, 0, 0)
		if o.record.Epoch == 0 {
			r = recordOf(1, 3)
		}
		r.Start = 5 * lamport.MaxJump
		o.install(r)
		if o.Stats().Phase == message.PhaseMember && o.Stats().Clock < r.Start {
			t.Errorf("phase %d: clock %d in an epoch that begins with %d", phase, o.Stats().Clock, r.Start)
		}
	}
}

// From the first word of a newer master on an older one is not obeyed, and is told so.
func TestANewerMaster(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Probe{Header: message.Header{From: lamport.Master(2), Incarnation: 3, Epoch: 0, Clock: o.tick()}})
	if hello := taken[*message.Hello](o); len(hello) != 1 || hello[0].Master != 3 ||
		hello[0].Phase != message.PhaseMember || o.out.Sends[0].To[0] != lamport.Master(2) {
		t.Errorf("the newer is answered with %v", o.out.Sends)
	}
	o.step(&message.Probe{Header: o.master()})
	if hello := taken[*message.Hello](o); len(hello) != 1 || hello[0].Master != 3 || o.out.Sends[0].To[0] != m1 {
		t.Errorf("the older is answered with %v", o.out.Sends)
	}
	if answers := o.ask(request(1, "eventual get a")); len(answers) != 0 {
		t.Errorf("the older is obeyed: %+v", answers)
	}
	o.step(&message.Prepare{Header: o.master(), Attempt: 1})
	if o.Stats().Phase != message.PhaseMember {
		t.Error("the older makes it wedge")
	}
	o.step(&message.Prepare{Header: message.Header{From: lamport.Master(2), Incarnation: 3, Epoch: 1, Clock: o.tick()}, Attempt: 1})
	if states := taken[*message.State](o); len(states) != 1 || o.out.Sends[0].To[0] != lamport.Master(2) {
		t.Errorf("PREPARE of the newer brings %v", o.out.Sends)
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
