package history

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"quartet/bus/model"
)

// judged is a history made ready for the checkers: without operations that were not executed, with
// the sendings of one identity joined.
type judged struct {
	ops    []*Operation // answered, and writes of unknown outcome; by call
	failed []*Operation // writes that were definitely not executed, those whose condition did not hold, too
	writes map[write][]*Operation

	parts    map[*Operation][]part   // of what was answered
	adders   map[string]bool         // keys to which adds of unknown outcome may have added
	depends  map[string]bool         // keys with floating writes that depend on what they find
	writers  map[string][]*Operation // by key: what has written it, or may have
	removers map[string][]*Operation // of them what may have taken its value away

	budget Budget // of the check that searches
}

// write names what a set does: also an add, and a set in a txn.
type write struct{ key, value string }

// prepare copies h. It fails when one identity stands for two different requests: such a history
// cannot be judged.
func prepare(h []Operation) (*judged, error) {
	j := &judged{
		writes: make(map[write][]*Operation), parts: make(map[*Operation][]part),
		adders: make(map[string]bool), depends: make(map[string]bool), removers: make(map[string][]*Operation),
		writers: make(map[string][]*Operation),
	}
	byIdentity := make(map[string]*Operation)

	for i := range h {
		o := h[i]
		heard := o.Type == model.Watch && len(o.Events) > 0
		switch {
		case o.Outcome == Fail && o.Writes():
			j.failed = append(j.failed, &o)
			continue
		case heard: // however it ended
		case o.Outcome == Fail, o.Outcome == Unknown && !o.Writes(): // it says nothing
			continue
		case o.Outcome != OK && o.Outcome != Unknown:
			return nil, fmt.Errorf("operation %d of the history has no outcome", i)
		}
		if o.Return < o.Call {
			return nil, fmt.Errorf("operation %d of the history returned before its call", i)
		}

		if o.Writes() && o.Identity != "" {
			if first := byIdentity[o.Identity]; first != nil {
				if !first.sameRequest(&o) {
					return nil, fmt.Errorf("identity %q stands for two different %ss", o.Identity, o.Type.Word())
				}
				first.join(&o)
				continue
			}
			byIdentity[o.Identity] = &o
		}

		j.ops = append(j.ops, &o)
	}

	slices.SortStableFunc(j.ops, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, o := range j.ops {
		j.note(o)
	}
	return j, nil
}

// note keeps what an operation saw, and what it wrote or may have written.
func (j *judged) note(o *Operation) {
	if o.Outcome == OK {
		j.parts[o] = partsOf(o)
	}
	if !o.Writes() {
		return
	}
	if o.Refused() {
		j.failed = append(j.failed, o)
		return
	}

	lists := [][]part{j.parts[o]}
	if o.Outcome != OK {
		lists = attempts(o)
	}

	finds := o.HasIf || o.Type == model.Add || o.Type == model.Txn
	for _, parts := range lists {
		for i := range parts {
			j.noteDeed(o, &parts[i])
			if finds && o.floating() {
				j.depends[parts[i].key] = true
			}
		}
	}
}

// noteDeed keeps what one part of an operation wrote, or may have written, under its key.
func (j *judged) noteDeed(o *Operation, p *part) {
	switch p.deed.kind {
	case puts:
		w := write{p.key, p.deed.value}
		if !slices.Contains(j.writes[w], o) {
			j.writes[w] = append(j.writes[w], o)
		}
	case adds:
		j.adders[p.key] = true
	}

	// An operation may have several parts of one key, which come one after the other.
	list := j.writers[p.key]
	listed := len(list) > 0 && list[len(list)-1] == o
	if p.deed.kind != leaves && !listed {
		j.writers[p.key] = append(list, o)
	}

	ends := p.deed.kind == puts && p.deed.ends != never
	mayRemove := p.deed.kind == removes || ends
	if mayRemove && !slices.Contains(j.removers[p.key], o) {
		j.removers[p.key] = append(j.removers[p.key], o)
	}
}

// sameRequest reports whether two writes asked for the same.
func (o *Operation) sameRequest(p *Operation) bool {
	sameKey := o.Type == p.Type && o.Key == p.Key && o.Value == p.Value && o.Model == p.Model
	return sameKey && o.HasIf == p.HasIf && o.If == p.If && o.TTL == p.TTL && reflect.DeepEqual(o.Txn, p.Txn)
}

// join makes o and a further sending of the same request one operation: it took effect
// once, after the first call and before the first answer.
func (o *Operation) join(p *Operation) {
	o.Call = min(o.Call, p.Call)
	switch {
	case p.Outcome != OK:
		if o.Outcome != OK { // nothing tells when it took effect
			o.Return = max(o.Return, p.Return)
		}
		return
	case o.Outcome == OK && o.Return <= p.Return: // o's answer was the first
		return
	}

	o.Outcome, o.Return, o.ID, o.Code = OK, p.Return, p.ID, p.Code
	o.Replica, o.Position, o.Timestamp = p.Replica, p.Position, p.Timestamp
	o.HasRevision, o.Revision, o.Output, o.Results = p.HasRevision, p.Revision, p.Output, p.Results
}

// written reports whether a value may have been written under a key.
func (j *judged) written(key, value string) bool {
	if len(j.writes[write{key, value}]) > 0 {
		return true
	}
	_, err := strconv.ParseInt(value, 10, 64)
	return err == nil && j.adders[key]
}

// nobodyWrote is the rule of [judged.unwritten].
const nobodyWrote = "%s returned %q, which nobody wrote under %s"

// unwritten explains a read of a value that no executed set wrote.
func (j *judged) unwritten(check string, reader *Operation, key, value string) Verdict {
	for _, f := range j.failed {
		for _, parts := range attempts(f) {
			for i := range parts {
				d := &parts[i].deed
				if parts[i].key == key && d.kind == puts && d.value == value {
					return violated(check, []*Operation{f, reader},
						"a get returned a value whose set was refused as not executed")
				}
			}
		}
	}
	return violated(check, []*Operation{reader}, nobodyWrote, "a "+reader.Type.Word(), value, key)
}

// floating reports whether a write has no end that orders it: to models 1 and 2 a weak write takes
// effect at any moment after its call, and so does a write of unknown outcome.
func (o *Operation) floating() bool {
	unordered := !o.Model.Strong() || o.Outcome == Unknown
	return unordered && o.Writes()
}

// session identifies an operation's session; an operation without one is its own.
func (o *Operation) session() any {
	if o.Session == "" {
		return o
	}
	return [2]string{o.Client, o.Session}
}

// event is the call or the return of an operation.
type event struct {
	op      *Operation
	at      int64
	class   int // the order of events at one instant
	returns bool
}

// timeline lists calls and returns in the order of time. At one instant calls stand
// before returns, so that what is doubtful counts as concurrent; but within a session
// the return of one operation stands before the call of the next.
func timeline(ops []*Operation) []event {
	type moment struct {
		session any
		at      int64
	}

	ends := make(map[moment]bool)
	for _, o := range ops {
		if o.Call < o.Return {
			ends[moment{o.session(), o.Return}] = true
		}
	}

	events := make([]event, 0, 2*len(ops))
	for _, o := range ops {
		call := event{op: o, at: o.Call}
		if ends[moment{o.session(), o.Call}] {
			call.class = 2 // behind the return of its session
		}

		back := event{op: o, at: o.Return, class: 1, returns: true}
		if o.Call == o.Return {
			back.class = call.class + 1
		}

		events = append(events, call, back)
	}
	slices.SortStableFunc(events, func(a, b event) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		return cmp.Compare(a.class, b.class)
	})
	return events
}

// touched lists the keys that an operation saw or may have written.
func (j *judged) touched(o *Operation) []string {
	lists := [][]part{j.parts[o]}
	if o.Outcome != OK && o.Writes() {
		lists = attempts(o)
	}
	var list []string
	for _, parts := range lists {
		for i := range parts {
			list = append(list, parts[i].key)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// of returns the parts of one key.
func of(key string, parts []part) []part {
	if len(parts) == 1 && parts[0].key == key {
		return parts
	}
	var list []part
	for i := range parts {
		if parts[i].key == key {
			list = append(list, parts[i])
		}
	}
	return list
}

// wrote lists the keys that an operation that was answered has written.
func (j *judged) wrote(o *Operation) []string {
	var list []string
	for i := range j.parts[o] {
		if p := &j.parts[o][i]; p.deed.kind != leaves {
			list = append(list, p.key)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
