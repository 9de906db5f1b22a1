package history

import (
	"fmt"
	"math/rand/v2"

	"quartet/bus/model"
)

// executor is a tiny store that is correct by construction: one total order, one causal log,
// replicas that follow both at their own pace. It makes histories that every checker must accept,
// and that the mutations of the property tests then spoil.
type executor struct {
	r        *rand.Rand
	now      int64
	order    []entryOf // positions 1, 2, …
	causal   []entryOf // timestamps 1, 2, …
	replicas []progress
	sessions []*actor
	history  []Operation
	value    int
	late     []*Operation // sets of unknown outcome, and weak sets, that are not ordered yet
}

type entryOf struct{ key, value string }

type progress struct{ position, timestamp int }

type actor struct {
	name     string
	models   []model.Consistency
	position int
	read     int
	wrote    map[string]int
}

// newExecutor returns a correct cluster of three replicas, all of whose choices follow from a seed.
func newExecutor(seed uint64, sessions int, models ...model.Consistency) *executor {
	x := &executor{r: rand.New(rand.NewPCG(seed, 1)), replicas: make([]progress, 3)}
	for i := range sessions {
		x.sessions = append(x.sessions, &actor{name: fmt.Sprintf("s%d", i+1), models: models, wrote: map[string]int{}})
	}
	return x
}

// tick lets time pass, and returns it.
func (x *executor) tick() int64 {
	x.now += 1 + x.r.Int64N(5)
	return x.now
}

// run makes n requests, as many at once as there are sessions: all are called, take
// effect in a random order, and return in a random order.
func (x *executor) run(n int) []Operation {
	for len(x.history) < n {
		round := make([]*Operation, 0, len(x.sessions))
		for _, a := range x.sessions {
			o := &Operation{
				ID: uint64(len(x.history) + len(round) + 1), Client: "c", Session: a.name, Call: x.tick(), Outcome: OK,
				Model: a.models[x.r.IntN(len(a.models))], Type: model.Types[x.r.IntN(2)],
				Key: string(rune('x' + x.r.IntN(2))), Replica: fmt.Sprintf("r%d", 1+x.r.IntN(3)),
			}
			if o.Type == model.Set {
				x.value++
				o.Value = fmt.Sprintf("v%d", x.value)
			}
			round = append(round, o)
		}

		for _, i := range x.r.Perm(len(round)) {
			x.advance()
			x.execute(x.sessions[i], round[i])
		}

		for _, i := range x.r.Perm(len(round)) {
			round[i].Return = x.tick()
			x.history = append(x.history, *round[i])
		}
	}
	return x.history
}

// advance lets a late set take effect now and then, and a replica come further.
func (x *executor) advance() {
	if len(x.late) > 0 && x.r.IntN(2) == 0 {
		i := x.r.IntN(len(x.late))
		x.order = append(x.order, entryOf{x.late[i].Key, x.late[i].Value})
		x.late = append(x.late[:i], x.late[i+1:]...)
	}

	p := &x.replicas[x.r.IntN(len(x.replicas))]
	p.position += x.r.IntN(len(x.order) - p.position + 1)
	p.timestamp += x.r.IntN(len(x.causal) - p.timestamp + 1)
}

// execute lets a request take effect, or be of unknown outcome now and then.
func (x *executor) execute(a *actor, o *Operation) {
	p := &x.replicas[o.Replica[1]-'1']

	switch {
	case o.Type == model.Set && x.r.IntN(8) == 0:
		o.Outcome, o.Replica, o.ID = Unknown, "", 0
		if o.Model != model.Causal {
			x.late = append(x.late, o)
		}
	case o.Model == model.Causal && o.Type == model.Set:
		x.causal = append(x.causal, entryOf{o.Key, o.Value})
		o.Timestamp = uint64(len(x.causal))
		a.wrote[o.Key] = len(x.causal)
	case o.Model == model.Causal:
		p.timestamp = max(p.timestamp, a.read, a.wrote[o.Key])
		o.Output, o.Found, o.Timestamp = last(x.causal[:p.timestamp], o.Key)
		a.read = max(a.read, int(o.Timestamp))
	case o.Model == model.Eventual && o.Type == model.Get:
		o.Output, o.Found, _ = last(x.order[:p.position], o.Key)
	case o.Model == model.Eventual:
		x.late = append(x.late, o)
	case o.Model == model.Sequential && o.Type == model.Get:
		p.position = max(p.position, a.position)
		o.Position = uint64(p.position)
		o.Output, o.Found, _ = last(x.order[:p.position], o.Key)
		a.position = p.position
	default:
		x.order = append(x.order, entryOf{o.Key, o.Value})
		if o.Type == model.Get {
			o.Output, o.Found, _ = last(x.order[:len(x.order)-1], o.Key)
			x.order[len(x.order)-1] = entryOf{}
		}
		o.Position = uint64(len(x.order))
		p.position, a.position = len(x.order), len(x.order)
	}
}

// last returns what the newest entry of a key in a log wrote, and its number, from 1.
func last(log []entryOf, key string) (value string, found bool, number uint64) {
	for i := len(log) - 1; i >= 0; i-- {
		if log[i].key == key {
			return log[i].value, true, uint64(i + 1)
		}
	}
	return "", false, 0
}
