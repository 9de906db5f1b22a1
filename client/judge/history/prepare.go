package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"quartet/bus/model"
)

// judged is a history made ready for the checkers: without operations that were not executed, with
// the sendings of one identity joined.
type judged struct {
	ops    []*Operation // answered, and sets of unknown outcome; by call
	failed []*Operation // sets that were definitely not executed
	writes map[write][]*Operation
}

// write names what a set does.
type write struct{ key, value string }

// prepare copies h. It fails when one identity stands for two different requests: such a history
// cannot be judged.
func prepare(h []Operation) (*judged, error) {
	j := &judged{writes: make(map[write][]*Operation)}
	byIdentity := make(map[string]*Operation)
	for i := range h {
		o := h[i]
		switch {
		case o.Outcome == Fail && o.Type == model.Set:
			j.failed = append(j.failed, &o)
			continue
		case o.Outcome == Fail, o.Outcome == Unknown && o.Type == model.Get: // it says nothing
			continue
		case o.Outcome != OK && o.Outcome != Unknown:
			return nil, fmt.Errorf("operation %d of the history has no outcome", i)
		case o.Return < o.Call:
			return nil, fmt.Errorf("operation %d of the history returned before its call", i)
		}

		if o.Type == model.Set && o.Identity != "" {
			if first := byIdentity[o.Identity]; first != nil {
				if first.Key != o.Key || first.Value != o.Value || first.Model != o.Model {
					return nil, fmt.Errorf("identity %q stands for two different sets", o.Identity)
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
		if o.Type == model.Set {
			j.writes[write{o.Key, o.Value}] = append(j.writes[write{o.Key, o.Value}], o)
		}
	}
	return j, nil
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
	o.Outcome, o.Return, o.ID = OK, p.Return, p.ID
	o.Replica, o.Position, o.Timestamp = p.Replica, p.Position, p.Timestamp
}

// unwritten explains a read of a value that no executed set wrote.
func (j *judged) unwritten(check string, get *Operation) Verdict {
	for _, f := range j.failed {
		if f.Key == get.Key && f.Value == get.Output {
			return violated(check, []*Operation{f, get},
				"a get returned a value whose set was refused as not executed")
		}
	}
	return violated(check, []*Operation{get}, "a get returned %q, which nobody wrote under %s", get.Output, get.Key)
}

// floating reports whether a set has no end that orders it: to models 1 and 2 a weak write takes
// effect at any moment after its call, and so does a set of unknown outcome.
func (o *Operation) floating() bool {
	unordered := !o.Model.Strong() || o.Outcome == Unknown
	return unordered && o.Type == model.Set
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

// keys lists the keys of ops in order.
func keys(ops []*Operation) []string {
	set := make(map[string]bool)
	for _, o := range ops {
		set[o.Key] = true
	}
	return slices.Sorted(maps.Keys(set))
}
