package kvrecord_test

import (
	"slices"
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client/judge/history"
	"quartet/client/judge/kvrecord"
)

// BenchmarkThreeCopies is what clients of a JetStream bucket with three copies see, which answers
// gets from any of them (direct gets): in each round 64 sessions, over all three servers, until
// each has had 40 answers. It reports how many of 1,000 gets returned less than what had been
// acknowledged before, and how many of the rounds were linearizable and sequential by the judges of
// quartet.
func BenchmarkThreeCopies(b *testing.B) {
	urls := startJetStream(b, 3)
	for _, pace := range []time.Duration{0, 20 * time.Millisecond} {
		b.Run("pauses of up to "+pace.String(), func(b *testing.B) { judgeRounds(b, urls, pace) })
	}
}

func judgeRounds(b *testing.B, urls []string, pace time.Duration) {
	var gets, stale, linearizable, sequential int
	for i := range b.N {
		o := options(urls, makeBucket(b, urls))
		o.Sessions, o.Keys, o.Updates, o.Seed, o.Pace = 64, 16, false, uint64(i), pace
		ops := recorded(b, o, 40)
		g, s := kvrecord.Stale(ops)
		gets, stale = gets+g, stale+s

		if v := history.Linearizable(ops, history.Budget{}); v.OK() {
			linearizable++
		} else {
			b.Logf("%.600s", v)
		}
		weaker := slices.Clone(ops)
		for i := range weaker {
			weaker[i].Model = model.Sequential
		}
		kvrecord.Place(weaker)
		if v := history.Sequential(weaker); v.OK() {
			sequential++
		} else {
			b.Logf("%.600s", v)
		}
	}
	b.ReportMetric(1000*float64(stale)/float64(max(gets, 1)), "stale/1000gets")
	b.ReportMetric(float64(linearizable)/float64(b.N), "linearizable/round")
	b.ReportMetric(float64(sequential)/float64(b.N), "sequential/round")
}

// What was acknowledged before a get was asked for is not stale, and what is older is.
func TestStale(t *testing.T) {
	urls := startJetStream(t, 1)
	ops := recorded(t, options(urls, makeBucket(t, urls)), 20)
	if gets, stale := kvrecord.Stale(ops); gets == 0 || stale != 0 {
		t.Errorf("one copy: %d of %d", stale, gets)
	}
	late := slices.MaxFunc(ops, func(a, b history.Operation) int { return int(a.Return - b.Return) }).Return
	old := ops[slices.IndexFunc(ops, func(o history.Operation) bool { return o.Found })]
	old.Call, old.Return, old.Revision = late+1, late+2, 1
	if gets, stale := kvrecord.Stale(append(ops, old)); gets == 0 || stale != 1 {
		t.Errorf("with an old answer: %d of %d", stale, gets)
	}
}
