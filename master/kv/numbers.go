package kv

import (
	"container/heap"
	"slices"
	"time"
)

// marker says what the newest message of a key is: its value, or why it has none.
type marker uint8

const (
	isValue marker = iota
	isDeleted
	isPurged
	isEnded // its TTL was over
)

// entry is the newest change of a key.
type entry struct {
	revision uint64 // the place of the change in the cluster's order
	number   uint64 // the sequence that clients are told
	at       int64  // when the facade learnt of it, in nanoseconds since 1970
	until    int64  // when a marker is forgotten, in nanoseconds since 1970; 0: it stays
	size     int32  // bytes of the message
	marker   marker
	older    []int32 // sizes of the messages before it that are kept, the oldest first
}

// numbers are the numbers of a bucket's changes: 1, 2, 3, … in the order of their revisions. Every
// change that the feed tells takes the next one, so that whoever reads the same feed from the same
// place gives the same numbers.
type numbers struct {
	history  int    // messages of a key that are kept, at the most
	next     uint64 // the number of the next change
	keys     map[string]entry
	live     int   // keys with a value
	lastAt   int64 // when the newest number was given, in nanoseconds since 1970
	messages int   // of all keys, markers and history included
	bytes    int64 // of these messages
	ends     ends  // of markers that are forgotten

	recent      []uint64 // revisions of the newest changes; recent[i] has the number recentFirst + i
	recentFirst uint64
}

// maxRecent is how many changes are remembered by number, at the least. A write that is sent again
// may be answered with the number of any of them.
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

// remove forgets a key with all its messages.
func (n *numbers) remove(key string) {
	if e, found := n.keys[key]; found {
		n.drop(&e)
		delete(n.keys, key)
	}
}

// drop takes the messages of an entry out of the counts.
func (n *numbers) drop(e *entry) { n.count(e, -1) }

// count adds the messages of an entry to the counts, or takes them out; sign is 1 or -1.
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

// keep forgets all messages of a key but the given number of newest ones, and returns how many it
// forgot.
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

// grows is by how many bytes the bucket grows with another message of a key: its own, less those of
// the message that it pushes out.
func (n *numbers) grows(key string, size int64) int64 {
	e, found := n.keys[key]
	switch {
	case !found: // a new key pushes nothing out
		return size
	case n.history == 1:
		return size - int64(e.size)
	case len(e.older) < n.history-1: // there is room for one more
		return size
	}
	return size - int64(e.older[0])
}

// number returns the number of the change of a key that has a revision. ok: it is known.
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

// revision returns the revision of the change of a key that has a number. ok: it is known. The
// number may be that of another key's change: the cluster then finds that the key's revision is
// another.
func (n *numbers) revision(key string, number uint64) (revision uint64, ok bool) {
	if e, found := n.keys[key]; found && e.number == number {
		return e.revision, true
	}

	i := number - n.recentFirst
	if number < n.recentFirst || i >= uint64(len(n.recent)) {
		return 0, false
	}
	// A number that was left out stands with the revision before it; so do the changes of one
	// transaction, of which the key alone tells which is meant.
	isLeftOut := i > 0 && n.recent[i] == n.recent[i-1]
	return n.recent[i], !isLeftOut
}

// forgetEnded forgets the markers whose time is over, as a server that keeps a stream does.
func (n *numbers) forgetEnded(now time.Time) {
	at := now.UnixNano()
	for len(n.ends) > 0 && n.ends[0].at <= at {
		end := heap.Pop(&n.ends).(end)
		isNewest := n.keys[end.key].number == end.number // no other change has come since
		if isNewest {
			n.remove(end.key)
		}
	}
}

// end is when a marker's time is over.
type end struct {
	at     int64 // in nanoseconds since 1970
	key    string
	number uint64 // of the marker
}

// ends is a heap, the soonest on top.
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

// goTo leaves numbers out, so that the given one is the next. Those left out stand among the recent
// ones with the revision before them.
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
