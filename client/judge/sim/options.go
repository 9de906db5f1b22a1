package sim

import (
	"io"
	"math/rand/v2"
	"slices"

	"quartet/bus/message"
)

// Times are in units of which a node's tick has tickUnits.
const tickUnits = 100

// Options is everything that a run depends on.
type Options struct {
	Seed uint64

	Replicas int // 1 to 9
	Late     int // of them, the last, are not configured at first: a fault starts them
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
	Registry  float64 // of commands for the views' record: the share of which nobody learns what came of them

	OrderedGets bool // linearizable gets are ordered operations, not fenced

	// Window is how many of the last sets are remembered whatever their age, Keep for how
	// many ticks all others are; 0: so many that none is ever forgotten. Sessions send sets
	// again long after, and say how old they are, or keep to what is promised.
	Window int
	Keep   int
	// Timeout is for how many ticks a master waits for an outcome; 0: requestTimeout.
	Timeout int

	Durable    bool // replicas have disks
	ChunkBytes int  // of the pieces in which learners are loaded
	Forever    bool // a minority dies and does not come back
	// Voting lets the replicas decide the records of views, in place of a store; see VotesFromSeed.
	Voting bool
	// Masters is how many there may be at once; 0: two.
	Masters int
	// Words has masters be told that replicas do not answer any more, true or not (rule M8).
	Words bool
	// LostRecords is how often the store of the views' record loses the newest one.
	LostRecords int
	// ClockSetBack gives every process an incarnation that says nothing of when it was started.
	ClockSetBack bool
	// PutBack lets disks be put back to an older copy of themselves.
	PutBack  bool
	PutBacks int // how often
	// PutBackFar puts back only what is from before the newest record.
	PutBackFar bool
	// PutBackNear puts a disk back when its replica has just delivered something before all
	// others, to a copy of a few turns before, and of the same epoch.
	PutBackNear bool
	// Unwitnessed lets the others die before it is recognised that a disk was put back.
	Unwitnessed bool
	// Misplaced is how often a replica finds a disk of another cluster, or of another history
	// of its own, until an operator takes it away.
	Misplaced int
	// PowerCut ends the power for everybody before everything heals. The disks have lost
	// what was not synced; an operator goes on with what is left. What clients were told
	// may be lost then, and nothing else.
	PowerCut bool

	// Operator lets the cluster go on, once all has healed, where a master says that a record is
	// lost and who may know of a later one. Nothing that clients were told may be lost by that.
	Operator bool

	// Stale makes the leading master stand still once, cut off with some replicas, while
	// another one goes on with the rest; it goes on before the cut ends.
	Stale bool
	// Faults is how many of the kinds that are allowed begin before Horizon.
	Faults  int
	Kinds   []FaultKind
	Horizon int64 // when everything heals, in time units

	// Links is how many links between replicas are cut before Horizon; see serving.
	Links int

	// Unread has a master start while the store of the views' record answers nobody; see unread.
	Unread bool

	// Steadfast, beside Unread, lets the master live, and clients wait for as long as it does.
	Steadfast bool

	// Ops lets sessions make every type of request, and Skewed the clocks on the wall differ: see
	// OpsFromSeed.
	Ops, Skewed bool
	// Lag is how many ticks old tombstones are, at the least, that are collected; 0: none are.
	Lag int

	// Upgrade is when all processes end, and today's build goes on with the disks of one that knew no
	// levels (rule O1), in time units; 0: today's has begun.
	Upgrade int64

	// Listers is how many clients list, page by page; see ListFromSeed.
	Listers int

	// Watchers is how many clients watch everything; see WatchFromSeed.
	Watchers int

	// HistoriesOnly leaves the invariants out: what is caught, the clients saw.
	HistoriesOnly bool
	// SameIncarnation makes replicas that come back without their memory say that they are who
	// they were: for a mutant.
	SameIncarnation bool

	// Wire, if set, is what a message becomes on its way: encoded and decoded.
	Wire func(message.Message) (message.Message, error)
	// Trace, if set, is told the schedule as readable lines.
	Trace io.Writer
}

// masters is how many masters there may be at once.
func (o *Options) masters() int { return max(o.Masters, 2) }

// FaultKind is what may happen to nodes for a while.
type FaultKind uint8

// The kinds of fault.
const (
	CutOne       FaultKind = iota // one direction between two nodes is cut
	CutOut                        // a node is heard by nobody
	CutIn                         // a node hears nobody
	Isolate                       // a node is cut off both ways
	Slow                          // a node takes its turns late
	Pause                         // a node stands still, and finds its inbox full when it goes on
	Crash                         // a replica dies, and comes back with its disk, if it has one
	CrashInTurn                   // it dies within a turn, before or after its disk has it
	Lose                          // it dies and loses its disk
	CrashAll                      // all processes die at once; only with disks
	MasterDies                    // and comes back without its memory
	MasterInTurn                  // it dies within a turn, before all of it has left
	SecondMaster                  // another one is started while the first lives, perhaps paused
	Join                          // a replica that nobody has configured is started
	Leave                         // an operator takes one out of the cluster
	Stale                         // see Options
	LoseRecord                    // the store of the views' record has an older one, or none
	PutBack                       // a replica dies, and finds an older copy of its disk
	Misplace                      // a replica dies, and finds a disk that does not belong here
	StoreAway                     // the store of the record answers nobody any more
	Flap                          // a node is cut off and comes back, again and again
)

var faultNames = [...]string{
	"cut one way", "not heard", "deaf", "isolated", "slow", "paused", "crash", "crash in a turn", "loss", "crash of all",
	"death of the master", "death of the master in a turn", "second master", "join", "leave", "stale master",
	"loss of the record", "put back", "misplaced", "store away", "flaps",
}

// String names the kind.
func (k FaultKind) String() string { return faultNames[k] }

// kills reports whether the kind ends a process.
func (k FaultKind) kills() bool { return k >= Crash && k != Stale }

// FromSeed draws a run. One in eight has a faultless network; the rest mix everything at
// random strength. In half of the runs all sessions ask for the same models.
func FromSeed(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	o := Options{
		Seed: seed, Replicas: 3 + r.IntN(3), Sessions: 4 + r.IntN(4), Requests: 8 + r.IntN(8), Keys: 1 + r.IntN(3),
		Delay: 10 + r.Int64N(90), Horizon: (40 + r.Int64N(120)) * tickUnits, Durable: r.IntN(2) == 0, Forever: r.IntN(6) == 0,
	}

	late := rand.New(rand.NewPCG(seed, 0xfe9ce)) // what was added later leaves the other draws as they were
	o.OrderedGets, o.Stale = late.IntN(6) == 0, late.IntN(4) == 0
	if late.IntN(2) == 0 {
		o.Window, o.Keep = 2+late.IntN(12), 60+late.IntN(100)
	}

	if r.IntN(20) == 0 {
		o.Replicas = 1
	}
	if r.IntN(2) == 0 {
		o.ChunkBytes = 70 + r.IntN(1000)
	}
	if r.IntN(4) == 0 {
		o.Late = 1
		o.Replicas++
	}

	o.Mixes = r.Perm(len(mixes))
	if focus := r.IntN(2 * len(mixes)); focus < len(mixes) {
		o.Mixes = []int{focus}
	}
	if r.IntN(3) > 0 {
		o.Patience = 3 + r.IntN(8)
	}

	o.Faults = r.IntN(9)
	for k := CutOne; k <= Leave; k++ {
		if r.IntN(2) == 0 {
			o.Kinds = append(o.Kinds, k)
		}
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
	o.Registry = chance(0.4)
	return o
}

// PutBackFromSeed draws a run in which disks are put back to older copies of themselves, made
// at any time: within the same view, or views and lives before.
func PutBackFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x01dd15c))
	o.Replicas, o.Late = 3+r.IntN(3), 0
	o.Durable, o.PutBack, o.Forever, o.Stale = true, true, false, false
	o.Faults = min(o.Faults, 4)
	o.PutBacks = 2 + r.IntN(4)
	if r.IntN(2) == 0 {
		o.Kinds = append(o.Kinds, Crash, MasterDies)
	}
	o.Requests += 6
	return o
}

// UpgradeFromSeed draws a run in which a build that knew no revisions is stopped, and today's goes
// on with its disks: with what that one had ordered, and not delivered.
func UpgradeFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x1e7e1))
	o.Durable, o.Forever, o.Stale = true, false, false
	o.Kinds = slices.DeleteFunc(o.Kinds, func(k FaultKind) bool { return k == Lose || k == Join || k == Leave })
	o.Upgrade = (15 + r.Int64N(60)) * tickUnits
	o.Horizon += o.Upgrade
	o.Requests += 6
	return o
}

// MisplacedFromSeed draws a run in which replicas find disks of another cluster in place of their
// own, or of a copy of their cluster that has gone on elsewhere.
func MisplacedFromSeed(seed uint64) Options {
	o := PutBackFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0xf04e161))
	o.PutBacks, o.Misplaced = 0, 1+r.IntN(3)
	return o
}

// ClocksFromSeed draws a run in which the clocks that incarnations are drawn from are set back
// again and again: of replicas that have no disk, or lose it, and of masters.
func ClocksFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	o.ClockSetBack, o.Stale = true, false
	o.Kinds = append(o.Kinds, Crash, Lose, Lose, MasterDies)
	o.Faults += 4
	return o
}

// LostFromSeed draws a run in which the store of the views' record loses the newest one, or all.
func LostFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x105e))
	o.LostRecords = 1 + r.IntN(4)
	o.ClockSetBack = r.IntN(2) == 0
	o.Durable, o.Forever, o.Stale, o.Late = true, false, false, 0
	o.Replicas = min(o.Replicas, 5)
	o.Kinds = slices.DeleteFunc(o.Kinds, func(k FaultKind) bool { return k == Lose || k == Leave || k == Join })
	if r.IntN(2) == 0 {
		o.Kinds = append(o.Kinds, MasterDies, SecondMaster, Crash)
		o.Faults += 3
	}
	return o
}

// LostHarshFromSeed draws a run in which the store loses the newest records again and again, while
// nodes are cut off and other masters are started.
func LostHarshFromSeed(seed uint64) Options {
	o := LostFromSeed(seed)
	o.Kinds, o.Faults, o.LostRecords = []FaultKind{Isolate, SecondMaster}, 12, 4
	return o
}

// LostHarsherFromSeed draws a run with three replicas and more such faults: 20, and six losses.
func LostHarsherFromSeed(seed uint64) Options {
	o := LostHarshFromSeed(seed)
	o.Replicas, o.Faults, o.LostRecords = 3, 20, 6
	return o
}

// LostWithCrashesFromSeed draws one in which replicas die, too, and links are cut one way.
func LostWithCrashesFromSeed(seed uint64) Options {
	o := LostHarsherFromSeed(seed)
	o.Kinds = []FaultKind{Isolate, SecondMaster, SecondMaster, Crash, CutIn, CutOut}
	return o
}

// WaitsFromSeed draws a run in which sets may wait in the master for longer than executed ones
// are kept: the schedule against which S6 counts how long a set has waited.
func WaitsFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x3a175))
	o.Replicas, o.Late, o.Forever, o.Stale = 3+2*r.IntN(2), 0, false, false
	o.Window, o.Keep, o.Timeout = 1+r.IntN(3), 40+r.IntN(40), 60+r.IntN(200)
	o.Sessions, o.Requests, o.Keys, o.Patience = 5+r.IntN(3), 20, 1+r.IntN(2), 3+r.IntN(20)
	o.Mixes = []int{r.IntN(len(mixes))}
	o.Faults = 3 + r.IntN(5)
	o.Kinds = append(o.Kinds, CutOut, CutIn, Isolate, Pause, Crash)
	o.Drop, o.Horizon = 0.05+r.Float64()*0.15, (150+r.Int64N(150))*tickUnits
	return o
}

// StaleFromSeed draws a run in which a master that was paused may ask a replica that was
// removed: the schedule against which linearizable gets are fenced.
func StaleFromSeed(seed uint64) Options {
	o := FromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x57a1e))
	o.Replicas, o.Late = 3+2*r.IntN(2), 0
	o.Stale, o.OrderedGets, o.Forever = true, false, false
	o.Sessions, o.Requests, o.Keys = 5+r.IntN(3), 30, 1
	o.Mixes = []int{0}
	if r.IntN(3) == 0 {
		o.Mixes = []int{0, strongOnly}
	}
	o.Patience = 3 + r.IntN(8)
	o.Faults = min(o.Faults, 2)
	o.Delay = 5 + r.Int64N(30)
	o.Horizon = (60 + r.Int64N(40)) * tickUnits
	return o
}
