package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/replica/dedup"
	"quartet/replica/durable"
)

// errMissing is wrapped by the errors of a load that finds a gap: what the state counts is not
// there.
var errMissing = errors.New("something is missing")

// load reads everything but the committed layer, and returns nil if nothing was ever committed. Its
// errors wrap errMissing or errValue, or are the engine's.
func (d *Disk) load(ctx context.Context) (*durable.Saved, error) {
	dec := codec.NewDecoder()

	value, closer, err := d.db.Get(stateKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, d.mustBeEmpty()
	}
	if err != nil {
		return nil, err
	}

	counts, state, err := decodeState(value, dec)
	if err := errors.Join(err, closer.Close()); err != nil {
		return nil, err
	}
	if counts.past > 0 {
		if err := d.loadPast(dec, counts.past, &state); err != nil {
			return nil, err
		}
	}

	d.counts, d.state, d.began, d.keys, d.live = counts, state, true, counts.keys, counts.live

	saved := &durable.Saved{State: state}
	for _, step := range []func(context.Context, *codec.Decoder, *durable.Saved) error{
		d.loadData, d.loadWrites, d.loadWeak, d.loadExecuted, d.loadMarkers, d.loadDeadlines, d.loadChanges,
	} {
		if err := step(ctx, dec, saved); err != nil {
			return nil, err
		}
	}
	return saved, nil
}

// loadPast reads into s the fields that few turns change, as the given turn has written them.
func (d *Disk) loadPast(dec *codec.Decoder, turn uint64, s *durable.State) error {
	value, closer, err := d.db.Get(pastKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("%w: the record of the epoch, of turn %d", errMissing, turn)
	}
	if err != nil {
		return err
	}

	written, err := decodePast(value, s, dec)
	if err := errors.Join(err, closer.Close()); err != nil {
		return err
	}
	if written != turn {
		return fmt.Errorf("%w: the record of the epoch, of turn %d: it is of turn %d", errMissing, turn, written)
	}
	return nil
}

// mustBeEmpty returns an error if the engine holds anything: without a state it may not.
func (d *Disk) mustBeEmpty() error {
	it, err := d.db.NewIter(nil)
	if err != nil {
		return err
	}

	found := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w: the state", errMissing)
	}
	return nil
}

// scan calls fn for each key from the given one to the end of its prefix, with its value behind the
// byte of its layout. It ends at the first error of fn, to which it adds the key, or with ctx.
func (d *Disk) scan(ctx context.Context, from []byte, fn func(key, value []byte) error) error {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{from[0] + 1}})
	if err != nil {
		return err
	}

	err = func() error {
		for it.First(); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			if len(value) == 0 || value[0] != layout {
				return fmt.Errorf("%w: %x has another layout", errValue, it.Key())
			}

			if err := fn(it.Key(), value[1:]); err != nil {
				return fmt.Errorf("%x: %w", it.Key(), err)
			}
		}
		return it.Error()
	}()
	return errors.Join(err, it.Close())
}

// loadData reads the queue of the one order: DATA that is not executed yet.
func (d *Disk) loadData(ctx context.Context, dec *codec.Decoder, saved *durable.Saved) error {
	return d.scan(ctx, []byte{prefixData}, func(key, value []byte) error {
		from, seq, ok := dataOf(key)
		if !ok {
			return errValue
		}

		m, err := dec.DecodeData(value)
		if err != nil {
			return fmt.Errorf("%w: %w", errValue, err)
		}
		if m.From != from || m.Seq != seq {
			return fmt.Errorf("%w: it is of another key", errValue)
		}
		saved.Data = append(saved.Data, m)
		return nil
	})
}

// loadWrites reads the causal writes above the committed number. Up to the watermark there is no
// gap; those above it were received out of order, and are forgotten with the next turn.
func (d *Disk) loadWrites(ctx context.Context, dec *codec.Decoder, saved *durable.Saved) error {
	s := &saved.State
	next := s.Committed + 1
	err := d.scan(ctx, above(s.Committed), func(key, value []byte) error {
		number, ok := numberOf(key)
		if !ok {
			return errValue
		}
		if number > s.Watermark {
			d.forget = true // came behind a gap: the machine will ask for it again
			return nil
		}

		writes, err := dec.DecodeWrites(value)
		if err != nil {
			return fmt.Errorf("%w: %w", errValue, err)
		}
		if len(writes) != 1 || writes[0].Number != number {
			return fmt.Errorf("%w: it is of another key", errValue)
		}
		if number != next {
			return fmt.Errorf("%w: causal write %d", errMissing, next)
		}

		next++
		saved.Writes = append(saved.Writes, writes[0])
		return nil
	})

	if err == nil && next <= s.Watermark {
		err = fmt.Errorf("%w: causal write %d", errMissing, next)
	}
	return err
}

// loadWeak reads the tentative eventual writes, in the order of their rIDs.
func (d *Disk) loadWeak(ctx context.Context, dec *codec.Decoder, saved *durable.Saved) error {
	return d.scan(ctx, []byte{prefixWeak}, func(key, value []byte) error {
		r, err := dec.DecodeRequest(value)
		if err != nil {
			return fmt.Errorf("%w: %w", errValue, err)
		}
		if string(key) != string(weakKey(durable.WeakID{RID: r.RID, Version: r.Version})) {
			return fmt.Errorf("%w: it is of another key", errValue)
		}
		saved.Weak = append(saved.Weak, r)
		return nil
	})
}

// loadExecuted reads the table of executed requests: the last entries as they are, and the earlier
// ones in the few bytes that package dedup needs, for there may be millions of them.
func (d *Disk) loadExecuted(ctx context.Context, dec *codec.Decoder, saved *durable.Saved) error {
	newest, recent := saved.State.Entries, d.lastEntries()
	next := max(d.counts.firstEntry, d.oldestEntry())
	if next < recent {
		saved.Earlier = dedup.New(saved.State.Incarnation)
	}

	if next <= newest {
		saved.Executed = make([]message.Executed, 0, newest-max(next, recent)+1)
	}

	err := d.scan(ctx, numberKey(prefixExecuted, next), func(key, value []byte) error {
		last, ok := numberOf(key)
		entries, err := decodeExecuted(dec, value)
		if err != nil {
			return err
		}

		first := last - uint64(len(entries)) + 1
		if !ok || last > newest || first > next || last < next {
			return fmt.Errorf("%w: entry %d of the table of executed requests", errMissing, next)
		}

		entries = entries[next-first:]
		for i := range entries {
			x := &entries[i]
			if next+uint64(i) < recent {
				saved.Earlier.Add(earlier(x))
			} else {
				saved.Executed = append(saved.Executed, *x)
			}
		}
		next = last + 1
		return nil
	})

	if err == nil && next <= newest {
		err = fmt.Errorf("%w: entry %d of the table of executed requests", errMissing, next)
	}
	return err
}

// earlier returns what is kept in memory of an early entry.
func earlier(x *message.Executed) *dedup.Entry {
	return &dedup.Entry{
		ID: x.Identity, RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, Time: x.Time,
		Code: x.Code, Revision: x.Revision, Result: x.Result,
	}
}

// loadMarkers checks that each log of the engine has left its marker: a number that is missing is a
// log that was lost as a whole, which no checksum shows.
func (d *Disk) loadMarkers(ctx context.Context, _ *codec.Decoder, _ *durable.Saved) error {
	next := d.counts.firstMark
	err := d.scan(ctx, numberKey(prefixLog, next), func(key, _ []byte) error {
		if number, ok := numberOf(key); !ok || number != next {
			return fmt.Errorf("%w: a log with marker %d", errMissing, next)
		}
		next++
		return nil
	})
	if err == nil && next != d.counts.lastMark+1 {
		err = fmt.Errorf("%w: a log with marker %d", errMissing, next)
	}
	return err
}

// decodeExecuted reads the entries of one turn, each behind its length.
func decodeExecuted(dec *codec.Decoder, value []byte) ([]message.Executed, error) {
	var entries []message.Executed
	for len(value) > 0 {
		n, width := binary.Uvarint(value)
		if width <= 0 || n > uint64(len(value)-width) {
			return nil, errValue
		}
		x, err := dec.DecodeExecuted(value[width : width+int(n)])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errValue, err)
		}
		entries = append(entries, x)
		value = value[width+int(n):]
	}
	if len(entries) == 0 {
		return nil, errValue
	}
	return entries, nil
}
