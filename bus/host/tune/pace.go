package tune

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The bounds of GOGC, in percent of what is live. While little is live, garbage may be several
// times that. With a million keys the same percentage would let garbage grow to several times the
// data, on pages that the process has never touched, each of which is a page fault: so the room
// for garbage is bounded. (Between 100 and 1,600 % no difference was measured in the tail, with
// little live; no collection at all is slower: client/measure/load/FIGURES.md.)
const (
	mostPercent  = 400
	leastPercent = 100
	room         = 64 << 20 // bytes of garbage up to which mostPercent may go
)

// percent returns the GOGC for so many live bytes.
func percent(live uint64) int {
	return int(max(leastPercent, min(mostPercent, 100*room/max(live, 1))))
}

// pace sets GOGC now and after each collection.
func pace() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		debug.SetGCPercent(percent(sample[0].Value.Uint64()))
	}

	type collected struct{ _ [16]byte } // not of the tiny ones, which die together
	runtime.AddCleanup(new(collected), func(struct{}) { pace() }, struct{}{})
}
