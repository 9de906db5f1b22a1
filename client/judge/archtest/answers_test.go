package archtest_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
	"quartet/client/judge/history"
)

// An answer takes these forms on its way: what a replica says (message.Answer), what the master
// says (master.Reply, which sends none), a reply (headers or JSON) or an entry of the answers to
// a batch, what the client is given, a line of a history. As in forms_test.go every field is
// filled by reflection.

// answers are an answer that is OK, and one that is a FAIL: it has a reason in place of a value.
func answers(t *testing.T) (ok, fail model.Answer) {
	t.Helper()
	ok, fail = filled[model.Answer](t), filled[model.Answer](t)
	ok.Reason = ""
	fail.Code, fail.Value = model.NotFound, nil
	return ok, fail
}

func TestMessagesCarryTheWholeAnswer(t *testing.T) {
	// The master knows by itself who sends, and to what the answer is.
	known := cmp.Options{
		cmpopts.IgnoreFields(model.Answer{}, "Replica", "HasPosition"),
		cmpopts.IgnoreFields(lamport.Timestamp{}, "Node"),
	}
	m := &message.Answers{
		Header:  message.Header{From: lamport.Replica(2), Incarnation: 1, Epoch: 1, Clock: 1},
		Answers: []message.Answer{filled[message.Answer](t)},
	}
	b, err := codec.NewEncoder().Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := codec.NewDecoder().Decode(bytes.Clone(b))
	if diff := cmp.Diff(message.Message(m), got, known); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestRepliesCarryTheWholeAnswer(t *testing.T) {
	ok, fail := answers(t)
	for _, want := range []model.Answer{ok, fail} {
		reply := bus.Reply{Answer: want, Model: model.Causal, Type: model.Get}
		got, err := bus.ParseReply(reply.Msg("to"))
		if diff := cmp.Diff(want, got.Answer); err != nil || diff != "" {
			t.Errorf("headers: %v\n%s", err, diff)
		}

		w := bus.AnswersWriter{Fields: bus.AnswerMost}
		w.Add(0, &reply)
		body, _ := w.Take()
		err = new(bus.AnswersReader).Read(body, func(_ int, r *bus.Reply) {
			r.Of(reply.Model, reply.Type)
			if diff := cmp.Diff(want, r.Answer); diff != "" {
				t.Errorf("answers to a batch:\n%s", diff)
			}
		})
		if err != nil {
			t.Errorf("answers to a batch: %v", err)
		}
	}
}

// In JSON every field of an answer changes the object: none is left out.
func TestJSONSaysTheWholeAnswer(t *testing.T) {
	ok, fail := answers(t)
	for v, i := reflect.TypeFor[model.Answer](), 0; i < v.NumField(); i++ {
		name, said := v.Field(i).Name, false
		for _, whole := range []model.Answer{ok, fail} {
			less := whole
			reflect.ValueOf(&less).Elem().Field(i).SetZero()
			with := bus.Reply{Answer: whole, Model: model.Causal, Type: model.Get}
			without := bus.Reply{Answer: less, Model: model.Causal, Type: model.Get}
			said = said || !cmp.Equal(with.JSON(), without.JSON())
		}
		if !said {
			t.Errorf("field %s of an answer is not said in JSON: add it to bus.JSONReply", name)
		}
	}
}

// What the cluster answers is what the client is given.
func TestTheClientIsGivenTheWholeAnswer(t *testing.T) {
	_, want := answers(t)
	r := responder.Start(t, func(responder.Call) responder.Action {
		return responder.Action{Code: want.Code, Reply: bus.Reply{Answer: want}}
	})
	c, err := client.New(r.Conn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	result, _ := c.Get(t.Context(), "k")
	if diff := cmp.Diff(want, result.Answer, cmpopts.IgnoreFields(model.Answer{}, "RID")); diff != "" || result.RID == 0 {
		t.Errorf("rID %d\n%s", result.RID, diff)
	}
}

// A recorded history says of an answer all that is judged.
func TestHistoriesSayTheAnswer(t *testing.T) {
	unsaid := map[string]bool{"Reason": true, "Clock": true} // words; of which nothing is promised
	ok, fail := answers(t)
	for v, i := reflect.TypeFor[model.Answer](), 0; i < v.NumField(); i++ {
		name, said := v.Field(i).Name, false
		for _, whole := range []model.Answer{ok, fail} {
			less := whole
			reflect.ValueOf(&less).Elem().Field(i).SetZero()
			with, without := history.Operation{Type: model.Get}, history.Operation{Type: model.Get}
			with.Answered(&whole)
			without.Answered(&less)
			said = said || !reflect.DeepEqual(with, without)
		}
		if said == unsaid[name] {
			t.Errorf("field %s of an answer, in a history: %t", name, said)
		}
	}
}
