package kv

import (
	"strings"

	"quartet/bus/codec"
	"quartet/bus/model"
	"quartet/master"
)

// What is read from a shadow, or counted from numbers, is not older than what anybody was told
// before: the feed comes after the answers of the cluster, and is waited for.

// absence is that a key had no value where the feed has told of one: its end is on its way.
type absence struct {
	key      string
	revision uint64 // of the value
}

// absences are those that answers have told, in their order, until the feed has told them, too.
type absences struct {
	queue []absence
	noted map[absence]bool // what stands in queue
	told  uint64           // how many have left queue
	waits waits            // for told
}

// absent notes that a key had no value at a place in the order.
func (b *bucket) absent(key string, position uint64) {
	if b.numbers == nil {
		return
	}
	e, found := b.numbers.keys[key]
	isOnItsWay := found && e.marker == isValue && e.revision <= position
	a := absence{key, e.revision}
	if !isOnItsWay || b.absences.noted[a] {
		return
	}
	if b.absences.noted == nil {
		b.absences.noted = map[absence]bool{}
	}
	b.absences.noted[a] = true
	b.absences.queue = append(b.absences.queue, a)
}

// passAbsences forgets the absences that the feed has told, and lets go on what waits for them.
func (b *bucket) passAbsences() {
	w := &b.absences
	n := 0
	for _, a := range w.queue {
		e, found := b.numbers.keys[a.key]
		isThere := found && e.revision == a.revision
		if isThere {
			break
		}
		delete(w.noted, a)
		n++
	}
	w.queue = w.queue[n:]
	w.told += uint64(n)
	w.waits.release(w.told)
}

// abreast calls done when the feed has told all that anybody was told so far: the writes that this
// master has acknowledged, and what gets have shown, and not shown.
func (b *bucket) abreast(done func(told bool)) {
	b.feed.await(b.acked, func(told bool) {
		w := &b.absences
		last := w.told + uint64(len(w.queue))
		if !told || last == w.told {
			done(told)
			return
		}
		w.waits.add(last, b.f.host.Now().Add(feedWait), done)
	})
}

// isAbreast reports whether the feed has told all that anybody was told so far.
func (b *bucket) isAbreast() bool { return b.acked <= b.feed.upTo && len(b.absences.queue) == 0 }

// abreast calls done when the feeds of open buckets have told all that anybody was told so far, or
// are not waited for any longer.
func (f *Facade) abreast(of []*bucket, done func()) {
	for i, b := range of {
		isBehind := b.open && !b.isAbreast()
		if isBehind {
			b.abreast(func(bool) { f.abreast(of[i+1:], done) })
			return
		}
	}
	done()
}

// Answered is told of each answer of the cluster's, to whoever has asked through whatever door:
// what is read from a shadow from now on is not older.
func (f *Facade) Answered(r *model.Request, a *master.Reply) {
	if len(f.buckets) == 0 {
		return
	}
	switch {
	case r.Type == model.Txn && a.Code == model.OK:
		f.answeredTxn(r, a)
	case a.Code == model.OK && a.HasRevision, a.Code == model.Failed:
		f.shown(r.Key, a.Revision)
	case a.Code == model.NotFound && r.Type == model.Get && r.Model.Strong():
		f.notShown(r.Key, a.Position)
	}
}

// answeredTxn takes what a transaction has written and read.
func (f *Facade) answeredTxn(r *model.Request, a *master.Reply) {
	t, err := codec.ParseTransaction(r.Value)
	if err != nil {
		return
	}
	results, err := codec.ParseResults(a.Value)
	if err != nil {
		return
	}

	steps := t.Else
	if results.Succeeded {
		steps = t.Then
	}

	for i := range min(len(steps), len(results.Results)) {
		step, result := &steps[i], &results.Results[i]
		switch {
		case step.Type != model.Get:
			f.shown(step.Key, a.Revision)
		case result.Code == model.OK:
			f.shown(step.Key, result.Revision)
		default:
			f.notShown(step.Key, a.Position)
		}
	}
}

// shown notes that somebody was told of a key's revision.
func (f *Facade) shown(key string, revision uint64) {
	name, key, _ := strings.Cut(key, "/")
	if b := f.buckets[name]; b != nil && isShown(key) {
		b.acked = max(b.acked, revision)
	}
}

// notShown notes that somebody was told that a key had no value at a place in the order.
func (f *Facade) notShown(key string, position uint64) {
	name, key, _ := strings.Cut(key, "/")
	if b := f.buckets[name]; b != nil && isShown(key) {
		b.absent(key, position)
	}
}
