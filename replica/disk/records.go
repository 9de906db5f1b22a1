package disk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"quartet/replica/store"
)

var _ store.Store = (*Disk)(nil)

// Get returns the record at key; see [store.Store]. If the disk cannot be read it returns none, and
// [Disk.Err] and Commit return the error: no answer may be sent before one of them was asked.
func (d *Disk) Get(key string) (store.Record, bool) {
	e := d.lookup(key)
	return e.record, e.present
}

// Put sets the record at key; see [store.Store]. It is on disk with the next Commit.
func (d *Disk) Put(key string, r store.Record) {
	d.change(d.lookup(key), r, true)
	if r.Expires > 0 {
		d.expect(ending{r.Expires, key})
	}
}

// Remove removes the record at key; see [store.Store]. It is gone on disk with the next Commit.
func (d *Disk) Remove(key string) {
	if e := d.lookup(key); e.present {
		d.change(e, store.Record{}, false)
	}
}

// change gives an entry another record, or none, in this turn, and keeps the counts of keys.
func (d *Disk) change(e *entry, r store.Record, present bool) {
	if e.present {
		d.keys--
		d.live -= isValue(&e.record)
	}
	if present {
		d.keys++
		d.live += isValue(&r)
	}

	d.cache.set(e, r, present)
	if !e.dirty {
		e.dirty = true
		d.dirty = append(d.dirty, e)
	}
}

// isValue is 1 if r is a value, and 0 if it is a tombstone.
func isValue(r *store.Record) uint64 {
	if r.Kind == store.KindValue {
		return 1
	}
	return 0
}

// Clear removes all records; see [store.Store]. They are gone on disk with the next Commit.
func (d *Disk) Clear() {
	d.cache, d.dirty = newCache(d.o.records), nil
	d.cleared, d.keys, d.live, d.lasting = true, 0, 0, true
}

// Len returns the number of keys, those of the turn included.
func (d *Disk) Len() int { return int(d.keys) }

// Live returns the number of keys that have a value, those of the turn included.
func (d *Disk) Live() int { return int(d.live) }

// Ascend calls fn for every key that is not below from, in order; see [store.Store].
// What it reads does not go into the cache of records.
func (d *Disk) Ascend(from string, fn func(key string, r store.Record) bool) {
	if d.Err() != nil {
		return
	}
	turn := d.dirtyFrom(from)

	if d.cleared { // the engine's records are no more, though they are there until the commit
		for _, e := range turn {
			if !give(e, fn) {
				return
			}
		}
		return
	}

	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: append([]byte{prefixKey}, from...), UpperBound: []byte{prefixKey + 1}})
	if err != nil {
		d.readFailed(err)
		return
	}
	defer func() {
		if err := it.Close(); err != nil {
			d.readFailed(err)
		}
	}()

	for it.First(); it.Valid(); it.Next() {
		key := string(it.Key()[1:])

		// Keys of the turn that the engine does not have come in between.
		for ; len(turn) > 0 && turn[0].key < key; turn = turn[1:] {
			if !give(turn[0], fn) {
				return
			}
		}

		if len(turn) > 0 && turn[0].key == key { // the turn's record counts
			if !give(turn[0], fn) {
				return
			}
			turn = turn[1:]
			continue
		}

		r, err := d.valueOf(it)
		if err != nil {
			d.readFailed(err)
			return
		}
		if !fn(key, r) {
			return
		}
	}

	if it.Error() != nil {
		return // the rest of the turn's keys would hide that others are missing
	}
	for _, e := range turn {
		if !give(e, fn) {
			return
		}
	}
}

// give calls fn for the record of e, if it has one, and reports whether there may be more.
func give(e *entry, fn func(key string, r store.Record) bool) bool {
	return !e.present || fn(e.key, e.record)
}

// valueOf returns the record on which an iterator stands.
func (d *Disk) valueOf(it *pebble.Iterator) (store.Record, error) {
	b, err := it.ValueAndErr()
	if err != nil {
		return store.Record{}, err
	}
	return decodeRecord(b)
}

// dirtyFrom returns the turn's entries whose keys are not below from, in order.
func (d *Disk) dirtyFrom(from string) []*entry {
	var turn []*entry
	for _, e := range d.dirty {
		if e.key >= from {
			turn = append(turn, e)
		}
	}
	slices.SortFunc(turn, func(a, b *entry) int { return strings.Compare(a.key, b.key) })
	return turn
}

// lookup returns the entry of key, from the engine if the cache has none.
func (d *Disk) lookup(key string) *entry {
	if e := d.cache.get(key); e != nil {
		return e
	}
	r, present := d.read(key)
	return d.cache.add(key, r, present)
}

// read returns the engine's record of a key. It returns none after a failed read: see readFailed.
func (d *Disk) read(key string) (store.Record, bool) {
	if d.cleared || d.Err() != nil {
		return store.Record{}, false
	}

	d.scratch = append(append(d.scratch[:0], prefixKey), key...)
	b, closer, err := d.db.Get(d.scratch)
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Record{}, false
	}
	if err != nil {
		d.readFailed(err)
		return store.Record{}, false
	}

	r, err := decodeRecord(b)
	if err := errors.Join(err, closer.Close()); err != nil {
		d.readFailed(err)
		return store.Record{}, false
	}
	return r, true
}

// readFailed keeps the error, which ends the service of this disk: what is in the cache from now on
// may be wrong.
func (d *Disk) readFailed(err error) {
	if errors.Is(err, errValue) || errors.Is(err, errMissing) || pebble.IsCorruptionError(err) {
		err = damaged(d.o.Dir, err)
	}
	_ = d.fault.set(fmt.Errorf("disk: read: %w", err))
}
