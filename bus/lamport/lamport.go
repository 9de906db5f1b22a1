// Package lamport is the order of everything that nodes stamp, and promises that it is total: a
// timestamp is a Lamport time and the node that issued it, and if a happened before b then a's
// timestamp is the smaller one (Lamport 1978, "Time, Clocks, and the Ordering of Events in a
// Distributed System", sections 2 and 3).
//
// The package is pure: no I/O, no goroutine, no lock, no wall clock.
package lamport

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxJump is how far one message from a peer may move a clock forward. A larger
// step is a damaged or hostile message: one such value, merged, would push every
// later timestamp of the cluster towards the end of the range for ever.
const MaxJump = 1 << 32

// Limit is the first time that no honest clock reaches. No clock takes over a time from Limit on,
// so none can be driven to the end of its range, where it would begin at zero again.
const Limit = 1 << 63

// ErrJump is returned by [Clock.Witness] for a step larger than [MaxJump] or a
// time beyond [Limit].
var ErrJump = errors.New("lamport: clock would jump too far")

// Node names a process that stamps: replicas are 1, 2, 3, … and print as r1, r2,
// …; masters are [MasterBase]+1, … and print as m1, …. Zero is no node.
type Node uint32

// MasterBase separates the numbers of masters from those of replicas.
const MasterBase Node = 1 << 16

// Replica returns the node of replica rN; n is 1 to 65,535.
func Replica(n int) Node { return Node(n) }

// Master returns the node of master mN; n is 1 to 65,535.
func Master(n int) Node { return MasterBase + Node(n) }

// IsReplica reports whether n can be a replica's number.
func (n Node) IsReplica() bool { return n > 0 && n < MasterBase }

// IsMaster reports whether n can be a master's number.
func (n Node) IsMaster() bool { return n > MasterBase && n < 2*MasterBase }

// String returns r1, r2, … for replicas, m1, … for masters, and "-" for no node.
func (n Node) String() string {
	switch {
	case n == 0:
		return "-"
	case n.IsReplica():
		return "r" + strconv.FormatUint(uint64(n), 10)
	case n.IsMaster():
		return "m" + strconv.FormatUint(uint64(n-MasterBase), 10)
	}
	return "node" + strconv.FormatUint(uint64(n), 10)
}

// ErrNode is returned by [ParseNode] for a name that no node can have.
var ErrNode = errors.New("lamport: not a node's name")

// ParseNode reads what [Node.String] writes for a replica or a master.
func ParseNode(s string) (Node, error) {
	for prefix, base := range map[string]Node{"r": 0, "m": MasterBase} {
		digits, ok := strings.CutPrefix(s, prefix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 || digits[0] == '0' || digits[0] == '+' {
			break
		}

		return base + Node(n), nil
	}
	return 0, fmt.Errorf("%w: %q (want r1, r2, … or m1, …)", ErrNode, s)
}

// Timestamp is a place in the total order: by time, then by node.
type Timestamp struct {
	Time uint64
	Node Node
}

// Compare returns -1, 0 or +1 as t stands before, at or after u.
func (t Timestamp) Compare(u Timestamp) int {
	if c := cmp.Compare(t.Time, u.Time); c != 0 {
		return c
	}
	return cmp.Compare(t.Node, u.Node)
}

// Less reports whether t stands before u.
func (t Timestamp) Less(u Timestamp) bool { return t.Compare(u) < 0 }

// String returns TIME.NODE, as in 289.r2.
func (t Timestamp) String() string {
	return strconv.FormatUint(t.Time, 10) + "." + t.Node.String()
}

// Version orders the writes of one key: by epoch, then time, then node. The epoch comes first
// because the clock of a node that is removed may have run ahead: its writes would otherwise beat
// every later one. The zero Version is older than every write.
type Version struct {
	Epoch uint64
	Timestamp
}

// Compare returns -1, 0 or +1 as v is older than, the same as or newer than w.
func (v Version) Compare(w Version) int {
	if c := cmp.Compare(v.Epoch, w.Epoch); c != 0 {
		return c
	}
	return v.Timestamp.Compare(w.Timestamp)
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// String returns EPOCH/TIME.NODE.
func (v Version) String() string {
	return strconv.FormatUint(v.Epoch, 10) + "/" + v.Timestamp.String()
}

// Clock is a Lamport clock. The zero value is ready at time zero. It has one owner.
type Clock struct{ now uint64 }

// Now returns the time of the last event.
func (c *Clock) Now() uint64 { return c.now }

// Increment moves the clock to the next event and returns its time; it is called
// before every send of a stamped message (Lamport's rule IR1).
func (c *Clock) Increment() uint64 {
	c.now++
	return c.now
}

// Witness moves the clock past a time that a peer's message carried (rule IR2).
// A step of more than [MaxJump], or beyond [Limit], is refused with [ErrJump] and changes
// nothing. It must never be called with a number that a client supplied.
func (c *Clock) Witness(seen uint64) error {
	if seen < c.now {
		return nil
	}
	if seen-c.now > MaxJump || seen >= Limit {
		return fmt.Errorf("%w: from %d to %d", ErrJump, c.now, seen)
	}
	c.now = seen + 1
	return nil
}

// Restore sets the clock to at least now, however far that is: for a clock that begins,
// from a view's start clock or its own disk. A time beyond [Limit] changes nothing.
func (c *Clock) Restore(now uint64) {
	if now < Limit {
		c.now = max(c.now, now)
	}
}
