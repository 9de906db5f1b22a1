package history

import (
	"time"

	"quartet/bus/model"
)

const ends = "ends"

// Ends judges that no linearizable get sees a value later than within after its TTL, by the
// recorder's clock: it was called after the set had returned, and its TTL and within had passed.
// The contract promises 1 s while the cluster is ready, which a history does not say. That no value
// ends too early, and none because of an earlier deadline, is for [Linearizable] and [Sequential].
func Ends(h []Operation, within time.Duration) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(ends, "%v", err)
	}
	for _, o := range j.ops {
		if o.Type != model.Get || o.Model != model.Linearizable || !o.Found {
			continue
		}
		writers := j.writes[write{o.Key, o.Output}]
		if len(writers) != 1 || j.adders[o.Key] {
			continue
		}

		w := writers[0]
		if w.Type != model.Set || w.TTL == 0 || w.Outcome != OK {
			continue
		}
		lived := w.ends() - w.Call
		if latest := w.Return + lived + within.Nanoseconds(); o.Call > latest {
			return violated(ends, []*Operation{w, o}, "a get returned %q, which was to end at %d at the latest", o.Output, latest)
		}
	}
	return passed(ends)
}
