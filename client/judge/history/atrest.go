package history

import (
	"slices"

	"quartet/bus/model"
)

// Agreed judges the gets at rest ([Operation.Rest]): of each key all replicas returned the same to
// the gets of one model. It passes a history without gets at rest.
func Agreed(h []Operation) Verdict {
	type cell struct {
		model model.Consistency
		key   string
	}

	first := make(map[cell]*Operation)
	silent := (*Operation)(nil)
	for i := range h {
		o := &h[i]
		switch c := (cell{o.Model, o.Key}); {
		case !o.Rest, o.Type != model.Get:
		case o.Outcome != OK: // a disagreement elsewhere says more
			silent = o
		case first[c] == nil:
			first[c] = o
		case first[c].Found != o.Found || first[c].Output != o.Output:
			return violated(converged, []*Operation{first[c], o},
				"at rest replica %s has %s under %s, replica %s has %s",
				first[c].Replica, held(first[c].Output, first[c].Found), o.Key, o.Replica, held(o.Output, o.Found))
		}
	}

	if silent != nil {
		return undecided(converged, "replica %s did not say what it holds of %s at rest", silent.Replica, silent.Key)
	}
	return passed(converged)
}

// restless makes ordinary gets of the gets that one program made at rest before another program
// had written their keys for the last time, and ordinary watches of watches at rest.
func restless(h []Operation) []Operation {
	last := make(map[string]int64) // the latest return of a write, by key
	for i := range h {
		if o := &h[i]; o.Outcome != Fail {
			for _, key := range Written(o) {
				last[key] = max(last[key], o.Return)
			}
		}
	}

	h = slices.Clone(h)
	for i := range h {
		o := &h[i]
		end, written := last[o.Key]
		early := written && o.Call <= end
		if early || o.Type == model.Watch {
			o.Rest = false
		}
	}
	return h
}

// Settled judges what each replica returned to gets at rest as [Eventual] does. Keys that
// were not looked at say nothing. It passes a history without gets at rest.
func Settled(h []Operation) Verdict {
	j, err := prepare(slices.DeleteFunc(slices.Clone(h), func(o Operation) bool { return o.Rest }))
	if err != nil {
		return undecided(eventual, "%v", err)
	}

	type content struct {
		key, value string
		found      bool
	}
	known := make(map[content]bool) // what has been judged: replicas that agree are judged once
	for i := range h {
		o := &h[i]
		c := content{o.Key, o.Output, o.Found}
		ofKey := o.Rest && o.Type == model.Get && o.Outcome == OK
		if !ofKey || known[c] {
			continue
		}
		known[c] = true

		if v := j.stays(o.Key, o.Output, o.Found); v != nil {
			v.Operations = append(v.Operations, *o)
			return *v
		}
	}
	return passed(eventual)
}
