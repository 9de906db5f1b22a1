package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus/codec"
	"quartet/bus/model"
)

func samplePage() model.Page {
	return model.Page{Next: "r2.7", Items: []model.Item{
		{Key: "a", HasValue: true, Value: []byte("1 , 2 "), Revision: 17, Expires: 1_700_000_000_007},
		{Key: "b", HasValue: true, Value: []byte("two\nlines \"<\" é"), Revision: 18, Timestamp: 9},
		{Key: "c", HasValue: true, Value: []byte("\xff")},
		{Key: "d", HasValue: true, Value: []byte{}},
		{Key: "é"},
	}}
}

func sampleResults(failed int) model.Results {
	if failed >= 0 {
		return model.Results{Succeeded: true, Failed: failed}
	}
	return model.Results{Succeeded: true, Failed: -1, Results: []model.Result{
		{Code: model.OK}, {Code: model.NotFound}, {Code: model.OK, Value: []byte("v"), Revision: 17, Expires: 1_700_000_000_007},
		{Code: model.OK, Value: []byte("\xff")}, {Code: model.OK, Value: []byte{}},
	}}
}

func packedPage() []byte      { return mustPack(codec.AppendPage, samplePage()) }
func packedEmptyPage() []byte { return mustPack(codec.AppendPage, model.Page{}) }

func packedResults(failed int) []byte { return mustPack(codec.AppendResults, sampleResults(failed)) }

func mustPack[T any](write func([]byte, *T) ([]byte, error), v T) []byte {
	b, err := write(nil, &v)
	if err != nil {
		panic(err)
	}
	return b
}

// arrived is what a client reads of r in an encoding.
func arrived(t *testing.T, r Reply, e Encoding) Reply {
	t.Helper()
	r.Encoding, r.Clock.Node = e, 2
	m := r.Msg("to")
	got, err := ParseReply(m)
	if err != nil {
		t.Fatalf("%v: %v: %v", e, err, m.Header)
	}
	return got
}

// A list is a map in msgpack, which comes back whole, and a line a key in text.
func TestBodiesOfLists(t *testing.T) {
	r := Reply{Answer: model.Answer{RID: 1, Code: model.OK, Replica: 2, Value: packedPage()}, Model: model.Eventual, Type: model.List}
	got := arrived(t, r, Msgpack)
	page, err := got.Page()
	if diff := cmp.Diff(samplePage(), page); err != nil || diff != "" || got.Next != "r2.7" {
		t.Errorf("next %q, %v\n%s", got.Next, err, diff)
	}

	const lines = "a ::: 1 , 2 \nb ::: \"two\\nlines \\\"<\\\" é\"\nc ::: \xff\nd ::: \né\n"
	text := arrived(t, r, Text)
	if string(text.Body) != lines || text.Next != "r2.7" {
		t.Errorf("next %q: %q", text.Next, text.Body)
	}

	r.Value = packedEmptyPage()
	empty := arrived(t, r, Msgpack)
	if page, err := empty.Page(); err != nil || len(page.Items) > 0 || empty.Next != "" {
		t.Errorf("an empty page: %+v, %v, next %q", page, err, empty.Next)
	}
	if text := arrived(t, r, Text); len(text.Body) > 0 {
		t.Errorf("an empty page in text: %q", text.Body)
	}
	if r.Next != "" || !bytes.Equal(r.Value, packedEmptyPage()) {
		t.Errorf("the reply was changed: %+v", r)
	}
}

// The results of a txn come back whole, of an OK and of a FAIL, alone and in a batch.
func TestBodiesOfTransactions(t *testing.T) {
	for code, failed := range map[model.Code]int{model.OK: -1, model.Failed: 2} {
		r := Reply{
			Answer: model.Answer{RID: 1, Code: code, Replica: 2, Value: packedResults(failed)},
			Model:  model.Linearizable, Type: model.Txn,
		}
		if code != model.OK {
			r.Reason = "it is no number"
		}
		alone := arrived(t, r, Msgpack)
		results, err := alone.Results()
		reason := ""
		if code != model.OK {
			reason = "element 2 of then: " + r.Reason
		}
		if diff := cmp.Diff(sampleResults(failed), results); err != nil || diff != "" || alone.Reason != reason {
			t.Errorf("alone: %q, %v\n%s", alone.Reason, err, diff)
		}
		if refused := code != model.OK; alone.HasRevision != refused {
			t.Errorf("code %d, with the revision of a step's key: %t", code, alone.HasRevision)
		}

		w := AnswersWriter{Fields: AnswerMost}
		w.Add(0, &r)
		body, _ := w.Take()
		err = new(AnswersReader).Read(body, func(_ int, got *Reply) {
			got.Of(r.Model, r.Type)
			results, err := got.Results()
			if diff := cmp.Diff(sampleResults(failed), results); err != nil || diff != "" || got.Reason != r.Reason {
				t.Errorf("in a batch: %q, %v\n%s", got.Reason, err, diff)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}

	// A set whose condition did not hold has a reason, and no results.
	set := arrived(t, Reply{Answer: model.Answer{Code: model.Failed, Reason: "no"}, Model: 1, Type: model.Set}, Msgpack)
	if string(set.Body) != "no" || set.Value != nil {
		t.Errorf("%q, %q", set.Body, set.Value)
	}
}

// Who sent a batch and did not say that it reads more is told nine fields, as ever.
func TestAnswersOfNineFields(t *testing.T) {
	for value, want := range map[string]byte{"": 0x99, "8": 0x99, "-1": 0x99, "x": 0x99, "9": 0x99, "10": 0x9a, "12": 0x9c, "1000": 0x9c} {
		h := nats.Header{}
		if value != "" {
			h.Set(HeaderAnswerFields, value)
		}
		w := AnswersWriter{Fields: AnswerFields(h)}
		w.Add(0, &Reply{
			Answer: model.Answer{
				RID: 1, Code: model.Failed, HasRevision: true, Revision: 3, Expires: 1, Value: packedResults(2),
			},
		})
		body, _ := w.Take()
		if body[5] != want {
			t.Errorf("%q: %#x, want %#x", value, body[5], want)
		}
	}
	var w AnswersWriter // a revision is not sent where none is known
	w.Fields = AnswerMost
	w.Add(0, &Reply{Answer: model.Answer{RID: 1, Code: model.OK}})
	if body, _ := w.Take(); body[5] != 0x99 {
		t.Errorf("%#x", body[5])
	}
}

// What the master cannot read of a replica's answer is a FAIL: of a txn nobody knows more.
func TestAnswersThatCannotBeRead(t *testing.T) {
	for kind, want := range map[model.Type]model.Code{model.List: model.Unavailable, model.Txn: model.Unknown} {
		for _, value := range []string{"", "x", "\x94\x02\xc3\x90\x90"} {
			r := Reply{Answer: model.Answer{RID: 1, Code: model.OK, Value: []byte(value)}, Model: model.Linearizable, Type: kind}
			for _, e := range []Encoding{Text, Msgpack, JSON} {
				if got := arrived(t, r, e); got.Code != want || !strings.Contains(got.Reason, "cannot read") {
					t.Errorf("%v, %q, in %v: %d %q", kind, value, e, got.Code, got.Reason)
				}
			}
		}
	}
}

// Any page that the limits allow fits into a message of the bus in JSON, whatever it is made of.
func TestPagesFit(t *testing.T) {
	for _, unit := range []string{"v", "\x01", "\"", "\u2028", "\xff", "<"} {
		for _, size := range []int{1, 50, 5000, model.MaxKeyValue - 1} {
			for _, key := range []string{"k", strings.Repeat("\"", 40), strings.Repeat("\u2028", 300)} {
				page, left := model.Page{Next: strings.Repeat("n", model.MaxNext)}, model.MaxKeyValue
				for len(page.Items) < model.MaxPage {
					x := model.Item{
						Key: key, HasValue: true,
						Value:    bytes.Repeat([]byte(unit), max(min(size, model.MaxKeyValue-len(key))/len(unit), 1)),
						Revision: 1 << 63, Expires: 1 << 44, Timestamp: 1 << 63,
					}
					if left -= codec.ItemSize(&x); left < 0 && len(page.Items) > 0 {
						break
					}
					page.Items = append(page.Items, x)
				}

				r := Reply{
					Answer: model.Answer{RID: 1, Code: model.OK, Value: mustPack(codec.AppendPage, page)},
					Type:   model.List, Encoding: JSON,
				}
				m := r.Msg("to")
				if len(m.Data) > 1_000_000 || !json.Valid(m.Data) {
					t.Errorf("%q by %d under %.10q: %d bytes of %d items", unit, size, key, len(m.Data), len(page.Items))
				}
			}
		}
	}
}

// No body panics, and what is read as a page or as results is the same when it is written again.
func FuzzParseContent(f *testing.F) {
	page, results, failed := samplePage(), sampleResults(-1), sampleResults(2)
	for _, seed := range [][]byte{
		packedPage(), msgpackPage(&page), packedResults(-1), packedResults(2), msgpackResults(&results, ""),
		msgpackResults(&failed, "no"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Reply{Answer: model.Answer{Value: b}}
		if page, err := r.Page(); err == nil {
			again := Reply{Answer: model.Answer{Value: msgpackPage(&page)}}
			got, err := again.Page()
			if diff := cmp.Diff(page, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		} else if !errors.Is(err, ErrReply) || len(err.Error()) > 400 {
			t.Fatal(err)
		}

		if results, err := r.Results(); err == nil {
			again := Reply{Answer: model.Answer{Value: msgpackResults(&results, "no")}}
			got, err := again.Results()
			if diff := cmp.Diff(results, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		} else if !errors.Is(err, ErrReply) || len(err.Error()) > 400 {
			t.Fatal(err)
		}
	})
}
