// Package changes is the log of what has changed, newest last: what a watch is told from, and where
// it goes on. It promises to hold the changes of the order from some place on without a gap, and
// to say from where: at least the last 100,000, unless their bytes are too many.
//
// It is part of the replicated state: filled at delivery only and trimmed by what it holds, so
// replicas at one position, loaded ones too, can say the same of it. The package is pure: no I/O,
// clock, goroutine or lock.
package changes

import (
	"slices"
	"sort"

	"quartet/bus/message"
)

// What a log keeps, where its configuration says nothing else.
const (
	DefaultMost  = 100_000   // changes: what the public contract promises
	DefaultBytes = 256 << 20 // … of which so many bytes are kept at the most
)

// changeBytes is what a change counts for beside key and value: it takes less, but replicas of all
// versions are to forget the same changes for lack of room.
const changeBytes = 112

// blockLen is how many changes stand together: the log grows and shrinks by blocks, so that no
// change of its size holds the replica up.
const blockLen = 128

// Log is a log of changes. It has one owner. Make it with [New].
//
// Each change has an index, which counts the changes that this log has taken: what a watch
// remembers as its place. Indexes are of one process; revisions are the order's.
type Log struct {
	blocks []*block // each full but the last
	first  uint64   // index of the oldest change
	base   uint64   // index of the first place of the first block
	next   uint64   // index that the next change gets
	since  uint64   // all changes after this revision are here
	bytes  int

	most, mostBytes int
}

// New returns an empty log that is whole from the beginning of the order on. most is how many
// changes it keeps, mostBytes how many bytes of them; 0: what is promised.
func New(most, mostBytes int) *Log {
	if most <= 0 {
		most = DefaultMost
	}
	if mostBytes <= 0 {
		mostBytes = DefaultBytes
	}
	return &Log{most: most, mostBytes: mostBytes}
}

// Reset empties the log: it is to go on behind a revision. Indexes go on rising.
func (l *Log) Reset(since uint64) {
	l.blocks, l.bytes = nil, 0
	l.first, l.base = l.next, l.next
	l.since = since
}

// Since is the revision after which all changes are here.
func (l *Log) Since() uint64 { return l.since }

// Len is how many changes the log holds.
func (l *Log) Len() int { return int(l.next - l.first) }

// Bytes is what they count for: more than the memory that they take.
func (l *Log) Bytes() int { return l.bytes }

// First is the index of the oldest change, Next that of the change after the newest.
func (l *Log) First() uint64 { return l.first }

// Next is the index that the next change gets.
func (l *Log) Next() uint64 { return l.next }

// Last is the revision of the newest change, or Since if there is none.
func (l *Log) Last() uint64 {
	if l.next == l.first {
		return l.since
	}
	return l.Revision(l.next - 1)
}

// At returns the change of an index from First to below Next. Its value must not be changed, and
// whoever keeps it for long copies it, for it stands among others.
func (l *Log) At(i uint64) message.Change {
	b, at := l.place(i)
	return b.get(at)
}

// Below reports whether the key of a change begins with a prefix. It costs less than [Log.At].
func (l *Log) Below(i uint64, prefix string) bool {
	b, at := l.place(i)
	key := b.key(at)
	return len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix
}

// Revision returns the revision of a change. It costs less than [Log.At].
func (l *Log) Revision(i uint64) uint64 {
	b, at := l.place(i)
	return b.revision(at)
}

// place is where the change of an index stands.
func (l *Log) place(i uint64) (b *block, at int) {
	n := i - l.base
	return l.blocks[n/blockLen], int(n % blockLen)
}

// More reports whether the change after this one has the same revision.
func (l *Log) More(i uint64) bool {
	return i+1 < l.next && l.Revision(i+1) == l.Revision(i)
}

// Append takes the next change. Revisions do not fall. Of several changes of one key at one
// revision, a transaction's, the last counts.
func (l *Log) Append(c message.Change) {
	for i := l.next; i > l.first && l.Revision(i-1) == c.Revision; i-- {
		if b, at := l.place(i - 1); string(b.key(at)) == c.Key {
			l.bytes += c.Size() - b.size(at)
			b.replace(at, &c)
			l.trim()
			return
		}
	}
	l.Push(c)
}

// Push takes the next change as it is, of whatever revision: what is not in the order yet has
// none.
func (l *Log) Push(c message.Change) {
	n := len(l.blocks)
	if n == 0 || l.blocks[n-1].len() == blockLen {
		l.begin(c.Revision)
		n = len(l.blocks)
	}
	l.blocks[n-1].append(&c)
	l.next++
	l.bytes += changeBytes + c.Size()
	l.trim()
}

// begin begins a block. It is likely to become as long as the last one.
func (l *Log) begin(revision uint64) {
	room := 0
	if n := len(l.blocks); n > 0 {
		full := l.blocks[n-1]
		full.seal()
		room = len(full.data) + len(full.data)/32
	}
	l.blocks = append(l.blocks, newBlock(revision, room))
}

// trim drops what is more than the log keeps, the oldest first. The newest always stays.
func (l *Log) trim() {
	for l.next-l.first > 1 && l.isOver() {
		b, at := l.place(l.first)
		l.since = max(l.since, b.revision(at))
		l.bytes -= changeBytes + b.size(at)
		b.drop(at)
		l.first++

		if l.first-l.base == blockLen {
			l.blocks = slices.Delete(l.blocks, 0, 1)
			l.base += blockLen
		}
	}
}

// isOver reports whether the log holds more than it keeps.
func (l *Log) isOver() bool { return l.next-l.first > uint64(l.most) || l.bytes > l.mostBytes }

// Seek returns the index of the first change after a revision, or false if some of those are not
// kept any more.
func (l *Log) Seek(after uint64) (uint64, bool) {
	if after < l.since {
		return 0, false
	}
	n := sort.Search(l.Len(), func(i int) bool { return l.Revision(l.first+uint64(i)) > after })
	return l.first + uint64(n), true
}
