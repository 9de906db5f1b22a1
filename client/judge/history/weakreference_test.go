package history

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"quartet/bus/model"
)

// weakReference is a store of models 3 and 4 that is correct by construction, in as few lines as
// possible and with none of the judges' code: replicas apply causal writes in the order of their
// timestamps and eventual ones in any order, and of two writes of a key the one with the greater
// version stays. It makes histories that every checker must accept.
type weakReference struct {
	r        *rand.Rand
	now      int64
	version  uint64
	position uint64
	log      []*weakWrite // causal: timestamps 1, 2, …
	spread   []spreading
	replicas [3]weakReplica
	visitors []*weakVisitor
	history  []Operation
	value    int

	waiting   []*weakWrite          // to be committed
	committed map[string]*weakWrite // by key: the newest
}

type weakWrite struct {
	key, value string
	isValue    bool
	version    uint64
	timestamp  uint64     // of a causal one
	revision   uint64     // 0: not committed
	ends       int64      // the earliest moment; 0: it does not
	of         *weakWrite // the value of which this is the end; nil: it is none
}

// spreading is a write on its way to a replica.
type spreading struct {
	to    int
	write *weakWrite
}

type weakReplica struct {
	keys   map[string]*weakWrite
	safe   int // causal writes up to this timestamp are applied
	events []Event
}

// weakVisitor is a session.
type weakVisitor struct {
	name   string
	models []model.Consistency
	read   int
	wrote  map[string]int

	list  *Operation // that goes on
	cut   map[string]*weakWrite
	watch *Operation
	from  int // of its replica's events

	begunAt int64 // when the watch began
}

// newWeakReference returns a correct store of models 3 and 4, all of whose choices follow from a
// seed.
func newWeakReference(seed uint64, visitors int, models ...model.Consistency) *weakReference {
	x := &weakReference{r: rand.New(rand.NewPCG(seed, 11)), committed: map[string]*weakWrite{}}
	for i := range x.replicas {
		x.replicas[i].keys = map[string]*weakWrite{}
	}
	for i := range visitors {
		x.visitors = append(x.visitors, &weakVisitor{name: fmt.Sprintf("s%d", i+1), models: models, wrote: map[string]int{}})
	}
	return x
}

// tick lets time pass, and returns it.
func (x *weakReference) tick() int64 {
	x.now += 1 + x.r.Int64N(5)
	return x.now
}

// run makes n requests, then lets all come to rest, ends the watches, and reads what is left.
func (x *weakReference) run(n int) []Operation {
	for len(x.history) < n {
		round := make([]*Operation, len(x.visitors))
		for i, v := range x.visitors {
			round[i] = x.ask(v)
		}
		for _, i := range x.r.Perm(len(round)) {
			x.happen()
			x.tick()
			x.execute(x.visitors[i], round[i])
		}
		for _, i := range x.r.Perm(len(round)) {
			if round[i].Type == model.Watch {
				continue // it goes on
			}
			round[i].Return = x.tick()
			x.history = append(x.history, *round[i])
		}
	}

	for len(x.waiting)+len(x.spread) > 0 || slices.ContainsFunc(x.replicas[:], x.isBehind) {
		x.happen()
	}
	x.endWatches()
	x.rest()
	return x.history
}

// isBehind reports whether a replica has not seen all causal writes yet.
func (x *weakReference) isBehind(r weakReplica) bool { return r.safe < len(x.log) }

// ask begins a request.
func (x *weakReference) ask(v *weakVisitor) *Operation {
	o := &Operation{
		ID: uint64(len(x.history) + 1), Client: "c", Session: v.name, Call: x.tick(), Outcome: OK, Code: 200,
		Model: v.models[x.r.IntN(len(v.models))], Key: "k" + string(rune('a'+x.r.IntN(refKeys))),
		Replica: fmt.Sprintf("r%d", 1+x.r.IntN(3)),
	}
	if v.list != nil {
		o.Model, o.Type, o.Key, o.Replica = v.list.Model, model.List, v.list.Key, v.list.Replica
		o.Range = &model.Range{Limit: 1 + x.r.IntN(2), Values: v.list.Range.Values, From: v.list.Next}
		return o
	}

	kinds := []model.Type{model.Set, model.Set, model.Get, model.Get, model.Delete, model.List, model.Watch}
	o.Type = kinds[x.r.IntN(len(kinds))]
	if o.Type == model.Watch && v.watch != nil {
		o.Type = model.Get
	}
	switch o.Type {
	case model.Set:
		x.value++
		o.Value = fmt.Sprintf("v%d", x.value)
		if x.r.IntN(4) == 0 {
			o.TTL, o.Ends = 1000, o.Call+20+x.r.Int64N(40)
		}
	case model.List:
		o.Key = [...]string{"", "k", o.Key}[x.r.IntN(3)]
		o.Range = &model.Range{Limit: 1 + x.r.IntN(3), Values: x.r.IntN(2) == 0}
	case model.Watch:
		o.Key = [...]string{"", "k", o.Key}[x.r.IntN(3)]
	}
	return o
}

// happen lets replicas come further, and writes and ends of values be committed.
func (x *weakReference) happen() {
	at := x.r.IntN(len(x.replicas))
	x.come(at, x.replicas[at].safe+x.r.IntN(len(x.log)-x.replicas[at].safe+1))

	if len(x.spread) > 0 && x.r.IntN(2) == 0 {
		i := x.r.IntN(len(x.spread))
		x.apply(x.spread[i].to, x.spread[i].write)
		x.spread = slices.Delete(x.spread, i, i+1)
	}
	if len(x.waiting) > 0 && x.r.IntN(2) == 0 {
		i := x.r.IntN(len(x.waiting))
		x.commit(x.waiting[i])
		x.waiting = slices.Delete(x.waiting, i, i+1)
	}

	for _, key := range slices.Sorted(maps.Keys(x.committed)) {
		w := x.committed[key]
		if w.isValue && w.ends != 0 && w.ends <= x.now && x.r.IntN(2) == 0 {
			x.end(w)
		}
	}
}

// commit gives a write a position. One of a lower version than what stands there changes nothing.
func (x *weakReference) commit(w *weakWrite) {
	x.position++
	if old := x.committed[w.key]; old == nil || old.version < w.version {
		w.revision = x.position
		x.committed[w.key] = w
	}
}

// end ends a committed value, at every replica some time later.
func (x *weakReference) end(w *weakWrite) {
	x.position++
	left := &weakWrite{key: w.key, version: w.version, timestamp: w.timestamp, revision: x.position, of: w}
	x.committed[w.key] = left
	for i := range x.replicas {
		x.spread = append(x.spread, spreading{i, left})
	}
}

// come lets a replica apply causal writes up to a timestamp.
func (x *weakReference) come(at, timestamp int) {
	r := &x.replicas[at]
	for r.safe < timestamp {
		r.safe++
		x.apply(at, x.log[r.safe-1])
	}
}

// apply lets a replica have a write, if it is newer than what it has. The end of a value is only of
// that value, which the replica is to have had.
func (x *weakReference) apply(at int, w *weakWrite) {
	r := &x.replicas[at]
	if w.of != nil {
		x.come(at, max(r.safe, int(w.of.timestamp))) // not before what it depends on
		x.apply(at, w.of)
		if r.keys[w.key] == w.of {
			x.show(r, w)
		}
		return
	}
	if had := r.keys[w.key]; had == nil || had.version < w.version {
		x.show(r, w)
	}
}

// show changes what a replica has, and tells it.
func (x *weakReference) show(r *weakReplica, w *weakWrite) {
	r.keys[w.key] = w
	e := Event{Kind: EventSet, Key: w.key, Value: w.value, Revision: w.revision, At: x.now}
	switch {
	case w.of != nil:
		e.Kind = EventExpire
	case !w.isValue:
		e.Kind = EventDelete
	}
	r.events = append(r.events, e)
}

// execute lets a request take effect, or be of unknown outcome now and then.
func (x *weakReference) execute(v *weakVisitor, o *Operation) {
	at := int(o.Replica[1] - '1')
	switch o.Type {
	case model.Set, model.Delete:
		x.write(v, o, at)
	case model.Get:
		x.get(v, o, at)
	case model.List:
		x.list(v, o, at)
	case model.Watch:
		x.begin(v, o, at)
	}
}

// write stamps a write and sends it on its way; that of unknown outcome may have been lost before.
func (x *weakReference) write(v *weakVisitor, o *Operation, at int) {
	isUnknown := x.r.IntN(8) == 0
	if isUnknown {
		o.Outcome, o.Replica, o.ID, o.Code = Unknown, "", 0, 0
		if x.r.IntN(2) == 0 {
			return
		}
	}

	x.version++
	w := &weakWrite{key: o.Key, value: o.Value, isValue: o.Type == model.Set, version: x.version}
	if o.TTL > 0 {
		w.ends = o.Ends
	}
	x.waiting = append(x.waiting, w)
	if o.Model == model.Eventual {
		for i := range x.replicas {
			if i == at && !isUnknown {
				x.apply(i, w)
				continue
			}
			x.spread = append(x.spread, spreading{i, w})
		}
		return
	}

	x.log = append(x.log, w)
	w.timestamp = uint64(len(x.log))
	if !isUnknown {
		o.Timestamp = w.timestamp
		v.wrote[o.Key] = len(x.log)
	}
}

// get reads what a replica has; in model 3 that which its session depends on.
func (x *weakReference) get(v *weakVisitor, o *Operation, at int) {
	if o.Model == model.Causal {
		x.come(at, max(x.replicas[at].safe, v.read, v.wrote[o.Key]))
	}
	o.Code = 404
	w := x.replicas[at].keys[o.Key]
	if w == nil {
		return
	}
	if w.isValue {
		o.Output, o.Found, o.Code = w.value, true, 200
		o.HasRevision, o.Revision = w.revision > 0, w.revision
	}
	if o.Model == model.Causal {
		o.Timestamp = w.timestamp
		v.read = max(v.read, int(w.timestamp))
	}
}

// list answers a page of what a replica had when the list began.
func (x *weakReference) list(v *weakVisitor, o *Operation, at int) {
	after := ""
	if v.list == nil {
		if o.Model == model.Causal {
			x.come(at, max(x.replicas[at].safe, v.read, slices.Max(append(slices.Collect(maps.Values(v.wrote)), 0))))
			v.read = max(v.read, x.replicas[at].safe)
		}
		v.cut = maps.Clone(x.replicas[at].keys)
	} else if n := len(v.list.Items); n > 0 {
		after = v.list.Items[n-1].Key
	}

	for _, key := range slices.Sorted(maps.Keys(v.cut)) {
		w := v.cut[key]
		below := strings.HasPrefix(key, o.Key) && key > after
		if !w.isValue || !below {
			continue
		}
		if len(o.Items) == o.Range.Limit {
			o.Next = fmt.Sprintf("next%d", x.tick())
			break
		}
		item := model.Item{Key: key, Revision: w.revision}
		if o.Model == model.Causal {
			item.Timestamp = w.timestamp
		}
		if o.Range.Values {
			item.HasValue, item.Value = true, []byte(w.value)
		}
		o.Items = append(o.Items, item)
	}
	v.list = nil
	if o.Next != "" {
		v.list = o
	}
}

// begin begins a watch with what a replica has.
func (x *weakReference) begin(v *weakVisitor, o *Operation, at int) {
	v.watch, v.from, v.begunAt = o, len(x.replicas[at].events), x.now
	for _, key := range slices.Sorted(maps.Keys(x.replicas[at].keys)) {
		if w := x.replicas[at].keys[key]; w.isValue && strings.HasPrefix(key, o.Key) {
			o.Events = append(o.Events, Event{Kind: EventValue, Key: key, Value: w.value, Revision: w.revision})
		}
	}
	o.Events = append(o.Events, Event{Kind: EventCaughtUp})
}

// endWatches gives each watch what its replica showed: all, or up to some moment.
func (x *weakReference) endWatches() {
	for _, v := range x.visitors {
		o := v.watch
		if o == nil {
			continue
		}
		o.Rest, o.Return = true, x.tick()
		if x.r.IntN(2) == 0 {
			o.Rest, o.Return = false, max(v.begunAt, o.Call+x.r.Int64N(o.Return-o.Call))
		}
		for _, e := range x.replicas[o.Replica[1]-'1'].events[v.from:] {
			if strings.HasPrefix(e.Key, o.Key) && e.At <= o.Return {
				e.At = max(e.At, o.Call)
				o.Events = append(o.Events, e)
			}
		}
		x.history = append(x.history, *o)
	}
}

// rest reads every key at every replica.
func (x *weakReference) rest() {
	for i := range x.replicas {
		for k := range refKeys {
			o := &Operation{
				ID: uint64(len(x.history) + 1), Model: model.Eventual, Type: model.Get, Key: "k" + string(rune('a'+k)),
				Call: x.tick(), Replica: fmt.Sprintf("r%d", i+1), Outcome: OK, Rest: true,
			}
			x.get(nil, o, i)
			o.Return = x.tick()
			x.history = append(x.history, *o)
		}
	}
}
