package layers

import (
	"bytes"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// book is the committed layer as a transaction sees it: with what its earlier steps have left.
type book struct {
	get     func(key string) (store.Record, bool)
	changes []change // one a key
}

// change is what a transaction leaves at a key.
type change struct {
	key string
	rec store.Record
}

func (b *book) at(key string) store.Record {
	for i := range b.changes {
		if b.changes[i].key == key {
			return b.changes[i].rec
		}
	}
	rec, _ := b.get(key)
	return rec
}

func (b *book) put(key string, rec store.Record) {
	for i := range b.changes {
		if b.changes[i].key == key {
			b.changes[i].rec = rec
			return
		}
	}
	b.changes = append(b.changes, change{key, rec})
}

// perform lets the steps of a transaction take effect in the book: Then if all its checks hold,
// else Else. Where one cannot be done nothing is left in the book, and the results end with it.
func (b *book) perform(t *model.Transaction, by *origin) model.Results {
	r := model.Results{Succeeded: b.hold(t.If), Failed: -1}
	steps := t.Else
	if r.Succeeded {
		steps = t.Then
	}

	bytes := 0
	r.Results = make([]model.Result, 0, len(steps))
	for i := range steps {
		result, done := b.step(&steps[i], by)
		if bytes += len(result.Value); bytes > model.MaxKeyValue { // no answer has room for that
			done = false
		}
		if !done { // nothing is changed, so the key has the revision that it has in the layer
			rec, _ := b.get(steps[i].Key)
			result = model.Result{Code: model.Failed, Revision: revisionOf(rec)}
		}
		r.Results = append(r.Results, result)
		if !done {
			r.Failed, b.changes = i, nil
			break
		}
	}
	return r
}

// hold reports whether all checks hold.
func (b *book) hold(checks []model.Check) bool {
	for i := range checks {
		c := &checks[i]
		rec := b.at(c.Key)
		exists := rec.Kind == store.KindValue
		switch {
		case c.HasRevision && !holds(c.Revision, rec):
			return false
		case c.HasExists && c.Exists != exists:
			return false
		case c.HasValue && !exists, c.HasValue && !bytes.Equal(c.Value, rec.Value):
			return false
		}
	}
	return true
}

// step is one step, if it can be done.
func (b *book) step(s *model.Step, by *origin) (model.Result, bool) {
	var old store.Record
	if s.Type == model.Get || dependsOn(s) {
		old = b.at(s.Key)
	}
	if s.Type == model.Get {
		if old.Kind != store.KindValue {
			return model.Result{Code: model.NotFound}, true
		}
		return model.Result{Code: model.OK, Value: old.Value, Revision: old.Revision, Expires: old.Expires}, true
	}

	left, sum, done := alter(s, old, by)
	if !done {
		return model.Result{}, false
	}
	b.put(s.Key, left)
	return model.Result{Code: model.OK, Value: sum}, true
}

// commitTransaction lets a transaction take effect at its place: all of it, with one revision, or
// nothing. Each further key that it has changed has an entry of its own in the table.
func (l *Layers) commitTransaction(r *message.Request, by *origin) Outcome {
	b := book{get: l.at}
	o := Outcome{Position: l.position}
	t, err := l.cfg.Forms.ParseTransaction(r.Value)
	if err == nil {
		results := b.perform(&t, by)
		o.Code, o.Result = l.told(&results)
	} else { // no door lets it in
		o.Code = model.Failed
	}

	first := ""
	for i := range b.changes {
		c := &b.changes[i]
		l.commit(kindOf(&c.rec), c.key, c.rec)
		if i == 0 {
			first = c.key
		}
	}
	l.remember(r, first, o)
	for i := 1; i < len(b.changes); i++ {
		l.note(b.changes[i].key)
	}
	l.tell()
	return o
}

// Read returns what a transaction of gets alone reads in the committed layer, as an answer carries
// it: code 0, or Failed if that is more than an answer has room for.
func (l *Layers) Read(t *model.Transaction) (model.Code, []byte) {
	b := book{get: l.at}
	results := b.perform(t, &origin{})
	return l.told(&results)
}

// told is how the outcome of a transaction is told: its code (0: it is done), and its results.
func (l *Layers) told(r *model.Results) (model.Code, []byte) {
	code := model.Code(0)
	if r.Failed >= 0 {
		code = model.Failed
	}
	encoded, err := l.cfg.Forms.AppendResults(nil, r)
	if err != nil { // what the steps of a good transaction come to has a form
		return model.Failed, nil
	}
	return code, encoded
}
