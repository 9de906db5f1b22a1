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
//
// What a collection costs is what it has to look at. Of a replica's data that is next to nothing,
// for they have no pointers: the room has to grow with what can be scanned only, not with all that
// is live.
const (
	mostPercent  = 400
	leastPercent = 5
	room         = 32 << 20 // bytes of garbage, where less than that can be scanned
)

// percent returns the GOGC for so many live bytes, of which so many can be scanned.
func percent(live, scanned uint64) int {
	return int(max(leastPercent, min(mostPercent, 100*max(room, scanned)/max(live, 1))))
}

// pace sets GOGC now and after each collection.
func pace() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}}
	metrics.Read(sample)
	areKnown := sample[0].Value.Kind() == metrics.KindUint64 && sample[1].Value.Kind() == metrics.KindUint64
	if areKnown {
		debug.SetGCPercent(percent(sample[0].Value.Uint64(), sample[1].Value.Uint64()))
	}

	type collected struct{ _ [16]byte } // not of the tiny ones, which die together
	runtime.AddCleanup(new(collected), func(struct{}) { pace() }, struct{}{})
}
