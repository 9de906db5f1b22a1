package lamport_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"quartet/bus/lamport"
)

func TestTimestampsOrderByTimeThenNode(t *testing.T) {
	rising := []lamport.Timestamp{
		{}, {Time: 0, Node: 1}, {Time: 1, Node: 1}, {Time: 1, Node: 2}, {Time: 1, Node: lamport.Master(1)},
		{Time: 2, Node: 1}, {Time: math.MaxUint64, Node: 1},
	}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := a.Compare(b), compare(i, j); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
			if got := a.Less(b); got != (i < j) {
				t.Errorf("%v.Less(%v) = %t", a, b, got)
			}
		}
	}
}

// The epoch comes before the time: a clock that had run ahead in an older epoch loses.
func TestVersionsOrderByEpochFirst(t *testing.T) {
	version := func(epoch, time uint64, node lamport.Node) lamport.Version {
		return lamport.Version{Epoch: epoch, Timestamp: lamport.Timestamp{Time: time, Node: node}}
	}
	rising := []lamport.Version{{}, version(1, 1, 1), version(1, 1, 2), version(1, 900, 1), version(2, 3, 1), version(2, 3, 2)}
	for i, a := range rising {
		for j, b := range rising {
			if got, want := a.Compare(b), compare(i, j); got != want || a.Less(b) != (want < 0) {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
		}
	}
	if got := version(3, 289, 2).String(); got != "3/289.r2" {
		t.Errorf("String = %q", got)
	}
}

func compare(i, j int) int {
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	}
	return 0
}

func TestWitness(t *testing.T) {
	for _, test := range []struct {
		name            string
		now, seen, want uint64
		refused         bool
	}{
		{"older: nothing changes", 10, 9, 10, false},
		{"equal: the receipt is a later event", 10, 10, 11, false},
		{"newer", 10, 20, 21, false},
		{"the largest step", 10, 10 + lamport.MaxJump, 11 + lamport.MaxJump, false},
		{"one more is refused", 10, 11 + lamport.MaxJump, 10, true},
		{"the end of the range", 10, math.MaxUint64, 10, true},
		{"near the limit: the clock must not begin at zero again", lamport.Limit - 1, math.MaxUint64, lamport.Limit - 1, true},
		{"the limit itself, however near", lamport.Limit - 1, lamport.Limit, lamport.Limit - 1, true},
		{"the last that is taken over", lamport.Limit - 2, lamport.Limit - 1, lamport.Limit, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c lamport.Clock
			c.Restore(test.now)
			err := c.Witness(test.seen)
			if c.Now() != test.want || (err != nil) != test.refused {
				t.Errorf("%d after witnessing %d: %d, %v; want %d", test.now, test.seen, c.Now(), err, test.want)
			}
			if err != nil && !errors.Is(err, lamport.ErrJump) {
				t.Errorf("error %v does not wrap ErrJump", err)
			}
		})
	}
}

func TestClockNeverFalls(t *testing.T) {
	var c lamport.Clock
	if c.Increment() != 1 || c.Increment() != 2 {
		t.Error("a new clock does not count 1, 2")
	}
	c.Restore(1 << 40) // no limit: this is not a peer's word
	if c.Restore(5); c.Now() != 1<<40 {
		t.Errorf("Restore set the clock back to %d", c.Now())
	}
	if c.Restore(math.MaxUint64); c.Now() != 1<<40 {
		t.Errorf("Restore took over a time that no clock has: %d", c.Now())
	}
}

func TestParseNode(t *testing.T) {
	for _, n := range []lamport.Node{
		lamport.Replica(1), lamport.Replica(9), lamport.Replica(65535), lamport.Master(1), lamport.Master(65535),
	} {
		if got, err := lamport.ParseNode(n.String()); err != nil || got != n {
			t.Errorf("ParseNode(%q) = %v, %v", n.String(), got, err)
		}
	}
	for _, bad := range []string{
		"", "r", "m", "r0", "m0", "r01", "r+1", "r-1", "r65536", "m65536", "R1", "x1", "r1 ", " r1", "r1.", "1", "-",
		"node3",
	} {
		if n, err := lamport.ParseNode(bad); !errors.Is(err, lamport.ErrNode) || n != 0 {
			t.Errorf("ParseNode(%q) = %v, %v", bad, n, err)
		}
	}
}

func TestNodeKinds(t *testing.T) {
	replicas := []lamport.Node{1, 65535}
	masters := []lamport.Node{lamport.MasterBase + 1, 2*lamport.MasterBase - 1}
	for _, n := range []lamport.Node{
		0, 1, 65535, lamport.MasterBase, lamport.MasterBase + 1, 2*lamport.MasterBase - 1, 2 * lamport.MasterBase,
		math.MaxUint32,
	} {
		if n.IsReplica() != slices.Contains(replicas, n) || n.IsMaster() != slices.Contains(masters, n) {
			t.Errorf("node %d: replica %t, master %t", n, n.IsReplica(), n.IsMaster())
		}
	}
	if s := lamport.Node(0).String(); s != "-" {
		t.Errorf("no node prints as %q", s)
	}
}
