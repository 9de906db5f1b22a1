package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// strong is a DATA with strong sets.
func strong(from message.Header, seq uint64, requests ...message.Request) *message.Data {
	d := weak(from, seq)
	for _, r := range requests {
		d.Ops = append(d.Ops, message.Operation{Op: message.OpStrong, Request: r})
	}
	return d
}

// sent is the kinds of what was sent, and to whom: "STATE m1".
func (o *one) sent() string {
	var all []string
	for _, s := range o.out.Sends {
		line := s.Msg.Kind().String()
		for _, n := range s.To {
			line += " " + n.String()
		}
		all = append(all, line)
	}
	return strings.Join(all, ", ")
}

func (o *one) expectSent(want string) {
	o.t.Helper()
	if got := o.sent(); got != want {
		o.t.Errorf("sent %q, want %q", got, want)
	}
}

// F2: it says what it holds without a gap, and nothing of it changes any more.
func TestF2PrepareWedgesForGood(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(weak(o.peer(2), 1, request(1, "eventual set a 1")), weak(o.peer(3), 2, request(3, "eventual set a 3")))

	o.ask(request(4, "linearizable set b 1"), request(5, "sequential get b"))

	state := o.wedge()
	o.expectSent("STATE m1")
	if !slices.Equal(state.Contiguous, []uint64{1, 1, 0}) || state.Attempt != 1 || state.Epoch != 1 ||
		state.Position != 0 || state.LastRID != 5 {
		t.Errorf("STATE %+v", state)
	}

	// What comes now is not taken, acknowledged, stamped or delivered.
	before := o.Stats()
	o.step(weak(o.peer(3), 1, request(2, "eventual set a 2")))
	o.expectSent("")
	o.agree(1, 1)
	o.expectSent("")
	o.expect(o.ask(request(6, "linearizable set c 1"), request(7, "sequential get b"),
		request(8, "linearizable get b"), request(9, "causal set c 1")))
	o.pass(20)
	for _, s := range o.out.Sends {
		if s.Msg.Kind() != message.KindHello {
			t.Errorf("it sends %s", s.Msg.Kind())
		}
	}
	after := o.Stats()
	if after.Phase != message.PhaseWedged || after.Queue != before.Queue || after.Position != 0 || o.store.Len() != 0 {
		t.Errorf("from %+v to %+v", before, after)
	}

	o.step(&message.Prepare{Header: o.master(), Attempt: 2})
	if again := taken[*message.State](o); len(again) != 1 || again[0].Attempt != 2 || !slices.Equal(again[0].Contiguous, state.Contiguous) {
		t.Errorf("asked again it says %+v", again)
	}

	// Gets of model 3 and requests of model 4 go on.
	o.expect(o.ask(request(10, "eventual set d 1"), request(11, "eventual get d"), request(12, "causal get a")),
		"#10 200", "#11 200 1", "#12 200 1")
}

func TestPrepareOfAnotherEpoch(t *testing.T) {
	for _, epoch := range []uint64{0, 2} {
		o := alone(t, 3, 10)
		h := o.master()
		h.Epoch = epoch
		o.step(&message.Prepare{Header: h, Attempt: 1})
		o.expectSent("HELLO m1")
		if o.Stats().Phase != message.PhaseMember {
			t.Errorf("epoch %d: phase %d", epoch, o.Stats().Phase)
		}
	}
}

// F3: it answers at once, fetches what it is told to, from where the master knows it to be,
// and says so when it has it. Nothing else comes in.
func TestF3PrepareFetchesCausalNumbers(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 1}, Writes: []message.CausalWrite{causal(1, "causal set a 1")}})

	o.wedge()
	if s := taken[*message.State](o); s[0].Watermark != 1 {
		t.Fatalf("STATE %+v", s[0])
	}

	o.step(&message.Fill{Header: o.peer(2), Writes: []message.CausalWrite{causal(2, "causal set a 2")}})
	if n := o.Stats().Watermark; n != 1 {
		t.Errorf("watermark %d: nobody has asked it to fetch that", n)
	}

	o.step(&message.Prepare{Header: o.master(), Attempt: 2, High: 3, Holder: 3})
	o.expectSent("GAP r3, STATE m1")
	if g := taken[*message.Gap](o)[0]; !g.Causal || g.First != 2 || g.Last != 3 {
		t.Errorf("GAP %+v", g)
	}
	if s := taken[*message.State](o)[0]; s.Watermark != 1 || s.Attempt != 2 {
		t.Errorf("STATE %+v", s)
	}

	o.pass(2)
	if got := o.sent(); !strings.Contains(got, "GAP r2") { // r3 has not answered
		t.Errorf("sent %s", got)
	}

	o.step(&message.Fill{Header: o.peer(3), Writes: []message.CausalWrite{
		causal(2, "causal set a 2"), causal(3, "causal set a 3"), causal(4, "causal set a 4"),
	}})
	o.expectSent("STATE m1")
	if s := taken[*message.State](o)[0]; s.Watermark != 3 || s.Attempt != 2 {
		t.Errorf("STATE %+v", s)
	}
	if n := o.Stats().Safe; n != 0 {
		t.Errorf("safe %d: only the record makes them so", n)
	}

	// A wedged member gives others what it has.
	o.step(&message.Gap{Header: o.peer(2), Causal: true, First: 1, Last: 9})
	if f := taken[*message.Fill](o); len(f) != 1 || len(f[0].Writes) != 3 {
		t.Errorf("FILL %+v", f)
	}

	// An answer is no acknowledgement now.
	o.ask(request(20, "eventual get a"))
	if a := taken[*message.Answers](o); len(a) != 1 || a[0].Watermark != 0 {
		t.Errorf("ANSWERS %+v", a)
	}
}

// F5: what is inside the cut is delivered in the order of the epoch and answered; of what is
// beyond it strong operations are dropped and eventual ones submitted again, whoever
// accepted them.
func TestF5Survive(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(
		strong(o.peer(2), 1, request(1, "linearizable set a 1")),
		weak(o.peer(2), 2, request(2, "eventual set w others")),
		strong(o.peer(3), 1, request(3, "linearizable set a 3")),
	)

	o.ask(request(4, "linearizable set b inside"))
	own := taken[*message.Data](o)
	o.ask(request(5, "linearizable set b beyond"), request(6, "eventual set v own"))

	o.wedge()
	o.ask(request(7, "eventual set u wedged"))

	r := o.next(1, 1, 1)
	r.Start = 5000
	o.install(r)

	o.expect(o.answers(), "#4 200 at 3")
	stamp := lamport.Timestamp{Time: own[0].Clock, Node: 1}
	if got, _ := o.store.Get("b"); string(got.Value) != "inside" || got.Version.Epoch != 1 || got.Version.Timestamp != stamp {
		t.Errorf("b = %s at %v", got.Value, got.Version)
	}
	if got, _ := o.store.Get("a"); string(got.Value) != "3" {
		t.Errorf("a = %s", got.Value)
	}

	data := taken[*message.Data](o)
	if len(data) != 1 || data[0].Epoch != 2 || data[0].Seq != 1 || data[0].Clock <= 5000 {
		t.Fatalf("DATA %+v", data)
	}
	var again []string
	for _, op := range data[0].Ops {
		again = append(again, fmt.Sprintf("%d #%d %v", op.Op, op.Request.RID, op.Request.Version))
	}
	if want := []string{"3 #2 1/2.m1", "3 #6 1/6.m1", "3 #7 1/7.m1"}; !slices.Equal(again, want) {
		t.Errorf("submitted again: %q, want %q", again, want)
	}

	if len(taken[*message.Installed](o)) != 1 {
		t.Errorf("sent %s", o.sent())
	}
	if s := o.Stats(); s.Phase != message.PhaseMember || s.Epoch != 2 || s.Position != 3 || s.Pending != 0 || s.Tentative != 3 {
		t.Errorf("%+v", s)
	}

	// They are delivered in the new epoch. A second submission, by r2, does nothing more.
	o.step(weak(o.peer(2), 1, request(2, "eventual set w others")))
	o.agree(1, 1)
	if s := o.Stats(); s.Tentative != 0 || s.Queue != 0 || s.Keys != 5 {
		t.Errorf("%+v", s)
	}
}

// What waited for the order of the epoch that ended is forgotten: the master asks again.
// What waits for a causal number goes on waiting.
func TestWhatWaitsOverAChange(t *testing.T) {
	o := alone(t, 3, 10)
	causalGet := with(request(1, "causal get a"), func(r *message.Request) { r.Min = 1 })
	late := with(request(2, "sequential get a"), func(r *message.Request) { r.Min = 1 })
	o.ask(causalGet, late, request(3, "linearizable get a"), request(4, "sequential get a"), request(5, "linearizable set a 1"))
	o.wedge()
	o.install(o.next(0, 0, 0))
	if s := o.Stats(); s.Pending != 1 {
		t.Errorf("%d pending, want the causal get", s.Pending)
	}
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 1, Safe: 1},
		Writes: []message.CausalWrite{causal(1, "causal set a 1")},
	})
	o.expect(o.answers(), "#1 200 1 number 1")
	o.expect(o.ask(with(late, func(r *message.Request) { r.Min = 0 })), "#2 404")
}

// Numbers up to the high-water are safe in the new epoch, those above are void: the next
// master gives them to other writes.
func TestF5NumbersAboveTheHighWaterAreVoid(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 5}, Writes: []message.CausalWrite{
		causal(1, "causal set a 1"), causal(2, "causal set b old"), causal(4, "causal set c old"), causal(5, "causal set d old"),
	}})
	if s := o.Stats(); s.Watermark != 2 || s.Safe != 0 {
		t.Fatalf("%+v", s)
	}
	o.wedge()
	r := o.next(0, 0, 0)
	r.High = 1
	o.install(r)
	if s := o.Stats(); s.Watermark != 1 || s.Safe != 1 {
		t.Errorf("%+v", s)
	}
	o.step(&message.Gap{Header: o.peer(2), Causal: true, First: 1, Last: 9})
	if f := taken[*message.Fill](o); len(f) != 1 || len(f[0].Writes) != 1 {
		t.Errorf("it gives away %+v", f)
	}
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 4, Safe: 4}, Writes: []message.CausalWrite{
		causal(2, "causal set b new"), causal(3, "causal set x new"), causal(4, "causal set c new"),
	}})
	o.expect(o.ask(request(10, "causal get a"), request(11, "causal get b"), request(12, "causal get c"), request(13, "causal get d")),
		"#10 200 1 number 1", "#11 200 new number 2", "#12 200 new number 4", "#13 404")
}

// A commit marker beyond the cut is dropped, and issued anew.
func TestTheMarkerIsIssuedAnew(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 1, Safe: 1, Held: 1},
		Writes: []message.CausalWrite{causal(1, "causal set a 1")},
	})
	if d := taken[*message.Data](o); len(d) != 1 || d[0].Ops[0].Op != message.OpCommit {
		t.Fatalf("DATA %+v", d)
	}
	o.wedge()
	r := o.next(0, 0, 0)
	r.High = 1
	o.install(r)
	d := taken[*message.Data](o)
	if len(d) != 1 || d[0].Ops[0].Op != message.OpCommit || d[0].Ops[0].Number != 1 || d[0].Epoch != 2 {
		t.Fatalf("DATA %+v", d)
	}
	o.agree(1, 0)
	if rec, _ := o.store.Get("a"); rec.Number != 1 || o.Stats().Tentative != 0 {
		t.Errorf("committed %+v, %d tentative", rec, o.Stats().Tentative)
	}
}

// A strong operation that was delivered in the first epoch and is sent again in the second
// is found in the table; one that was dropped is executed.
func TestF5SentAgainAfterTheChange(t *testing.T) {
	o := alone(t, 3, 10)
	inside, beyond := request(1, "linearizable set a inside"), request(2, "linearizable set b beyond")
	o.ask(inside)
	o.ask(beyond)
	o.wedge()
	o.install(o.next(1, 0, 0))
	o.expect(o.answers(), "#1 200 at 1")
	o.ask(inside, beyond)
	o.agree(1, 0)
	o.expect(o.answers(), "#1 200 at 1", "#2 200 at 3") // its copy has a place as well
	if rec, _ := o.store.Get("a"); rec.Version.Epoch != 1 {
		t.Errorf("a was executed again: %v", rec.Version)
	}
	if rec, _ := o.store.Get("b"); rec.Version.Epoch != 2 {
		t.Errorf("b at %v", rec.Version)
	}
}

// A record that counts on what is not here shows that the disk was put back: the replica is a
// learner, and says why.
func TestARecordThatCountsOnMore(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(r *message.Record)
		want   string
	}{
		{"a cut beyond what is held", func(r *message.Record) { r.Cut = []uint64{0, 2, 0} },
			"its data were put back to an older copy: 2 broadcasts of r2 are needed, and 1 are held"},
		{"a high-water that is not held", func(r *message.Record) { r.High = 1 },
			"its data were put back to an older copy: causal writes up to 1 are needed, and held up to 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := alone(t, 3, 10)
			o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")))
			o.wedge()
			r := o.next(0, 1, 0)
			test.change(&r)
			o.install(r)
			if o.Reason() != test.want || o.Fault() != "" || o.Stats().Phase != message.PhaseLearning || o.Incarnation() != 8 {
				t.Errorf("reason %q, want %q; fault %q, incarnation %d, %+v", o.Reason(), test.want, o.Fault(), o.Incarnation(), o.Stats())
			}
		})
	}
}

// A replica that has delivered what the record leaves out does not follow, and does not end: it
// keeps what it has, and says why.
func TestARecordThatLeavesOut(t *testing.T) {
	for _, test := range []struct {
		name string
		cut  []uint64
		want string
	}{
		{"a cut behind what was delivered", []uint64{0, 0, 0},
			"epoch 2 leaves out what this replica has delivered: the cut has 0 DATA of r2, and 1 were delivered"},
		{"a cut of another view", []uint64{0, 1}, "epoch 2 leaves out what this replica has delivered: a cut of 2 members for a view of 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := alone(t, 3, 10)
			o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")))
			o.agree(0, 1)
			o.wedge()

			r := o.next(0, 1, 0)
			r.Cut = test.cut
			o.install(r)
			if o.Reason() != test.want || o.Fault() != "" || o.Stats().Phase != message.PhaseWedged || o.Stats().Position != 1 {
				t.Errorf("reason %q, want %q; fault %q, %+v", o.Reason(), test.want, o.Fault(), o.Stats())
			}

			r.Epoch++
			o.install(r)
			o.record.Epoch = 1
			o.step(&message.Probe{Header: o.master()})
			if h := taken[*message.Hello](o); len(h) == 0 || h[0].Past.Reason != test.want || h[0].Epoch != 1 {
				t.Errorf("HELLO %+v", h)
			}
		})
	}
}

// Another record of the epoch that is known is not followed, whoever brings it.
func TestAnotherRecordOfTheEpoch(t *testing.T) {
	o := alone(t, 3, 10)
	other := o.record
	other.Nonce += 5 // of the same master
	o.step(o.installs(other))
	o.expectSent("")
	if s := o.Stats(); s.Phase != message.PhaseMember || o.Fault() != "" || s.Refused != 1 {
		t.Errorf("%+v, fault %q", s, o.Fault())
	}
}

// INSTALL that comes again is acknowledged again; so is one by another master (F4).
func TestF4InstallAgain(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(o.installs(o.record))
	o.expectSent("INSTALLED m1")
	in := o.installs(o.record)
	in.From, in.Incarnation = lamport.Master(2), 5
	o.step(in)
	o.expectSent("INSTALLED m1") // to the master that leads the epoch
	o.step(o.installs(o.record), o.installs(o.record))
	o.expectSent("INSTALLED m1")
}

// A replica that the record does not name loads, as another incarnation if it was a member;
// so does one that was named but has missed an epoch.
func TestF6Outside(t *testing.T) {
	for _, test := range []struct {
		name        string
		change      func(r message.Record) message.Record
		incarnation uint64
		dismissed   bool
	}{
		{"removed", func(r message.Record) message.Record { return without(r, 1) }, 8, false},
		{"another incarnation", func(r message.Record) message.Record {
			r.Members = slices.Clone(r.Members)
			r.Members[0].Incarnation = 9
			return r
		}, 10, false},
		{"an epoch was missed", func(r message.Record) message.Record { r.Epoch++; return r }, 8, false},
		{"dismissed", func(r message.Record) message.Record {
			r = without(r, 1)
			r.Configured = r.Configured[1:]
			return r
		}, 8, true},
	} {

		for _, wedged := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, wedged %t", test.name, wedged), func(t *testing.T) {
				o := alone(t, 3, 10)
				o.step(strong(o.peer(2), 1, request(1, "linearizable set a 1")), weak(o.peer(3), 1, request(2, "eventual set b 1")))
				o.ask(request(3, "linearizable set c 1"))
				if wedged {
					o.wedge()
				}

				o.install(test.change(o.next(0, 1, 0)))
				s := o.Stats()
				if s.Phase != message.PhaseLearning || o.Incarnation() != test.incarnation ||
					o.Dismissed() != test.dismissed || s.Pending != 0 || s.Position != 0 {
					t.Errorf("%+v, incarnation %d, dismissed %t", s, o.Incarnation(), o.Dismissed())
				}
				if s.Tentative != 1 {
					t.Errorf("%d tentative: the eventual set of r3 is lost", s.Tentative)
				}

				o.expectSent("PULL r2")
				// It serves nothing strong, and no longer as the member that it was.
				o.expect(o.ask(request(4, "linearizable get a"), request(5, "sequential get a"), request(6, "eventual get b")), "#6 200 1")
				if a := taken[*message.Answers](o); a[0].Incarnation != test.incarnation || a[0].Watermark != 0 {
					t.Errorf("ANSWERS %+v", a[0])
				}
			})
		}
	}
}

// It was in the view of epoch 1 and is in that of epoch 3 again; removed in between it has
// another incarnation, and the next removal makes it another once more.
func TestOneThatWasNeverAMemberKeepsItsIncarnation(t *testing.T) {
	o := fresh(t, 10)
	o.install(without(recordOf(3, 3), 1))
	if o.Incarnation() != 7 || o.Stats().Phase != message.PhaseLearning {
		t.Errorf("incarnation %d, phase %d", o.Incarnation(), o.Stats().Phase)
	}
	o.install(without(recordOf(4, 3), 1))
	if o.Incarnation() != 7 || o.Record().Epoch != 4 {
		t.Errorf("incarnation %d, epoch %d", o.Incarnation(), o.Record().Epoch)
	}
}

// A process that holds nothing does not take over a place in a view that has worked: its
// name stands there for a process that held something.
func TestF6AProcessWithoutMemoryDoesNotSurvive(t *testing.T) {
	o := fresh(t, 10)
	o.install(recordOf(2, 3))
	if o.Installed() || o.Stats().Phase != message.PhaseLearning {
		t.Errorf("installed %t, phase %d", o.Installed(), o.Stats().Phase)
	}
}

// Sets are refused while the disk is full; gets go on.
func TestFull(t *testing.T) {
	o := alone(t, 1, 10)
	o.ask(request(1, "linearizable set a 1"))
	o.Full("the disk is full", "")
	answers := o.ask(request(2, "linearizable set a 2"), request(3, "eventual set a 3"),
		request(4, "linearizable get a"), request(5, "eventual get a"))
	o.expect(answers, "#2 503", "#3 503", "#5 200 1", "#4 200 1 at 2")
	if answers[0].Reason != "the disk is full" {
		t.Errorf("reason: %s", answers[0].Reason)
	}
	o.Full("", "")
	o.expect(o.ask(request(6, "linearizable set a 2")), "#6 200 at 3")
}

// A member that hears no heartbeat says HELLO: perhaps nobody knows any more that it is here.
func TestAMemberWithoutAHeartbeatAsks(t *testing.T) {
	o := alone(t, 3, 10)
	o.pass(49)
	if h := taken[*message.Hello](o); len(h) != 0 {
		t.Errorf("HELLO %+v", h[0])
	}
	o.pass(51)
	if h := taken[*message.Hello](o); len(h) != 2 || h[0].Phase != message.PhaseMember || h[0].Epoch != 1 {
		t.Errorf("HELLO %+v", h)
	}
	o.pass(9)
	o.step(&message.Probe{Header: o.master()})
	o.pass(49)
	if h := taken[*message.Hello](o); len(h) != 0 {
		t.Errorf("HELLO %+v", h[0])
	}
}
