package replica

import "quartet/replica/abcast"

// Mutant removes a rule, so that the simulation can show that the rule is needed. For
// the simulation only.
type Mutant struct {
	Broadcast         abcast.Mutant
	DedupAtReceipt    bool // looks identities up when a request arrives, not when it is delivered
	KeyNotWatermark   bool // compares a causal get's minimum with its key's number
	UnsafeCausalReads bool // applies causal writes before they are safe
	MergeWeak         bool // puts weak writes straight into the committed layer
	AcksAfterPrepare  bool // goes on in the epoch after it has told what it holds
	NoFill            bool // says that it holds the causal high-water without fetching it
	AnyEpoch          bool // takes DATA and ACKs of earlier epochs
	SameIncarnation   bool // comes back without its memory and claims to be who it was
	UnloadedJoiner    bool // says that it is a copy before it is one
	DropWeak          bool // drops eventual writes beyond the cut
	DropOthersWeak    bool // keeps those beyond the cut only if it accepted them
	Abandon           bool // takes up its epoch again after PREPARE
	FlushAll          bool // delivers all that it holds of an epoch, whatever the record's cut
	NoEpochVersions   bool // versions of strong sets don't begin with the epoch
	ReadsAtOnce       bool // reads a fenced get without a turn in the queue
	EchoesWedged      bool // echoes rounds while it is wedged
	NoLives           bool // does not ask whether the process that a record names has used its disk
	ServesWedged      bool // serves fenced gets while it is wedged
	NoBeats           bool // sends nothing to the others where it has nothing to say
	ForgetsByCount    bool // keeps the last executed sets, however young the others are
	OwnTime           bool // forgets executed sets by its own ticks, not in the order's time
	LoadForgets       bool // gives a learner no executed sets before the last ones
	ServesUnvouched   bool // serves what an earlier process of its name was sent, whosever disk it has
	NeverTooOld       bool // executes what may be a repetition of a set that is forgotten
	NeverLate         bool // … and so for those whose clients say no age
}
