package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/replica/durable"
)

// The log of changes on disk: those of one turn in a value, or a few, under the revision of the
// last of them, and beside them which piece of the order the log holds.

// changesMost is how many changes a value holds, about: those of one revision stay together.
const changesMost = 4096

var spanKey = []byte{prefixChange}

// changes adds to the log, and drops what is no longer needed of it.
func (d *Disk) changes(b *pebble.Batch, t *durable.Turn) error {
	if t.DropChanges {
		removeRange(b, []byte{prefixChange}, []byte{prefixChange + 1})
		d.span, d.spanTrimmed = durable.Span{}, 0
	}
	for list := t.Changes; len(list) > 0; {
		n := together(list)
		encoded, err := d.enc.EncodeChanges(list[:n])
		if err != nil {
			return err
		}
		put(b, numberKey(prefixChange, list[n-1].Revision), d.laidOut(encoded))
		list = list[n:]
	}

	span := d.state.Changes
	if t.Partial || span == d.span {
		return nil
	}
	d.span = span
	d.value = appendNumbers(append(d.value[:0], layout), span.Since, span.To)
	put(b, spanKey, d.value)

	kept := span.To - min(span.To, span.Since)
	if span.Since > d.spanTrimmed+kept/trimParts {
		removeRange(b, numberKey(prefixChange, 0), numberKey(prefixChange, span.Since+1))
		d.spanTrimmed = span.Since
	}
	return nil
}

// together is how many of the first changes one value takes.
func together(list []message.Change) int {
	n := min(len(list), changesMost)
	for n < len(list) && list[n].Revision == list[n-1].Revision {
		n++
	}
	return n
}

// loadChanges reads the log of changes. A disk of an earlier version has none.
func (d *Disk) loadChanges(ctx context.Context, dec *codec.Decoder, saved *durable.Saved) error {
	value, closer, err := d.db.Get(spanKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	in := input{b: value}
	known := in.byte() == layout
	span := durable.Span{Since: in.number(), To: in.number()}
	if err := closer.Close(); err != nil {
		return err
	}
	if in.bad || !known {
		return fmt.Errorf("%w: which changes the log holds", errValue)
	}
	saved.State.Changes, d.state.Changes, d.span = span, span, span

	return d.scan(ctx, numberKey(prefixChange, span.Since+1), func(key, value []byte) error {
		last, ok := numberOf(key)
		list, err := dec.DecodeChanges(value)
		isOfAnother := !ok || len(list) == 0 || list[len(list)-1].Revision != last
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errValue, err)
		case isOfAnother:
			return fmt.Errorf("%w: it is of another key", errValue)
		}
		for i := range list {
			if r := list[i].Revision; r > span.Since && r <= span.To {
				saved.Changes = append(saved.Changes, list[i])
			}
		}
		return nil
	})
}
