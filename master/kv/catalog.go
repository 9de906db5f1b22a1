package kv

import (
	"maps"
	"slices"
	"strings"

	"quartet/bus/model"
)

// cataloged takes what the cluster tells of the buckets' records.
func (f *Facade) cataloged(e *model.Event) {
	switch e.Kind {
	case model.EventCaughtUp:
		f.forgetUnseen()
		f.ready = true
		letGoOn(&f.held)
	case model.EventValue, model.EventSet:
		f.recorded(e)
	case model.EventDelete, model.EventExpire:
		f.unrecorded(strings.TrimPrefix(e.Key, Records))
	}
}

// recorded takes a bucket's record as it is now.
func (f *Facade) recorded(e *model.Event) {
	name, r, err := parseRecord(e.Key, e.Value)
	if err != nil {
		f.log.Error("what stands in a bucket's record is none: the bucket is not served", "error", err)
		f.unrecorded(name)
		return
	}
	b := f.buckets[name]
	isNew := b == nil
	if isNew {
		b = &bucket{f: f, name: name, record: r, purging: map[string]int{}, purged: map[uint64]string{}}
		f.buckets[name] = b
	}
	b.seen = true
	if !isNew && e.Revision <= b.revision {
		return // the facade's own
	}

	was := b.record
	b.record, b.revision = r, e.Revision
	wasLive := !isNew && was.State == stateLive
	switch {
	case r.State == stateDeleting:
		b.empty()
	case r.State == stateGone:
	case !wasLive:
		b.numbers, b.before = nil, nil
		b.start()
	case was.Config.History != r.Config.History: // the shadow keeps more or less of each key
		b.reopen()
	}
}

// unrecorded forgets a bucket whose record somebody has deleted.
func (f *Facade) unrecorded(name string) {
	b := f.buckets[name]
	if b == nil {
		return
	}
	delete(f.buckets, name)
	b.close()
	letGoOn(&b.held)
}

// recatalog reads the records anew.
func (f *Facade) recatalog() {
	for _, b := range f.buckets {
		b.seen = false
	}
	f.relisted = true
	f.catalog.model = model.Linearizable // what is not shown now is forgotten
	f.catalog.begin("")
}

// forgetUnseen forgets the buckets that a new reading of the records has not shown.
func (f *Facade) forgetUnseen() {
	if !f.relisted {
		return
	}
	f.relisted = false
	for _, name := range slices.Sorted(maps.Keys(f.buckets)) {
		if !f.buckets[name].seen {
			f.unrecorded(name)
		}
	}
}
