package sim

import (
	"testing"

	"quartet/replica"
	"quartet/replica/abcast"
)

// mutant is a cluster without one rule. within is how many seeds may pass until the
// invariants catch it, and histories until the clients' view alone does; 0 means that it
// cannot: README.md says why.
type mutant struct {
	name              string
	within, histories uint64
	remove            func(*Options)
}

// stale is for a rule that guards against a master that was replaced.
func stale(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = StaleFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// back is for a rule that guards against disks that were put back.
func back(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = PutBackFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// cut is for a rule about links between replicas.
func cut(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = LinksFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// lost is for a rule about a record that the store has lost.
func lost(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = LostFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// unreadRecord is for a rule about a master that starts while nobody can read the record.
func unreadRecord(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = UnreadFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// waits is for a rule about sets that wait for long.
func waits(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = WaitsFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// misplaced is for a rule about disks that do not belong to the cluster.
func misplaced(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = MisplacedFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// clocks is for a rule about clocks that are set back.
func clocks(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		historiesOnly := o.HistoriesOnly
		*o = ClocksFromSeed(o.Seed)
		o.HistoriesOnly = historiesOnly
		remove(o)
	}
}

// forgetful is for a rule about how long executed sets are known: tables are small, and time
// passes.
func forgetful(remove func(*Options)) func(*Options) {
	return func(o *Options) {
		if o.Keep == 0 {
			o.Window, o.Keep = 3, 80
		}
		remove(o)
	}
}

var mutants = []mutant{
	{"without (A)", 100, 200, broadcast(abcast.WithoutHeard)},
	{"without (B)", 100, 0, broadcast(abcast.WithoutReceipt)},
	{"no gap detection", 100, 100, broadcast(abcast.WithoutGaps)},
	{"dedup at receipt only", 100, 600, machine(func(m *replica.Mutant) { m.DedupAtReceipt = true })},
	{"causal get against the key's version", 400, 400, machine(func(m *replica.Mutant) { m.KeyNotWatermark = true })},
	{"causal reads of numbers that are not safe", 100, 0, machine(func(m *replica.Mutant) { m.UnsafeCausalReads = true })},
	{"weak writes straight into the committed layer", 100, 100, machine(func(m *replica.Mutant) { m.MergeWeak = true })},
	{"a master that does not lead stamps as the one that does", 3000, 0, func(o *Options) { o.Master.StampsAlike = true }},
	{"a retry is stamped anew", 300, 0, func(o *Options) { o.Master.RestampRetries = true }},
	{"acknowledges after PREPARE", 300, 300, machine(func(m *replica.Mutant) { m.AcksAfterPrepare = true })},
	{"restart in the same epoch after memory loss", 300, 300, func(o *Options) {
		o.Durable, o.Replica.SameIncarnation, o.Replica.NoLives = false, true, true
	}},
	{"DATA and ACKs of old epochs accepted", 1000, 0, machine(func(m *replica.Mutant) { m.AnyEpoch = true })},
	{"PREPARE abandoned", 300, 300, func(o *Options) { o.Replica.Abandon, o.Master.Membership.Abandon = true, true }},
	{"a view formed by too few", 300, 300, func(o *Options) { o.Master.Membership.Hasty = true }},
	{"flush of all that is held, whatever the record says", 300, 300, machine(func(m *replica.Mutant) { m.FlushAll = true })},
	{"no fill before the decision", 300, 300, machine(func(m *replica.Mutant) { m.NoFill = true })},
	{"a known identity numbered again", 300, 300, func(o *Options) { o.Master.NumberAgain = true }},
	{"a joiner counted before it is loaded", 600, 600, machine(func(m *replica.Mutant) { m.UnloadedJoiner = true })},
	{"weak writes beyond the cut dropped", 300, 300, machine(func(m *replica.Mutant) { m.DropWeak = true })},
	{"weak writes beyond the cut kept by who accepted them", 1000, 0, machine(func(m *replica.Mutant) { m.DropOthersWeak = true })},
	{"gets let go without their fence", 100, 200, stale(func(o *Options) { o.Master.NoFence = true })},
	{"echoes of earlier rounds counted", 600, 0, stale(func(o *Options) { o.Master.OldEchoes = true })},
	{"rounds echoed while wedged", 300, 0, machine(func(m *replica.Mutant) { m.EchoesWedged = true })},
	{"fenced gets served while wedged", 300, 0, machine(func(m *replica.Mutant) { m.ServesWedged = true })},
	{"fenced gets read at once", 100, 100, machine(func(m *replica.Mutant) { m.ReadsAtOnce = true })},
	{"a get that names a replica drawn again", 300, 300, func(o *Options) { o.Master.DrawsAgain = true }},
	{"a lost record made anew from one replica", 4000, 0, lost(func(o *Options) { o.Master.Membership.RebuildFromOne = true })},
	{"an epoch served before all of its members have installed it", 4000, 0, lost(func(o *Options) { o.Master.Membership.ServesEarly = true })},
	{"weak requests served only by who leads a view", 20, 20, unreadRecord(func(o *Options) { o.Master.WeakNeedsRecord = true })},
	{"lives not asked for", 300, 300, back(func(o *Options) { o.Replica.NoLives = true })},
	{"what was told not compared", 300, 300, back(func(o *Options) { o.Master.Membership.NoTold = true })},
	{"records of another cluster or history taken for this one's", 100, 0, misplaced(func(o *Options) { o.Master.Membership.HearsForeign = true })},
	{"requests served with whosever disk", 300, 0, misplaced(func(o *Options) { o.Replica.ServesUnvouched = true })},
	{"processes under an earlier incarnation not told so", 100, 0, clocks(func(o *Options) { o.Master.Membership.NeverOutdated = true })},
	{"members that do not hear each other kept together", 20, 20, cut(func(o *Options) { o.Master.Membership.Deaf = true })},
	{"one let in who does not hear every member", 100, 100, cut(func(o *Options) { o.Master.Membership.Unheard = true })},
	{"nothing said where nothing is to be said", 20, 20, cut(func(o *Options) { o.Replica.NoBeats = true })},
	{"later epochs taken for histories that have ended", 300, 0, stale(func(o *Options) { o.Master.NeverAhead = true })},
	{"positions told after an epoch began taken for another history's", 100, 0, func(o *Options) { o.Master.Membership.BeganLow = true }},
	{"executed sets forgotten by their number", 100, 300, forgetful(machine(func(m *replica.Mutant) { m.ForgetsByCount = true }))},
	{"executed sets forgotten by a replica's own time", 300, 0, forgetful(machine(func(m *replica.Mutant) { m.OwnTime = true }))},
	{"executed sets forgotten in a load", 300, 0, forgetful(machine(func(m *replica.Mutant) { m.LoadForgets = true }))},
	{"sets executed that may be forgotten", 600, 600, forgetful(machine(func(m *replica.Mutant) { m.NeverTooOld = true }))},
	{"sets executed that have waited, and may be forgotten", 300, 0, waits(machine(func(m *replica.Mutant) { m.NeverLate = true }))},
	{"what has waited said to have come just now", 1000, 0, waits(func(o *Options) { o.Master.ComesAnew = true })},
	{"an age told by a later sending passed over", 3000, 0, waits(func(o *Options) { o.Master.ForgetsAges = true })},
	{"numbers of causal sets forgotten", 300, 0, forgetful(func(o *Options) { o.Master.ForgetsNumbers = true })},
	{"versions without the epoch", 300, 0, func(o *Options) { o.Replica.NoEpochVersions, o.Master.NoEpochVersions = true, true }},
}

func broadcast(m abcast.Mutant) func(*Options) {
	return func(o *Options) { o.Replica.Broadcast = m }
}

func machine(f func(*replica.Mutant)) func(*Options) {
	return func(o *Options) { f(&o.Replica) }
}

// caught returns the first seed that finds the mutant, and what it finds.
func caught(m *mutant, historiesOnly bool, within uint64) (uint64, *Failure) {
	for seed := uint64(1); seed <= within; seed++ {
		o := FromSeed(seed)
		o.HistoriesOnly = historiesOnly
		m.remove(&o)
		if r := Run(o); r.Failure != nil {
			return seed, r.Failure
		}
	}
	return 0, nil
}

// The gate: a rule that can be removed unseen is a rule that nothing tests.
func TestMutantsAreCaught(t *testing.T) {
	for i := range mutants {
		m := &mutants[i]
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			seed, found := caught(m, false, m.within)
			if found == nil {
				t.Errorf("not caught by anything within %d seeds", m.within)
			} else {
				t.Logf("seed %d: %v", seed, found)
			}
			if m.histories == 0 {
				return
			}
			seed, found = caught(m, true, m.histories)
			if found == nil {
				t.Errorf("not caught by what the clients saw within %d seeds", m.histories)
			} else {
				t.Logf("histories alone, seed %d: %v", seed, found)
			}
		})
	}
}
