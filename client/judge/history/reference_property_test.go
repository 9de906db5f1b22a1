package history

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quartet/bus/model"
)

// histories is how many of each kind [TestAcceptsTheReference] and [TestAcceptsTheWeakReference]
// judge.
var histories = flag.Uint64("history.seeds", 120, "generated histories of each kind that are judged")

var firstHistory = flag.Uint64("history.first", 0, "the seed of the first of them")

// keptHistories are the seeds of histories that a checker refused once.
var keptHistories = []uint64{
	721, 1092, 1159, 1219, 2951, 4079, 6484, 6537, 6665, 7442, 7546, 7747, 8254, 9226, 9725, 9836, 10492, 10701,
}

// undecidedOf is in how many generated histories one may stay undecided: where several writes of
// unknown outcome depend on each other, the orders are not all tried. A short run has none.
const undecidedOf = 500

// Whatever a correct store answers, with revisions and positions, every checker accepts.
func TestAcceptsTheReference(t *testing.T) {
	count, unknown := map[string]int{}, uint64(0)
	seeds := append([]uint64{}, keptHistories...)
	for seed := range *histories {
		seeds = append(seeds, *firstHistory+seed)
	}

	for _, seed := range seeds {
		for _, models := range [][]model.Consistency{
			{model.Linearizable}, {model.Sequential}, {model.Linearizable, model.Sequential},
			{model.Linearizable, model.Eventual}, {model.Linearizable, model.Sequential, model.Eventual},
		} {
			h := newReferenceStore(seed, 3, models...).run(40)
			for _, v := range All(h, Budget{}) {
				count[v.Check]++
				switch v.Result {
				case Undecided:
					unknown++
					t.Logf("seed %d, %v: %s", seed, models, v)
				case Violated:
					t.Errorf("seed %d, %v: %s", seed, models, v)
				}
			}
		}
	}
	if most := *histories / undecidedOf; unknown > most {
		t.Errorf("%d verdicts are unknown, of %d histories of each kind; at most %d may be", unknown, *histories, most)
	}
	for _, check := range []string{transactions, lists, watches, revisions} {
		if count[check] < 3*int(*histories) {
			t.Errorf("%s judged %d histories", check, count[check])
		}
	}
}

// The same of models 3 and 4: writes that spread, lists of what one replica has, watches of it,
// ends.
func TestAcceptsTheWeakReference(t *testing.T) {
	count := map[string]int{}
	seeds := []uint64{6035, 11051} // refused once
	for seed := range *histories {
		seeds = append(seeds, *firstHistory+seed)
	}
	for _, seed := range seeds {
		for _, models := range [][]model.Consistency{{model.Causal}, {model.Eventual}, {model.Causal, model.Eventual}} {
			h := newWeakReference(seed, 3, models...).run(40)
			for _, v := range append(All(h, Budget{}), Agreed(h), Settled(h)) {
				count[v.Check]++
				if !v.OK() {
					t.Errorf("seed %d, %v: %s", seed, models, v)
				}
			}
		}
	}
	for _, check := range []string{lists, watches, causal, revisions, converged, eventual} {
		if count[check] < int(*histories) {
			t.Errorf("%s judged %d histories", check, count[check])
		}
	}
}

// A spoiling makes one answer wrong, so that one of the checks must refuse the history.
type spoiling struct {
	name   string
	checks []string
	apply  func(o *Operation, h []Operation, r *rand.Rand) bool
}

// changesOf returns the places of the changes among a watch's events.
func changesOf(o *Operation) []int {
	var list []int
	for i := range o.Events {
		if o.Events[i].Kind.Change() {
			list = append(list, i)
		}
	}
	return list
}

// inner is a change in the middle of what a watch showed, which is one whole revision.
func inner(o *Operation) int {
	list := changesOf(o)
	for k := 1; k < len(list)-1; k++ {
		e := o.Events
		alone := e[list[k-1]].Revision != e[list[k]].Revision && !e[list[k]].More
		if alone && e[list[k]].Kind == EventSet {
			return list[k]
		}
	}
	return -1
}

var spoilings = []spoiling{
	{"a write of another revision", []string{revisions}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		done := o.Ordered() && o.HasRevision && !o.Refused()
		o.Revision++
		return done
	}},
	{"a failed condition answered 200", []string{linearizable, sequential}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		failed := o.Refused() && o.HasIf && o.Type == model.Set
		o.Code, o.Revision = 200, o.Position
		return failed
	}},
	{"a condition that held answered 412", []string{linearizable, sequential}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		held := !o.Refused() && o.HasIf && o.If > 0 && o.Type == model.Set
		o.Code, o.Revision = 412, o.If
		return held
	}},
	{"a key that comes back", []string{linearizable, sequential}, func(o *Operation, h []Operation, _ *rand.Rand) bool {
		for i := range h {
			w := &h[i]
			over := w.Type == model.Delete && w.Outcome == OK && !w.Refused() && w.Return < o.Call
			if over && o.Type == model.Get && !o.Found && w.Key == o.Key {
				return bringBack(o, h, w)
			}
		}
		return false
	}},
	{"a sum that is one too many", []string{linearizable, sequential}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		n, err := strconv.Atoi(o.Output)
		sum := o.Type == model.Add && err == nil && !o.Refused()
		o.Output = strconv.Itoa(n + 1)
		return sum
	}},
	{"a page of another cut", []string{lists}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		o.Position++
		return o.Type == model.List && o.Range.From != ""
	}},
	{"a page without one of its keys", []string{lists}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		whole := o.Type == model.List && len(o.Items) == 3
		if whole {
			o.Items = slices.Delete(slices.Clone(o.Items), 1, 2)
		}
		return whole
	}},
	{"a page with an older value", []string{lists}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		fits := o.Type == model.List && len(o.Items) > 0 && o.Items[0].Revision > 1
		if fits {
			o.Items = slices.Clone(o.Items)
			o.Items[0].Revision--
		}
		return fits
	}},
	{"an event less", []string{watches}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		i := inner(o)
		if i >= 0 {
			o.Events = slices.Delete(slices.Clone(o.Events), i, i+1)
		}
		return i >= 0
	}},
	{"an event twice", []string{watches}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		i := inner(o)
		if i >= 0 {
			o.Events = slices.Insert(slices.Clone(o.Events), i, o.Events[i])
		}
		return i >= 0
	}},
	{"an event of another value", []string{watches}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		i := inner(o)
		if i >= 0 {
			o.Events = slices.Clone(o.Events)
			o.Events[i].Value += "0"
		}
		return i >= 0
	}},
	{"two events in each other's place", []string{watches}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		i := inner(o)
		if i >= 0 {
			o.Events = slices.Clone(o.Events)
			o.Events[i], o.Events[i+1] = o.Events[i+1], o.Events[i]
		}
		return i >= 0
	}},
	{"a txn that has not said that there is more", []string{watches}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		i := slices.IndexFunc(o.Events, func(e Event) bool { return e.More })
		if i >= 0 {
			o.Events = slices.Clone(o.Events)
			o.Events[i].More = false
		}
		return i >= 0
	}},
	{"a txn that has read nothing", []string{transactions}, func(o *Operation, _ []Operation, _ *rand.Rand) bool {
		if o.Type != model.Txn || o.Refused() || o.Results == nil {
			return false
		}
		r := *o.Results
		r.Results = slices.Clone(r.Results)
		i := slices.IndexFunc(r.Results, func(x model.Result) bool { return x.Revision > 0 })
		if i >= 0 {
			r.Results[i] = model.Result{Code: 404}
			o.Results = &r
		}
		return i >= 0
	}},
}

// bringBack lets a get show the value that a delete took away.
func bringBack(get *Operation, h []Operation, gone *Operation) bool {
	for i := range h {
		s := &h[i]
		set := s.Type == model.Set && s.Key == get.Key && !s.Refused() && s.Return < gone.Call
		if set && s.TTL == 0 {
			get.Output, get.Found, get.HasRevision, get.Revision, get.Code = s.Value, true, true, s.Revision, 200
			return true
		}
	}
	return false
}

func TestRefusesSpoiltReferences(t *testing.T) {
	for _, m := range spoilings {
		t.Run(m.name, func(t *testing.T) {
			spoilt := 0
			for seed := range uint64(150) {
				x := newReferenceStore(seed, 3, model.Linearizable)
				x.sure = true
				h := x.run(60)
				r := rand.New(rand.NewPCG(seed, 5))
				at := slices.IndexFunc(r.Perm(len(h)), func(i int) bool {
					o := h[i]
					if !m.apply(&o, h, r) {
						return false
					}
					h[i] = o
					return true
				})
				if at < 0 {
					continue
				}
				spoilt++

				refused := slices.ContainsFunc(All(h, Budget{}), func(v Verdict) bool {
					return v.Result == Violated && slices.Contains(m.checks, v.Check)
				})
				if !refused {
					t.Fatalf("seed %d: accepted by %v", seed, m.checks)
				}
			}
			if spoilt < 20 {
				t.Errorf("only %d of 150 histories could be spoilt", spoilt)
			}
		})
	}
}

// A value that has not ended in time is refused where that is asked for.
func TestEnds(t *testing.T) {
	h := load(t, "ttl-good")
	late := h[2] // returned what was to end at 100 after the call, at 110 after the return
	late.Call, late.Return = 200, 210
	for _, c := range []struct {
		within time.Duration
		want   Result
	}{{50, Violated}, {90, Passed}} {
		v := Ends([]Operation{h[0], late}, c.within)
		if v.Result != c.want {
			t.Errorf("within %d: %s", c.within, v)
		}
	}
}

// What can be read is written as it was, and can be judged.
func FuzzRead(f *testing.F) {
	found, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range found {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Read(bytes.NewReader(body))
		if err != nil || len(r.Operations) > 50 {
			return
		}
		var b bytes.Buffer
		if err := Encode(&b, r.Operations); err != nil {
			t.Fatal(err)
		}
		again, err := Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Operations, again, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		for _, v := range Judge(r, Budget{Time: 50 * time.Millisecond, Steps: 1000}) {
			_ = v.Words(true)
			for i := range v.Operations {
				_ = v.Operations[i].String()
			}
		}
	})
}
