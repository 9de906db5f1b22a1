package comparison

import (
	"cmp"
	"math"
	"slices"

	"quartet/bus/model"
	"quartet/client/judge/history"
)

// Staleness says how old the values were that gets returned. A get is stale if its value was
// surely outdated when it was called: some set of its key began after the set that it saw had been
// acknowledged, and was itself acknowledged before the get was called. So:
//
//   - of concurrent sets neither is older than the other;
//   - a set counts as newer only if it was acknowledged; what a set of unknown outcome
//     wrote is never outdated, for it may take effect at any later time;
//   - where several sets wrote the value, the get saw the one that was acknowledged last;
//   - no value is older than every set;
//   - a value that no set of the history wrote is not judged.
type Staleness struct {
	Judged  int // gets that were answered, but for those of a foreign value
	Stale   int // of them
	Doubted int // of those that are not stale: stale if an older set of the same value is what they saw
	Foreign int // gets of a value that no set before them wrote

	// Of the stale gets: how many acknowledged sets each was behind, and for how long, in
	// units of the history's clock, the first of them had been acknowledged when the get
	// was called.
	Behind   Quantiles
	Outdated Quantiles
}

// Quantiles are of a list of numbers, by nearest rank; zero of none.
type Quantiles struct{ P50, P99, Max int64 }

// Stale judges the gets of a history in which every set of their keys is recorded, once.
// What was refused, gets without an answer and gets at rest say nothing.
func Stale(h []history.Operation) Staleness {
	var all Staleness
	var behind, outdated []int64
	for _, k := range byKey(h) {
		k.index()
		for _, g := range k.gets {
			k.judge(g, &all)
		}
		behind = append(behind, k.behind()...)
		outdated = append(outdated, k.outdated...)
	}
	all.Stale = len(outdated)
	all.Behind, all.Outdated = quantiles(behind), quantiles(outdated)
	return all
}

// key is what a history holds of one key.
type key struct {
	gets   []*history.Operation
	sets   []*history.Operation // acknowledged or of unknown outcome
	acked  []*history.Operation // those acknowledged, by call
	first  []int64              // i: the least return of acked[i:]
	values map[string]*writers

	late     []lateness // of the stale gets
	outdated []int64    // likewise
}

// lateness is a stale get: every set of acked[from:] that had returned before at is newer
// than what it saw.
type lateness struct {
	at   int64
	from int
}

// writers are the sets of one value, by call. Of the sets up to each, newest is the latest return
// and oldest the earliest; a set of unknown outcome has not returned.
type writers struct {
	calls          []int64
	newest, oldest []int64
}

// Ends of time: before the key had a value, and of a set of unknown outcome.
const (
	never  = int64(math.MinInt64)
	always = int64(math.MaxInt64)
)

func byKey(h []history.Operation) map[string]*key {
	keys := make(map[string]*key)
	for i := range h {
		o := &h[i]
		silentGet := o.Type == model.Get && o.Outcome != history.OK
		if o.Outcome == history.Fail || o.Rest || silentGet {
			continue
		}

		k := keys[o.Key]
		if k == nil {
			k = &key{values: make(map[string]*writers)}
			keys[o.Key] = k
		}

		if o.Type == model.Get {
			k.gets = append(k.gets, o)
		} else {
			k.sets = append(k.sets, o)
		}
	}
	return keys
}

// index makes the key's sets ready to be searched.
func (k *key) index() {
	slices.SortStableFunc(k.sets, func(a, b *history.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, o := range k.sets {
		returned := always
		if o.Outcome == history.OK {
			returned = o.Return
			k.acked = append(k.acked, o)
		}

		w := k.values[o.Value]
		if w == nil {
			w = &writers{}
			k.values[o.Value] = w
		}

		newest, oldest := returned, returned
		if n := len(w.calls); n > 0 {
			newest, oldest = max(newest, w.newest[n-1]), min(oldest, w.oldest[n-1])
		}
		w.calls, w.newest, w.oldest = append(w.calls, o.Call), append(w.newest, newest), append(w.oldest, oldest)
	}

	k.first = make([]int64, len(k.acked))
	least := always
	for i := len(k.acked) - 1; i >= 0; i-- {
		least = min(least, k.acked[i].Return)
		k.first[i] = least
	}
}

// judge counts a get, and keeps it if it is stale.
func (k *key) judge(g *history.Operation, all *Staleness) {
	newest, oldest := never, never
	if g.Found {
		w := k.values[g.Output]
		n := 0 // sets of the value that were called before the get returned
		if w != nil {
			n, _ = slices.BinarySearchFunc(w.calls, g.Return, func(call, end int64) int {
				if call <= end {
					return -1
				}
				return 1
			})
		}
		if n == 0 {
			all.Foreign++
			return
		}
		newest, oldest = w.newest[n-1], w.oldest[n-1]
	}

	all.Judged++
	// The set that it saw may be the newest of its value: stale is only what is older even so.
	if from, since := k.newer(newest); since < g.Call {
		k.late = append(k.late, lateness{g.Call, from})
		k.outdated = append(k.outdated, g.Call-since)
	} else if _, since = k.newer(oldest); since < g.Call {
		all.Doubted++
	}
}

// newer returns the index in acked of the first set that was called after the time returned, and
// when the earliest of the sets from there on returned.
func (k *key) newer(returned int64) (from int, since int64) {
	from, _ = slices.BinarySearchFunc(k.acked, returned, func(o *history.Operation, t int64) int {
		if o.Call <= t {
			return -1
		}
		return 1
	})
	if from == len(k.acked) {
		return from, always
	}
	return from, k.first[from]
}

// behind counts for each stale get the sets that it missed. Gets are counted in the order of their
// calls while a Fenwick tree counts the sets that have returned before, by their index in acked.
func (k *key) behind() []int64 {
	slices.SortFunc(k.late, func(a, b lateness) int { return cmp.Compare(a.at, b.at) })
	byReturn := make([]int, len(k.acked))
	for i := range byReturn {
		byReturn[i] = i
	}
	slices.SortFunc(byReturn, func(a, b int) int { return cmp.Compare(k.acked[a].Return, k.acked[b].Return) })

	tree := make([]int64, len(k.acked)+1)
	counts := make([]int64, 0, len(k.late))
	returned := 0
	for _, g := range k.late {
		for ; returned < len(byReturn) && k.acked[byReturn[returned]].Return < g.at; returned++ {
			for i := byReturn[returned] + 1; i < len(tree); i += i & -i {
				tree[i]++
			}
		}

		missed := int64(returned)
		for i := g.from; i > 0; i -= i & -i {
			missed -= tree[i]
		}
		counts = append(counts, missed)
	}
	return counts
}

func quantiles(values []int64) Quantiles {
	if len(values) == 0 {
		return Quantiles{}
	}
	slices.Sort(values)
	at := func(percent int) int64 { return values[(len(values)*percent+99)/100-1] }
	return Quantiles{P50: at(50), P99: at(99), Max: values[len(values)-1]}
}
