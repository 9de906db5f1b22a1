package sim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

var (
	seeds = flag.Uint64("sim.seeds", 1000, "how many seeds to run, and parts of that of other mixes")
	first = flag.Uint64("sim.first", 1, "the first of them")
	ops   = flag.Uint64("sim.operations", 100, "how many of TestOperations")
	one   = flag.Uint64("sim.seed", 0, "run one seed and print its schedule")
)

// TestMain lets more garbage lie about, unless GOGC says how much: a run is over before it is much,
// and a third of the time of many runs is the collector's.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	os.Exit(m.Run())
}

// parts is into how many parallel subtests a range of seeds is cut.
const parts = 8

// TestSeeds runs clusters from seeds, with every fault.
func TestSeeds(t *testing.T) { run(t, FromSeed, *seeds) }

// run runs seeds in parallel parts. With -sim.seed it runs that one and prints its
// schedule.
func run(t *testing.T, from func(uint64) Options, seeds uint64) {
	if *one != 0 {
		o := from(*one)
		o.Trace = os.Stdout
		if r := Run(o); r.Failure != nil {
			t.Fatalf("seed %d: %v", *one, r.Failure)
		}
		return
	}

	var sums [parts]Result
	t.Run("seeds", func(t *testing.T) {
		for part := range uint64(parts) {
			t.Run(fmt.Sprintf("part%d", part+1), func(t *testing.T) {
				t.Parallel()
				failures := 0
				for seed := *first + part; seed < *first+seeds && failures < mostFailures; seed += parts {
					r := Run(from(seed))
					sums[part].add(r)
					if r.Failure != nil {
						failures++
						t.Errorf("seed %d: %v\nreproduce: go test ./client/judge/sim -run '^%s$' -sim.seed %d",
							seed, r.Failure, root(t), seed)
					}
				}
			})
		}
	})

	var total Result
	for _, s := range sums {
		total.add(s)
	}
	t.Logf("%d seeds: %d requests, %d events, %d messages between nodes, %d operations delivered, "+
		"%d views, %d replicas died, %d masters; a request that could be served waited for %d ticks at the longest",
		seeds, total.Requests, total.Events, total.Messages, total.Delivered,
		total.Views, total.Crashes, total.Masters, total.Waited/tickUnits)
}

// mostFailures ends a part early when everything is broken.
const mostFailures = 3

func (r *Result) add(s Result) {
	r.Requests += s.Requests
	r.Events += s.Events
	r.Messages += s.Messages
	r.Delivered += s.Delivered
	r.Views += s.Views
	r.Crashes += s.Crashes
	r.Masters += s.Masters
	r.Waited = max(r.Waited, s.Waited)
}

// root is the name of the test that t is part of.
func root(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// TestOperations runs clusters whose sessions delete, add, set conditions and times to live as
// well: what they hear is what the one order makes of it, and no value outlives its end.
func TestOperations(t *testing.T) { run(t, OpsFromSeed, *ops) }

// TestCollections runs clusters that collect tombstones soon, while weak writes are on their way:
// none is lost that was acknowledged, and no key comes back.
func TestCollections(t *testing.T) { run(t, CollectFromSeed, *ops) }

// TestPowerCuts ends every run with a power cut that leaves disks without their ends, and
// an operator who goes on with what is left: the cluster must come to rest and agree.
func TestPowerCuts(t *testing.T) {
	run(t, func(seed uint64) Options {
		o := FromSeed(seed)
		o.Durable, o.PowerCut, o.Forever = true, true, false
		return o
	}, *seeds/20)
}

// TestStaleMasters runs clusters in which a master that was paused, and then replaced, may
// ask a replica that was removed and does not know it: nothing old must come of that.
func TestStaleMasters(t *testing.T) { run(t, StaleFromSeed, *seeds/40) }

// TestO21O22O26Watchers runs clusters with watchers of every model, which are told each change
// once, whatever dies, is loaded or is cut off meanwhile.
func TestO21O22O26Watchers(t *testing.T) { run(t, WatchFromSeed, *seeds/20) }

// TestO29LossyWatchers loses much of what watchers, masters and replicas say, so that two replicas
// tell one watcher.
func TestO29LossyWatchers(t *testing.T) { run(t, LossyWatchFromSeed, *seeds/20) }

// TestO27WatchersOfEndedHistories ends runs with a power cut: a watcher that was told what is lost
// is refused and begins anew, and one that was not goes on without a gap.
func TestO27WatchersOfEndedHistories(t *testing.T) { run(t, CutWatchFromSeed, *seeds/20) }

// TestO30O31O32Listers runs clusters with clients that list, page by page: all pages of a list are
// of the cut with which it began, whatever dies, is loaded or is cut off meanwhile.
func TestO30O31O32Listers(t *testing.T) { run(t, ListFromSeed, *seeds/40) }

// TestWaits runs clusters in which sets may wait for longer than executed ones are kept, and
// clients send them again, with their age and without: nothing is executed twice.
func TestWaits(t *testing.T) { run(t, WaitsFromSeed, *seeds/20) }

// TestO1Upgrades stops a build that knew no levels and goes on with its disks: what it had ordered
// is delivered by its own rules, by everybody alike.
func TestO1Upgrades(t *testing.T) { run(t, UpgradeFromSeed, *seeds/40) }

// TestPutBack puts disks back to older copies of themselves: whoever has gone back is left out,
// is loaded by the others, and takes nothing with it that was acknowledged.
func TestPutBack(t *testing.T) { run(t, PutBackFromSeed, *seeds/10) }

// TestF15PutBackNear puts disks back to copies of a moment before, while messages are lost: what a
// replica has delivered alone, and does not have any more, stays inside the cut.
func TestF15PutBackNear(t *testing.T) { run(t, PutBackNearFromSeed, *seeds/40) }

// TestF15Unwitnessed lets all die beside that, with what they remember of it.
func TestF15Unwitnessed(t *testing.T) { run(t, PutBackUnwitnessedFromSeed, *seeds/40) }

// TestF11PutBackAndLost loses records beside that: what nobody can know any more an operator
// decides, and going on loses nothing that was acknowledged.
func TestF11PutBackAndLost(t *testing.T) { run(t, PutBackAndLostFromSeed, *seeds/40) }

// TestMisplaced puts disks of another cluster, or of another history, in place of replicas' own:
// the others go on, and nothing of the other cluster comes in.
func TestMisplaced(t *testing.T) { run(t, MisplacedFromSeed, *seeds/20) }

// TestClocks sets the clocks back that incarnations are drawn from: whoever starts with less than
// was known of it goes on above, and is let in.
func TestClocks(t *testing.T) { run(t, ClocksFromSeed, *seeds/20) }

// TestLinks runs clusters in which links between replicas are cut: strong requests must be
// answered wherever some set of replicas could do so.
func TestLinks(t *testing.T) { run(t, LinksFromSeed, *seeds/40) }

// TestUnreadRecords starts a master while nobody can read the record of the views: what needs no
// view must be answered all the same.
func TestUnreadRecords(t *testing.T) { run(t, UnreadFromSeed, *seeds/100) }

// TestLostRecords makes the store of the views' record lose the newest one, or all: it is made
// anew from what the replicas hold, and never beside a later one.
func TestLostRecords(t *testing.T) { run(t, LostFromSeed, *seeds/10) }

// TestLostRecordsHarsh makes the store lose the newest record again and again, while nodes are cut
// off and other masters are started.
func TestLostRecordsHarsh(t *testing.T) { run(t, LostHarshFromSeed, *seeds/20) }

// TestLostRecordsHarsher has more of all that. In the 43rd of its runs a member alone has installed
// a record that is lost, and another is decided in its place: the member begins anew.
func TestLostRecordsHarsher(t *testing.T) { run(t, near(LostHarsherFromSeed, 3500), *seeds/20) }

// TestLostRecordsWithCrashes lets replicas die beside that.
func TestLostRecordsWithCrashes(t *testing.T) { run(t, LostWithCrashesFromSeed, *seeds/20) }

// TestVotes runs clusters whose replicas decide the records of views themselves, with every fault.
func TestVotes(t *testing.T) { run(t, VotesFromSeed, *seeds/2) }

// TestVotesHarsh has two masters at work most of the time, beside replicas that die.
func TestVotesHarsh(t *testing.T) { run(t, VotesHarshFromSeed, *seeds/5) }

// TestVotesThree has three masters at work at once.
func TestVotesThree(t *testing.T) { run(t, VotesThreeFromSeed, *seeds/20) }

// TestVotesContested has three at work while everything that can happen does.
func TestVotesContested(t *testing.T) { run(t, ContestedFromSeed, *seeds/20) }

// TestVotesTakenOut takes a replica out of the cluster meanwhile.
func TestVotesTakenOut(t *testing.T) { run(t, TakenOutFromSeed, *seeds/20) }

// TestM8Words tells masters that replicas do not answer any more, truly or not: that is no more
// than a suspicion too soon.
func TestM8Words(t *testing.T) { run(t, WordsFromSeed, *seeds/40) }

// TestVotesLeave takes a replica out of the cluster, while masters die.
func TestVotesLeave(t *testing.T) { run(t, VotesLeaveFromSeed, *seeds/10) }

// TestVotesPutBack puts disks back.
func TestVotesPutBack(t *testing.T) { run(t, VotesPutBackFromSeed, *seeds/20) }

// TestVotesPowerCuts ends every run with a power cut, after which no replica has a vote.
func TestVotesPowerCuts(t *testing.T) { run(t, VotesPowerFromSeed, *seeds/20) }

// The seeds that found something keep being run.
func TestKeptSeeds(t *testing.T) {
	b, err := os.ReadFile("../../../testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(string(b)) {
		number, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number == "" || number == "#" {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ran++
		if r := Run(FromSeed(seed)); r.Failure != nil {
			t.Errorf("seed %d (%s): %v", seed, strings.TrimSpace(what), r.Failure)
		}
	}
	if ran == 0 {
		t.Error("no seed was run")
	}
}

// The same seed gives the same run, event for event.
func TestReproduces(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var runs [2]bytes.Buffer
		for i := range runs {
			o := FromSeed(seed)
			o.Trace = &runs[i]
			Run(o)
		}
		if !bytes.Equal(runs[0].Bytes(), runs[1].Bytes()) {
			t.Fatalf("seed %d ran in two ways", seed)
		}
		if runs[0].Len() == 0 {
			t.Fatalf("seed %d left no transcript", seed)
		}
	}
}
