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

// Get returns the record at key; see [store.Store]. If the disk cannot be read there is
// none, and [Disk.Err] and Commit return the error: so nothing may leave before one of
// them was asked.
func (d *Disk) Get(key string) (store.Record, bool) {
	e := d.lookup(key)
	return e.record, e.present
}

// Put sets the record at key; see [store.Store]. It is on disk with the next Commit.
func (d *Disk) Put(key string, r store.Record) {
	e := d.lookup(key)
	if !e.present {
		d.keys++
	}
	d.cache.set(e, r)
	if !e.dirty {
		e.dirty = true
		d.dirty = append(d.dirty, e)
	}
}

// Clear removes all records; see [store.Store]. They are gone on disk with the next Commit.
func (d *Disk) Clear() {
	d.cache, d.dirty = newCache(d.o.CacheSize), nil
	d.cleared, d.keys = true, 0
}

// Len returns the number of keys, those of the turn included.
func (d *Disk) Len() int { return int(d.keys) }

// Ascend calls fn for every key that is not below from, in order; see [store.Store].
// What it reads does not go into the cache of records.
func (d *Disk) Ascend(from string, fn func(key string, r store.Record) bool) {
	if d.Err() != nil {
		return
	}
	turn := d.dirtyFrom(from)

	if d.cleared {
		for _, e := range turn {
			if !fn(e.key, e.record) {
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
		for ; len(turn) > 0 && turn[0].key < key; turn = turn[1:] {
			if !fn(turn[0].key, turn[0].record) {
				return
			}
		}

		if len(turn) > 0 && turn[0].key == key {
			if !fn(key, turn[0].record) {
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
		if !fn(e.key, e.record) {
			return
		}
	}
}

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

// readFailed keeps the error: what is in the cache from now on may be wrong.
func (d *Disk) readFailed(err error) {
	if errors.Is(err, errValue) || pebble.IsCorruptionError(err) {
		err = damaged(d.o.Dir, err)
	}
	_ = d.fault.set(fmt.Errorf("disk: read: %w", err))
}
