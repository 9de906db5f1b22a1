package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"quartet/client/judge/mutants"
)

// hunt is the hunt for a mutant of package mutants. within is how many seeds may pass until the
// invariants catch it, and histories until the clients' view alone does; 0 means that it
// cannot: README.md says why.
type hunt struct {
	name              string
	within, histories uint64
	from              func(seed uint64) Options
}

// whose says which mutants are hunted: CI hunts the quick ones with all tests of the project, and
// the slow ones beside its many schedules, so each of them once.
var whose = flag.String("sim.mutants", "quick", "which mutants are hunted: quick, slow or all")

// quickMost is how many seeds may pass in the hunt for a quick mutant.
const quickMost = 500

// isAsked reports whether the flag asks for a hunt.
func (h *hunt) isAsked() (bool, error) {
	isQuick := h.within+h.histories <= quickMost
	switch *whose {
	case "all":
		return true, nil
	case "quick":
		return isQuick, nil
	case "slow":
		return !isQuick, nil
	}
	return false, fmt.Errorf("-sim.mutants=%s: want quick, slow or all", *whose)
}

// forgetful is for a rule about how long executed sets are known: tables are small, and time
// passes.
func forgetful(seed uint64) Options {
	o := FromSeed(seed)
	if o.Keep == 0 {
		o.Window, o.Keep = 3, 80
	}
	return o
}

// forgetfulVotes is for a rule about who has lost what it has promised: replicas without disks die
// while two masters are at work, and a master dies within its turn.
func forgetfulVotes(seed uint64) Options {
	o := VotesHarshFromSeed(seed)
	o.Durable, o.Replicas = false, 3
	o.Kinds = []FaultKind{SecondMaster, SecondMaster, MasterInTurn, Crash, Crash, CrashInTurn, Isolate, CutIn, CutOut}
	o.Drop = 0.1
	return o
}

// memoryless is for a rule about who comes back without memory, and says that it is who it was.
func memoryless(seed uint64) Options {
	o := FromSeed(seed)
	o.Durable, o.SameIncarnation = false, true
	return o
}

// unreadRestarts is for a rule about masters that start and cannot read the record, again and
// again, and the causal sessions that they serve.
func unreadRestarts(seed uint64) Options {
	o := FromSeed(seed)
	o.Kinds, o.Faults, o.Registry = []FaultKind{SecondMaster, MasterDies}, 8, 0.4
	o.Mixes = []int{2, 3, 5}
	return o
}

// lonely is for a rule about masters that see nothing but one replica, and a store that loses
// records.
func lonely(seed uint64) Options {
	o := LostHarsherFromSeed(seed)
	o.Replicas = 1
	return o
}

// lateWatches is for a rule about watches that come to a replica which is behind: streams lose
// much, and links between replicas are cut.
func lateWatches(seed uint64) Options {
	o := WatchFromSeed(seed)
	o.Watchers, o.Client, o.Drop = 8, 0.4, 0.2
	o.Kinds, o.Faults = []FaultKind{Slow, CutOne}, 10
	return o
}

// near draws the runs from a seed on, for a rule that one schedule in hundreds, or thousands, asks
// for.
func near(from func(uint64) Options, first uint64) func(uint64) Options {
	return func(seed uint64) Options { return from(first + seed - 1) }
}

// twoStampers is for a rule about two masters at once, one of which cannot read the record, and the
// eventual sets that both stamp.
func twoStampers(seed uint64) Options {
	o := FromSeed(seed)
	o.Kinds, o.Faults, o.Registry = []FaultKind{SecondMaster}, 8, 0.3
	o.Mixes, o.Keys = []int{3}, 1
	return o
}

var hunts = []hunt{
	{"without (A)", 100, 200, FromSeed},
	{"without (B)", 100, 0, FromSeed},
	{"no gap detection", 100, 100, FromSeed},
	{"dedup at receipt only", 100, 600, FromSeed},
	{"causal get against the key's version", 400, 400, FromSeed},
	{"causal reads of numbers that are not safe", 100, 0, FromSeed},
	{"weak writes straight into the committed layer", 100, 100, FromSeed},
	{"a master that does not lead stamps as the one that does", 100, 0, twoStampers},
	{"a retry is stamped anew", 300, 0, FromSeed},
	{"acknowledges after PREPARE", 300, 300, FromSeed},
	{"restart in the same epoch after memory loss", 300, 300, memoryless},
	{"DATA and ACKs of old epochs accepted", 1000, 0, FromSeed},
	{"PREPARE abandoned", 300, 300, FromSeed},
	{"a view formed by too few", 300, 300, FromSeed},
	{"flush of all that is held, whatever the record says", 300, 300, FromSeed},
	{"no fill before the decision", 600, 600, FromSeed},
	{"a known identity numbered again", 300, 300, FromSeed},
	{"a joiner counted before it is loaded", 600, 600, FromSeed},
	{"weak writes beyond the cut dropped", 300, 300, FromSeed},
	{"weak writes beyond the cut kept by who accepted them", 1000, 0, FromSeed},
	{"gets let go without their fence", 100, 600, StaleFromSeed},
	{"echoes of earlier rounds counted", 600, 0, StaleFromSeed},
	{"rounds echoed while wedged", 300, 0, FromSeed},
	{"fenced gets served while wedged", 300, 0, FromSeed},
	{"fenced gets read at once", 100, 100, FromSeed},
	{"a get that names a replica drawn again", 300, 300, FromSeed},
	{"a lost record made anew from one replica", 5000, 0, near(LostFromSeed, 460)},
	{"a lost record made anew by what was said before the loss", 20, 0, near(LostHarshFromSeed, 3160)},
	{"weak sets stamped with the record that was read, however old", 20, 0, near(LostHarshFromSeed, 5580)},
	{"a record that was only read stands against what all replicas hold", 20, 20, near(lonely, 590)},
	{"weak requests served only by who leads a view", 20, 20, UnreadFromSeed},
	{"sessions wait for a record that nobody can read", 20, 20, UnreadFromSeed},
	{"weak requests left with a replica that is silent", 60, 60, UnreadFromSeed},
	{"answers without the record name no history", 1000, 0, unreadRestarts},
	{"lives not asked for", 300, 500, PutBackFromSeed},
	{"what was told not compared", 300, 300, PutBackFromSeed},
	{"the cut lowered for whoever was started again", 60, 600, PutBackNearFromSeed},
	{"the least that any holds, if all were started again", 60, 60, PutBackUnwitnessedFromSeed},
	{"what was brought not on disk before it is told", 300, 300, near(PutBackUnwitnessedFromSeed, 120)},
	{"an operator who is not heeded", 300, 0, PutBackAndLostFromSeed},
	{"members that do not hear each other kept together", 20, 20, LinksFromSeed},
	{"one let in who does not hear every member", 100, 100, LinksFromSeed},
	{"nothing said where nothing is to be said", 20, 20, LinksFromSeed},
	{"what waited over the end of its history served", 50, 0, CutWatchFromSeed},
	{"later epochs taken for histories that have ended", 300, 0, StaleFromSeed},
	{"positions told after an epoch began taken for another history's", 100, 0, FromSeed},
	{"executed sets forgotten by their number", 100, 300, forgetful},
	{"executed sets forgotten by a replica's own time", 300, 0, forgetful},
	{"executed sets forgotten in a load", 300, 0, forgetful},
	{"sets executed that may be forgotten", 600, 600, forgetful},
	{"sets executed that have waited, and may be forgotten", 300, 0, WaitsFromSeed},
	{"what has waited said to have come just now", 1000, 0, WaitsFromSeed},
	{"an age told by a later sending passed over", 3000, 0, WaitsFromSeed},
	{"numbers of causal sets forgotten", 300, 0, forgetful},
	{"records of another cluster or history taken for this one's", 100, 0, MisplacedFromSeed},
	{"requests served with whosever disk", 200, 0, near(MisplacedFromSeed, 100)},
	{"processes under an earlier incarnation not told so", 100, 0, ClocksFromSeed},
	{"a learner loaded without the log of changes", 100, 0, WatchFromSeed},
	{"the log of changes lost with the process", 100, 0, WatchFromSeed},
	{"a watch begins before its place", 50, 0, near(WatchFromSeed, 180)},
	{"a watch goes on where its replica is", 50, 0, near(lateWatches, 320)},
	{"a watch told of more than it will be told", 50, 0, near(WatchFromSeed, 30)},
	{"a watch that goes on from inside a transaction", 20, 0, near(WatchFromSeed, 2310)},
	{"a stream that says nothing of the history", 100, 0, CutWatchFromSeed},
	{"two streams that tell one watcher taken for one", 100, 0, near(LossyWatchFromSeed, 4130)},
	{"streams named by their replica alone", 40, 0, near(LossyWatchFromSeed, 19960)},
	{"changes published by whoever is the first member by then", 100, 0, WatchFromSeed},
	{"what is there told as it is by then", 100, 0, WatchFromSeed},
	{"watches told on by who has left the view", 50, 0, near(WatchFromSeed, 180)},
	{"a page of what there is by then", 100, 0, ListFromSeed},
	{"what was tentative is not noted", 300, 0, ListFromSeed},
	{"only keys of the store are listed", 300, 0, ListFromSeed},
	{"a list begins before its turn", 300, 0, ListFromSeed},
	{"a list goes on with another process's list", 600, 0, ListFromSeed},
	{"a page asked for again is the newest", 100, 0, ListFromSeed},
	{"versions without the epoch", 300, 0, FromSeed},
	{"one position for all that a marker commits", 100, 0, FromSeed},
	{"a weak write that loses takes no position", 100, 0, FromSeed},
	{"a weak write that loses moves the revision", 100, 0, FromSeed},
	{"a weak write that wins leaves the revision", 100, 0, FromSeed},
	{"a delete leaves nothing", 100, 0, OpsFromSeed},
	{"a delete is not seen before it is committed", 100, 0, OpsFromSeed},
	{"a delete that is submitted again as a set", 300, 0, OpsFromSeed},
	{"a condition checked where the request arrives", 100, 0, OpsFromSeed},
	{"a condition evaluated again for a repetition", 100, 0, OpsFromSeed},
	{"a condition that failed is not remembered", 100, 0, OpsFromSeed},
	{"an add takes the end of a value away", 300, 0, OpsFromSeed},
	{"a replica's own clock ends values", 100, 0, OpsFromSeed},
	{"ends that were proposed are not proposed again", 100, 0, near(OpsFromSeed, 1790)},
	{"values that end three seconds late", 300, 0, OpsFromSeed},
	{"an older build's epoch executed by today's rules", 100, 0, UpgradeFromSeed},
	{"an end that names no revision", 300, 0, OpsFromSeed},
	{"an end that wins over weak writes stamped later", 100, 0, OpsFromSeed},
	{"an end that a learner is not told of", 1000, 0, OpsFromSeed},
	{"steps of a transaction that do not see what earlier ones left", 100, 0, OpsFromSeed},
	{"a transaction that stays half done", 100, 0, OpsFromSeed},
	{"learners are told of one key of a transaction", 2000, 0, OpsFromSeed},
	{"learners without revisions", 100, 0, OpsFromSeed},
	{"learners without ends", 300, 0, OpsFromSeed},
	{"learners without tombstones", 300, 0, OpsFromSeed},
	{"learners without the outcomes of what failed", 1000, 0, OpsFromSeed},
	{"tombstones collected before all have agreed", 1000, 0, CollectFromSeed},
	{"tombstones collected while a replica is away", 1000, 0, CollectFromSeed},
	{"an agreement of an earlier epoch counted", 1000, 0, CollectFromSeed},
	{"agreed while causal writes are on their way", 1000, 0, CollectFromSeed},
	{"weak writes taken that are not above the horizon", 1000, 0, near(CollectFromSeed, 390)},
	{"weak writes taken that are not above the floor", 1000, 0, CollectFromSeed},
	{"stamped anew while it may have been executed", 1000, 0, CollectFromSeed},
	{"weak writes up to the floor committed where a key has no record", 3000, 0, returning},
	{"a revision that was collected holds where a key has no record", 1000, 0, CollectFromSeed},
	{"tombstones that came after the collection are gone", 1000, 0, CollectFromSeed},
	{"learners without the floor", 1000, 0, CollectFromSeed},
	{"learners without the horizon and its agreements", 3000, 0, joiners},
	{"learners keep keys that the donor has no more", 3000, 0, joiners},
	{"learners keep keys that were collected during the load", 3000, 0, joiners},
	{"a watch that goes on is not told what was collected", 20, 0, near(watchersOfCollections, 1475)},
	{"a vote of who has lost what it promised", 3000, 0, forgetfulVotes},
	{"two values in one ballot", 300, 0, near(VotesHarshFromSeed, 1200)},
	{"promises that no disk keeps", 3000, 0, VotesHarshFromSeed},
	{"accepted below what was promised", 3000, 0, VotesHarshFromSeed},
	{"what was accepted is passed over", 3000, 0, VotesHarshFromSeed},
	{"a record decided by one vote less", 300, 0, VotesFromSeed},
	{"the first record decided by more than half", 300, 0, VotesFromSeed},
}

// caught returns the first seed that finds the mutant which is on, and what it finds.
func (h *hunt) caught(historiesOnly bool, within uint64) (uint64, *Failure) {
	for seed := uint64(1); seed <= within; seed++ {
		o := h.from(seed)
		o.HistoriesOnly = historiesOnly
		if r := Run(o); r.Failure != nil {
			return seed, r.Failure
		}
	}
	return 0, nil
}

// run hunts in this process, in which the mutant is on. With -sim.seed it runs that one seed and
// prints its schedule.
func (h *hunt) run(t *testing.T) {
	if *one != 0 {
		o := h.from(*one)
		o.Trace = os.Stdout
		if r := Run(o); r.Failure != nil {
			t.Fatalf("seed %d: %v", *one, r.Failure)
		}
		return
	}

	seed, found := h.caught(false, h.within)
	if found == nil {
		t.Errorf("not caught by anything within %d seeds", h.within)
	} else {
		t.Logf("seed %d: %v", seed, found)
	}
	if h.histories == 0 {
		return
	}
	seed, found = h.caught(true, h.histories)
	if found == nil {
		t.Errorf("not caught by what the clients saw within %d seeds", h.histories)
	} else {
		t.Logf("histories alone, seed %d: %v", seed, found)
	}
}

// TestMutantsAreCaught is the gate: a rule that can be removed unseen is a rule that nothing
// tests. It builds one test binary with all mutants in it, and runs itself there once for each of
// those that -sim.mutants names.
func TestMutantsAreCaught(t *testing.T) {
	if on := mutants.Told(); on != "" {
		i := slices.IndexFunc(hunts, func(h hunt) bool { return h.name == on })
		if i < 0 {
			t.Fatalf("nothing hunts for the mutant %q", on)
		}
		hunts[i].run(t)
		return
	}

	begun := time.Now()
	binary, err := mutants.Build("../../..", t.TempDir(), "./client/judge/sim")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built in %.1f s", time.Since(begun).Seconds())
	for i := range hunts {
		h := &hunts[i]
		if asked, err := h.isAsked(); err != nil {
			t.Fatal(err)
		} else if !asked {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			limit := "-test.timeout=0"
			if at, ok := t.Deadline(); ok {
				limit = fmt.Sprintf("-test.timeout=%v", time.Until(at))
			}
			said, err := mutants.Command(binary, h.name, "-test.run=^TestMutantsAreCaught$", "-test.v", limit,
				fmt.Sprintf("-sim.seed=%d", *one)).CombinedOutput()
			if err != nil {
				t.Errorf("%v", err)
			}
			t.Logf("%s", said)
		})
	}
}

// Every mutant is hunted for, once.
func TestEveryMutantIsHunted(t *testing.T) {
	for _, m := range mutants.All {
		n := 0
		if byTest(m.Name) != "" {
			n++
		}
		for i := range hunts {
			if hunts[i].name == m.Name {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d hunts for %q", n, m.Name)
		}
	}
	for i := range hunts {
		if _, err := mutants.Find(hunts[i].name); err != nil {
			t.Error(err)
		}
	}
	for _, tests := range byTests {
		for name := range tests {
			if _, err := mutants.Find(name); err != nil {
				t.Error(err)
			}
		}
	}
}
