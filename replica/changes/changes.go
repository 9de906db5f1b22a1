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

// changeBytes is about what a change takes beside key and value.
const changeBytes = 112

// blockLen is how many changes are allocated at once: the log grows and shrinks by blocks, so that
// no change of its size holds the replica up.
const blockLen = 1024

// Log is a log of changes. It has one owner. Make it with [New].
//
// Each change has an index, which counts the changes that this log has taken: what a watch
// remembers as its place. Indexes are of one process; revisions are the order's.
type Log struct {
	blocks [][]message.Change // each full but the last
	spare  []message.Change   // an empty block, or nil
	first  uint64             // index of the oldest change
	base   uint64             // index of the first place of the first block
	next   uint64             // index that the next change gets
	since  uint64             // all changes after this revision are here
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

// Bytes is about how much memory they take.
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
	return l.At(l.next - 1).Revision
}

// At returns the change of an index from First to below Next. It must not be changed.
func (l *Log) At(i uint64) *message.Change {
	n := i - l.base
	return &l.blocks[n/blockLen][n%blockLen]
}

// More reports whether the change after this one has the same revision.
func (l *Log) More(i uint64) bool {
	return i+1 < l.next && l.At(i+1).Revision == l.At(i).Revision
}

// Append takes the next change. Revisions do not fall. Of several changes of one key at one
// revision, a transaction's, the last counts.
func (l *Log) Append(c message.Change) {
	for i := l.next; i > l.first && l.At(i-1).Revision == c.Revision; i-- {
		if old := l.At(i - 1); old.Key == c.Key {
			l.bytes += c.Size() - old.Size()
			*old = c
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
	if n == 0 || len(l.blocks[n-1]) == blockLen {
		l.blocks = append(l.blocks, l.block())
		n++
	}
	l.blocks[n-1] = append(l.blocks[n-1], c)
	l.next++
	l.bytes += changeBytes + c.Size()
	l.trim()
}

// block returns an empty block.
func (l *Log) block() []message.Change {
	if b := l.spare; b != nil {
		l.spare = nil
		return b
	}
	return make([]message.Change, 0, blockLen)
}

// trim drops what is more than the log keeps, the oldest first. The newest always stays.
func (l *Log) trim() {
	for l.next-l.first > 1 && l.isOver() {
		oldest := l.At(l.first)
		l.since = max(l.since, oldest.Revision)
		l.bytes -= changeBytes + oldest.Size()
		*oldest = message.Change{}
		l.first++

		if l.first-l.base == blockLen {
			l.spare = l.blocks[0][:0]
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
	n := sort.Search(l.Len(), func(i int) bool { return l.At(l.first+uint64(i)).Revision > after })
	return l.first + uint64(n), true
}
