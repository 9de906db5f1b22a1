package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"quartet/bus/message"
	"quartet/replica/durable"
)

// Old values are removed in ranges, now and then: a range costs one key in the engine,
// however many values it covers.
const (
	trimWrites = 1024     // causal writes that are no longer needed
	trimBytes  = 4 << 20  // or bytes of them
	trimParts  = 8        // the table is up to 1/8 larger on disk than what is needed of it
	trimEnded  = 4096     // deadlines that are no more: Options.trimEnded, if nothing else is said
	markedLogs = 32       // logs whose markers are kept: far more than the engine has not yet made tables of
	markedTurn = 16 << 10 // bytes: two smaller turns fit into the engine's smallest memtable
)

// fill writes into b what t and the turn's records change, and counts it. The order is
// that of durable.Turn: in a batch the later entry counts. What is counted is true once b
// is committed; if that fails, nothing is asked of it any more.
func (d *Disk) fill(b *pebble.Batch, t *durable.Turn) error {
	before := d.state
	switch {
	case t.Changed:
		d.state = t.State
	case !d.began:
		return fmt.Errorf("%w: the first one has no state", ErrTurn)
	}

	d.dropped(b, t, &before)
	if err := errors.Join(d.data(b, t), d.writes(b, t), d.weak(b, t), d.executed(b, t, &before), d.changes(b, t)); err != nil {
		return fmt.Errorf("%w: %w", ErrTurn, err)
	}

	if !t.Partial {
		d.records(b)
		if err := d.trimDeadlines(b); err != nil {
			return err
		}
	}

	d.counts.turn++
	d.leaveMarker(b)
	if err := d.putState(b, &before); err != nil {
		return fmt.Errorf("%w: %w", ErrTurn, err)
	}

	if d.tail && d.state.Incarnation != before.Incarnation {
		d.tail = false
	}
	d.began = true
	return nil
}

// records writes what was put, in the order of the keys: the engine then finds each place
// near the last.
func (d *Disk) records(b *pebble.Batch) {
	if d.cleared {
		removeRange(b, []byte{prefixKey}, []byte{prefixKey + 1})
		removeRange(b, []byte{prefixDeadline}, []byte{prefixDeadline + 1})
	}
	slices.SortFunc(d.dirty, func(a, b *entry) int { return cmp.Compare(a.key, b.key) })
	for _, e := range d.dirty {
		d.scratch = append(append(d.scratch[:0], prefixKey), e.key...)
		if !e.present {
			remove(b, d.scratch)
		} else {
			d.value = appendRecord(d.value[:0], &e.record)
			put(b, d.scratch, d.value)
		}
		d.deadline(b, e)
	}
	d.counts.keys, d.counts.live = d.keys, d.live
}

// deadline brings the index of deadlines up to what is known of a key.
func (d *Disk) deadline(b *pebble.Batch, e *entry) {
	before, now := e.indexed, e.record.Expires
	if before == now {
		return
	}
	if before > 0 {
		d.scratch = deadlineKey(d.scratch[:0], ending{before, e.key})
		remove(b, d.scratch)
		d.ended++
	}
	if now > 0 {
		d.scratch = deadlineKey(d.scratch[:0], ending{now, e.key})
		put(b, d.scratch, []byte{layout})
	}
}

// putState writes the state: the past only if it has changed, for it has up to 700 bytes, and
// most turns are as long.
func (d *Disk) putState(b *pebble.Batch, before *durable.State) error {
	if n := len(d.state.Contiguous); n > maxContiguous {
		return fmt.Errorf("%d members", n)
	}
	if d.counts.past == 0 || !samePast(before, &d.state) {
		if err := d.putPast(b); err != nil {
			return err
		}
	}
	d.value = appendState(d.value[:0], &d.counts, &d.state)
	put(b, stateKey, d.value)
	return nil
}

// putPast writes what of the state few turns change.
func (d *Disk) putPast(b *pebble.Batch) error {
	var p past
	var err error
	s := &d.state
	if p.record, err = d.encoded(&s.Record); err != nil {
		return err
	}
	if !s.Votes.Base.Equal(&s.Record) {
		if p.base, err = d.encoded(&s.Votes.Base); err != nil {
			return err
		}
	}
	if p.value, err = d.encoded(&s.Votes.Value); err != nil {
		return err
	}
	d.counts.past = d.counts.turn
	d.value = appendPast(d.value[:0], d.counts.past, s, &p)
	put(b, pastKey, d.value)
	return nil
}

// encoded is a record's bytes, in memory of their own; nil of none.
func (d *Disk) encoded(r *message.Record) ([]byte, error) {
	if r.Epoch == 0 {
		return nil, nil
	}
	b, err := d.enc.EncodeRecord(r)
	return slices.Clone(b), err
}

// put and the two that follow cannot fail: a batch is memory.
func put(b *pebble.Batch, key, value []byte)       { _ = b.Set(key, value, nil) }
func remove(b *pebble.Batch, key []byte)           { _ = b.Delete(key, nil) }
func removeRange(b *pebble.Batch, from, to []byte) { _ = b.DeleteRange(from, to, nil) }

// dropped removes what the turn says is forgotten: DATA of an epoch that has ended, causal writes.
func (d *Disk) dropped(b *pebble.Batch, t *durable.Turn, before *durable.State) {
	if t.DropData {
		removeRange(b, []byte{prefixData}, []byte{prefixData + 1})
	}
	if t.Void {
		removeRange(b, above(t.VoidAbove), []byte{prefixWrite + 1})
	}
	if d.forget {
		removeRange(b, above(before.Watermark), []byte{prefixWrite + 1})
		d.forget = false
	}
}

// above returns the least key of a causal write with a number greater than n.
func above(n uint64) []byte {
	if n == math.MaxUint64 {
		return []byte{prefixWrite + 1}
	}
	return numberKey(prefixWrite, n+1)
}

// data adds to the queue of the order what has come, and takes out what was delivered.
func (d *Disk) data(b *pebble.Batch, t *durable.Turn) error {
	for _, m := range t.Data {
		encoded, err := d.enc.EncodeData(m)
		if err != nil {
			return err
		}
		put(b, dataKey(m.From, m.Seq), d.laidOut(encoded))
	}
	for _, id := range t.Delivered {
		remove(b, dataKey(id.From, id.Seq))
	}
	return nil
}

// laidOut puts the layout in front of what the codec has encoded.
func (d *Disk) laidOut(encoded []byte) []byte {
	d.value = append(append(d.value[:0], layout), encoded...)
	return d.value
}

// writes adds causal writes, and removes those that are committed once they are many.
func (d *Disk) writes(b *pebble.Batch, t *durable.Turn) error {
	for _, w := range t.Writes {
		encoded, err := d.enc.EncodeWrites([]message.CausalWrite{*w})
		if err != nil {
			return err
		}
		put(b, numberKey(prefixWrite, w.Number), d.laidOut(encoded))
		d.held += len(d.value)
	}

	committed := d.state.Committed
	many := committed-d.trimmed >= trimWrites || d.held >= trimBytes
	if committed > d.trimmed && many {
		removeRange(b, numberKey(prefixWrite, 0), above(committed))
		d.trimmed, d.held = committed, 0
	}
	return nil
}

// weak adds tentative eventual writes, and removes those that are tentative no more.
func (d *Disk) weak(b *pebble.Batch, t *durable.Turn) error {
	for _, r := range t.Weak {
		encoded, err := d.enc.EncodeRequest(r)
		if err != nil {
			return err
		}
		put(b, weakKey(durable.WeakID{RID: r.RID, Version: r.Version}), d.laidOut(encoded))
	}
	for _, id := range t.WeakGone {
		remove(b, weakKey(id))
	}
	return nil
}

// executed adds to the table. Entries have the numbers up to State.Entries; if they do not follow
// the entries that are on disk, the table begins anew with them.
func (d *Disk) executed(b *pebble.Batch, t *durable.Turn, before *durable.State) error {
	newest, n := d.state.Entries, uint64(len(t.Executed))
	unsaid := n > 0 && !t.Changed // the state that counts them
	if n > newest || unsaid {
		return fmt.Errorf("%d entries of the table end with number %d", n, newest)
	}

	c := &d.counts
	first := newest - n + 1
	if first != before.Entries+1 {
		removeRange(b, []byte{prefixExecuted}, []byte{prefixExecuted + 1})
		c.firstEntry = first
	}

	// One value for all of the turn: a key of the engine costs more than what it holds.
	value := append(d.scratch[:0], layout)
	for i := range t.Executed {
		encoded, err := d.enc.EncodeExecuted(&t.Executed[i])
		if err != nil {
			return err
		}
		value = append(binary.AppendUvarint(value, uint64(len(encoded))), encoded...)
	}
	if d.scratch = value; n > 0 {
		put(b, numberKey(prefixExecuted, newest), value)
	}

	oldest := d.oldestEntry()
	kept := max(newest-min(newest, oldest), uint64(d.o.Window))
	if oldest > c.firstEntry+kept/trimParts {
		removeRange(b, numberKey(prefixExecuted, 0), numberKey(prefixExecuted, oldest))
		c.firstEntry = oldest
	}
	return nil
}

// oldestEntry returns the number of the oldest entry that is needed. An older layout does
// not say; then it is the oldest of the window.
func (d *Disk) oldestEntry() uint64 {
	if oldest := d.state.Order.Oldest; oldest > 0 {
		return oldest
	}
	return d.lastEntries()
}

// lastEntries returns the number of the oldest of the window entries.
func (d *Disk) lastEntries() uint64 {
	return d.state.Entries + 1 - min(d.state.Entries, uint64(d.o.Window))
}

// leaveMarker makes sure that each log of the engine that has a turn has a marker, too.
// The engine changes to another log within a commit, so it is the next commit that marks
// it: if both fit into one log. Large turns may have a log each, so they all are marked.
func (d *Disk) leaveMarker(b *pebble.Batch) {
	logs, c := d.guard.created.Load(), &d.counts
	if logs == d.logs && b.Len() < markedTurn {
		return
	}
	c.lastMark++
	put(b, numberKey(prefixLog, c.lastMark), appendNumbers([]byte{layout}, c.turn))
	if logs == d.logs {
		return
	}
	d.logs = logs
	d.logMarks = append(d.logMarks, c.lastMark)
	if len(d.logMarks) == 2*markedLogs {
		d.logMarks = slices.Delete(d.logMarks, 0, markedLogs)
		c.firstMark = d.logMarks[0]
		removeRange(b, numberKey(prefixLog, 0), numberKey(prefixLog, c.firstMark))
	}
}
