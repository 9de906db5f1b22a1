package disk

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"quartet/bus/codec"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// The index of deadlines is keys of the engine, in the order in which they come up. The engine
// does not forget a key at once when it is removed: until tables are compacted it steps over each
// (0.2 µs). So nothing before the soonest deadline is looked at, it is known where that is, and
// now and then all before it is removed as a range.

// ending is a key and its deadline. Endings stand in the order in which they come up.
type ending struct {
	expires uint64 // in the time of the one order; see store.Record
	key     string
}

func (e ending) compare(o ending) int {
	return cmp.Or(cmp.Compare(e.expires, o.expires), cmp.Compare(e.key, o.key))
}

// expect notes that a record has a deadline.
func (d *Disk) expect(end ending) {
	if d.lasting || end.compare(d.soonest) < 0 {
		d.soonest, d.lasting = end, false
	}
}

// Due calls fn for the records whose deadlines are not after a time, the soonest first, until it
// returns false; see [store.Store].
func (d *Disk) Due(by uint64, fn func(key string, r store.Record) bool) {
	if d.Err() != nil || d.lasting || d.soonest.expires > by {
		return
	}

	found := false
	err := d.eachDeadline(func(end ending) (bool, error) {
		if !found {
			found, d.soonest = true, end
		}
		if end.expires > by {
			return false, nil
		}

		e := d.lookup(end.key)
		if err := d.Err(); err != nil {
			return false, nil // the error is kept
		}
		if e.record.Expires != end.expires {
			return false, fmt.Errorf("%w: %q with the deadline %d", errMissing, end.key, end.expires)
		}
		return fn(end.key, e.record), nil
	})

	if err != nil {
		d.readFailed(err)
		return
	}

	if !found && d.Err() == nil {
		d.lasting = true
	}
}

// eachDeadline calls fn for the deadlines, from the soonest on, until it returns false.
func (d *Disk) eachDeadline(fn func(end ending) (more bool, err error)) error {
	turn := d.dirtyDeadlines()
	if !d.cleared {
		more, err := d.mergeDeadlines(&turn, fn)
		if err != nil || !more {
			return err
		}
	}

	for _, end := range turn {
		if more, err := fn(end); err != nil || !more {
			return err
		}
	}
	return nil
}

// mergeDeadlines calls fn for the deadlines that the engine has, and for those of the turn that
// come before one of them, which it takes off the list.
func (d *Disk) mergeDeadlines(turn *[]ending, fn func(end ending) (bool, error)) (more bool, err error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: deadlineKey(nil, d.soonest), UpperBound: []byte{prefixDeadline + 1}})
	if err != nil {
		return false, err
	}
	defer func() {
		if closeErr := it.Close(); err == nil {
			err = closeErr
		}
	}()

	for it.First(); it.Valid(); it.Next() {
		end, ok := deadlineOf(it.Key())
		if !ok {
			return false, fmt.Errorf("%w: %x is no deadline", errValue, it.Key())
		}
		if e := d.cache.byKey[end.key]; e != nil && e.dirty {
			continue // the turn has it, if it is there still
		}

		for ; len(*turn) > 0 && (*turn)[0].compare(end) < 0; *turn = (*turn)[1:] {
			if more, err := fn((*turn)[0]); err != nil || !more {
				return false, err
			}
		}
		if more, err := fn(end); err != nil || !more {
			return false, err
		}
	}
	return true, it.Error()
}

// dirtyDeadlines returns the turn's deadlines, in order.
func (d *Disk) dirtyDeadlines() []ending {
	var turn []ending
	for _, e := range d.dirty {
		if e.record.Expires > 0 {
			turn = append(turn, ending{e.record.Expires, e.key})
		}
	}
	slices.SortFunc(turn, ending.compare)
	return turn
}

// loadDeadlines finds the soonest deadline when the store is opened.
func (d *Disk) loadDeadlines(context.Context, *codec.Decoder, *durable.Saved) error {
	return d.findSoonest()
}

// findSoonest finds the soonest deadline, which is not before the one that was known.
func (d *Disk) findSoonest() error {
	d.lasting = true
	return d.eachDeadline(func(end ending) (bool, error) {
		d.soonest, d.lasting = end, false
		return false, nil
	})
}

// trimDeadlines removes the range of keys before the soonest deadline, whenever enough deadlines
// have gone. A replica that nobody asks for what is due does it, too, so that it has little to step
// over once it is asked.
func (d *Disk) trimDeadlines(b *pebble.Batch) error {
	if d.ended < d.o.trimEnded {
		return nil
	}

	d.ended = 0
	if err := d.findSoonest(); err != nil {
		d.readFailed(err)
		return d.Err()
	}

	to := []byte{prefixDeadline + 1}
	if !d.lasting {
		to = deadlineKey(nil, d.soonest)
	}
	removeRange(b, []byte{prefixDeadline}, to)
	return nil
}
