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

// reason is the sentence of the only reply.
func (o *one) reason() string {
	o.t.Helper()
	if len(o.out.Replies) != 1 {
		o.t.Fatalf("replies %+v, want one", o.out.Replies)
	}
	return o.out.Replies[0].Reason
}

// to tells who was sent a message of this type, in order.
func to[M message.Message](o *one) []string {
	var all []string
	for _, s := range o.out.Sends {
		if _, ok := s.Msg.(M); ok {
			for _, n := range s.To {
				all = append(all, n.String())
			}
		}
	}
	return all
}

// numbered is what the primary has in its log from a number on.
func (o *one) numbered(first uint64) []message.CausalWrite {
	o.step(&message.Gap{Header: o.from(1), Causal: true, First: first, Last: first + 20})
	if f := taken[*message.Fill](o); len(f) == 1 {
		return f[0].Writes
	}
	return nil
}

func TestBoot(t *testing.T) {
	o := started(t, configured(3, 1), nil)
	o.ask(in("linearizable set a 1"), in("causal set a 1"), in("eventual get a"))
	o.expect("1 #1 503", "2 #2 503", "3 #3 503")
	o.step(o.hello(1, 7), o.hello(3, 7))
	if o.out.Command != nil {
		t.Fatalf("proposed without r2: %+v", o.out.Command.Propose)
	}
	if why := o.Snapshot().Why; why != "waiting for the boot acknowledgement of r2" {
		t.Errorf("why: %q", why)
	}

	o.step(o.hello(2, 8))
	if got := to[*message.Probe](o); o.out.Command != nil || !slices.Equal(got, []string{"r1", "r2", "r3"}) {
		t.Fatalf("what they said may be older than a record: heartbeat to %v, and %+v", got, o.out.Command)
	}

	o.step(o.hello(1, 7), o.hello(2, 8), o.hello(3, 7))
	r := o.out.Command.Propose
	want := []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 8}, {Node: 3, Incarnation: 7}}
	if r.Epoch != 1 || !slices.Equal(r.Members, want) || r.Faults != 1 || r.Missing != 1 || r.High != 0 ||
		r.Cut != nil || r.Master != 5 || !r.Sound() {
		t.Errorf("the first record is %+v", r)
	}
	o.decide()
	if got := to[*message.Install](o); !slices.Equal(got, []string{"r1", "r2", "r3"}) {
		t.Errorf("INSTALL to %v", got)
	}
	if o.Ready() {
		t.Error("ready before any member has installed the view")
	}
	o.installed()
	if !o.Ready() || !o.Complete() {
		t.Errorf("ready %t, complete %t: %s", o.Ready(), o.Complete(), o.Snapshot().Why)
	}
}

// Requests that need the view wait while it changes, and leave under their rID in the next
// one; those that had left already are sent again.
func TestRequestsWaitForTheNextView(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable set a 1")), at(3, in("sequential set a 2")), at(2, in("linearizable get a")))
	o.answer(1, 1, model.OK)
	o.expect("1 #1 200")

	o.lost(3)
	if got := to[*message.Prepare](o); !slices.Equal(got, []string{"r1", "r2"}) {
		t.Fatalf("PREPARE to %v", got)
	}

	o.ask(in("linearizable set b 1"), in("sequential get b"), at(2, in("linearizable get b")), in("causal set b 1"))
	o.expect()
	if got := o.forwarded(); len(got) != 0 || len(taken[*message.Forward](o)) != 0 {
		t.Errorf("forwarded %v while the view changes", got)
	}

	o.wedged(0, 1)
	if o.out.Command != nil {
		t.Fatal("proposed with one of three members")
	}

	o.wedged(0, 2)
	o.decide()
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v before a member has installed the view", got)
	}

	o.step(&message.Installed{Header: o.from(1)}, &message.Installed{Header: o.from(2)})

	var rids []uint64
	for _, f := range taken[*message.Forward](o) {
		if f.Epoch != 2 {
			t.Errorf("forwarded in epoch %d", f.Epoch)
		}
		for _, r := range f.Requests {
			rids = append(rids, r.RID)
		}
	}
	slices.Sort(rids)
	if !slices.Equal(rids, []uint64{2, 3, 4, 5, 6}) {
		t.Errorf("forwarded %v, want numbers 2 and 3 again and 4 to 6", rids)
	}

	goesTo := o.forwarded()
	if !slices.Contains(goesTo, "r2 #6") {
		t.Errorf("forwarded %v: #6 asks for r2", goesTo)
	}
	if writes := o.numbered(1); len(writes) != 1 || writes[0].Number != 1 || writes[0].Request.RID != 7 ||
		writes[0].Request.Version.Epoch != 2 {
		t.Errorf("causal writes %+v", writes)
	}

	o.echo(o.round, 1, 2)
	for rid := uint64(2); rid <= 6; rid++ {
		by := lamport.Node(1)
		if slices.Contains(goesTo, fmt.Sprintf("r2 #%d", rid)) {
			by = 2
		}
		o.answer(by, rid, model.OK)
		o.expect(fmt.Sprintf("%d #%d 200", rid, rid))
	}

	o.answer(2, 2, model.OK) // it was sent once more than answered
	o.expect()
}

// A request for a certain member waits until that one has installed the view; it does not
// go to another.
func TestP1TheReplicaAskedForIsWaitedFor(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.lost(3)
	o.ask(at(2, in("linearizable get a")))
	o.wedged(0, 1, 2)
	o.decide()
	o.step(&message.Installed{Header: o.from(1)})
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v: r2 was asked for and is on its way", got)
	}
	o.step(&message.Installed{Header: o.from(2)})
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #1"}) {
		t.Errorf("forwarded %v", got)
	}
	o.ask(at(3, in("linearizable get a")))
	o.expect("2 #2 503")
	if why := o.reason(); !strings.Contains(why, "r3") || !strings.Contains(why, "its process has ended") {
		t.Errorf("reason: %s", why)
	}
}

// While no view can be formed requests are refused at once, and so are those that have
// waited and were never forwarded. One that was forwarded goes on waiting: it may have
// been executed.
func TestRefusedWhileNoViewCanBeFormed(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable set a 1")))
	o.lost(3)
	o.ask(in("linearizable set a 2"), in("causal set a 2"))
	o.expect()
	o.lost(2)
	o.expect("2 #2 503", "3 #3 503")
	for _, r := range o.out.Replies {
		if !strings.Contains(r.Reason, "r2, r3 of the view's 3 members cannot be reached") ||
			!strings.Contains(r.Reason, "2 of them are needed") {
			t.Errorf("reason: %s", r.Reason)
		}
	}
	o.ask(in("sequential get a"), in("causal set a 3"), at(1, in("linearizable get a")))
	o.expect("4 #4 503", "5 #5 503", "6 #6 503")
	o.silent[2], o.silent[3] = true, true
	o.pass(timeout)
	o.expect("1 #1 504")
	if s := o.Snapshot(); s.Ready || !strings.Contains(s.Why, "cannot be reached") {
		t.Errorf("ready %t: %s", s.Ready, s.Why)
	}
}

// At the timeout: what no replica was ever sent had no effect (503), what one was sent may
// have had (504).
func TestTimeoutWhileTheViewChanges(t *testing.T) {
	o := ready(t, configured(3, 1))
	set := id("x", in("linearizable set a 1"))
	o.ask(at(1, id("w", in("linearizable set a 1"))))
	o.lost(3) // r2 does not answer PREPARE, and is not suspected yet

	o.ask(set, in("sequential get a"), in("causal set a 1"))
	o.pass(timeout)
	o.expect("1 #1 504", "2 #2 503", "3 #3 503", "4 #4 503")
	for _, r := range o.out.Replies[1:] {
		if !strings.HasPrefix(r.Reason, "not executed: ") {
			t.Errorf("#%d: %s", r.RID, r.Reason)
		}
	}

	if o.InFlight() != 0 {
		t.Errorf("%d in flight", o.InFlight())
	}

	o.wedged(0, 1, 2)
	o.decide()
	o.installed()
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v: nobody waits for them", got)
	}

	o.ask(at(1, set)) // its identity is free: it is a new request
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #5"}) {
		t.Errorf("forwarded %v", got)
	}
	o.ask(at(1, id("w", in("linearizable set a 1")))) // this one keeps its id
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #1"}) {
		t.Errorf("forwarded %v", got)
	}
}

// A retry that comes while its first sending waits joins it.
func TestARetryJoinsWhatWaitsForTheView(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(3, id("x", in("linearizable set a 1"))))
	o.lost(3)
	o.pass(again)
	o.ask(at(1, id("x", in("linearizable set a 1"))))
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("forwarded %v while the view changes", got)
	}
	o.wedged(0, 1, 2)
	o.decide()
	o.installed()
	if got := o.forwarded(); len(got) != 1 || !strings.HasSuffix(got[0], "#1") {
		t.Fatalf("forwarded %v, want #1 once", got)
	}
	o.answer(2, 1, model.OK)
	o.expect("1 #1 200", "2 #1 200 repeated")
}

// What the record's high-water covers is answered; what stands above it is void and gets
// new numbers, in the order of the ids, with new stamps.
func TestCausalNumbersOverAChange(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(in("causal set a 1"), in("causal set a 2"), id("x", in("causal set a 3")), in("causal set a 4"))
	old := taken[*message.Forward](o)[0].Writes

	o.lost(3)
	o.ask(in("causal set a 5"))
	o.wedged(0, 1)
	o.wedged(2, 2)

	asked := taken[*message.Prepare](o)
	if len(asked) != 1 || asked[0].High != 2 || asked[0].Holder != 2 || asked[0].Attempt != 2 || o.out.Command != nil {
		t.Fatalf("r1 lacks numbers 1 and 2: PREPARE %+v, command %+v", asked, o.out.Command)
	}

	o.wedged(2, 1)
	if h := o.out.Command.Propose.High; h != 2 {
		t.Fatalf("high-water %d, want 2", h)
	}

	o.decide()
	o.expect("1 #1 200 number 1", "2 #2 200 number 2")
	o.installed()

	f := taken[*message.Forward](o)
	if len(f) != 2 || f[0].Marks != (message.Marks{Last: 5, Safe: 2, Held: 2}) {
		t.Fatalf("FORWARD %+v", f)
	}

	again := o.numbered(1)
	if len(again) != 3 {
		t.Fatalf("numbered %+v", again)
	}

	for i, w := range again {
		if w.Number != uint64(i+3) || w.Request.RID != uint64(i+3) || w.Request.Version.Epoch != 2 {
			t.Errorf("number %d is #%d with version %v", w.Number, w.Request.RID, w.Request.Version)
		}
		if i > 0 && !again[i-1].Request.Version.Less(w.Request.Version) {
			t.Errorf("number %d has version %v, the one before %v", w.Number, w.Request.Version, again[i-1].Request.Version)
		}
	}

	if old[2].Request.RID != 3 || !old[2].Request.Version.Less(again[0].Request.Version) {
		t.Errorf("#3 had %v and has %v", old[2].Request.Version, again[0].Request.Version)
	}

	o.holds(1, 5)
	o.expect()
	o.holds(2, 5)
	o.expect("3 #3 200 number 3", "4 #4 200 number 4", "5 #5 200 number 5")

	o.ask(id("x", in("causal set a 3")))
	o.expect("6 #3 200 number 3 repeated")
}

// What a member says it holds counts in the record's epoch only, and only once it works.
func TestAWatermarkOfAnotherEpochIsNoAcknowledgement(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.lost(3)
	late := o.from(2)
	o.wedged(0, 1, 2)
	o.decide()
	o.ask(in("causal set a 1"))
	o.installed()
	o.step(&message.Answers{Header: late, Watermark: 1}, &message.Report{Header: late, Watermark: 1})
	o.holds(1, 1)
	o.expect()
	o.holds(2, 1)
	o.expect("1 #1 200 number 1")
}

// Gets of model 3 and requests of model 4 go on while the view changes, at the members that
// have worked; what a lost one has not answered goes to another.
func TestWeakRequestsGoOn(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.lost(3)
	o.ask(at(1, in("eventual set b 1")), at(2, in("causal get b")), at(3, in("eventual get b")))
	o.expect("3 #3 503")
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #1", "r2 #2"}) {
		t.Errorf("forwarded %v", got)
	}
	for range 2 { // also while the record is being written
		o.ask(in("eventual get c"))
		o.wedged(0, 1, 2)
	}
	o.ask(at(2, in("eventual get b")))
	if got := o.forwarded(); !slices.Equal(got, []string{"r2 #6"}) {
		t.Errorf("forwarded %v", got)
	}
	for rid := uint64(4); rid <= 6; rid++ {
		o.answer(2, rid, model.OK)
		o.expect(fmt.Sprintf("%d #%d 200", rid, rid))
	}
}

// What a removed replica was sent and has not answered is sent to another, once, the eventual set
// with the stamp that it has.
func TestWeakRequestsOfARemovedReplica(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(3, in("eventual get a")), at(3, in("eventual set a 1")), at(1, in("causal get a")))
	var stamp lamport.Version
	for _, f := range taken[*message.Forward](o) {
		for _, r := range f.Requests {
			if r.RID == 2 {
				stamp = r.Version
			}
		}
	}
	o.lost(3)
	forwards := taken[*message.Forward](o)
	o.wedged(0, 1, 2)
	o.decide()
	o.installed()
	var rids []uint64
	for _, f := range append(forwards, taken[*message.Forward](o)...) {
		for _, r := range f.Requests {
			rids = append(rids, r.RID)
			if r.RID == 2 && r.Version != stamp {
				t.Errorf("stamped %v, then %v", stamp, r.Version)
			}
		}
	}
	slices.Sort(rids)
	if !slices.Equal(rids, []uint64{2}) {
		t.Errorf("forwarded %v, want the set of r3 again and nothing else", rids)
	}
}

// The record of an epoch that this master has not formed: it bumps the epoch before it
// takes requests, numbers behind the high-water, and stamps above all that survived.
func TestAMasterThatStartsBumpsTheEpoch(t *testing.T) {
	cfg := configured(3, 1)
	cfg.NextRID, cfg.Clock = 100, 1000
	old := message.Record{
		View: message.View{
			Epoch: 4, Faults: 1,
			Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}, {Node: 3, Incarnation: 7}},
		},
		Configured: []lamport.Node{1, 2, 3}, Missing: 1, High: 8, Start: 10, Master: 4, Nonce: 77,
	}

	o := started(t, cfg, &old)
	if got := taken[*message.Prepare](o); len(got) != 1 || got[0].Epoch != 4 || got[0].Incarnation != 5 {
		t.Fatalf("PREPARE %+v", got)
	}

	o.ask(in("linearizable set a 1"), in("causal set a 1"))
	o.expect() // they wait for the view

	o.clock = 3 * lamport.MaxJump
	o.wedged(12, 1, 2, 3)
	if r := o.out.Command.Propose; r.Epoch != 5 || r.High != 12 || r.Master != 5 || r.Start <= 3*lamport.MaxJump {
		t.Fatalf("proposed %+v", r)
	}

	o.decide()
	o.installed()
	if got := o.forwarded(); len(got) != 1 || !strings.HasSuffix(got[0], "#100") {
		t.Errorf("forwarded %v", got)
	}

	writes := o.numbered(1)
	if len(writes) != 1 || writes[0].Number != 13 || writes[0].Request.RID != 101 {
		t.Fatalf("numbered %+v", writes)
	}
	if v := writes[0].Request.Version; v.Epoch != 5 || v.Time <= 3*lamport.MaxJump {
		t.Errorf("version %v", v)
	}
}

// A master that takes over a cluster with many causal numbers begins at once: it does not
// walk through the numbers of its predecessors.
func TestAMasterThatStartsAfterManyNumbers(t *testing.T) {
	const many = 1 << 40
	old := message.Record{
		View: message.View{
			Epoch: 1, Faults: 1,
			Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}, {Node: 3, Incarnation: 7}},
		},
		Configured: []lamport.Node{1, 2, 3}, Missing: 1, Master: 4,
	}
	o := started(t, configured(3, 1), &old)
	o.wedged(many, 1, 2, 3)
	o.decide()
	o.installed()
	o.ask(in("causal set a 1"))
	o.holds(1, many+1)
	o.holds(2, many+1)
	o.expect(fmt.Sprintf("1 #1 200 number %d", many+1))
	o.holds(3, many+1)
	if marks := o.Snapshot().Marks; marks != (message.Marks{Last: many + 1, Safe: many + 1, Held: many + 1}) {
		t.Errorf("marks %+v", marks)
	}
}

// An identity that an earlier master numbered keeps its first number. The master asks a
// member that holds all of those.
func TestAnEarlierMastersNumberIsKept(t *testing.T) {
	old := message.Record{
		View: message.View{
			Epoch: 1, Faults: 1,
			Members: []message.Member{{Node: 1, Incarnation: 7}, {Node: 2, Incarnation: 7}, {Node: 3, Incarnation: 7}},
		},
		Configured: []lamport.Node{1, 2, 3}, Missing: 1, Master: 4,
	}
	o := started(t, configured(3, 1), &old)
	o.wedged(6, 1, 2, 3)
	o.decide()
	o.installed()
	o.ask(id("x", in("causal set a 1")), id("y", in("causal set a 2")), in("causal set a 3"))
	asked := o.forwarded()
	if len(asked) != 2 {
		t.Fatalf("asked %v, want #1 and #2: #3 has no identity", asked)
	}
	var by lamport.Node

	for _, s := range o.out.Sends {
		if f, ok := s.Msg.(*message.Forward); ok && len(f.Requests) > 0 {
			by = s.To[0]
		}
	}
	o.step(&message.Answers{Header: o.from(by), Answers: []message.Answer{
		{Answer: model.Answer{RID: 1, Code: model.OK, Timestamp: 4}, FirstRID: 90}, {Answer: model.Answer{RID: 2, Code: model.NotFound}},
	}})
	o.expect("1 #90 200 number 4")
	writes := taken[*message.Forward](o)[0].Writes
	if len(writes) != 1 || writes[0].Number != 8 || writes[0].Request.RID != 2 {
		t.Errorf("numbered %+v, want #2 as number 8", writes)
	}
}

// No id is given out twice, also if a master with another directory gave ids out.
func TestIDsPassThoseThatReplicasHaveSeen(t *testing.T) {
	for _, test := range []struct {
		seen uint64
		same bool
	}{{39, true}, {40, false}, {5000, false}} {
		t.Run(fmt.Sprint(test.seen), func(t *testing.T) {
			cfg := configured(3, 1)
			cfg.NextRID = 40
			o := started(t, cfg, nil)
			h := o.hello(1, 7)
			h.LastRID = test.seen
			o.step(h)
			if next := o.NextRID(); next <= test.seen || (next == 40) != test.same {
				t.Errorf("the next id is %d", next)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	o := ready(t, configured(3, 1))

	status := func() master.Status {
		o.t.Helper()
		if len(o.out.Statuses) != 1 || o.out.Statuses[0].Token != 9 {
			t.Fatalf("statuses %+v", o.out.Statuses)
		}
		return o.out.Statuses[0].Status
	}

	o.turn(func() { o.Status(9, &o.out) })
	nonce := taken[*message.Probe](o)[0].Nonce
	for _, n := range []lamport.Node{1, 2, 3} {
		if len(o.out.Statuses) != 0 {
			t.Fatalf("answered before %v has reported", n)
		}
		o.step(&message.Report{Header: o.from(n), Nonce: nonce, Position: 10, Keys: 4})
	}

	if s := status(); !s.Ready || s.Why != "" || s.Epoch != 1 || s.Configured != 3 || len(s.Replicas) != 3 ||
		s.Replicas[2].Report.Position != 10 || s.Replicas[2].PID != 103 || !s.Replicas[2].Member {
		t.Errorf("status %+v", s)
	}

	// It waits for those that work only. One that is loaded says how far it has come.
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()
	o.installed()

	learner := o.hello(3, 8)
	learner.Epoch, learner.Phase, learner.Keys, learner.PID = 2, message.PhaseLearning, 3, 200
	o.step(learner)

	o.turn(func() { o.Status(9, &o.out) })
	nonce = taken[*message.Probe](o)[0].Nonce
	o.step(&message.Report{Header: o.from(1), Nonce: nonce}, &message.Report{Header: o.from(2), Nonce: nonce})
	if s := status(); !s.Ready || s.Epoch != 2 || s.Replicas[2].Member || s.Replicas[2].Incarnation != 8 || s.Replicas[2].PID != 200 ||
		s.Replicas[2].Reason != "it is being loaded (3 keys so far)" {
		t.Errorf("status %+v", s)
	}

	if o.Complete() {
		t.Error("complete without r3")
	}

	// A replica that does not report is not waited for beyond 30 ticks.
	o.turn(func() { o.Status(9, &o.out) })
	o.silent[1] = true
	o.pass(29)
	if len(o.out.Statuses) != 0 {
		t.Error("answered before r1 has reported")
	}
	o.pass(1)
	status()
}

// The news that a process has ended counts for that process only.
func TestLostIsOfOneProcess(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.turn(func() { o.Lost(3, 99) })
	if len(taken[*message.Prepare](o)) != 0 || !o.Ready() {
		t.Error("the end of an earlier process of r3 changed the view")
	}
	o.lost(3)
	if len(taken[*message.Prepare](o)) != 1 || o.Ready() {
		t.Error("the end of r3's process did not change the view")
	}
}

// A member that comes back with its disk, as the same incarnation, serves nothing before it
// is in a view again: it is another process, which knows nothing of what the first took.
func TestAMemberThatCameBackServesNothingYet(t *testing.T) {
	o := ready(t, configured(3, 1))
	h := o.hello(3, 7)
	h.Epoch, h.Phase, h.PID = 1, message.PhaseWedged, 300
	o.step(h)
	if len(taken[*message.Prepare](o)) != 1 {
		t.Error("no change was begun")
	}
	o.ask(at(3, in("eventual get a")))
	o.expect("1 #1 503")
	o.wedged(0, 1, 2, 3)
	if got := len(o.out.Command.Propose.Members); got != 3 {
		t.Errorf("%d members", got)
	}
	o.decide()
	o.installed()
	o.ask(at(3, in("eventual get a")))
	o.expect()
}

// A master that is superseded says so and takes nothing.
func TestSuperseded(t *testing.T) {
	o := ready(t, configured(3, 1))
	h := o.hello(2, 7)
	h.Epoch, h.Phase, h.Master = 1, message.PhaseWedged, 6
	o.step(h)
	if !o.Superseded() {
		t.Fatal("not superseded")
	}
	o.ask(in("linearizable set a 1"), in("causal set a 1"))
	o.expect("1 #1 503", "2 #2 503")
	if why := o.out.Replies[0].Reason; why != "there is a newer master" {
		t.Errorf("reason: %s", why)
	}
	o.pass(3 * suspect)
	if o.out.Command != nil || len(taken[*message.Prepare](o)) != 0 {
		t.Error("it goes on with views")
	}
}

// One that is taken out gets nothing new, and goes once nothing is held by it alone.
func TestRemoveDrainsFirst(t *testing.T) {
	o := ready(t, configured(3, 1))
	if o.Remove(9) {
		t.Error("removed one that is not there")
	}

	o.ask(at(2, in("eventual set a 1")))
	o.turn(func() {
		if !o.Remove(2) {
			t.Error("not removed")
		}
	})

	o.ask(at(2, in("eventual get a")))
	o.expect("2 #2 503")
	if why := o.reason(); !strings.HasSuffix(why, "it is being taken out of the cluster") {
		t.Errorf("reason: %s", why)
	}

	for range 8 {
		o.ask(in("eventual get a"), in("linearizable get a"))
		for _, line := range o.forwarded() {
			if strings.HasPrefix(line, "r2") {
				t.Errorf("forwarded %s", line)
			}
		}
	}

	report := func(own uint64) {
		o.turn(func() { o.Status(1, &o.out) })
		nonce := taken[*message.Probe](o)[0].Nonce
		o.step(&message.Report{Header: o.from(2), Nonce: nonce, Own: own})
	}

	begun := func() bool { return len(taken[*message.Prepare](o)) > 0 }

	report(1)
	if begun() {
		t.Fatal("it goes, and has not answered #1")
	}

	o.answer(2, 1, model.OK)
	report(1)
	if begun() {
		t.Fatal("it goes with a write that nobody else has")
	}

	report(0)
	if !begun() {
		t.Fatal("it does not go")
	}

	o.wedged(0, 1, 2, 3)
	r := o.out.Command.Propose
	if len(r.Members) != 2 || slices.Contains(r.Configured, 2) {
		t.Errorf("proposed %+v", r)
	}
}

// One that is taken out and cannot be reached is not waited for.
func TestRemoveOneThatIsLost(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()
	o.installed()
	o.turn(func() {
		if !o.Remove(3) {
			t.Error("not removed")
		}
	})
	if len(taken[*message.Prepare](o)) == 0 {
		t.Fatal("no change was begun")
	}
	o.wedged(0, 1, 2)
	r := o.out.Command.Propose
	mayMiss := r.Missing == 0 || r.Missing == 1
	if slices.Contains(r.Configured, 3) || !mayMiss {
		t.Errorf("proposed %+v", r)
	}
}

// W1: a master that takes over running replicas, and cannot read the record, or has read it and
// cannot write the next, goes on with what needs no view.
func TestW1WeakRequestsNeedNoRecord(t *testing.T) {
	o := &one{t: t, Machine: master.New(configured(3, 1)), silent: map[lamport.Node]bool{}}
	o.turn(func() {})
	atWork := func(n lamport.Node, epoch uint64) *message.Hello {
		h := o.hello(n, 7)
		h.Epoch, h.Phase, h.Nonce, h.Clock = epoch, message.PhaseMember, 1, 9000
		return h
	}
	o.ask(in("eventual get a"))
	o.expect("1 #1 503")
	o.step(atWork(1, 6), atWork(2, 6), atWork(3, 5)) // r3 may have been taken out of the cluster since
	o.ask(at(1, in("eventual set a 1")), at(2, in("causal get a")), at(3, in("eventual get a")),
		in("linearizable get a"), in("causal set a 1"))
	o.expect("4 #4 503", "5 #5 503", "6 #6 503")
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #2", "r2 #3"}) {
		t.Errorf("forwarded %v", got)
	}
	for _, f := range taken[*message.Forward](o) {
		for _, r := range f.Requests {
			v := r.Version
			isAbove := v.Epoch == 6 && v.Time > 9000
			if r.Type == model.Set && !isAbove {
				t.Errorf("the version is %v: it must be above all that the replicas have seen", v)
			}

			// The master of epoch 6 may live, and stamps as m1.
			isOfANode := v.Node.IsReplica() || v.Node == lamport.Master(1)
			if r.Type == model.Set && isOfANode {
				t.Errorf("the version is %v: it may be one that another master gives, too", v)
			}
		}
	}
	o.answer(1, 2, model.OK)
	o.expect("2 #2 200")

	// The record can be read, and the next one is written without anybody learning it.
	o.record = message.Record{View: message.View{Epoch: 6, Faults: 1}, Configured: []lamport.Node{1, 2, 3}, Missing: 1, Start: 1, Master: 4}
	for n := range 3 {
		o.record.Members = append(o.record.Members, message.Member{Node: lamport.Replica(n + 1), Incarnation: 7})
	}
	o.Result(membership.Result{Number: 1, Fate: membership.Read, Record: &o.record, Revision: 9}, &o.out)
	o.wedged(0, 1, 2, 3)
	o.ask(at(1, in("eventual get a")), at(2, in("eventual set a 2")))
	if got := o.forwarded(); !slices.Equal(got, []string{"r1 #7", "r2 #8"}) {
		t.Errorf("forwarded %v", got)
	}
}

// A request that needs no view, and that was on its way to a replica in the very turn in
// which the record was decided, leaves with that turn: nobody sends it again.
func TestADecisionTakesNothingFromItsTurn(t *testing.T) {
	for _, text := range []string{"eventual get a", "causal get a", "eventual set a 1"} {
		t.Run(text, func(t *testing.T) {
			o := ready(t, configured(3, 1))
			o.lost(3)
			o.wedged(0, 1, 2)
			c := o.out.Command
			if c == nil || c.Propose == nil {
				t.Fatal("nothing is proposed")
			}
			o.turn(func() {
				request := at(1, in(text))
				request.Token = 1
				o.Request(request, &o.out)
				o.Result(membership.Result{Number: c.Number, Fate: membership.Won, Revision: o.revision + 1}, &o.out)
			})
			if got := o.forwarded(); !slices.Equal(got, []string{"r1 #1"}) {
				t.Errorf("forwarded %v", got)
			}
		})
	}
}
