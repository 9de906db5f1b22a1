package layers

import (
	"maps"
	"slices"
	"strings"

	"quartet/bus/message"
	"quartet/replica/store"
)

// Snapshot is the committed layer as it was at one position. It costs nothing to take; while it is
// open, each key that changes first costs a look at what it was.
type Snapshot struct {
	layers   *Layers
	position uint64
	users    int
	before   map[string]store.Record // what keys were that have changed since; Kind 0: they were not there
	bytes    int
}

// snapshotMost is how many bytes, about, a snapshot may hold of what has changed since: then it is
// lost.
const snapshotMost = 64 << 20

// snapshotEntry is about what a key takes in a snapshot beside key and value.
const snapshotEntry = 200

// Snapshot returns the committed layer as it is now. Those that are taken at one position are one.
func (l *Layers) Snapshot() *Snapshot {
	if n := len(l.snapshots); n > 0 {
		if s := l.snapshots[n-1]; s.position == l.position && len(s.before) == 0 {
			s.users++
			return s
		}
	}
	s := &Snapshot{layers: l, position: l.position, users: 1, before: map[string]store.Record{}}
	l.snapshots = append(l.snapshots, s)
	return s
}

// noteBefore keeps, for each snapshot that is open, what a key is before its first change.
func (l *Layers) noteBefore(key string) {
	if len(l.snapshots) == 0 {
		return
	}
	rec, _ := l.store.Get(key)
	for _, s := range l.snapshots {
		s.note(key, rec)
	}
}

func (s *Snapshot) note(key string, rec store.Record) {
	if s.before == nil {
		return
	}
	if _, noted := s.before[key]; noted {
		return
	}
	s.before[key] = rec
	if s.bytes += snapshotEntry + len(key) + len(rec.Value); s.bytes > snapshotMost {
		s.before = nil
	}
}

// Lost reports whether so much has changed since that it had to be given up.
func (s *Snapshot) Lost() bool { return s.before == nil }

// Close ends the use of the snapshot.
func (s *Snapshot) Close() {
	if s.users--; s.users > 0 {
		return
	}
	s.layers.snapshots = slices.DeleteFunc(s.layers.snapshots, func(other *Snapshot) bool { return other == s })
}

// Ascend calls f for what each key held, a tombstone too, from a key on, in the order of keys,
// until it returns false. Every key stays in the store once it is there; see Clear.
func (s *Snapshot) Ascend(from string, f func(c *message.Change) bool) {
	s.layers.store.Ascend(from, func(key string, rec store.Record) bool {
		if before, changed := s.before[key]; changed {
			rec = before
		}
		if rec.Kind == 0 {
			return true
		}
		c := changeOf(kindOf(&rec), key, &rec)
		return f(&c)
	})
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
