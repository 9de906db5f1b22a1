package membership_test

import (
	"slices"
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

// expectBrought sees that these replicas, and no others, are asked to hold a cut, and that nothing
// is proposed before.
func (o *one) expectBrought(to string, cut ...uint64) {
	o.t.Helper()
	o.expectSent("PREPARE " + to)
	if o.out.Command != nil && o.out.Command.Propose != nil {
		o.t.Errorf("proposed %+v", o.out.Command.Propose)
	}
	for _, s := range o.out.Sends {
		if p, ok := s.Msg.(*message.Prepare); ok && !slices.Equal(p.Cut, cut) {
			o.t.Errorf("asked to hold %v, want %v", p.Cut, cut)
		}
	}
}

func (o *one) expectNext(members string, cut ...uint64) {
	o.t.Helper()
	if r := o.proposed(); nodes(r) != members || !slices.Equal(r.Cut, cut) {
		o.t.Errorf("members %s, cut %v, want %s, %v", nodes(r), r.Cut, members, cut)
	}
}

// What a member that was started again does not hold, and all others do, it may have delivered
// before: it is brought to it, and the cut is that of the others.
func TestF15WhoWasStartedAgainLowersNoCut(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 3, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	o.expectBrought("r3", 3, 1, 0)
	o.pass(repeated)
	o.expectBrought("r3", 3, 1, 0)
	o.says(o.stateOfLife(3, 30, 3, 1, 0))
	o.expectNext("r1/7 r2/7 r3/7", 3, 1, 0)
}

// What it held at first, told late, takes nothing back.
func TestF15AnOldStateTakesNothingBack(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 4, 0))
	o.says(o.stateOfLife(2, 2, 4, 4, 0))
	o.says(o.stateOfLife(3, 30, 2, 0, 0))
	o.says(o.stateOfLife(3, 30, 4, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 0, 0))
	o.pass(repeated)
	o.expectBrought("r3", 4, 4, 0)
	o.says(o.stateOfLife(3, 30, 4, 4, 0))
	o.expectNext("r1/7 r2/7 r3/7", 4, 4, 0)
}

// What a process that the record names does not hold either was delivered nowhere, however little
// that process holds.
func TestF15AProcessThatGoesOnLowersTheCut(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 2, 1, 0))
	o.says(o.stateOfLife(3, 30, 4, 1, 0))
	o.expectNext("r1/7 r2/7 r3/7", 2, 1, 0)
}

// Where another member is away the next view needs whoever was started again.
func TestF15WhoIsNeededIsBroughtWhatItLacks(t *testing.T) {
	o := lived(t, 3)
	o.lost(2)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	o.expectBrought("r3", 4, 1, 0)
	o.says(o.stateOfLife(3, 30, 4, 1, 0))
	o.expectNext("r1/7 r3/7", 4, 1, 0)
}

// If the one that holds it ends meanwhile, nobody waits for what can come no more.
func TestF15WhoHoldsItMayEnd(t *testing.T) {
	o := lived(t, 3)
	o.says(o.stateOfLife(1, 1, 4, 1, 0))
	o.says(o.stateOfLife(2, 2, 4, 0, 0))
	o.says(o.stateOfLife(3, 30, 2, 0, 0))
	o.expectBrought("r3", 4, 0, 0)
	o.lost(2)
	o.expectBrought("r3", 4, 1, 0)
	o.again(2, 20)
	o.lost(1)
	o.says(o.stateOfLife(2, 20, 3, 0, 0))
	o.expectBrought("r3", 3, 0, 0)
	o.says(o.stateOfLife(3, 30, 3, 0, 0))
	o.expectNext("r2/7 r3/7", 3, 0, 0)
}

// If all were started again, one of the disks at the least is whole: all that any holds is brought
// to all.
func TestF15AllWereStartedAgain(t *testing.T) {
	o := lived(t, 3)
	o.again(1, 10)
	o.again(2, 20)
	o.says(o.stateOfLife(1, 10, 4, 0, 0))
	o.says(o.stateOfLife(2, 20, 3, 1, 0))
	o.says(o.stateOfLife(3, 30, 2, 1, 0))
	o.expectBrought("r1 r2 r3", 4, 1, 0)
	o.says(o.stateOfLife(1, 10, 4, 1, 0))
	o.says(o.stateOfLife(2, 20, 4, 1, 0))
	o.says(o.stateOfLife(3, 30, 4, 1, 0))
	o.expectNext("r1/7 r2/7 r3/7", 4, 1, 0)
}

// A copy may be that of a member which was put back and is gone: it lowers no cut either.
func TestF15ACopyLowersNoCut(t *testing.T) {
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
	o.says(o.stateOfLife(1, 1, 4, 0, 0))
	o.says(o.stateOfLife(2, 2, 4, 0, 0))
	o.lost(3)
	copied := func(contiguous ...uint64) *message.State {
		s := o.stateOfLife(1, 0, contiguous...)
		s.From, s.Incarnation = 5, 8
		return s
	}
	o.says(copied(2, 0, 0))
	o.expectBrought("r5", 4, 0, 0)
	o.says(copied(4, 0, 0))
	o.expectNext("r1/7 r2/7 r5/8", 4, 0, 0)
}

// With members that have gone back, and with nobody else, an operator goes on with what all of them
// hold: the others have delivered what nobody can bring.
func TestF15NothingIsBroughtToWhoHasGoneBack(t *testing.T) {
	o := lived(t, 3)
	o.lost(2)
	told := [][]uint64{{4, 0, 0}, {4, 0, 0}, {4, 0, 0}}
	for n, held := range map[int]uint64{1: 3, 3: 2} {
		s := o.stateOfLife(n, uint64(n), held, 0, 0)
		s.Proof.Told = told
		if n == 3 {
			s.Proof.Life = 30
		}
		o.says(s)
	}
	o.waitsInVain(10)
	o.Recover()
	o.pass(1)
	o.expectNext("r1/7 r3/7", 2, 0, 0)
}
