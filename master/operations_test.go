package master_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
)

// now is the time on the wall in these tests, in milliseconds.
const now = 1_700_000_000_000

// reading is a transaction of gets alone.
func reading(i master.Incoming) master.Incoming {
	i.ReadOnly = true
	return i
}

// on is a request that comes at a time on the wall, of a value that ends after a TTL.
func on(wall, ttl uint64, i master.Incoming) master.Incoming {
	i.Wall, i.Request.TTL = wall, ttl
	return i
}

// outcome is a turn with all that a replica's answer says.
func (o *one) outcome(n lamport.Node, a model.Answer) {
	o.step(&message.Answers{Header: o.from(n), Answers: []message.Answer{{Answer: a}}})
}

// only is the one request that was forwarded in this turn.
func (o *one) only() message.Request {
	o.t.Helper()
	var all []message.Request
	for _, f := range taken[*message.Forward](o) {
		all = append(all, f.Requests...)
	}
	if len(all) != 1 {
		o.t.Fatalf("forwarded %v, want one request", o.forwarded())
	}
	return all[0]
}

// What writes has an age and a version or number of its model; what does not has neither, and is
// fenced in model 1. A transaction of gets alone is a get.
func TestWhatAMasterGivesToARequest(t *testing.T) {
	cases := map[string]master.Incoming{"txn of gets": reading(in("linearizable txn x"))}
	for _, word := range []string{"set a 1", "get a", "delete a", "add a 1", "txn x"} {
		cases[word] = in("linearizable " + word)
	}

	for name, request := range cases {
		for _, m := range model.All {
			request := request
			request.Request.Model = m
			typ := request.Request.Type
			if !typ.In(m) {
				continue
			}
			t.Run(m.Word()+" "+name, func(t *testing.T) {
				writes := typ != model.Get && !request.ReadOnly
				o := ready(t, configured(1, 0))
				o.ask(on(now, 0, request))

				var r message.Request
				f := taken[*message.Forward](o)[0]
				if numbered := len(f.Writes) == 1; numbered != (m == model.Causal && writes) {
					t.Fatalf("numbered: %t", numbered)
				} else if numbered {
					r = f.Writes[0].Request
				} else {
					r = o.only()
				}

				if isFenced := f.Round > 0; isFenced != (m == model.Linearizable && !writes) {
					t.Errorf("fenced: %t", isFenced)
				}
				if isStamped := r.Version != (lamport.Version{}); isStamped != (!m.Strong() && writes) {
					t.Errorf("stamped %v", r.Version)
				}
				want := uint64(0)
				if typ == model.Txn {
					want = now
				}
				if r.Wall != want {
					t.Errorf("its time on the wall is %d, want %d", r.Wall, want)
				}
			})
		}
	}
}

// The age of a request is told of what writes.
func TestOnlyWhatWritesHasAnAge(t *testing.T) {
	for word, aged := range map[string]bool{"set a 1": true, "delete a": true, "add a 1": true, "txn x": true, "get a": false} {
		o := ready(t, configured(1, 0))
		o.pass(50)
		r := id("x", in("sequential "+word))
		r.Age = 20
		o.ask(r)
		if first := o.only().First; (first == message.TimeBase+30) != aged || first != 0 != aged {
			t.Errorf("%s: sent first at %d", word, first)
		}
	}
}

// The first outcome is repeated, whatever it was: code, revision, value, reason.
func TestP4TheFirstOutcomeIsRepeated(t *testing.T) {
	for name, first := range map[string]model.Answer{
		"OK of a set":         {Code: model.OK, Position: 12, HasRevision: true, Revision: 12},
		"a sum":               {Code: model.OK, Position: 12, HasRevision: true, Revision: 12, Value: []byte("-7")},
		"a failed condition":  {Code: model.Failed, Position: 12, HasRevision: true, Revision: 3, Reason: "the revision is 3"},
		"a failed create":     {Code: model.Failed, Position: 12, HasRevision: true, Revision: 0, Reason: "there is a value"},
		"results of a txn":    {Code: model.OK, Position: 12, HasRevision: true, Revision: 12, Value: []byte{1, 2}},
		"eventual, no number": {Code: model.OK},
	} {
		t.Run(name, func(t *testing.T) {
			o := ready(t, configured(3, 1))
			request := id("x", in("sequential add a 1"))
			if !first.HasRevision {
				request = id("x", in("eventual delete a"))
			}
			o.ask(request)
			first := first
			first.RID = 1
			original := bytes.Clone(first.Value)
			o.outcome(2, first)
			told := o.out.Replies[0]
			clear(first.Value) // it was a part of the message

			o.ask(request)
			o.expect(fmt.Sprintf("2 #1 %d repeated", first.Code))
			if sent := o.forwarded(); len(sent) > 0 {
				t.Errorf("executed again: %v", sent)
			}
			again := o.out.Replies[0]
			if !bytes.Equal(again.Value, original) {
				t.Errorf("repeated with the value %q, want %q", again.Value, original)
			}

			again.Token, again.Repeated, again.Clock = told.Token, told.Repeated, told.Clock
			again.Value, told.Value = nil, nil
			if fmt.Sprint(again) != fmt.Sprint(told) {
				t.Errorf("repeated as %+v, want %+v", again, told)
			}

			other := request
			other.Request.Key = "b"
			o.ask(other)
			o.expect("3 #2 409")
		})
	}
}

// A condition that did not hold was decided in the order: it is the outcome, though another replica
// has the same request under way, and no later sending of it is executed.
func TestP4AFailedConditionIsFinal(t *testing.T) {
	o := ready(t, configured(3, 1))
	request := id("x", in("linearizable set a 1"))
	request.Request.HasIf = true
	o.ask(at(1, request))
	o.pass(again)
	o.ask(at(2, request))
	if sent := o.forwarded(); !slices.Equal(sent, []string{"r2 #1"}) {
		t.Fatalf("forwarded %v, want #1 to r2, too", sent)
	}

	o.answer(1, 1, model.Failed)
	o.expect("1 #1 412", "2 #1 412 repeated")
	o.answer(2, 1, model.Failed)
	o.expect()

	o.ask(request)
	o.expect("3 #1 412 repeated")
	if sent := o.forwarded(); len(sent) > 0 {
		t.Errorf("its identity was free again: forwarded %v", sent)
	}
}

// An outcome that is too long to be remembered here is asked of a replica again, under the same
// identity, with the same id.
func TestP4ALongOutcomeIsAskedForAgain(t *testing.T) {
	o := ready(t, configured(3, 1))
	request := on(now, 0, id("x", in("linearizable txn x")))
	long := model.Answer{RID: 1, Code: model.OK, HasRevision: true, Revision: 4, Value: make([]byte, 1025)}
	o.ask(at(1, request))
	o.outcome(1, long)
	o.expect("1 #1 200")

	request.Wall++
	o.ask(at(2, request))
	if r := o.only(); r.RID != 1 || r.Identity != "x" || r.Wall != now {
		t.Errorf("asked again as #%d %q at %d", r.RID, r.Identity, r.Wall)
	}
	o.outcome(2, long)
	o.expect("2 #1 200 repeated")
	if n := len(o.out.Replies[0].Value); n != 1025 {
		t.Errorf("%d bytes", n)
	}
}

// A write gets one time on the wall, from which its deadline counts, as it gets one version: a
// sending whose first flight had no outcome goes on with both.
func TestP3OneTimeOnTheWall(t *testing.T) {
	for _, m := range model.All {
		t.Run(m.Word(), func(t *testing.T) {
			o := ready(t, configured(3, 1))
			request := in(m.Word() + " set a 1")
			sent := func(wall uint64) message.Request {
				t.Helper()
				o.ask(id("x", on(wall, 5000, request)))
				for _, f := range taken[*message.Forward](o) {
					for _, w := range f.Writes {
						return w.Request
					}
				}
				return o.only()
			}

			first := sent(now)
			o.pass(timeout)
			o.expect("1 #1 504")
			if m == model.Causal { // it waits under its number
				o.ask(id("x", on(now+9000, 5000, request)))
				o.holds(1, 1)
				o.holds(2, 1)
				o.expect("2 #1 200 number 1 repeated")
			} else if again := sent(now + 9000); again.Wall != first.Wall || again.Version != first.Version || again.RID != first.RID {
				t.Errorf("first #%d %v at %d, then #%d %v at %d", first.RID, first.Version, first.Wall, again.RID,
					again.Version, again.Wall)
			}
			if first.Wall != now {
				t.Errorf("its time on the wall is %d", first.Wall)
			}

			o.ask(on(now+1, 0, request)) // a value without an end needs none
			for _, f := range taken[*message.Forward](o) {
				for _, r := range f.Requests {
					if r.TTL == 0 && r.Wall != 0 {
						t.Errorf("a set without an end has the time %d", r.Wall)
					}
				}
			}
		})
	}
}

// A new number of a causal set, after the old one was void, keeps the time on the wall.
func TestP3ANewNumberKeepsTheTimeOnTheWall(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(on(now, 5000, in("causal set a 1")))
	o.lost(3)
	o.wedged(0, 1, 2) // nobody holds number 1
	o.decide()
	o.installed()
	numbered := 0
	for _, f := range taken[*message.Forward](o) {
		for _, w := range f.Writes {
			numbered++
			if w.Request.Wall != now || w.Request.TTL != 5000 {
				t.Errorf("numbered anew at %d, for %d", w.Request.Wall, w.Request.TTL)
			}
		}
	}
	if numbered == 0 {
		t.Errorf("it was not numbered again: %v", o.out.Sends)
	}
}

// A causal delete is numbered like a causal set, and a master that comes later asks whether an
// earlier one has numbered it.
func TestACausalDeleteIsNumbered(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(id("x", in("causal delete a")))
	w := taken[*message.Forward](o)[0].Writes
	if len(w) != 1 || w[0].Number != 1 || w[0].Request.Type != model.Delete {
		t.Fatalf("numbered %+v", w)
	}
	o.holds(1, 1)
	o.holds(3, 1)
	o.expect("1 #1 200 number 1")
	o.ask(id("x", in("causal delete a")))
	o.expect("2 #1 200 number 1 repeated")
	o.ask(id("x", in("causal set a "+strconv.Itoa(1))))
	o.expect("3 #2 409")
}

// A transaction of gets alone that names a replica is refused like a get when that one leaves; its
// outcome is not remembered.
func TestP5ATransactionOfGetsIsAGet(t *testing.T) {
	o := ready(t, configured(3, 1))
	request := reading(id("x", in("sequential txn x")))
	o.ask(at(3, request))
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()
	o.expect("1 #1 503")
	o.installed()

	for range 2 {
		o.ask(at(1, request))
		o.outcome(1, model.Answer{RID: o.only().RID, Code: model.OK})
		if r := o.out.Replies; len(r) != 1 || r[0].Repeated {
			t.Errorf("answered with %+v", r)
		}
	}
}
