package membership_test

import (
	"testing"

	"quartet/bus/message"
)

// lived is a membership of which each replica rN has a process that the record names by life N,
// and all are asked, since r3's has come back.
func lived(t *testing.T, replicas int, options ...option) *one {
	t.Helper()
	o := fresh(t, replicas, options...)
	o.reads(recordOf(3, replicas, self-1, options...), 7)
	for n, member := range o.Record().Members {
		o.hello(member.Node, func(h *message.Hello) { h.Phase, h.Past.Life = message.PhaseWedged, uint64(n+1) })
	}
	for n := range replicas {
		o.says(o.stateOfLife(n+1, uint64(n+1), make([]uint64, replicas)...))
	}
	o.wins()
	o.installAll()
	o.again(3, 30)
	return o
}

// again is a turn in which a replica has come back with its disk, as a process of this life.
func (o *one) again(n int, life uint64) {
	o.turn(func() {
		o.Asked(o.nonce + 1)
		o.helloIn(o.Record().Members[n-1].Node, func(h *message.Hello) {
			h.Phase, h.PID, h.Past.Life, h.Nonce = message.PhaseWedged, int(life), life, o.nonce+2
		})
		o.nonce += 2
	})
}

func (o *one) stateOfLife(n int, life uint64, contiguous ...uint64) *message.State {
	s := o.stateWith(n, nil, contiguous...)
	s.Proof.Life = life
	return s
}

// What a member that was started again does not hold, and all others do, it may have delivered
// before: it is left out, and the cut is that of the others.
func TestF15WhoWasStartedAgainAndHoldsLessIsLeftOut(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 3, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7" || r.Cut[0] != 3 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// What another member does not hold either was delivered nowhere.
func TestF15WhatOthersLackIsNotMissed(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 2, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" || r.Cut[0] != 2 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// A process that the record names holds what it has ever held, however little that is.
func TestF15AProcessThatGoesOnIsNotInDoubt(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 2, 1, 0))
	o.says(o.stateOfLife(2, 2, 4, 1, 0))
	o.says(o.stateOfLife(3, 30, 4, 1, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" || r.Cut[0] != 2 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// Where another member is away the next view needs the one in doubt: it is named, and the cut is
// that of the others all the same. It lacks some of that, and is loaded.
func TestF15WhoIsNeededIsNamed(t *testing.T) {
	o := lived(t, 3)
	o.lost(2)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r3/7" || r.Cut[0] != 4 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// Where no replica may be missing, whoever is named must enter the view: the cut is what all hold.
func TestF15NobodyMayBeMissing(t *testing.T) {
	o := lived(t, 3, missing(0))
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 3, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	if r := o.proposed(); nodes(r) != "r1/7 r2/7 r3/7" || r.Cut[0] != 2 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}

// If all were started again, one that holds less than all others is in doubt, and of several none
// is.
func TestF15AllWereStartedAgain(t *testing.T) {
	for _, test := range []struct {
		name          string
		first, second []uint64
		want          string
		cut           uint64
	}{
		{"one", []uint64{4, 1, 0}, []uint64{3, 1, 0}, "r1/7 r2/7", 3},
		{"two", []uint64{4, 0, 0}, []uint64{3, 1, 0}, "r1/7 r2/7 r3/7", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := lived(t, 3)
			o.again(1, 10)
			o.again(2, 20)
			o.says(o.stateOfLife(1, 10, test.first...))
			o.says(o.stateOfLife(2, 20, test.second...))
			o.says(o.stateOfLife(3, 30, 2, 1, 0))
			if r := o.proposed(); nodes(r) != test.want || r.Cut[0] != test.cut {
				t.Errorf("members %s, cut %v", nodes(r), r.Cut)
			}
		})
	}
}

// The copy of a member that is in doubt is not let in: what it lacks may have been delivered.
func TestF15TheCopyOfWhoIsInDoubt(t *testing.T) {
	o := lived(t, 5)
	for n := 1; n <= 3; n++ {
		life := uint64(n)
		if n == 3 {
			life = 30
		}
		o.says(o.stateOfLife(n, life, 0, 0, 0, 0, 0))
	}
	o.lost(4)
	o.lost(5)
	o.wins()
	o.installAll()
	o.caught(5, 8)
	o.again(3, 300)
	o.says(o.stateOfLife(1, 1, 4, 0, 0))
	o.says(o.stateOfLife(2, 2, 4, 0, 0))
	o.says(o.stateOfLife(3, 300, 2, 0, 0))
	s := o.stateOfLife(1, 0, 2, 0, 0)
	s.From, s.Incarnation = 5, 8
	o.says(s)
	if r := o.proposed(); r.Cut[0] != 4 || r.Index(5) >= 0 {
		t.Errorf("members %s, cut %v", nodes(r), r.Cut)
	}
}
