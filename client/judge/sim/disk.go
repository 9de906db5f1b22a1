package sim

import (
	"cmp"
	"maps"
	"slices"

	"quartet/bus/message"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// recording is a store in memory that remembers what a turn put into it.
type recording struct {
	*store.Memory
	changed []string
	cleared bool
}

func (r *recording) Clear() {
	r.cleared, r.changed = true, nil
	r.Memory.Clear()
}

func (r *recording) Put(key string, rec store.Record) {
	r.changed = append(r.changed, key)
	r.Memory.Put(key, rec)
}

func (r *recording) Remove(key string) {
	r.changed = append(r.changed, key)
	r.Memory.Remove(key)
}

// disk is a replica's disk: what was committed to it, and nothing else, is there after a
// crash. It is a second reading of package durable, in as few lines as possible.
type disk struct {
	state    durable.State
	records  map[string]store.Record
	data     map[durable.DataID]*message.Data
	writes   map[uint64]message.CausalWrite
	weak     map[durable.WeakID]message.Request
	executed map[uint64]message.Executed
	changes  []message.Change
	window   uint64
	synced   *disk // what a power cut leaves
}

func newDisk(window int) *disk {
	return &disk{
		records: map[string]store.Record{}, data: map[durable.DataID]*message.Data{}, writes: map[uint64]message.CausalWrite{},
		weak: map[durable.WeakID]message.Request{}, executed: map[uint64]message.Executed{}, window: uint64(window),
	}
}

// commit makes a turn durable.
func (d *disk) commit(t *durable.Turn, s *recording) {
	if t == nil {
		return
	}
	if !t.Partial {
		d.put(s)
	}

	d.state = t.State
	if t.DropData {
		clear(d.data)
	}
	if t.Void {
		maps.DeleteFunc(d.writes, func(n uint64, _ message.CausalWrite) bool { return n > t.VoidAbove })
	}

	for _, m := range t.Data {
		d.data[durable.DataID{From: m.From, Seq: m.Seq}] = m
	}
	for _, id := range t.Delivered {
		delete(d.data, id)
	}

	for _, w := range t.Writes {
		d.writes[w.Number] = *w
	}
	maps.DeleteFunc(d.writes, func(n uint64, _ message.CausalWrite) bool { return n <= t.State.Committed })

	for _, r := range t.Weak {
		d.weak[durable.WeakID{RID: r.RID, Version: r.Version}] = *r
	}
	for _, id := range t.WeakGone {
		delete(d.weak, id)
	}

	for i, x := range t.Executed {
		number := t.State.Entries - uint64(len(t.Executed)-1-i)
		d.executed[number] = x
	}
	maps.DeleteFunc(d.executed, func(n uint64, _ message.Executed) bool { return n < t.State.Order.Oldest })

	if t.DropChanges {
		d.changes = nil
	}
	d.changes = append(d.changes[:len(d.changes):len(d.changes)], t.Changes...)
}

// put takes what was put into the store.
func (d *disk) put(s *recording) {
	if s.cleared {
		clear(d.records)
		s.cleared = false
	}
	for _, key := range s.changed {
		if r, ok := s.Get(key); ok {
			d.records[key] = r
		} else {
			delete(d.records, key)
		}
	}
	s.changed = s.changed[:0]
}

// saved is what a process that starts finds.
func (d *disk) saved() *durable.Saved {
	if d.state.Incarnation == 0 {
		return nil
	}

	s := &durable.Saved{State: d.state}
	for _, c := range d.changes {
		if span := d.state.Changes; c.Revision > span.Since && c.Revision <= span.To {
			s.Changes = append(s.Changes, c)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(d.data), func(a, b durable.DataID) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Seq, b.Seq))
	}) {
		s.Data = append(s.Data, d.data[id])
	}

	for n := d.state.Committed + 1; n <= d.state.Watermark; n++ {
		s.Writes = append(s.Writes, d.writes[n])
	}

	for _, id := range slices.SortedFunc(maps.Keys(d.weak), func(a, b durable.WeakID) int {
		return cmp.Or(a.Version.Compare(b.Version), cmp.Compare(a.RID, b.RID))
	}) {
		s.Weak = append(s.Weak, d.weak[id])
	}

	first := d.state.Entries + 1
	for first > 1 {
		if _, ok := d.executed[first-1]; !ok {
			break
		}
		first--
	}

	for n := first; n <= d.state.Entries; n++ {
		x := d.executed[n]
		if n+d.window > d.state.Entries {
			s.Executed = append(s.Executed, x)
			continue
		}
		if s.Earlier == nil {
			s.Earlier = dedup.New(d.state.Incarnation)
		}
		s.Earlier.Add(&dedup.Entry{
			ID: x.Identity, RID: x.RID, Digest: x.Digest, Position: x.Position, Timestamp: x.Timestamp, Time: x.Time,
			Code: x.Code, Revision: x.Revision, Result: x.Result,
		})
	}
	return s
}

// clone copies a disk.
func (d *disk) clone() *disk {
	return &disk{
		state: d.state, records: maps.Clone(d.records), data: maps.Clone(d.data), writes: maps.Clone(d.writes),
		weak: maps.Clone(d.weak), executed: maps.Clone(d.executed), changes: d.changes, window: d.window,
	}
}

// reborn makes the disk that of a new incarnation: its end may be missing.
func (d *disk) reborn(incarnation uint64) {
	if d.state.Incarnation == 0 {
		return
	}
	d.state.Incarnation = incarnation
	d.state.Learning = d.state.Record.Epoch > 0
	d.state.Told = nil
	d.state.Votes = durable.Votes{Base: d.state.Votes.Base}
	d.state.Contiguous, d.state.Watermark, d.state.Safe = nil, d.state.Committed, d.state.Committed
	clear(d.data)
	clear(d.writes)
}

// store is the committed layer that a process finds.
func (d *disk) store() *recording {
	s := &recording{Memory: store.NewMemory(0)}
	for _, key := range slices.Sorted(maps.Keys(d.records)) {
		s.Memory.Put(key, d.records[key])
	}
	return s
}
