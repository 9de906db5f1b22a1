package sim

import (
	"io"
	"math/rand/v2"

	"quartet/replica"
	"quartet/replica/message"
)

// Times are in units of which a node's tick has tickUnits.
const tickUnits = 100

// Options is everything that a run depends on.
type Options struct {
	Seed uint64

	Replicas int // 1 to 9
	Sessions int
	Requests int   // of each session
	Keys     int   // few, so that conflicts are frequent
	Mixes    []int // which of the mixes of models the sessions take, in turn
	// Patience is how many ticks the least patient session waits before it sends again;
	// 0: all wait for longer than the master does.
	Patience int

	Drop      float64 // of messages between nodes: the share that is lost
	Duplicate float64 // that arrives twice
	Reorder   float64 // that overtakes or is overtaken within its pair of nodes
	Delay     int64   // the longest delay of a message that is not reordered, in time units
	Client    float64 // of requests and replies between clients and master: the share that is lost

	// Faults is how many of the kinds that are allowed begin before Horizon.
	Faults  int
	Kinds   []FaultKind
	Horizon int64 // when everything heals, in time units

	// HistoriesOnly leaves the invariants out: what is caught, the clients saw.
	HistoriesOnly bool
	// Replica and RestampRetries remove a rule.
	Replica        replica.Mutant
	RestampRetries bool

	// Wire, if set, is what a message becomes on its way: encoded and decoded.
	Wire func(message.Message) (message.Message, error)
	// Trace, if set, is told the schedule as readable lines.
	Trace io.Writer
}

// FaultKind is what may happen to nodes for a while. The crash of a replica, with and
// without its memory, belongs here once views can change.
type FaultKind uint8

// The kinds of fault.
const (
	CutOne  FaultKind = iota // one direction between two nodes is cut
	CutOut                   // a node is heard by nobody
	CutIn                    // a node hears nobody
	Isolate                  // a node is cut off both ways
	Slow                     // a node takes its turns late
	Pause                    // a node stands still, and finds its inbox full when it goes on
	Restart                  // the master dies and comes back at once, without its memory
)

var faultNames = [...]string{"cut one way", "not heard", "deaf", "isolated", "slow", "paused", "restarted"}

// String names the kind.
func (k FaultKind) String() string { return faultNames[k] }

// FromSeed draws a run. One in eight has a faultless network; the rest mix everything at
// random strength. In half of the runs all sessions ask for the same models.
func FromSeed(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	o := Options{
		Seed: seed, Replicas: 3 + r.IntN(3), Sessions: 4 + r.IntN(4), Requests: 8 + r.IntN(8), Keys: 1 + r.IntN(3),
		Delay: 10 + r.Int64N(90), Horizon: (30 + r.Int64N(60)) * tickUnits,
	}
	if r.IntN(20) == 0 {
		o.Replicas = 1
	}
	o.Mixes = r.Perm(len(mixes))
	if focus := r.IntN(2 * len(mixes)); focus < len(mixes) {
		o.Mixes = []int{focus}
	}
	if r.IntN(3) > 0 {
		o.Patience = 3 + r.IntN(8)
	}
	if r.IntN(8) == 0 {
		return o
	}
	chance := func(most float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return r.Float64() * most
	}
	o.Drop, o.Duplicate, o.Reorder, o.Client = chance(0.2), chance(0.2), chance(0.4), chance(0.1)
	o.Faults = r.IntN(7)
	for k := CutOne; k <= Pause; k++ {
		if r.IntN(2) == 0 {
			o.Kinds = append(o.Kinds, k)
		}
	}
	return o
}

// WithRestarts adds restarts of the master to what a seed draws. Every other run is all
// about them: causal sessions, many restarts, messages that outlive a master.
func WithRestarts(seed uint64) Options {
	o := FromSeed(seed)
	o.Kinds = append(o.Kinds, Restart)
	o.Faults = max(o.Faults, 1)
	if seed%2 == 0 {
		o.Replicas, o.Keys, o.Requests, o.Faults, o.Patience = 3, 2, 14, 8, 0
		o.Drop, o.Duplicate, o.Reorder, o.Delay = 0.1, 0.2, 0.5, tickUnits
		o.Kinds = []FaultKind{Restart, Restart, Restart, CutOne, Slow}
		if seed%4 == 0 {
			o.Mixes = []int{causalOnly}
		}
	}
	return o
}
