package layers

import (
	"maps"
	"slices"
	"strings"

	"quartet/bus/message"
	"quartet/replica/store"
)

// Snapshot is what all keys were at one moment: of the committed layer, as models 1 and 2 read it,
// or of both layers, as models 3 and 4 do. It costs nothing to take. While it is open, each key
// that changes first costs a look at what it was.
type Snapshot struct {
	layers *Layers
	past   *past
	weak   bool // of both layers
	number uint64
	closed bool

	// Of both layers: keys that had a tentative write then. The store may not tell of them.
	tentative *store.Memory
	looked    int // tentative writes that are still to be looked at
}

// Snapshot returns the committed layer as it is now.
func (l *Layers) Snapshot() *Snapshot {
	return &Snapshot{layers: l, past: &l.committedPast, number: l.committedPast.take()}
}

// NewestSnapshot returns what models 3 and 4 read now. It is to be made ready by
// [Snapshot.Prepare] before it is read.
func (l *Layers) NewestSnapshot() *Snapshot {
	s := &Snapshot{layers: l, past: &l.newestPast, weak: true, number: l.newestPast.take(), looked: len(l.tentative.held)}
	if s.looked > 0 {
		s.tentative = store.NewMemory(s.layers.cfg.Seed)
		l.preparing = append(l.preparing, s)
	}
	return s
}

// Prepare makes a snapshot ready to be read, as far as so many looks allow: it returns how many it
// took, and whether the snapshot is ready. One of the committed layer always is.
func (s *Snapshot) Prepare(looks int) (took int, ready bool) {
	held := s.layers.tentative.held
	s.looked = min(s.looked, len(held))
	for ; s.looked > 0 && took < looks; took++ {
		s.looked--
		s.tentative.Put(held[s.looked].key, store.Record{})
	}
	if s.looked > 0 {
		return took, false
	}
	s.layers.preparing = slices.DeleteFunc(s.layers.preparing, func(other *Snapshot) bool { return other == s })
	return took, true
}

// noteBefore keeps, for the snapshots that are open, what a key is before its first change.
func (l *Layers) noteBefore(key string) {
	if l.committedPast.needs(key) {
		rec, _ := l.store.Get(key)
		l.committedPast.note(key, rec)
	}
}

// noteNewest is noteBefore for what models 3 and 4 read. Tentative writes that leave are no longer
// found by who has yet to look at them.
func (l *Layers) noteNewest(key string) {
	if l.newestPast.needs(key) {
		rec, _ := l.Newest(key)
		l.newestPast.note(key, rec)
	}
	for _, s := range l.preparing {
		if !s.Lost() {
			s.tentative.Put(key, store.Record{})
		}
	}
}

// remove takes the record of a key away, as if there had never been one: snapshots that are open
// have it still.
func (l *Layers) remove(key string) {
	l.noteBefore(key)
	l.touch(key)
	l.store.Remove(key)
	l.committedPast.remove(key)
	l.newestPast.remove(key)
}

// loseSnapshots gives all snapshots up: what is there is dropped as a whole, without a note.
func (l *Layers) loseSnapshots() {
	l.committedPast.clear()
	l.newestPast.clear()
	l.preparing = nil
}

// Lost reports whether the snapshot had to be given up: too much has changed since, or all was
// dropped.
func (s *Snapshot) Lost() bool { return s.closed || s.past.isLost(s.number) }

// Close ends the use of the snapshot.
func (s *Snapshot) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.past.close(s.number)
	s.layers.preparing = slices.DeleteFunc(s.layers.preparing, func(other *Snapshot) bool { return other == s })
}

// Ascend calls f for what each key held, a tombstone too, from a key on, in the order of keys,
// until it returns false.
func (s *Snapshot) Ascend(from string, f func(c *message.Change) bool) {
	s.Each(from, func(key string, rec store.Record) bool {
		if rec.Kind == 0 {
			return true
		}
		c := changeOf(kindOf(&rec), key, &rec)
		return f(&c)
	})
}

// Each calls f for each key that held something then, and perhaps for some that did not (Kind 0),
// from a key on, in the order of keys, until it returns false. Revision 0: it was not committed.
func (s *Snapshot) Each(from string, f func(key string, rec store.Record) bool) {
	others := s.others(from)
	goesOn := true
	s.layers.store.Ascend(from, func(key string, rec store.Record) bool {
		for goesOn && others.has() && others.keys[0] < key {
			goesOn = f(others.keys[0], s.at(others.keys[0], store.Record{}))
			others.shift()
		}
		if !goesOn {
			return false
		}
		if others.has() && others.keys[0] == key {
			others.shift()
		}
		goesOn = f(key, s.at(key, rec))
		return goesOn
	})

	for goesOn && others.has() {
		goesOn = f(others.keys[0], s.at(others.keys[0], store.Record{}))
		others.shift()
	}
}

// at is what a key was, where rec stands in the store now.
func (s *Snapshot) at(key string, rec store.Record) store.Record {
	if before, changed := s.past.at(key, s.number); changed {
		return before
	}
	isRecord := rec.Kind != 0 && !s.layers.gone(&rec)
	if s.weak {
		if h := s.layers.tentative.newest(key); h != nil && s.layers.above(&rec, isRecord).Less(h.version) {
			return h.record()
		}
	}
	return rec
}

// others are the keys, in order, of which the store may not tell, a few at a time.
type others struct {
	from [2]*store.Memory
	keys []string
	next string
	more bool
}

// othersMost is how many keys of each kind are held at once.
const othersMost = 128

func (s *Snapshot) others(from string) others {
	o := others{from: [2]*store.Memory{s.past.removed, s.tentative}, next: from}
	if o.more = s.past.removed != nil || s.tentative != nil; o.more {
		o.fill()
	}
	return o
}

func (o *others) has() bool { return len(o.keys) > 0 }

func (o *others) shift() {
	o.keys = o.keys[1:]
	if len(o.keys) == 0 && o.more {
		o.fill()
	}
}

// fill finds the next keys: none of a kind beyond the first at which the look at one has ended.
func (o *others) fill() {
	o.keys, o.more = nil, false
	end := ""
	for _, m := range o.from {
		if m == nil {
			continue
		}
		n := 0
		m.Ascend(o.next, func(key string, _ store.Record) bool {
			o.keys = append(o.keys, key)
			n++
			return n < othersMost
		})
		if n < othersMost {
			continue
		}
		if last := o.keys[len(o.keys)-1]; !o.more || last < end {
			o.more, end = true, last
		}
	}

	slices.Sort(o.keys)
	o.keys = slices.Compact(o.keys)
	if o.more {
		n, _ := slices.BinarySearch(o.keys, end)
		o.keys, o.next = o.keys[:n+1], end+"\x00"
	}
}

// TentativeKeys returns the keys below a prefix that have weak writes which are not delivered yet,
// in their order.
func (l *Layers) TentativeKeys(prefix string) []string {
	keys := slices.Sorted(maps.Keys(l.tentative.byKey))
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// AscendKeys calls f for the keys of the committed layer, those of tombstones too, from one on, in
// their order, until it returns false.
func (l *Layers) AscendKeys(from string, f func(key string) bool) {
	l.store.Ascend(from, func(key string, _ store.Record) bool { return f(key) })
}
