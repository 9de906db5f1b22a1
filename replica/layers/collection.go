package layers

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/store"
)

// How tombstones are collected (rules O40 to O43 of DESIGN.md). Which of them are gone is decided
// at one place of the order, the same on every replica: those that stood there and are not above
// the floor. From then on the layers say that there is none, whatever the store still holds; it
// is rid of them later, a few at a time.

// Collection is how far tombstones are collected, as of the present position.
func (l *Layers) Collection() message.Collection { return l.collection }

// Floor is the version up to which a weak write loses where a key has no record; zero: none does.
func (l *Layers) Floor() lamport.Version { return l.collection.Floor }

// Tombstones is how many records without a value the store holds.
func (l *Layers) Tombstones() int { return l.store.Len() - l.store.Live() }

// Propose makes a version the next floor, once all members have agreed to it, and reports whether
// it did. While one is proposed another one is not.
func (l *Layers) Propose(horizon lamport.Version) bool {
	c := &l.collection
	if c.Horizon != (lamport.Version{}) || !c.Floor.Less(horizon) {
		return false
	}
	c.Horizon, c.Agreed = horizon, 0
	return true
}

// Agree notes that a member, by its index in the view of so many, has agreed to the horizon. With
// the last of them the tombstones up to it are gone; it reports whether that was so.
func (l *Layers) Agree(horizon lamport.Version, member, members int) bool {
	c := &l.collection
	if isAnother := c.Horizon != horizon || horizon == (lamport.Version{}); isAnother {
		return false
	}
	c.Agreed |= 1 << member
	if c.Agreed != 1<<members-1 {
		return false
	}
	l.collection = message.Collection{Floor: horizon, Position: l.position}
	l.beginSweep()
	return true
}

// gone reports whether a record is that of a tombstone that is collected.
func (l *Layers) gone(rec *store.Record) bool {
	c := &l.collection
	return rec.Kind == store.KindTombstone && rec.Revision <= c.Position && !c.Floor.Less(rec.Version)
}

// at returns what stands at a key of the committed layer.
func (l *Layers) at(key string) (store.Record, bool) {
	rec, ok := l.store.Get(key)
	if !ok || l.gone(&rec) {
		return store.Record{}, false
	}
	return rec, true
}

// above returns the version that a weak write to a key must be above: that of its record, or the
// floor.
func (l *Layers) above(rec *store.Record, ok bool) lamport.Version {
	if ok {
		return rec.Version
	}
	return l.collection.Floor
}

// sweep is how far the store is rid of tombstones that are gone.
type sweep struct {
	on     bool
	cursor string // the keys below it are done
}

// sweepScan and sweepMost bound what a call of Sweep looks at, and takes out of the store.
const (
	sweepScan = 2000
	sweepMost = 500
)

func (l *Layers) beginSweep() { l.sweep = sweep{on: true} }

// Sweeps reports whether the store may hold tombstones that are gone.
func (l *Layers) Sweeps() bool { return l.sweep.on }

// Sweep takes some of the tombstones that are gone out of the store, and reports whether it took
// any.
func (l *Layers) Sweep() bool {
	if !l.sweep.on {
		return false
	}

	var gone []string
	seen := 0
	l.sweep.on = false
	l.store.Ascend(l.sweep.cursor, func(key string, rec store.Record) bool {
		if isEnough := seen == sweepScan || len(gone) == sweepMost; isEnough {
			l.sweep = sweep{on: true, cursor: key}
			return false
		}
		seen++
		if l.gone(&rec) {
			gone = append(gone, key)
		}
		return true
	})

	for _, key := range gone {
		l.discard(key)
		l.unsaved += len(key)
	}
	return len(gone) > 0
}

// discard takes a tombstone that is gone out of the store. Snapshots that are open know what the
// key was, if it was anything else; else there is nothing to know.
func (l *Layers) discard(key string) {
	l.store.Remove(key)
	l.committedPast.remove(key)
	l.newestPast.remove(key)
}
