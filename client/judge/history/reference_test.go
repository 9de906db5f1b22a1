package history

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"quartet/bus/model"
)

// reference is a store of one order that is correct by construction, in as few lines as possible
// and with none of the judges' code: it executes requests one by one, and clients call it at once.
// It makes histories of all requests that every checker must accept.
type reference struct {
	r        *rand.Rand
	now      int64
	position uint64
	store    map[string]entry
	past     []map[string]entry // by position: what the store held
	log      []logged
	sessions []*visitor
	replicas [3]uint64 // how far each has come
	history  []Operation
	value    int
	sure     bool         // every request is answered, and no value ends
	late     []*Operation // weak writes, and writes of unknown outcome, that are not ordered yet
}

type entry struct {
	value    string
	found    bool
	revision uint64
	ends     int64
}

type logged struct {
	Event
	at int64
}

// visitor is a session.
type visitor struct {
	name     string
	models   []model.Consistency
	position uint64

	list      *Operation // that goes on
	watches   *Operation
	watchFrom uint64
	watchedAt int64 // when the watch began
}

// refKeys is how many keys there are, so that operations meet.
const refKeys = 4

// newReferenceStore returns a correct store, all of whose choices follow from a seed.
func newReferenceStore(seed uint64, sessions int, models ...model.Consistency) *reference {
	x := &reference{r: rand.New(rand.NewPCG(seed, 7)), store: map[string]entry{}, past: []map[string]entry{{}}}
	for i := range sessions {
		x.sessions = append(x.sessions, &visitor{name: fmt.Sprintf("s%d", i+1), models: models})
	}
	return x
}

// tick lets time pass, and returns it.
func (x *reference) tick() int64 {
	x.now += 1 + x.r.Int64N(5)
	return x.now
}

// key draws a key.
func (x *reference) key() string { return "k" + string(rune('a'+x.r.IntN(refKeys))) }

// fresh makes up a value that no set has had before; one in three is a number, to which can be
// added.
func (x *reference) fresh() string {
	x.value++
	if x.r.IntN(3) == 0 {
		return strconv.Itoa(1000 * x.value)
	}
	return fmt.Sprintf("v%d", x.value)
}

// run makes n requests, then ends the watches when nothing more happens.
func (x *reference) run(n int) []Operation {
	for len(x.history) < n {
		round := make([]*Operation, len(x.sessions))
		for i, s := range x.sessions {
			round[i] = x.ask(s)
		}
		for _, i := range x.r.Perm(len(round)) {
			x.happen()
			x.tick()
			x.execute(x.sessions[i], round[i])
		}
		for _, i := range x.r.Perm(len(round)) {
			if round[i].Type == model.Watch {
				continue // it goes on
			}
			round[i].Return = x.tick()
			x.history = append(x.history, *round[i])
		}
	}
	for len(x.late) > 0 {
		x.happen()
	}
	x.endWatches()
	return x.history
}

// ask begins a request.
func (x *reference) ask(s *visitor) *Operation {
	o := &Operation{
		ID: uint64(len(x.history) + 1), Client: "c", Session: s.name, Call: x.tick(), Outcome: OK, Code: 200,
		Model: s.models[x.r.IntN(len(s.models))], Key: x.key(), Replica: fmt.Sprintf("r%d", 1+x.r.IntN(3)),
	}
	if s.list != nil {
		o.Model, o.Type, o.Key = s.list.Model, model.List, s.list.Key
		o.Range = &model.Range{Limit: 1 + x.r.IntN(2), Values: s.list.Range.Values, From: s.list.Next}
		return o
	}

	kinds := []model.Type{model.Set, model.Set, model.Get, model.Get, model.Delete}
	if o.Model.Strong() {
		kinds = append(kinds, model.Add, model.Txn, model.Txn, model.List, model.Watch)
	}
	o.Type = kinds[x.r.IntN(len(kinds))]
	if o.Type == model.Watch && s.watches != nil {
		o.Type = model.Get
	}
	x.fill(o)
	return o
}

// fill chooses what a request says beside its key.
func (x *reference) fill(o *Operation) {
	switch o.Type {
	case model.Set:
		o.Value = x.fresh()
		if x.r.IntN(4) == 0 && !x.sure {
			o.TTL, o.Ends = 1000, o.Call+20+x.r.Int64N(40)
		}
	case model.Add:
		o.Value = strconv.Itoa(x.r.IntN(9) - 3)
	case model.Txn:
		o.Key = ""
		o.Txn = x.transaction()
		o.Ends = o.Call + 30
	case model.List:
		o.Key = [...]string{"", "k", o.Key}[x.r.IntN(3)]
		o.Range = &model.Range{Limit: 1 + x.r.IntN(3), Values: x.r.IntN(2) == 0}
	case model.Watch:
		o.Key = [...]string{"", "k", o.Key}[x.r.IntN(3)]
	}

	conditional := o.Model.Strong() && o.Type.HasKey() && o.Type != model.Get && x.r.IntN(3) == 0
	if conditional {
		o.HasIf, o.If = true, x.guess(o.Key)
	}
}

// guess is a revision that the key may have.
func (x *reference) guess(key string) uint64 {
	switch x.r.IntN(3) {
	case 0:
		return 0
	case 1:
		return x.r.Uint64N(x.position + 2)
	}
	return x.store[key].revision
}

// transaction makes up a transaction; one in four only reads.
func (x *reference) transaction() *model.Transaction {
	t := &model.Transaction{}
	for range x.r.IntN(3) {
		c := model.Check{Key: x.key()}
		switch x.r.IntN(3) {
		case 0:
			c.HasRevision, c.Revision = true, x.guess(c.Key)
		case 1:
			c.HasExists, c.Exists = true, x.r.IntN(2) == 0
		default:
			c.HasValue, c.Value = true, []byte(x.store[c.Key].value)
		}
		t.If = append(t.If, c)
	}

	reads := x.r.IntN(4) == 0
	for range 1 + x.r.IntN(3) {
		t.Then = append(t.Then, x.step(reads))
	}
	for range x.r.IntN(3) {
		t.Else = append(t.Else, x.step(reads))
	}
	return t
}

// step makes up a step of a transaction; reads: it is to be a get.
func (x *reference) step(reads bool) model.Step {
	s := model.Step{Type: model.Get, Key: x.key()}
	if reads {
		return s
	}

	switch x.r.IntN(5) {
	case 0, 1:
		s.Type, s.Value = model.Set, []byte(x.fresh())
		if x.r.IntN(4) == 0 && !x.sure {
			s.TTL = 1000
		}
		if x.r.IntN(6) == 0 {
			s.HasIf, s.If = true, x.guess(s.Key)
		}
	case 2:
		s.Type = model.Delete
	case 3:
		s.Type, s.Value = model.Add, []byte(strconv.Itoa(x.r.IntN(5)))
	}
	return s
}

// happen lets a late write take effect, or a value end.
func (x *reference) happen() {
	if len(x.late) > 0 && x.r.IntN(2) == 0 {
		i := x.r.IntN(len(x.late))
		o := *x.late[i]
		x.late = slices.Delete(x.late, i, i+1)
		if x.r.IntN(5) > 0 { // else it loses, or never came
			x.write(&o)
		} else {
			x.commit(nil)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(x.store)) {
		e := x.store[key]
		if e.found && e.ends != 0 && e.ends <= x.now && x.r.IntN(2) == 0 {
			x.commit(map[string]entry{key: {}})
			x.log[len(x.log)-1].Kind = EventExpire
		}
	}
}

// commit takes a position, at which changed is written.
func (x *reference) commit(changed map[string]entry) {
	x.position++
	keys := slices.Sorted(maps.Keys(changed))
	for i, key := range keys {
		e := changed[key]
		e.revision = x.position
		x.store[key] = e
		ev := Event{Kind: EventSet, Key: key, Value: e.value, Revision: x.position, More: i < len(keys)-1, At: x.now}
		if !e.found {
			ev.Kind = EventDelete
		}
		x.log = append(x.log, logged{ev, x.now})
	}
	x.past = append(x.past, maps.Clone(x.store))
}

// execute lets a request take effect, or be of unknown outcome now and then.
func (x *reference) execute(s *visitor, o *Operation) {
	weak := !o.Model.Strong()
	writes := o.Type == model.Set || o.Type == model.Delete || o.Type == model.Add
	if o.Type == model.Txn {
		writes = o.Txn.Writes()
	}

	switch {
	case writes && !x.sure && x.r.IntN(8) == 0:
		o.Outcome, o.Replica, o.ID, o.Code = Unknown, "", 0, 0
		x.late = append(x.late, o)
	case writes && weak:
		x.late = append(x.late, o)
	case writes:
		x.write(o)
		o.Position, s.position = x.position, x.position
	case weak:
		at := &x.replicas[o.Replica[1]-'1']
		*at += x.r.Uint64N(x.position - *at + 1)
		x.read(o, *at)
		o.Position = 0
	case o.Type == model.Watch:
		x.watch(s, o)
	case o.Type == model.List:
		x.list(s, o)
	case o.Model == model.Linearizable:
		x.read(o, x.position)
		s.position = x.position
	default:
		x.read(o, s.position+x.r.Uint64N(x.position-s.position+1))
		s.position = o.Position
	}
}

// read is a get, or a txn of gets, of what stood at a position.
func (x *reference) read(o *Operation, at uint64) {
	o.Position = at
	if o.Type == model.Txn {
		o.Results = &model.Results{Failed: -1}
		x.perform(o, maps.Clone(x.past[at]), at)
		return
	}
	e := x.past[at][o.Key]
	o.Code = 404
	if e.found {
		o.Output, o.Found, o.HasRevision, o.Revision, o.Code = e.value, true, true, e.revision, 200
	}
}

// write executes a write at the next position.
func (x *reference) write(o *Operation) {
	if o.Type == model.Txn {
		store := maps.Clone(x.store)
		o.Results = &model.Results{Failed: -1}
		changed := x.perform(o, store, x.position+1)
		x.commit(changed)
		o.HasRevision, o.Revision = true, x.position
		if o.Results.Failed >= 0 {
			o.Code, o.HasRevision, o.Revision = 412, false, 0
		}
		return
	}

	e := x.store[o.Key]
	next, ok := apply(e, o)
	if !ok {
		x.commit(nil)
		o.Code, o.HasRevision, o.Revision = 412, true, 0
		if e.found {
			o.Revision = e.revision
		}
		return
	}
	x.commit(map[string]entry{o.Key: next})
	if o.Type == model.Add {
		o.Output = next.value
	}
	if o.Model.Strong() {
		o.HasRevision, o.Revision = true, x.position
	}
}

// apply is what a set, delete or add makes of an entry.
func apply(e entry, o *Operation) (entry, bool) {
	if o.HasIf {
		wants := o.If == e.revision
		if o.If == 0 {
			wants = !e.found
		}
		if !wants {
			return e, false
		}
	}

	switch o.Type {
	case model.Set:
		ends := int64(0)
		if o.TTL > 0 {
			ends = o.Ends
		}
		return entry{value: o.Value, found: true, ends: ends}, true
	case model.Delete:
		return entry{}, true
	}

	// An add: what is not there counts as 0.
	n := 0
	if e.found {
		var err error
		if n, err = strconv.Atoi(e.value); err != nil {
			return e, false
		}
	}
	delta, _ := strconv.Atoi(o.Value)
	return entry{value: strconv.Itoa(n + delta), found: true, ends: e.ends}, true
}

// perform executes a txn on a store of its own.
func (x *reference) perform(o *Operation, store map[string]entry, at uint64) map[string]entry {
	o.Results.Succeeded = true
	for _, c := range o.Txn.If {
		e := store[c.Key]
		holds := e.found && e.value == string(c.Value)
		switch {
		case c.HasRevision && c.Revision == 0:
			holds = !e.found
		case c.HasRevision:
			holds = e.revision == c.Revision
		case c.HasExists:
			holds = e.found == c.Exists
		}
		o.Results.Succeeded = o.Results.Succeeded && holds
	}
	steps := o.Txn.Else
	if o.Results.Succeeded {
		steps = o.Txn.Then
	}

	changed := map[string]entry{}
	for i, s := range steps {
		e := store[s.Key]
		if s.Type == model.Get {
			r := model.Result{Code: 404}
			if e.found {
				r = model.Result{Code: 200, Value: []byte(e.value), Revision: e.revision}
			}
			o.Results.Results = append(o.Results.Results, r)
			continue
		}
		next, ok := apply(e, &Operation{Type: s.Type, Value: string(s.Value), HasIf: s.HasIf, If: s.If, TTL: s.TTL, Ends: o.Ends})
		if !ok {
			o.Results.Failed, o.Results.Results = i, nil
			return nil
		}
		r := model.Result{Code: 200}
		if s.Type == model.Add {
			r.Value = []byte(next.value)
		}
		o.Results.Results = append(o.Results.Results, r)
		changed[s.Key] = next
		next.revision = at
		store[s.Key] = next
	}
	return changed
}

// list answers a page.
func (x *reference) list(s *visitor, o *Operation) {
	after := ""
	o.Position = x.position
	switch {
	case s.list != nil:
		o.Position = s.list.Position
		if n := len(s.list.Items); n > 0 {
			after = s.list.Items[n-1].Key
		}
	case o.Model == model.Sequential:
		o.Position = s.position + x.r.Uint64N(x.position-s.position+1)
	}

	cut := x.past[o.Position]
	for _, key := range slices.Sorted(maps.Keys(cut)) {
		e := cut[key]
		below := strings.HasPrefix(key, o.Key) && key > after
		if !e.found || !below {
			continue
		}
		if len(o.Items) == o.Range.Limit {
			o.Next = fmt.Sprintf("next%d", x.tick())
			break
		}
		item := model.Item{Key: key, Revision: e.revision}
		if o.Range.Values {
			item.HasValue, item.Value = true, []byte(e.value)
		}
		o.Items = append(o.Items, item)
	}

	s.position = max(s.position, o.Position)
	s.list = nil
	if o.Next != "" {
		s.list = o
	}
}

// watch begins a watch: with what is there, or from a revision.
func (x *reference) watch(s *visitor, o *Operation) {
	s.watches, s.watchFrom, s.watchedAt = o, x.position, x.now
	if x.r.IntN(2) == 0 {
		s.watchFrom = x.r.Uint64N(x.position + 1)
		o.Range = &model.Range{From: strconv.FormatUint(s.watchFrom, 10)}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(x.store)) {
		if e := x.store[key]; e.found && strings.HasPrefix(key, o.Key) {
			o.Events = append(o.Events, Event{Kind: EventValue, Key: key, Value: e.value, Revision: e.revision})
		}
	}
	o.Events = append(o.Events, Event{Kind: EventCaughtUp})
}

// endWatches gives each watch the changes that it showed: all, or those up to some moment.
func (x *reference) endWatches() {
	for _, s := range x.sessions {
		o := s.watches
		if o == nil {
			continue
		}
		o.Return = x.tick()
		o.Rest = true

		if x.r.IntN(2) == 0 {
			o.Rest, o.Return = false, max(s.watchedAt, o.Call+x.r.Int64N(o.Return-o.Call))
		}

		var shown []Event
		for _, e := range x.log {
			if e.Revision > s.watchFrom && strings.HasPrefix(e.Key, o.Key) && e.at <= o.Return {
				e.At = max(e.at, o.Call)
				shown = append(shown, e.Event)
			}
		}
		for i := range shown { // of the changes below the prefix
			shown[i].More = i+1 < len(shown) && shown[i+1].Revision == shown[i].Revision
		}

		o.Events = append(o.Events, shown...)
		x.history = append(x.history, *o)
	}
}
