package kv

import (
	"container/heap"
	"time"
)

// wait is what waits until a count has come so far.
type wait struct {
	upTo  uint64
	until time.Time
	nth   uint64
	done  func(came bool)
}

// waits are what waits until a count that only rises, as of revisions or numbers, has come so far.
// The lowest go on first, and of the same those that came first.
type waits struct {
	heap byCount
	came uint64 // how many, ever
}

// add has done called when the count has come so far, or with false when that takes too long.
func (w *waits) add(upTo uint64, until time.Time, done func(came bool)) {
	w.came++
	heap.Push(&w.heap, wait{upTo: upTo, until: until, nth: w.came, done: done})
}

// release lets go on what has waited for the count that there is now.
func (w *waits) release(count uint64) {
	for len(w.heap) > 0 && w.heap[0].upTo <= count {
		heap.Pop(&w.heap).(wait).done(true)
	}
}

// expire ends what has waited too long.
func (w *waits) expire(now time.Time) { w.end(func(one *wait) bool { return now.After(one.until) }) }

// drop ends all.
func (w *waits) drop() { w.end(func(*wait) bool { return true }) }

// end ends those that are over, and tells each that what it waited for has not come.
func (w *waits) end(isOver func(*wait) bool) {
	var over []wait
	kept := w.heap[:0]
	for _, one := range w.heap {
		if isOver(&one) {
			over = append(over, one)
			continue
		}
		kept = append(kept, one)
	}
	if len(over) == 0 {
		return
	}

	clear(w.heap[len(kept):])
	w.heap = kept
	heap.Init(&w.heap)
	for _, one := range over {
		one.done(false)
	}
}

// byCount is a heap, the lowest on top.
type byCount []wait

func (w byCount) Len() int { return len(w) }
func (w byCount) Less(i, j int) bool {
	if w[i].upTo != w[j].upTo {
		return w[i].upTo < w[j].upTo
	}
	return w[i].nth < w[j].nth
}
func (w byCount) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *byCount) Push(x any)   { *w = append(*w, x.(wait)) }
func (w *byCount) Pop() any {
	last := len(*w) - 1
	x := (*w)[last]
	(*w)[last] = wait{}
	*w = (*w)[:last]
	return x
}
