package abcast_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

func names(queue []*message.Data) string {
	var all []string
	for _, d := range queue {
		all = append(all, fmt.Sprintf("%v#%d", d.From, d.Seq))
	}
	return strings.Join(all, " ")
}

// A member that is wedged keeps what it holds without a gap and has not delivered, in the
// order of its places; a turn that somebody waited for is gone.
func TestWedge(t *testing.T) {
	m := group(3)
	r1 := m[0]
	r1.take(data(3, 1, 10, 0, 0, 1))
	r1.take(data(2, 1, 12, 0, 1, 0))
	r1.take(ack(2, 1, 50, 0, 1, 1))
	r1.take(ack(3, 1, 11, 0, 0, 1))
	expect(t, r1, 301)
	r1.take(data(3, 2, 14, 0, 0, 2))
	r1.take(data(2, 3, 16, 0, 3, 0)) // beyond a gap
	own := r1.submit(1)
	r1.Wait()
	r := r1.Wedge()
	if got := names(r.Queue); got != "r2#1 r3#2 r1#1" {
		t.Errorf("it keeps %s", got)
	}
	if !slices.Equal(r.Contiguous, []uint64{1, 1, 2}) || r.Place != (lamport.Timestamp{Time: 10, Node: 3}) ||
		r.Queue[2] != own || len(r.View.Members) != 3 {
		t.Errorf("it keeps %+v", r)
	}
}

// The cut of the record that ends the epoch: what is inside is delivered, in order; what
// is beyond is not; what cannot be is an error.
func TestCut(t *testing.T) {
	// r1 holds 3, 2 and 2 DATA of the members, and has delivered the first of r1 and r2.
	remains := func() *abcast.Remains {
		v := message.View{Epoch: 1, Members: []message.Member{{Node: 1}, {Node: 2}, {Node: 3}}}
		r := &abcast.Remains{View: v, Contiguous: []uint64{3, 2, 2}, Place: lamport.Timestamp{Time: 11, Node: 2}}
		r.Queue = []*message.Data{data(3, 2, 21), data(1, 3, 30), data(2, 2, 20), data(1, 2, 20), data(3, 1, 12)}
		r.Sort()
		return r
	}

	for _, test := range []struct {
		name   string
		cut    []uint64
		inside string
		err    string
	}{
		{"all of it", []uint64{3, 2, 2}, "r3#1 r1#2 r2#2 r3#2 r1#3", ""},
		{"what was delivered, and no more", []uint64{1, 1, 0}, "", ""},
		{"a prefix of each sender, not of the order", []uint64{3, 1, 1}, "r3#1 r1#2 r1#3", ""},
		{"one sender beyond", []uint64{1, 2, 2}, "r3#1 r2#2 r3#2", ""},
		{"more than is held", []uint64{3, 3, 2}, "", "the cut has 3 DATA of r2, and 2 are held"},
		{"less than was delivered", []uint64{0, 1, 0}, "", "the cut has 0 DATA of r1, and 1 were delivered"},
		{"of another view", []uint64{3, 2}, "", "a cut of 2 members for a view of 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inside, err := remains().Cut(test.cut)
			got := fmt.Sprint(err)
			if (err != nil) != (test.err != "") {
				t.Fatalf("error %q, want %q", got, test.err)
			}
			if err != nil && got != test.err {
				t.Fatalf("error %q, want %q", got, test.err)
			}
			if got := names(inside); got != test.inside {
				t.Errorf("inside: %q, want %q", got, test.inside)
			}
		})
	}

	r := remains()
	r.Queue = append(r.Queue, data(4, 1, 40))
	if _, err := r.Cut([]uint64{3, 2, 2}); err == nil {
		t.Error("DATA of no member are inside the cut")
	}
}

// What one message brings is bounded: in bytes, of which the first DATA has as many as it needs,
// and in number.
func TestF15WhatIsBroughtIsBounded(t *testing.T) {
	for _, test := range []struct{ bytes, want int }{{10, 256}, {100 << 10, 2}, {300 << 10, 1}} {
		r := &abcast.Remains{View: message.View{Epoch: 1, Members: []message.Member{{Node: 1}, {Node: 2}}}}
		for seq := range uint64(300) {
			other, d := data(1, seq+1, 10*seq+1), data(2, seq+1, 10*seq+2)
			d.Ops[0].Request.Value = make([]byte, test.bytes)
			r.Queue = append(r.Queue, other, d)
		}
		got := r.Between(2, 3, 1<<60)
		if len(got) != test.want || got[0].Seq != 3 {
			t.Errorf("of %d bytes each: %d DATA", test.bytes, len(got))
		}
	}
}

// What is brought stands at its place in the queue, and what was told of before stays as it was
// told.
func TestF15WhatIsBroughtIsHeld(t *testing.T) {
	view := message.View{Epoch: 1, Members: []message.Member{{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 1}}}
	r := &abcast.Remains{
		View: view, Contiguous: []uint64{2, 1}, Queue: []*message.Data{data(1, 2, 30)}, Place: lamport.Timestamp{Time: 12, Node: 2},
	}
	told := r.Contiguous
	if !r.Take(data(2, 2, 20), []uint64{2, 3}) || !r.Take(data(2, 3, 40), []uint64{2, 3}) {
		t.Fatal("not taken")
	}
	if got := names(r.Queue); got != "r2#2 r1#2 r2#3" || !slices.Equal(r.Contiguous, []uint64{2, 3}) || !slices.Equal(told, []uint64{2, 1}) {
		t.Errorf("%s, %v, told %v", got, r.Contiguous, told)
	}
	delivered := &abcast.Remains{View: view, Contiguous: []uint64{2, 1}, Place: lamport.Timestamp{Time: 20, Node: 2}}
	if delivered.Take(data(2, 2, 19), []uint64{2, 3}) {
		t.Error("taken, and it stands before what was delivered")
	}
}

// Whatever a member acknowledged before it was wedged it still holds, or has delivered:
// that is what makes the least of what members hold a cut that nobody has passed.
func TestNothingAcknowledgedIsMissing(t *testing.T) {
	m := group(3)
	for rid := uint64(1); rid <= 4; rid++ {
		d := m[0].submit(rid)
		m[1].take(d)
		for _, a := range of[*message.Ack](m[1].turn()) {
			m[0].take(a)
		}
		if rid <= 2 {
			m[2].take(d)
			for _, a := range of[*message.Ack](m[2].turn()) {
				m[0].take(a)
			}
		}
	}
	expect(t, m[0], 1, 2)

	cut := []uint64{4, 0, 0}
	var all []*abcast.Remains
	for _, member := range m {
		r := member.Wedge()
		all = append(all, r)
		for i := range cut {
			cut[i] = min(cut[i], r.Contiguous[i])
		}
	}

	if !slices.Equal(cut, []uint64{2, 0, 0}) {
		t.Fatalf("cut %v", cut)
	}

	for i, want := range []string{"", "r1#1 r1#2", "r1#1 r1#2"} {
		inside, err := all[i].Cut(cut)
		if err != nil || names(inside) != want {
			t.Errorf("r%d delivers %q, error %v, want %q", i+1, names(inside), err, want)
		}
	}
}

// What must be on disk before it is acknowledged or leaves: each DATA once, sent ones too.
func TestKept(t *testing.T) {
	view := message.View{Epoch: 1, Members: []message.Member{{Node: 1, Incarnation: 1}, {Node: 2, Incarnation: 1}}}
	clock := &lamport.Clock{}
	r1 := &member{
		Broadcast: abcast.New(abcast.Config{Self: 1, Incarnation: 1, View: view, Clock: clock, Keep: true}),
		clock:     clock, node: 1,
	}
	r1.take(data(2, 2, 20, 0, 2)) // beyond a gap: it is not acknowledged
	if got := names(r1.Kept()); got != "" {
		t.Errorf("kept %s", got)
	}
	r1.take(data(2, 1, 10, 0, 1))
	r1.take(data(2, 1, 10, 0, 1))
	own := r1.submit(1)
	if got := names(r1.Kept()); got != "r2#1 r2#2 r1#1" {
		t.Errorf("kept %s", got)
	}
	if got := names(r1.Kept()); got != "" {
		t.Errorf("kept %s again", got)
	}
	r1.take(ack(2, 2, 30, 1, 2))
	expect(t, r1, 201, 202, 1)
	if r1.Place() != abcast.PlaceOf(own) {
		t.Errorf("place %v, want %v", r1.Place(), abcast.PlaceOf(own))
	}
}
