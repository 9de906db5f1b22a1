package faults_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

// checkTime bounds the search for one order.
const checkTime = time.Minute

// plain is a history without what only this package records.
func plain(ops []sent) []history.Operation {
	list := make([]history.Operation, len(ops))
	for i, o := range ops {
		list[i] = o.Operation
	}
	return list
}

// forgive makes sets unknown of which nobody promises that they stay: eventual ones that
// were acknowledged by a replica which lost its memory later, and all weak ones from
// before the loss of more replicas than may be missing. It returns how many.
func (tr *trial) forgive(ops []history.Operation) (forgiven map[string]bool) {
	forgiven = map[string]bool{}
	begun := map[string]int64{}
	for _, o := range ops {
		if at, again := begun[o.Identity]; !again || o.Call < at {
			begun[o.Identity] = o.Call
		}
	}
	for i := range ops {
		o := &ops[i]
		if o.Type != model.Set || o.Outcome != history.OK || o.Model.Strong() {
			continue
		}
		call := begun[o.Identity]
		diedWithItsReplica := o.Model == model.Eventual && call <= tr.lostAt[o.Replica]
		if call < tr.reborn || diedWithItsReplica {
			o.Outcome = history.Unknown
			forgiven[o.Identity] = true
		}
	}
	return forgiven
}

// judge has every checker look at what was recorded and at what the replicas hold.
func (tr *trial) judge(t *testing.T, all []sent, r *row) {
	t.Helper()
	ops := plain(all)
	forgiven := tr.forgive(ops)
	r.forgiven = len(forgiven)

	var verdicts []history.Verdict
	if tr.reborn > 0 {
		// What weak gets saw before may be gone after: each part is judged by itself.
		before := slices.DeleteFunc(plain(all), func(o history.Operation) bool { return o.Return >= tr.reborn })
		verdicts = append(verdicts, history.Causal(before), history.Sessions(before))
		ops = slices.DeleteFunc(ops, func(o history.Operation) bool {
			return o.Call < tr.reborn && o.Type == model.Get && !o.Model.Strong()
		})
	}

	verdicts = append(verdicts, history.All(ops, history.Budget{Time: checkTime})...)
	for _, c := range []model.Consistency{model.Sequential, model.Eventual} {
		stores := tr.contents(t, c, sharedKeys(ops))
		verdicts = append(verdicts, history.Converged(stores))
		for _, id := range tr.ids() {
			verdicts = append(verdicts, history.Eventual(notOnce(ops), stores[id]))
		}
	}

	for _, v := range verdicts {
		// A weak set that is sent again after the master's death may show once more, and one
		// that was lost with who acknowledged it may show only for a while.
		mayWaver := tr.masters != 1 || len(tr.lostAt) > 0
		excused := v.Check == "steady" && mayWaver
		if !v.OK() && !excused {
			r.rejected++
			t.Errorf("%s", v)
		}
	}

	tr.unlost(t, ops, r)
	rising(t, all)
}

func isOnce(o history.Operation) bool { return strings.HasPrefix(o.Key, once) }

func notOnce(ops []history.Operation) []history.Operation {
	return slices.DeleteFunc(slices.Clone(ops), isOnce)
}

func sharedKeys(ops []history.Operation) []string {
	var keys []string
	for _, o := range ops {
		if !isOnce(o) && !slices.Contains(keys, o.Key) {
			keys = append(keys, o.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// unlost counts the acknowledged sets of keys that are written once and hold nothing, or
// something else, anywhere; and refused ones that are there all the same.
func (tr *trial) unlost(t *testing.T, ops []history.Operation, r *row) {
	t.Helper()
	best := map[string]history.Outcome{} // by key: OK before Unknown before Fail
	for _, o := range ops {
		if isOnce(o) && o.Type == model.Set {
			if had := best[o.Key]; had == 0 || rank(o.Outcome) < rank(had) {
				best[o.Key] = o.Outcome
			}
		}
	}

	var keys []string
	for key := range best {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	held := tr.contents(t, model.Eventual, keys)
	held["a linearizable get"] = tr.read(t, model.Linearizable, "", keys)

	lost := map[string]bool{}
	for where, values := range held {
		for _, key := range keys {
			value, there := values[key]
			switch {
			case best[key] == history.OK && !there:
				lost[key] = true
				t.Errorf("lost: the acknowledged %s is not at %s", key, where)
			case best[key] == history.Fail && there:
				t.Errorf("the refused %s took effect at %s", key, where)
			case there && once+value != key:
				t.Errorf("%s holds %q at %s", key, value, where)
			}
		}
	}

	r.lost = len(lost)
	for _, o := range ops {
		if o.Type == model.Set && o.Outcome == history.OK {
			r.acknowledged++
		}
	}
}

func rank(o history.Outcome) int {
	return map[history.Outcome]int{history.OK: 0, history.Unknown: 1, history.Fail: 2}[o]
}

// contents reads keys from each replica.
func (tr *trial) contents(t *testing.T, c model.Consistency, keys []string) map[string]map[string]string {
	t.Helper()
	stores := map[string]map[string]string{}
	for _, id := range tr.ids() {
		stores[id] = tr.read(t, c, id, keys)
	}
	return stores
}

// read gets many keys at once.
func (tr *trial) read(t *testing.T, c model.Consistency, replica string, keys []string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), healLimit)
	defer cancel()

	held := map[string]string{}
	var mu sync.Mutex
	var readers sync.WaitGroup
	work := make(chan string)
	for range min(16, len(keys)) {
		readers.Go(func() {
			for key := range work {
				result, err := tr.last.Get(ctx, key, client.With(c), client.OnReplica(replica))
				switch {
				case errors.Is(err, client.ErrNotFound):
				case err != nil:
					t.Errorf("%s get of %s at the end, at %q: %v", c.Word(), key, replica, err)
				default:
					mu.Lock()
					held[key] = string(result.Value)
					mu.Unlock()
				}
			}
		})
	}

	for _, key := range keys {
		work <- key
	}
	close(work)
	readers.Wait()
	return held
}

// rising checks that a request which was sent after another's reply has the greater rID
// and is answered with the greater Lamport time.
func rising(t *testing.T, all []sent) {
	t.Helper()
	byCall, byReturn := slices.Clone(all), slices.Clone(all)
	slices.SortFunc(byCall, func(a, b sent) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortFunc(byReturn, func(a, b sent) int { return cmp.Compare(a.Return, b.Return) })
	var rid, clock sent // with the greatest of those that had returned
	next := 0
	for _, o := range byCall {
		for ; byReturn[next].Return < o.Call; next++ {
			if p := byReturn[next]; p.ID > rid.ID {
				rid = p
			}
			if p := byReturn[next]; p.clock > clock.clock {
				clock = p
			}
		}
		if o.again { // is answered with its first outcome
			continue
		}
		if o.ID != 0 && o.ID <= rid.ID {
			t.Errorf("an rID does not rise:\n    %s\n    %s", rid.Operation, o.Operation)
			return
		}
		if o.clock != 0 && o.clock <= clock.clock {
			t.Errorf("a clock does not rise: %d, then %d\n    %s\n    %s", clock.clock, o.clock, clock.Operation, o.Operation)
			return
		}
	}
}

// resend sends sets from before the fault again: they are answered with their first
// outcome, which the checkers compare.
func (tr *trial) resend(t *testing.T, until int64, random *rand.Rand) {
	t.Helper()
	l := tr.load
	forgiven := tr.forgive(plain(l.rec.ops))
	var old []sent
	for _, o := range l.rec.ops {
		if o.Type == model.Set && o.Outcome == history.OK && o.Return < until && !forgiven[o.Identity] {
			old = append(old, o)
		}
	}
	random.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
	ids := tr.ids()
	for i, o := range old[:min(len(old), 60)] {
		req := client.Request{
			Request: model.NewSet(o.Model, o.Key, []byte(o.Value)),
			Options: bus.Options{Identity: o.Identity, Replica: ids[i%len(ids)]},
		}
		if _, err := l.rec.do(l.ctx, tr.last.Session(), "again", req, true); err != nil {
			t.Errorf("sent again: %s: %v", o.Operation, err)
		}
	}
}

// pauses returns, by model, the longest time without an answer while sessions asked.
func pauses(all []sent, began, ended int64) map[model.Consistency]time.Duration {
	ends := map[model.Consistency][]int64{}
	for _, o := range all {
		if o.Outcome == history.OK && o.Return <= ended {
			ends[o.Model] = append(ends[o.Model], o.Return)
		}
	}
	longest := map[model.Consistency]time.Duration{}
	for c, list := range ends {
		slices.Sort(list)
		before := began
		for _, at := range append(list, ended) {
			longest[c] = max(longest[c], time.Duration(at-before))
			before = at
		}
	}
	return longest
}

func (r *row) String() string {
	what := "ok"
	if r.failed {
		what = "FAILED"
	}
	return fmt.Sprintf("%-24s %-6s %-12s %-6s whole after %6s  %s  %6d requests  %5d acknowledged  %2d lost  %3d "+
		"forgiven  %3d unknown  %4d refused  epochs %d  longest pause %s  %s",
		r.scenario, r.mode, r.traffic, what, ms(r.heal), ms(r.took), r.requests, r.acknowledged, r.lost,
		r.forgiven, r.unknown, r.refused, r.epochs, r.pause(), strings.Join(r.notes, "; "))
}
