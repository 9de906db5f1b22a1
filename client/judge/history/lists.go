package history

import (
	"fmt"
	"slices"
	"strings"

	"quartet/bus/model"
)

const lists = "lists"

// Lists judges the pages of lists in models 1 and 2 against the cut of the order that their
// position names: they hold the keys below the prefix that had a value there, in byte order, each
// once, with its value and revision, from where the page before ended. All pages of one list are
// of one cut; that of a list of model 1 is not before the list was asked for, nor after its first
// page. (Of models 3 and 4 a list is as many gets: [Causal], and the order of its keys is judged
// here.)
func Lists(h []Operation) Verdict {
	return inOrder(lists, h, func(w *order) *Verdict {
		for _, o := range w.ops {
			if v := w.pageByItself(o); v != nil {
				return v
			}
		}
		r := newReplay(w, func(o *Operation) bool { return o.Type == model.List })
		if v := concerning(w.realTime(), model.List); v != nil {
			return v
		}
		return r.run()
	})
}

// concerning returns the verdict if one of its operations has the type.
func concerning(v *Verdict, t model.Type) *Verdict {
	if v == nil || !slices.ContainsFunc(v.Operations, func(o Operation) bool { return o.Type == t }) {
		return nil
	}
	return v
}

// pageFrom says where the page of a list begins.
type pageFrom struct {
	first  *Operation // the first page of the list
	before *Operation // the page before; nil: it is the first, or the page before is not in the history
	begins bool       // where it begins is known
	last   string     // the last key of the pages before; "": none
}

// pagesOf finds the pages of each list.
func pagesOf(ops []*Operation) map[*Operation]*pageFrom {
	pages := make(map[*Operation]*pageFrom)
	by := make(map[string]*Operation) // the page that named where the next begins
	for _, o := range ops {
		if o.Type == model.List && o.Next != "" {
			by[o.Next] = o
		}
	}

	var find func(o *Operation) *pageFrom
	find = func(o *Operation) *pageFrom {
		if p := pages[o]; p != nil {
			return p
		}
		p := &pageFrom{first: o}
		pages[o] = p // before its own is found: a page that names itself is its own first
		if o.from() == "" {
			p.begins = true
			return p
		}
		p.before = by[o.from()]
		if p.before == nil {
			return p
		}

		before := find(p.before)
		p.first, p.begins, p.last = before.first, before.begins, before.last
		if n := len(p.before.Items); n > 0 {
			p.begins, p.last = true, p.before.Items[n-1].Key
		}
		return p
	}
	for _, o := range ops {
		if o.Type == model.List {
			find(o)
		}
	}
	return pages
}

// from is what a list or a watch goes on from.
func (o *Operation) from() string {
	if o.Range == nil {
		return ""
	}
	return o.Range.From
}

// pageByItself checks what a page of any model says beside what keys held.
func (w *order) pageByItself(o *Operation) *Verdict {
	if o.Type != model.List {
		return nil
	}
	p := w.pages[o]
	fault := func(format string, args ...any) *Verdict {
		v := violated(lists, []*Operation{p.before, o}, format, args...)
		return &v
	}

	last, begun := p.last, p.before != nil && p.last != ""
	for i := range o.Items {
		key := o.Items[i].Key
		switch {
		case !strings.HasPrefix(key, o.Key):
			return fault("a list of %s* holds %s", o.Key, key)
		case begun && key == last:
			return fault("a list holds %s twice", key)
		case begun && key < last:
			return fault("a list holds %s after %s: its keys are not in byte order", key, last)
		}
		last, begun = key, true
	}

	limit := model.DefaultPage
	if o.Range != nil && o.Range.Limit > 0 {
		limit = o.Range.Limit
	}
	if len(o.Items) > limit {
		return fault("a page of a list holds %d keys, and at most %d were asked for", len(o.Items), limit)
	}
	strong := o.Model.Strong()
	if strong && o.Position == 0 && len(o.Items) > 0 {
		v := undecided(lists, withoutPosition, o)
		return &v
	}
	if strong && o.Position != p.first.Position {
		v := violated(lists, []*Operation{p.first, o}, "pages of one list are of the cuts %d and %d", p.first.Position, o.Position)
		return &v
	}
	return nil
}

// page compares a page with what stands at its cut.
func (r *replay) page(o *Operation) *Verdict {
	for i := range o.Items {
		x := &o.Items[i]
		s := itemSight(x)
		if v := r.see(o, x.Key, oneSight(s), o.Position); v != nil {
			v.rule = "a list of the cut %d holds %s: " + v.rule
			v.Reason = fmt.Sprintf("a list of the cut %d holds %s: %s", o.Position, x.Key, v.Reason)
			return v
		}
	}

	for _, key := range absent(r.keys, o, r.pages[o]) {
		h := *r.holds(key)
		v := r.see(o, key, oneSight(sight{kind: sawNothing}), o.Position)
		if v == nil {
			continue
		}
		missing := violated(lists, []*Operation{h.op, o},
			"a list of the cut %d lacks %s, which had %q there", o.Position, key, h.value)
		missing.Result = v.Result
		return &missing
	}
	return nil
}

// absent lists those of keys, which are in order, that a page would hold if they had a value.
func absent(keys []string, o *Operation, p *pageFrom) []string {
	holds := make(map[string]bool)
	for i := range o.Items {
		holds[o.Items[i].Key] = true
	}

	first, last := covers(o, p)
	i, _ := slices.BinarySearch(keys, first)
	var list []string
	for _, key := range keys[i:] {
		below := strings.HasPrefix(key, o.Key)
		beyond := last != "" && key > last
		if !below || beyond {
			break
		}
		if !holds[key] && key != p.last {
			list = append(list, key)
		}
	}
	return list
}

// covers returns the first and the last key that a page speaks of; last "": all that follow.
func covers(o *Operation, p *pageFrom) (first, last string) {
	first = max(o.Key, p.last)
	n := len(o.Items)
	if !p.begins && n > 0 {
		first = o.Items[0].Key
	}

	known := p.begins || n > 0
	switch {
	case o.Next == "" && known:
		return first, ""
	case n > 0:
		return first, o.Items[n-1].Key
	}
	return first, "\x00" // it says nothing
}
