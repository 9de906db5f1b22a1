package replica_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica"
	"quartet/replica/dedup"
	"quartet/replica/store"
)

var m1 = lamport.Master(1)

const wait = 5 // ticks

// one is a replica that is driven by hand: the test speaks for everybody else.
type one struct {
	t *testing.T
	*replica.Machine
	node   lamport.Node
	store  *store.Memory
	out    replica.Output
	clock  uint64         // of everybody else
	record message.Record // that it was told last
	disk   *shelf
}

// alone is r1 in a view of so many members, window sets in its table.
func alone(t *testing.T, members, window int, options ...func(*replica.Config)) *one {
	t.Helper()
	o := fresh(t, window, options...)
	o.install(recordOf(1, members))
	if len(taken[*message.Installed](o)) != 1 {
		t.Fatal("not installed")
	}
	return o
}

func fresh(t *testing.T, window int, options ...func(*replica.Config)) *one {
	o := &one{t: t, store: store.NewMemory(0), disk: newShelf()}
	cfg := replica.Config{Self: 1, Incarnation: 7, Store: o.store, WaitTicks: wait, HelloTicks: 10, Limits: dedup.Limits{Window: window}}
	for _, option := range options {
		option(&cfg)
	}
	o.node = cfg.Self
	o.Machine = replica.New(cfg)
	return o
}

// recordOf is the record of an epoch with so many members, each incarnation 7.
func recordOf(epoch uint64, members int) message.Record {
	r := message.Record{
		View:    message.View{Epoch: epoch, Faults: (members - 1) / 2},
		Missing: (members - 1) / 2, Start: 1, Master: 1, Nonce: 10 * epoch,
	}
	for i := range members {
		r.Configured = append(r.Configured, lamport.Replica(i+1))
		r.Members = append(r.Members, message.Member{Node: lamport.Replica(i + 1), Incarnation: 7})
	}
	return r
}

// next is the record that ends the epoch of the record told last, with so much of every
// member's DATA inside.
func (o *one) next(cut ...uint64) message.Record {
	r := o.record
	r.Epoch++
	r.Nonce += 10
	r.Cut = cut
	return r
}

// without takes a node out of a record's view.
func without(r message.Record, n lamport.Node) message.Record {
	i := r.Index(n)
	r.Members = append(slices.Clone(r.Members[:i]), r.Members[i+1:]...)
	r.Faults = min(r.Faults, len(r.Members)-1)
	return r
}

// install is a turn with the record of an epoch.
func (o *one) install(r message.Record) { o.step(o.installs(r)) }

func (o *one) installs(r message.Record) *message.Install {
	o.record = r
	return &message.Install{Header: message.Header{From: m1, Incarnation: r.Master, Epoch: r.Epoch, Clock: o.tick()}, Record: r}
}

// wedge is a turn with a PREPARE of the first attempt, and returns the STATE.
func (o *one) wedge() *message.State {
	o.t.Helper()
	o.step(&message.Prepare{Header: o.master(), Attempt: 1})
	states := taken[*message.State](o)
	if len(states) != 1 {
		o.t.Fatalf("PREPARE brings %v, want one STATE", o.out.Sends)
	}
	return states[0]
}

// layer lists the committed layer.
func (o *one) layer() []string {
	var all []string
	o.store.Ascend("", func(key string, r store.Record) bool {
		value := string(r.Value)
		if len(value) > 20 {
			value = fmt.Sprintf("%s... (%d bytes)", value[:10], len(value))
		}
		all = append(all, fmt.Sprintf("%s = %s at %v number %d #%d", key, value, r.Version, r.Number, r.RID))
		return true
	})
	return all
}

func (o *one) tick() uint64 {
	o.clock = max(o.clock, o.Stats().Clock) + 1
	return o.clock
}

func (o *one) master() message.Header {
	return message.Header{From: m1, Incarnation: 1, Epoch: o.record.Epoch, Clock: o.tick()}
}

func (o *one) peer(n lamport.Node) message.Header {
	return message.Header{From: n, Incarnation: 7, Epoch: o.record.Epoch, Clock: o.tick()}
}

// step is a turn with these messages.
func (o *one) step(messages ...message.Message) {
	o.out.Sends = nil
	for _, msg := range messages {
		o.Step(msg, &o.out)
	}
	o.EndTurn(&o.out)
}

// pass is n ticks, a turn each; what they send is kept.
func (o *one) pass(n int) {
	o.out.Sends = nil
	for range n {
		o.Tick(&o.out)
		o.EndTurn(&o.out)
	}
}

// ask forwards requests in one turn and returns what was answered in it.
func (o *one) ask(requests ...message.Request) []message.Answer {
	o.step(&message.Forward{Header: o.master(), Requests: requests})
	return o.answers()
}

func (o *one) answers() []message.Answer {
	var all []message.Answer
	for _, a := range taken[*message.Answers](o) {
		all = append(all, a.Answers...)
	}
	return all
}

func taken[M message.Message](o *one) []M {
	var found []M
	for _, s := range o.out.Sends {
		if m, ok := s.Msg.(M); ok {
			found = append(found, m)
		}
	}
	return found
}

// request is "MODEL set KEY VALUE" or "MODEL get KEY".
func request(rid uint64, text string) message.Request {
	words := strings.Fields(text)
	r := message.Request{RID: rid, Request: model.Request{Key: words[2]}}
	r.Model, _ = model.ParseConsistency(words[0])
	r.Type, _ = model.ParseType(words[1])
	if r.Type == model.Set {
		r.Value = []byte(words[3])
		if !r.Model.Strong() {
			r.Version = version(rid)
		}
	}
	return r
}

func version(time uint64) lamport.Version {
	return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: time, Node: m1}}
}

func with(r message.Request, change func(*message.Request)) message.Request {
	change(&r)
	return r
}

func identified(r message.Request, id string, digest uint64) message.Request {
	r.Identity, r.Digest = id, digest
	return r
}

func weak(from message.Header, seq uint64, requests ...message.Request) *message.Data {
	d := &message.Data{Header: from, Seq: seq, Received: message.Received{LastSeq: seq, Received: make([]uint64, 3)}}
	for _, r := range requests {
		d.Ops = append(d.Ops, message.Operation{Op: message.OpWeak, Request: r})
	}
	return d
}

// agree lets the others of three acknowledge everything: so much of r1's and r2's DATA.
func (o *one) agree(r1, r2 uint64) {
	o.out.Sends = nil
	for _, n := range []lamport.Node{2, 3} {
		last := uint64(0)
		if n == 2 {
			last = r2
		}
		o.Step(&message.Ack{Header: o.peer(n), Received: message.Received{LastSeq: last, Received: []uint64{r1, r2, 0}}}, &o.out)
	}
	o.EndTurn(&o.out)
}

func (o *one) expect(answers []message.Answer, want ...string) {
	o.t.Helper()
	var got []string
	for _, a := range answers {
		s := fmt.Sprintf("#%d %d", a.RID, a.Code)
		if a.Value != nil {
			s += " " + string(a.Value)
		}
		if a.Position > 0 {
			s += fmt.Sprintf(" at %d", a.Position)
		}
		if a.Timestamp > 0 {
			s += fmt.Sprintf(" number %d", a.Timestamp)
		}
		if a.FirstRID > 0 {
			s += fmt.Sprintf(" first #%d", a.FirstRID)
		}
		got = append(got, s)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		o.t.Errorf("answers %q, want %q", got, want)
	}
}

func TestPositionsCountOrderedOperations(t *testing.T) {
	o := alone(t, 1, 10)
	o.expect(o.ask(request(1, "linearizable get a"), request(2, "linearizable set a 1"), request(3, "linearizable get a"),
		request(4, "sequential get a"), request(5, "eventual get a"), request(6, "causal get a")),
		// Gets share the place at the end of the turn; the weak ones do not wait for it.
		"#5 404", "#6 404", "#2 200 at 1", "#1 200 1 at 2", "#3 200 1 at 3", "#4 200 1 at 3")
	if p := o.Stats().Pending; p != 0 {
		t.Errorf("%d pending", p)
	}
}

func TestUnknownCodesAreAnsweredNotExecuted(t *testing.T) {
	o := alone(t, 1, 10)
	strange := request(1, "linearizable set a 1")
	strange.Type = 9
	other := request(2, "linearizable set a 1")
	other.Model = 9
	causal := request(3, "causal set a 1") // travels as a CausalWrite; as a request it is a question
	o.expect(o.ask(strange, other, causal), "#1 400", "#2 400", "#3 404")
	if o.store.Len() != 0 || o.Stats().Pending != 0 {
		t.Errorf("%d keys, %d pending", o.store.Len(), o.Stats().Pending)
	}
}

func TestS5ARetryIsExecutedOnce(t *testing.T) {
	for _, name := range []string{"linearizable", "sequential", "eventual"} {
		t.Run(name, func(t *testing.T) {
			o := alone(t, 1, 10)
			set := identified(request(1, name+" set a 1"), "x", 5)
			o.ask(set)
			o.ask(request(2, "linearizable set a 2"))
			answers := o.ask(with(set, func(r *message.Request) { r.RID = 3 }), identified(request(4, name+" set a 9"), "x", 6))
			if len(answers) != 2 || answers[0].Code != model.OK || answers[0].FirstRID != 1 || answers[1].Code != model.Conflict {
				t.Errorf("answers %+v", answers)
			}
			if rec, _ := o.store.Get("a"); string(rec.Value) != "2" {
				t.Errorf("a = %s: the retry was executed", rec.Value)
			}
		})
	}
}
