package view

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
	"quartet/replica/layers"
)

// Learner is how a replica outside of the view gets the state (rule F6). It pulls pieces from
// members, one at a time: first the table of executed requests and all keys in their order,
// and with every piece what changed since the last, so that the members go on working
// meanwhile. What it has then is a prefix of the order, or soon becomes one. Once members are
// wedged it pulls the rest from one of them, with what that one holds and has not delivered,
// and so becomes its copy: as good as itself for the record that ends the epoch, because each
// member held everything that was delivered anywhere when it wedged.
type Learner struct {
	self   lamport.Node
	layers *layers.Layers
	view   message.View // of the epoch that it waits to end
	pulls  uint64       // counts PULLs
	loads  bool         // the replica is outside
	load   load
}

// load is how far a load has come.
type load struct {
	nonce   uint64 // of the newest PULL
	asked   bool
	askedAt uint64 // tick
	donor   uint64 // counts; the donor is a member of the view by it
	misses  uint64 // donors in a row that have not answered

	scanned bool
	cursor  string
	changed uint64 // position up to which the log of changes is loaded
	caught  bool   // with the newest piece nothing was missing
	partial bool   // some keys may be ahead of the table
	ahead   uint64 // the greatest position that the keys which were loaded show

	final     bool // members are wedged: the rest is to be had
	fresh     bool // there is news that makes it worth to ask at once
	copied    bool
	place     lamport.Timestamp
	committed uint64
	held      []uint64
	queue     []*message.Data
	number    uint64
	writes    []message.CausalWrite
}

const (
	// pullAgain is how many ticks a donor is given.
	pullAgain = 10
	// pullIdle is how many ticks a learner that has caught up lets pass.
	pullIdle = 5
	// pullMisses is after how many silent donors in a row a scan that none of them can go
	// on with begins anew: the donor that it began with was further than all that are left.
	pullMisses = 9
)

// NewLearner returns the learner of a replica that is not outside. PULLs are counted from a
// number on that no earlier process has used: an answer to one of those must not be taken.
func NewLearner(self lamport.Node, l *layers.Layers, pulls uint64) Learner {
	return Learner{self: self, layers: l, pulls: pulls}
}

// Loads reports whether the replica is outside of the view, and loads.
func (l *Learner) Loads() bool { return l.loads }

// Caught reports whether nothing was missing with the newest piece.
func (l *Learner) Caught() bool { return l.load.caught }

// Copied reports whether it is the copy of a wedged member.
func (l *Learner) Copied() bool { return l.load.copied }

// Changed is the position up to which the log of changes is loaded.
func (l *Learner) Changed() uint64 { return l.load.changed }

// Place is that of the last operation that is in its committed layer, in the epoch.
func (l *Learner) Place() lamport.Timestamp { return l.load.place }

// Committed is the causal number up to which its committed layer reaches.
func (l *Learner) Committed() uint64 { return l.load.committed }

// Whole reports whether its committed layer is a prefix of the order, be it the empty one.
func (l *Learner) Whole() bool {
	complete := l.load.scanned && !l.load.partial
	return complete || l.layers.Empty()
}

// Begin makes the replica a learner, outside of a view; committed is the causal number up to
// which it has come. What it has delivered is a prefix of the order, since everything that was
// delivered anywhere is inside the cut: so it needs only what came later, if the members still
// know that. One that loads already, and was not let in when the epoch ended, goes on.
func (l *Learner) Begin(v message.View, committed uint64) {
	l.view = v
	if l.loads {
		old := &l.load
		l.load = load{
			donor: old.donor, scanned: old.scanned, cursor: old.cursor, changed: old.changed,
			committed: old.committed, partial: old.partial, ahead: old.ahead,
		}
		return
	}

	l.loads = true
	l.load = load{scanned: l.layers.Entries() > 0, changed: l.layers.Position(), committed: committed}
	if !l.load.scanned {
		l.Restart()
	}
}

// Restart begins the load anew.
func (l *Learner) Restart() {
	l.load = load{donor: l.load.donor, final: l.load.final}
	l.layers.Restart()
}

// End says that the replica is let in.
func (l *Learner) End() { l.loads, l.load = false, load{} }

// Saved is what a disk knows of a load.
type Saved struct {
	Scratch   bool // the committed layer is no prefix of the order yet
	Copied    bool
	Place     lamport.Timestamp
	Committed uint64
	Changed   uint64 // the log of changes is loaded up to this position
}

// Restore makes the learner what its disk says.
func (l *Learner) Restore(v message.View, s Saved) {
	l.view, l.loads = v, true
	l.load = load{scanned: !s.Scratch, place: s.Place, committed: s.Committed, changed: s.Changed}
	if s.Scratch {
		l.Restart()
	}
	if s.Copied {
		l.load.caught, l.load.copied = true, true
	}
}

// Prepare says that members are being wedged: the rest is to be had from one of them.
func (l *Learner) Prepare() {
	l.load.fresh = l.load.fresh || !l.load.final
	l.load.final = true
}

// Pull returns the question for the next piece, and the member that it is for, when it is time:
// else nil. Its header is the caller's to fill.
func (l *Learner) Pull(now uint64) (*message.Pull, lamport.Node) {
	s := &l.load
	if !l.loads || s.copied || !l.mayAsk(now) {
		return nil, 0
	}
	if s.asked {
		l.missed()
	}
	to := l.donorOf(s.donor)
	if to == 0 {
		return nil, 0
	}

	l.pulls++
	s.nonce = l.pulls
	s.asked, s.askedAt, s.fresh = true, now, false
	return &message.Pull{
		Nonce: s.nonce, Entry: l.layers.Entries(), Cursor: s.cursor, Scanned: s.scanned,
		Wedged: s.final, Held: s.held, Number: s.number, Changes: s.changed,
	}, to
}

// mayAsk reports whether it is time for the next question.
func (l *Learner) mayAsk(now uint64) bool {
	s := &l.load
	waited := now - s.askedAt
	if s.asked {
		return waited >= pullAgain
	}
	if !s.caught {
		return true
	}

	idle := uint64(pullIdle)
	if s.final {
		idle = 1 // the donor is not wedged yet
	}
	goesOn := s.final && s.fresh
	return waited >= idle || goesOn
}

// missed goes on to another donor, since the present one has not answered.
func (l *Learner) missed() {
	s := &l.load
	s.donor++
	s.misses++
	if s.misses >= pullMisses && !s.scanned {
		s.misses = 0
		l.Restart()
	}
}

func (l *Learner) donorOf(n uint64) lamport.Node {
	var others []lamport.Node
	for _, member := range l.view.Members {
		if member.Node != l.self {
			others = append(others, member.Node)
		}
	}
	if len(others) == 0 {
		return 0
	}
	return others[n%uint64(len(others))]
}

// Copy is what a learner has of a wedged member beside the layers.
type Copy struct {
	Rest      *abcast.Remains // what that member holds and has not delivered
	Writes    []message.CausalWrite
	Committed uint64 // causal numbers up to this one are committed
	Safe      uint64 // … are safe
	Watermark uint64 // … are held by that member: Writes has those above Committed
}

// Taken says what came of a piece.
type Taken uint8

// What may come of it.
const (
	Late      Taken = iota // it was asked for again, or is not needed any more
	Restarted              // the donor cannot go on: the load begins anew
	Gap                    // it does not go on where the table ends
	Loaded
)

// Take takes a piece. With the last one of a wedged member the learner is its copy.
func (l *Learner) Take(c *message.Chunk) (Taken, *Copy) {
	s := &l.load
	if !s.asked || c.Nonce != s.nonce || s.copied {
		return Late, nil
	}
	s.asked, s.misses = false, 0
	switch {
	case c.Restart:
		l.Restart()
		return Restarted, nil
	case len(c.Entries) > 0 && !l.layers.Load(c.First, c.Entries):
		return Gap, nil
	}
	l.takeKeys(c)

	// Only a complete table says that the layer has come as far as its donor's. Until then some
	// keys may be ahead of it. If the donor that they are from has ended, and another one is wedged
	// behind them, an operation in between would be executed on what it has left already: an add
	// would count twice.
	l.takeChanges(&c.Changes)
	whole := l.layers.Entries() >= c.Last && s.changed >= c.Position
	complete := whole && max(c.Position, l.layers.Position()) >= s.ahead
	if isAhead := whole && !complete; isAhead && c.Wedged {
		l.Restart()
		return Restarted, nil
	}
	if complete && c.Position >= l.layers.Position() {
		s.place, s.committed = c.Place, c.Committed
		l.layers.Reached(c.Position, c.Order, &c.Collection)
	}

	s.partial = !complete
	s.caught = s.scanned && complete

	if !c.Wedged {
		return Loaded, nil
	}
	s.fresh = true // if this was not all, the next piece is to be had at once
	if !s.caught {
		return Loaded, nil
	}
	return Loaded, l.copyRest(c)
}

// takeChanges takes the changes of a piece that go on where the log here ends. If the member's log
// begins later, the one here begins anew with it: what is before that no member keeps.
func (l *Learner) takeChanges(c *message.Changes) {
	s := &l.load
	if c.Since > s.changed {
		l.layers.RestartChanges(c.Since)
		s.changed = c.Since
	}
	if c.To <= s.changed {
		return
	}
	list := c.List
	for len(list) > 0 && list[0].Revision <= s.changed {
		list = list[1:]
	}
	l.layers.LoadChanges(list)
	s.changed = c.To
}

// takeKeys takes what a piece says of keys: of those of its entries, and of a range of them. What
// the member has no more is removed.
func (l *Learner) takeKeys(c *message.Chunk) {
	s := &l.load
	for i := range c.Records {
		s.ahead = max(s.ahead, c.Records[i].Revision)
	}
	s.ahead = max(s.ahead, c.Collection.Position)
	l.layers.LoadFloor(&c.Collection)
	l.layers.LoadRemoved(c.Removed)

	comesFarther := c.Scanned || c.Cursor != s.cursor
	hasRange := comesFarther && !s.scanned
	if !hasRange {
		for i := range c.Records {
			l.layers.LoadKey(&c.Records[i])
		}
		return
	}

	to := c.Cursor
	if c.Scanned {
		to = ""
	}
	s.cursor = l.layers.LoadRange(s.cursor, to, c.Records)
	s.scanned = s.cursor == ""
}

// contiguous is how many DATA of each member the copy holds without a gap: as the last donor, and
// what an earlier one had brought beyond that. (It asks nobody for those again: rule F15.)
func (s *load) contiguous(c *message.Chunk) []uint64 {
	held := slices.Clone(c.Contiguous)
	for i, n := range s.held {
		held[i] = max(held[i], n)
	}
	return held
}

// copyRest takes what a wedged member holds and has not delivered, and returns all of it with
// the last piece.
func (l *Learner) copyRest(c *message.Chunk) *Copy {
	s := &l.load
	if s.held == nil {
		s.held = make([]uint64, len(l.view.Members))
	}
	for _, d := range c.Data {
		i := l.view.Index(d.From)
		if i < 0 || d.Seq <= s.held[i] {
			continue
		}
		s.held[i] = d.Seq
		s.queue = append(s.queue, d)
	}
	for i := range c.Writes {
		if w := c.Writes[i]; w.Number == max(s.number, s.committed)+1 {
			s.number = w.Number
			s.writes = append(s.writes, w)
		}
	}
	if !c.Done || len(c.Contiguous) != len(l.view.Members) {
		return nil
	}

	s.copied = true
	// One donor may have delivered what another has told of: it is in the layer then.
	s.queue = slices.DeleteFunc(s.queue, func(d *message.Data) bool { return !s.place.Less(abcast.PlaceOf(d)) })
	rest := &abcast.Remains{View: l.view, Contiguous: s.contiguous(c), Queue: s.queue, Place: s.place}
	rest.Sort()
	return &Copy{
		Rest: rest, Writes: s.writes,
		Committed: s.committed, Safe: min(c.Safe, c.Watermark), Watermark: c.Watermark,
	}
}
