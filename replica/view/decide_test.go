package view_test

import (
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/view"
)

// record is one of an epoch with r1 to r3, each incarnation 7 and life 70.
func record(epoch uint64) *message.Record {
	r := &message.Record{View: message.View{Epoch: epoch, Faults: 1}, Master: epoch, Nonce: 10 * epoch}
	for n := lamport.Replica(1); n <= lamport.Replica(3); n++ {
		r.Configured = append(r.Configured, n)
		r.Members = append(r.Members, message.Member{Node: n, Incarnation: 7, Life: 70})
	}
	for e := uint64(1); e < epoch; e++ {
		r.Lineage = append(r.Lineage, message.Ancestor{Epoch: e, Nonce: 10 * e})
	}
	if epoch > 1 {
		r.Cut = []uint64{0, 0, 0}
	}
	return r
}

func process(incarnation, life uint64) *view.Self {
	s := view.NewSelf(lamport.Replica(1), incarnation, life)
	s.Start()
	return &s
}

// The rules of an epoch's end, as far as a record decides: where a replica stands, what the
// record says, and what follows.
func TestDecide(t *testing.T) {
	none := &message.Record{}
	r1, r2, r3 := record(1), record(2), record(3)

	other2 := record(2) // epoch 2, decided otherwise by a later master
	other2.Nonce, other2.Master = 99, 9
	on3 := record(3) // epoch 3, which follows on the other epoch 2
	on3.Lineage[1].Nonce = 99
	older2 := record(2)
	older2.Nonce, older2.Master = 99, 1
	uncut := record(2)
	uncut.Cut = nil

	member := view.Standing{Record: r1, Works: true}
	wedged := view.Standing{Record: r1, Wedged: true}
	copied := view.Standing{Record: r1, Wedged: true, Loads: true}
	learns := view.Standing{Record: r1, Loads: true}
	in2 := view.Standing{Record: r2, Works: true}
	worked2 := view.Standing{Record: r2, Works: true, Worked: true}

	tests := []struct {
		rule string
		self *view.Self
		at   view.Standing
		r    *message.Record
		want view.Step
		why  string
	}{
		{"F4: the first view", process(7, 70), view.Standing{Record: none}, r1, view.Enter, ""},
		{"F6: a view that was missed", process(7, 70), view.Standing{Record: none}, r2, view.Leave, ""},
		{"F4: the record of its epoch again", process(7, 70), member, r1, view.Acknowledge, ""},
		{"F5: a survivor", process(7, 70), wedged, r2, view.Survive, ""},
		{"F5: a copy that is let in", process(7, 70), copied, r2, view.Survive, ""},
		{"F6: a learner that is no copy", process(7, 70), learns, r2, view.Leave, ""},
		{"F6: another incarnation is named", process(8, 80), wedged, r2, view.Leave, ""},
		{"F6: two epochs are missed", process(7, 70), wedged, r3, view.Leave, ""},
		{"F6: it still works, so it has missed PREPARE", process(7, 70), member, r2, view.Leave, ""},
		{"recover: an operator goes on with what it has", process(7, 70), learns, uncut, view.Begin, ""},
		{"F8: a process that its disk does not know", process(7, 71), wedged, r2, view.GoBack, "older copy"},
		{"F11: its epoch was decided otherwise", process(7, 70), in2, other2, view.Leave, ""},
		{"F11: … as a later record's lineage says", process(7, 70), in2, on3, view.Leave, ""},
		{"F11: … and it has delivered something in it", process(7, 70), worked2, other2, view.SetAside, "move its directory away"},
		{"F11: … by an older master", process(7, 70), worked2, older2, view.Refuse, ""},
	}
	for _, test := range tests {
		step, why := test.self.Decide(test.r, test.at)
		if step != test.want || why == "" != (test.why == "") || !strings.Contains(why, test.why) {
			t.Errorf("%s: step %d, %q; want %d, %q", test.rule, step, why, test.want, test.why)
		}
	}
}

// Whoever was a member goes on as a greater incarnation, and so does one whom the record still
// names (rule F6).
func TestF6WhoLeavesIsAnother(t *testing.T) {
	named, others := record(2), record(2)
	named.Members[0].Incarnation = 9
	others.Members = others.Members[1:]
	others.Configured = others.Configured[1:]

	tests := []struct {
		name      string
		served    bool
		r         *message.Record
		want      uint64
		dismissed bool
	}{
		{"it was a member", true, others, 8, true},
		{"it was none, and none of its name is", false, others, 7, true},
		{"it was a member, and a later one of its name is", true, named, 10, false},
		{"it was none, and a later one of its name is", false, named, 10, false},
	}
	for _, test := range tests {
		s := process(7, 70)
		if test.served && !s.Enter(record(1)) {
			t.Errorf("%s: the record means this process, and it does not work", test.name)
		}
		s.Leave(record(1), test.r)
		if s.Incarnation() != test.want || s.Dismissed() != test.dismissed {
			t.Errorf("%s: incarnation %d, dismissed %v", test.name, s.Incarnation(), s.Dismissed())
		}
	}
}

// A process works only in an epoch whose record names its own life. An earlier life of its
// disk lets it survive, and no more (rule F8).
func TestF8AnEarlierLifeSurvivesAndDoesNotWork(t *testing.T) {
	s := process(7, 69)
	s.Restore(view.Past{Incarnation: 7, Lives: []uint64{68, 70}, Served: true})
	s.Start()

	step, _ := s.Decide(record(2), view.Standing{Record: record(1), Wedged: true})
	if step != view.Survive {
		t.Fatalf("step %d", step)
	}
	if s.Enter(record(2)) {
		t.Error("it works in an epoch that names an earlier process")
	}
	if past := s.Past(); len(past.Lives) != 2 || past.Lives[0] != 70 || past.Lives[1] != 69 {
		t.Errorf("lives %v: those before the named one can be named no more", past.Lives)
	}
}

// Of all processes of a name the last one speaks (rule F10).
func TestF10OutdatedProcesses(t *testing.T) {
	tests := []struct {
		name  string
		word  message.Outdated
		epoch uint64
		loads bool
		want  view.Renaming
		inc   uint64
		ends  bool
	}{
		{"it is new", message.Outdated{Newest: 20}, 0, false, view.Renamed, 21, false},
		{"it loads", message.Outdated{Newest: 20}, 3, true, view.Renamed, 21, false},
		{"it was a member", message.Outdated{Newest: 20}, 3, false, view.Deposed, 20, false},
		{"it is greater already", message.Outdated{Newest: 6}, 0, false, view.NotRenamed, 7, false},
		{
			"another process of its name is meant", message.Outdated{Life: 71, Newest: 20, Replaced: true}, 0, false,
			view.NotRenamed, 7, false,
		},
		{"it was replaced", message.Outdated{Life: 70, Replaced: true}, 3, false, view.NotRenamed, 7, true},
		{"no process can go on above that", message.Outdated{Newest: lamport.Limit}, 0, false, view.Implausible, 7, false},
	}
	for _, test := range tests {
		s := process(7, 70)
		got := s.Outdated(&test.word, test.epoch, test.loads)
		if got != test.want || s.Incarnation() != test.inc || s.Replaced() != test.ends {
			t.Errorf("%s: %d, incarnation %d, replaced %v", test.name, got, s.Incarnation(), s.Replaced())
		}
	}
}

// A list of lives stays bounded, with the first and the last ones.
func TestF8LivesAreBounded(t *testing.T) {
	s := view.NewSelf(lamport.Replica(1), 7, 0)
	for life := uint64(1); life <= 200; life++ {
		past := s.Past()
		s = view.NewSelf(lamport.Replica(1), 7, life)
		s.Restore(past)
		s.Start()
	}
	lives := s.Past().Lives
	if len(lives) != 64 || lives[0] != 1 || lives[63] != 200 || lives[1] != 138 {
		t.Errorf("%d lives: %v", len(lives), lives)
	}
}

// A heartbeat is answered with a BEAT to those neighbours to which nothing was sent since the
// last one (rule H1), and only in the turn in which it comes.
func TestH1BeatsGoWhereNothingElseWent(t *testing.T) {
	h := view.Neighbours{Self: lamport.Replica(1)}
	r := record(1)
	beat := func(now uint64) string {
		var to []string
		for _, n := range h.Beat(r, now) {
			to = append(to, n.String())
		}
		return strings.Join(to, " ")
	}

	if got := beat(1); got != "" {
		t.Errorf("without a heartbeat: %s", got)
	}
	h.Heartbeat()
	if got := beat(2); got != "r2 r3" {
		t.Errorf("a BEAT goes to %q", got)
	}
	h.Told([]lamport.Node{lamport.Replica(2)})
	h.Heartbeat()
	if got := beat(3); got != "r3" {
		t.Errorf("r2 was sent something, and a BEAT goes to %q", got)
	}
	h.Heartbeat()
	if got := beat(4); got != "r2 r3" {
		t.Errorf("nothing was sent since, and a BEAT goes to %q", got)
	}
}

// What is told of the others is for how long each was not heard; strangers are remembered
// while they say something (rule H1).
func TestH1SilenceIsCounted(t *testing.T) {
	h := view.Neighbours{Self: lamport.Replica(1)}
	h.Hear(lamport.Replica(1), 1) // no neighbour of its own
	h.Hear(lamport.Replica(9), 1) // a stranger
	h.Hear(lamport.Replica(2), 5)
	h.Heartbeat()
	h.Beat(record(1), 10)

	want := []message.Heard{
		{Node: lamport.Replica(2), Silent: 15}, {Node: lamport.Replica(3), Silent: 10},
		{Node: lamport.Replica(9), Silent: 19},
	}
	got := h.Heard(20)
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}

	h.Heartbeat()
	if h.Beat(record(1), 4000); len(h.Heard(4000)) != 2 {
		t.Errorf("a stranger that has gone is still told of: %v", h.Heard(4000))
	}
	for n := lamport.Replica(10); n < lamport.Replica(100); n++ {
		h.Hear(n, 5000)
	}
	if n := len(h.Heard(5000)); n != 64 {
		t.Errorf("%d neighbours", n)
	}
}
