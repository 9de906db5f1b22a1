package kv

import (
	"container/heap"
	"slices"
	"time"
)

// marker is what stands in a key's place when it has no value.
type marker uint8

const (
	isValue marker = iota
	isDeleted
	isPurged
	isEnded // its time was over
)

// entry is the newest change of a key.
type entry struct {
	revision uint64 // in the cluster's order
	number   uint64 // as clients are told
	at       int64  // when the facade learnt of it, in nanoseconds since 1970
	until    int64  // of a marker that ends: when; 0: it stays
	size     int32  // bytes of the message
	marker   marker
	older    []int32 // sizes of the messages before it that are kept, the oldest first
}

// numbers are the numbers of a bucket's changes: 1, 2, 3, … in the order of their revisions. Every
// change that the feed tells takes the next one, so that whoever reads the same feed from the same
// place gives the same numbers.
type numbers struct {
	history  int
	next     uint64
	keys     map[string]entry
	live     int   // keys with a value
	lastAt   int64 // when the newest was given, in nanoseconds since 1970
	messages int
	bytes    int64
	ends     ends // of markers

	recent      []uint64 // revisions of the newest changes; recent[i] has the number recentFirst + i
	recentFirst uint64
}

// maxRecent is how many changes are remembered by number, at the least: those of which a write
// that is sent again may be answered.
const maxRecent = 1 << 17

func newNumbers(history int, first uint64) *numbers {
	return &numbers{history: history, next: first, keys: map[string]entry{}, recentFirst: first}
}

// last is the newest number that was given; 0: none in a bucket that begins with 1.
func (n *numbers) last() uint64 { return n.next - 1 }

// take gives the next number to a change of a key.
func (n *numbers) take(key string, e entry) uint64 {
	e.number, n.lastAt = n.skip(e.revision), e.at
	n.put(key, e)
	return e.number
}

// skip gives the next number to a change that leaves nothing behind.
func (n *numbers) skip(revision uint64) uint64 {
	number := n.next
	n.next++
	if len(n.recent) >= 2*maxRecent {
		n.recent = append(n.recent[:0], n.recent[maxRecent:]...)
		n.recentFirst += maxRecent
	}
	n.recent = append(n.recent, revision)
	return number
}

// put notes the newest change of a key, and what of the older ones is kept beside it.
func (n *numbers) put(key string, e entry) {
	before, found := n.keys[key]
	if found {
		n.drop(&before)
		keeps := n.history > 1 && e.marker != isPurged && e.marker != isEnded
		if keeps {
			e.older = append(before.older, before.size)
			e.older = e.older[max(0, len(e.older)-(n.history-1)):]
		}
	}
	n.keys[key] = e
	n.count(&e, 1)
	if e.until > 0 {
		heap.Push(&n.ends, end{at: e.until, key: key, number: e.number})
	}
}

// remove forgets a key, of which nothing is kept.
func (n *numbers) remove(key string) {
	if e, found := n.keys[key]; found {
		n.drop(&e)
		delete(n.keys, key)
	}
}

func (n *numbers) drop(e *entry) { n.count(e, -1) }

func (n *numbers) count(e *entry, sign int) {
	if e.marker == isValue {
		n.live += sign
	}
	n.messages += sign * (1 + len(e.older))
	n.bytes += int64(sign) * int64(e.size)
	for _, size := range e.older {
		n.bytes += int64(sign) * int64(size)
	}
}

// keep forgets all but the newest messages of a key, and returns how many went.
func (n *numbers) keep(key string, newest int) (gone int) {
	e, found := n.keys[key]
	if !found {
		return 0
	}
	if newest == 0 {
		n.remove(key)
		return 1 + len(e.older)
	}

	n.drop(&e)
	gone = max(0, len(e.older)-(newest-1))
	e.older = slices.Clone(e.older[gone:])
	n.keys[key] = e
	n.count(&e, 1)
	return gone
}

// grows is by how many bytes the bucket grows by another message of a key.
func (n *numbers) grows(key string, size int64) int64 {
	e, found := n.keys[key]
	switch {
	case !found:
		return size
	case n.history == 1:
		return size - int64(e.size)
	case len(e.older) < n.history-1:
		return size
	}
	return size - int64(e.older[0])
}

// number is that of a change of a key, told by its revision. ok: it is known.
func (n *numbers) number(key string, revision uint64) (number uint64, ok bool) {
	if e, found := n.keys[key]; found && e.revision == revision {
		return e.number, true
	}
	i, found := slices.BinarySearch(n.recent, revision)
	if !found {
		return 0, false
	}
	return n.recentFirst + uint64(i), true
}

// revision is that of the change of a key which has a number. ok: it is known. It may be one of
// another key: the cluster then finds that the key's revision is another.
func (n *numbers) revision(key string, number uint64) (revision uint64, ok bool) {
	if e, found := n.keys[key]; found && e.number == number {
		return e.revision, true
	}
	i := number - n.recentFirst
	if number < n.recentFirst || i >= uint64(len(n.recent)) {
		return 0, false
	}
	isLeftOut := i > 0 && n.recent[i] == n.recent[i-1] // or of a transaction: that is told by the key alone
	return n.recent[i], !isLeftOut
}

// forgetEnded forgets the markers whose time is over: a server that keeps the stream has, too.
func (n *numbers) forgetEnded(now time.Time) {
	at := now.UnixNano()
	for len(n.ends) > 0 && n.ends[0].at <= at {
		end := heap.Pop(&n.ends).(end)
		if n.keys[end.key].number == end.number { // else another change has come since
			n.remove(end.key)
		}
	}
}

// end is when a marker's time is over.
type end struct {
	at     int64
	key    string
	number uint64
}

// ends are in a heap, the first on top.
type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// goTo leaves numbers out, up to one that is the next. They stand among the recent ones with the
// revision before them.
func (n *numbers) goTo(next uint64) {
	if next <= n.next {
		return
	}
	if len(n.recent) == 0 || next-n.next > maxRecent {
		n.recent, n.recentFirst, n.next = n.recent[:0], next, next
		return
	}
	before := n.recent[len(n.recent)-1]
	for n.next < next {
		n.skip(before)
	}
}
