package dedup

// Limits is how much is remembered of the sets that took effect, by a replica and by the master
// (DESIGN.md, rule S6). A field that is 0 means what the public contract needs: see
// [Limits.Filled].
type Limits struct {
	// Window is how many of the last sets are remembered whatever their age; 0:
	// [DefaultWindow], which the contract promises.
	Window int

	// KeepTicks is for how long all others are remembered at least, in the order's time (a
	// tick is 10 ms); 0: [DefaultKeepTicks], of which the contract promises four fifths.
	KeepTicks uint64

	// KeepBytes is about how much memory those others may take; 0: 384 MiB, enough for 45,000
	// sets a second with ids of 22 bytes; [MaxCost] at the most. What finds no room is
	// forgotten earlier, the oldest first.
	KeepBytes int
}

// What is kept where nothing else is said. The contract promises two minutes; the rest is for
// what clients cannot know: how long the bus has had a message.
const (
	DefaultWindow    = 100_000
	DefaultKeepTicks = 15_000 // 150 s
	defaultKeepBytes = 384 << 20
)

// Filled returns l with what the contract needs in place of zeros.
func (l Limits) Filled() Limits {
	if l.Window <= 0 {
		l.Window = DefaultWindow
	}
	if l.KeepTicks == 0 {
		l.KeepTicks = DefaultKeepTicks
	}
	if l.KeepBytes <= 0 {
		l.KeepBytes = defaultKeepBytes
	}
	l.KeepBytes = min(l.KeepBytes, MaxCost)
	return l
}

// Promised is for how many ticks after its first sending a set may be sent again by a client that
// says no age: 120 s of 150.
func (l *Limits) Promised() uint64 { return l.KeepTicks * 4 / 5 }

// Margin is what is kept beyond that, in ticks, since nobody knows how long the bus has had a
// sending: 30 s of 150.
func (l *Limits) Margin() uint64 { return l.KeepTicks / 5 }

// WaitsMost is how many ticks the latest sending of a set without an age may take from the master
// to its place in the order: 20 s of 150. The last 10 s of the margin are for the bus.
func (l *Limits) WaitsMost() uint64 { return l.KeepTicks * 2 / 15 }
