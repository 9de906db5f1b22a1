package replica_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// lacking is a replica that was started again with its disk, wedged, and is to hold three DATA of
// r2 and one of r3; it has one of r2.
func lacking(t *testing.T) (*one, []*message.Data) {
	t.Helper()
	o := fresh(t, 10, onDisk)
	o.install(recordOf(1, 3))
	o.disk.keep(o.out.Turn)
	var data []*message.Data
	for seq := uint64(1); seq <= 3; seq++ {
		data = append(data, strong(o.peer(2), seq, request(seq, "linearizable set a 1")))
	}
	data = append(data, weak(o.peer(3), 1, request(9, "eventual set w 1")))
	o.step(data[0])
	o.disk.keep(o.out.Turn)

	b := o.back()
	b.step(&message.Prepare{Header: b.master(), Attempt: 2, Cut: []uint64{0, 3, 1}})
	return b, data
}

func (o *one) fills(data ...*message.Data) {
	o.step(&message.Fill{Header: o.peer(3), Data: data})
	o.disk.keep(o.out.Turn)
}

func (o *one) expectGap(of lamport.Node, first, last uint64) {
	o.t.Helper()
	gaps := taken[*message.Gap](o)
	if len(gaps) != 1 || gaps[0].Causal || gaps[0].Of != of || gaps[0].First != first || gaps[0].Last != last {
		o.t.Errorf("asks %+v, want %d to %d of %v", gaps, first, last, of)
	}
}

// A wedged replica answers PREPARE at once, asks for what it is to hold, of one member after the
// other, and says so when it is there.
func TestF15PrepareFetchesData(t *testing.T) {
	o, data := lacking(t)
	o.expectSent("GAP r2, STATE m1")
	o.expectGap(2, 2, 3)
	if s := taken[*message.State](o)[0]; !slices.Equal(s.Contiguous, []uint64{0, 1, 0}) {
		t.Errorf("STATE %+v", s)
	}

	o.pass(2)
	o.expectSent("HELLO m1, GAP r3") // r2 has not answered
	o.fills(data[1])
	o.expectSent("GAP r3")
	o.expectGap(2, 3, 3)
	o.fills(data[2])
	o.expectGap(3, 1, 1)
	o.fills(data[3])
	o.expectSent("STATE m1")
	if s := taken[*message.State](o)[0]; !slices.Equal(s.Contiguous, []uint64{0, 3, 1}) || s.Attempt != 2 {
		t.Errorf("STATE %+v", s)
	}
	o.pass(10)
	if gaps := taken[*message.Gap](o); len(gaps) > 0 {
		t.Errorf("asks %+v, and lacks nothing", gaps)
	}

	// What was brought is on disk, and is delivered by the cut.
	b := o.back()
	b.wedge()
	b.install(b.next(0, 3, 1))
	if s := b.Stats(); b.Fault() != "" || b.Reason() != "" || s.Phase != message.PhaseMember || s.Position != 4 {
		t.Errorf("fault %q, reason %q, %+v", b.Fault(), b.Reason(), s)
	}
}

// What is not asked for does not come in.
func TestF15OnlyWhatIsAskedForIsTaken(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(d *message.Data)
	}{
		{"beyond the cut", func(d *message.Data) { d.Seq, d.LastSeq = 4, 4 }},
		{"beyond a gap", func(d *message.Data) { d.Seq, d.LastSeq = 3, 3 }},
		{"held already", func(d *message.Data) { d.Seq = 1 }},
		{"of another epoch", func(d *message.Data) { d.Epoch = 2 }},
		{"of another process", func(d *message.Data) { d.Incarnation = 8 }},
		{"of no member", func(d *message.Data) { d.From = 4 }},
		{"before what its sender had sent before", func(d *message.Data) { d.Clock = 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, data := lacking(t)
			d := *data[1]
			test.change(&d)
			o.fills(&d)
			if s := o.wedge(); !slices.Equal(s.Contiguous, []uint64{0, 1, 0}) || o.Stats().Queue != 1 {
				t.Errorf("it holds %v", s.Contiguous)
			}
		})
	}

	o, data := lacking(t)
	o.wedge() // another master wants nothing of it
	o.fills(data[1])
	if s := o.wedge(); !slices.Equal(s.Contiguous, []uint64{0, 1, 0}) {
		t.Errorf("it holds %v", s.Contiguous)
	}
}

// A wedged member brings what it holds and has not delivered, of any member; one that works does
// not.
func TestF15AWedgedMemberBringsData(t *testing.T) {
	o := alone(t, 3, 10)
	for seq := uint64(1); seq <= 3; seq++ {
		o.step(strong(o.peer(2), seq, request(seq, "linearizable set a 1")))
	}
	gap := func(of lamport.Node, first, last uint64) []*message.Data {
		o.step(&message.Gap{Header: o.peer(3), Of: of, First: first, Last: last})
		var data []*message.Data
		for _, f := range taken[*message.Fill](o) {
			data = append(data, f.Data...)
		}
		return data
	}
	if got := gap(2, 1, 3); len(got) > 0 {
		t.Errorf("while it works: %d DATA", len(got))
	}
	o.wedge()
	if got := gap(2, 2, 9); len(got) != 2 || got[0].Seq != 2 || got[1].Seq != 3 {
		t.Errorf("%d DATA of r2", len(got))
	}
	if got := gap(1, 1, 9); len(got) > 0 {
		t.Errorf("%d DATA of r1, which has sent none", len(got))
	}
}
