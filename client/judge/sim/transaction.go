package sim

import (
	"fmt"
	"maps"
	"slices"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// readOnly reports whether a request is a transaction of gets alone.
func readOnly(value []byte, of model.Type) bool {
	if of != model.Txn {
		return false
	}
	t, err := codec.ParseTransaction(value)
	return err == nil && !t.Writes()
}

// transaction makes one up: some checks, and some steps for either case. One in four only reads.
func (s *session) transaction(c *cluster) []byte {
	var t model.Transaction
	key := func() string { return string(rune('a' + c.rand.IntN(c.opts.Keys))) }
	for range c.rand.IntN(3) {
		check := model.Check{Key: key()}
		switch c.rand.IntN(3) {
		case 0:
			check.HasRevision, check.Revision = true, s.guess(c, check.Key)
		case 1:
			check.HasExists, check.Exists = true, c.rand.IntN(2) == 0
		default:
			check.HasValue, check.Value = true, s.value(c)
		}
		t.If = append(t.If, check)
	}

	reads := c.rand.IntN(4) == 0
	steps := func() (steps []model.Step) {
		for range c.rand.IntN(4) {
			steps = append(steps, s.step(c, key(), reads))
		}
		return steps
	}
	t.Then, t.Else = steps(), steps()
	b, err := codec.AppendTransaction(nil, &t)
	if err != nil {
		c.fail("wire", "%+v has no form: %v", t, err)
	}
	return b
}

// step makes up a step.
func (s *session) step(c *cluster, key string, reads bool) model.Step {
	step := model.Step{Type: model.Get, Key: key}
	if reads {
		return step
	}

	step.Type = [...]model.Type{model.Set, model.Set, model.Get, model.Delete, model.Add}[c.rand.IntN(5)]
	switch step.Type {
	case model.Get:
		return step
	case model.Set:
		step.Value = s.value(c)
		if c.rand.IntN(3) == 0 {
			step.TTL = 10 + c.rand.Uint64N(600)
		}
	case model.Add:
		step.Value = fmt.Append(nil, c.rand.IntN(9))
	}
	if c.rand.IntN(5) == 0 {
		step.HasIf, step.If = true, s.guess(c, key)
	}
	return step
}

// transaction executes one at its place.
func (r *reference) transaction(q *message.Request, version lamport.Version, position uint64) string {
	results, left := evaluate(q, func(key string) record { return r.store[key] }, position)
	o := ended{code: model.OK, position: position, revision: position, result: encoded(&results)}
	if results.Failed >= 0 {
		o.code, o.revision = model.Failed, 0
	}
	r.outcomes[name(q)] = o

	for _, key := range slices.Sorted(maps.Keys(left)) {
		rec := left[key]
		rec.version = version
		if rec.by != "" {
			rec.by += "/" + key
		}
		if what := r.put(key, rec); what != "" {
			return what
		}
	}
	return ""
}

// evaluate is what a transaction comes to where get finds what stands, and what it leaves.
func evaluate(q *message.Request, get func(string) record, position uint64) (model.Results, map[string]record) {
	t, err := codec.ParseTransaction(q.Value)
	if err != nil {
		return model.Results{Failed: 0}, nil
	}
	left := map[string]record{}
	at := func(key string) record {
		if rec, ok := left[key]; ok {
			return rec
		}
		return get(key)
	}

	results := model.Results{Succeeded: true, Failed: -1}
	for _, c := range t.If {
		if old := at(c.Key); !satisfies(&c, old) {
			results.Succeeded = false
		}
	}
	steps := t.Then
	if !results.Succeeded {
		steps = t.Else
	}

	for i, step := range steps {
		old := at(step.Key)
		if step.Type == model.Get {
			found := model.Result{Code: model.NotFound}
			if old.has() {
				found = model.Result{Code: model.OK, Value: []byte(old.value), Revision: old.revision, Expires: old.expires}
			}
			results.Results = append(results.Results, found)
			continue
		}

		w := message.Request{RID: q.RID, Identity: q.Identity, Wall: q.Wall, Request: step.Request(q.Model)}
		rec, sum, done := change(&w, old)
		if !done {
			failed := model.Result{Code: model.Failed}
			if stays := get(step.Key); stays.has() { // as nothing that was done before is kept
				failed.Revision = stays.revision
			}
			results.Results, results.Failed = append(results.Results, failed), i
			return results, nil
		}
		result := model.Result{Code: model.OK}
		if step.Type == model.Add {
			result.Value = []byte(sum)
		}
		results.Results = append(results.Results, result)
		rec.revision = position
		left[step.Key] = rec
	}
	return results, left
}

func satisfies(c *model.Check, rec record) bool {
	switch {
	case c.HasExists:
		return c.Exists == rec.has()
	case c.HasValue:
		return rec.kind == store.KindValue && string(c.Value) == rec.value
	case c.Revision == 0:
		return !rec.has()
	}
	return c.Revision == rec.revision
}

func encoded(r *model.Results) string {
	b, err := codec.AppendResults(nil, r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// heardOfReads compares what a transaction of gets alone has read with what stood at its position.
func (w *invariants) heardOfReads(s *sending, o *reply) {
	want, _ := evaluate(&s.request, func(key string) record { return w.ref.at(key, o.Position) }, 0)
	if o.Code != model.OK || string(o.Value) != encoded(&want) {
		got, err := codec.ParseResults(o.Value)
		w.c.fail("history", "%s hears %d %+v (%v), and at position %d the order makes %+v of it", s, o.Code, got, err, o.Position, want)
	}
}
