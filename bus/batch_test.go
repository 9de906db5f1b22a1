package bus

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

func items() []BatchItem {
	msgpack := func(r model.Request) Request { return Request{Request: r, Encoding: Msgpack} }

	return []BatchItem{
		{Request: msgpack(model.NewSet(1, "k", []byte("v")))},
		{Request: msgpack(model.NewSet(4, "k", []byte{})), Options: Options{Identity: "id"}},
		{Request: msgpack(model.NewGet(4, "κλειδί"))},
		{Request: msgpack(model.NewGet(3, "k")), Options: Options{MinTimestamp: 1 << 40}},
		{Request: msgpack(model.NewGet(2, "k")), Options: Options{MinPosition: 7, Replica: "r2"}},
		{
			Request: msgpack(model.NewSet(2, "k", bytes.Repeat([]byte("x"), 70000))),
			Options: Options{Identity: "i", MinPosition: 1},
		},
		{Request: msgpack(model.NewSet(1, "k", []byte("v"))), Options: Options{Identity: "i", Age: 1<<64 - 1}},
		{Request: msgpack(model.Request{Model: 3, Type: model.Delete, Key: "k"})},
		{
			Request: msgpack(model.Request{Model: 1, Type: model.Delete, Key: "k", HasIf: true}),
			Options: Options{Identity: "i"},
		},
		{Request: msgpack(model.Request{
			Model: 2, Type: model.Set, Key: "k", Value: []byte("v"), HasIf: true, If: 1<<64 - 1, TTL: model.MaxTTL,
		})},
		{Request: msgpack(model.Request{Model: 4, Type: model.Set, Key: "k", Value: []byte("v"), TTL: 1000})},
		{Request: msgpack(model.Request{Model: 1, Type: model.Add, Key: "k", Value: []byte("-7")})},
		{Request: msgpack(model.Request{
			Model: 1, Type: model.Txn, Value: []byte("\x94\x01\x90\x91\x95\x02\xa1k\xc0\x90\x00\x90"),
		})},
	}
}

func write(items []BatchItem) []byte {
	var w BatchWriter
	w.Begin(len(items))
	for i := range items {
		w.Add(&items[i])
	}
	return bytes.Clone(w.Bytes())
}

func TestBatchIsReadAsItWasWritten(t *testing.T) {
	want := items()
	body := write(want)
	got, err := ParseBatch(body, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	size := 0
	for i := range want {
		size += want[i].Size()
	}
	if size < len(body) {
		t.Errorf("said to take %d bytes at the most, and took %d", size, len(body))
	}
	for cut := range len(body) - 1 {
		if cut > 200 && cut < len(body)-20 {
			continue // inside the long value
		}
		if _, err := ParseBatch(body[:cut], nil); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
	}
}

// What breaks the form refuses the whole batch.
func TestBatchesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"nothing":             {"", "cut short"},
		"a lone request":      {"\x83\xabconsistency\x01", "no msgpack array"},
		"text":                {"1, 2, k", "no msgpack array"},
		"no requests":         {"\x90", "0 elements"},
		"four billion":        {"\xdd\xff\xff\xff\xff", "elements (want 1 to 1024)"},
		"1025 requests":       {"\xdc\x04\x01" + strings.Repeat("\x93\x01\x02\xa1k", 1025), "1025 elements"},
		"an item that is map": {"\x91\x83\x01\x02\xa1k", "request 0 of the batch: it is no msgpack array"},
		"too few fields":      {"\x91\x92\x01\x02", "2 elements (want 3 to 11)"},
		"too many fields":     {"\x91\x9c\x01\x02\xa1k\xc0\xa0\x00\xa0\xa0\x00\xc0\x00\x00", "12 elements (want 3 to 11)"},
		"age is text":         {"\x91\x99\x01\x02\xa1k\xc0\xa0\x00\xa0\xa0\xa17", "age is no unsigned int"},
		"consistency is text": {"\x91\x93\xa11\x02\xa1k", "consistency is no unsigned int"},
		"a negative request":  {"\x91\x93\x01\xff\xa1k", "request is no unsigned int"},
		"key of bytes":        {"\x91\x93\x01\x02\xc4\x01k", "key is no str"},
		"value is an int":     {"\x91\x94\x01\x01\xa1k\x05", "value is neither bin nor str"},
		"id is nil":           {"\x91\x95\x01\x01\xa1k\xa1v\xc0", "id is no str"},
		"minimum is text":     {"\x91\x96\x02\x02\xa1k\xc0\xa0\xa17", "minimum is no unsigned int"},
		"value of 4 GB":       {"\x91\x94\x01\x01\xa1k\xc6\xff\xff\xff\xffabc", "cut short"},
		"condition is text":   {"\x91\x9a\x01\x01\xa1k\xa1v\xa0\x00\xa0\xa0\x00\xa17", "the revision of its condition is no unsigned int"},
		"ttl is text":         {"\x91\x9b\x01\x01\xa1k\xa1v\xa0\x00\xa0\xa0\x00\xc0\xa25s", "ttl is no unsigned int"},
		"bytes after it":      {"\x91\x93\x01\x02\xa1k\x00", "1 bytes after the batch"},
	} {
		got, err := ParseBatch([]byte(c.body), nil)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) || len(got) != 0 {
			t.Errorf("%s: %d items, %v; want %q", name, len(got), err, c.want)
		}
	}
}

// What breaks a rule is one request's own fault, with the code that it would get alone.
func TestItemsThatAreRefused(t *testing.T) {
	long := strings.Repeat("k", model.MaxKey+1)

	for name, c := range map[string]struct {
		item string
		code model.Code
		want string
	}{
		"consistency 5":     {"\x93\x05\x02\xa1k", 400, "unknown consistency 5"},
		"request 9":         {"\x93\x01\x09\xa1k", 400, "unknown request 9"},
		"empty key":         {"\x93\x01\x02\xa0", 400, "key"},
		"long key":          {"\x93\x01\x02\xda\x04\x01" + long, 400, "key"},
		"key with :::":      {"\x93\x01\x02\xa5a:::b", 400, "key"},
		"set without value": {"\x93\x01\x01\xa1k", 400, "value is missing"},
		"get with a value":  {"\x94\x01\x02\xa1k\xa1v", 400, "takes no value"},
		"unprintable id":    {"\x95\x01\x01\xa1k\xa1v\xa1\x07", 400, "the id is not printable"},
		"long id":           {"\x95\x01\x01\xa1k\xa1v\xda\x01\x01" + strings.Repeat("i", 257), 400, "the id of 257 bytes"},
		"replica m1":        {"\x97\x01\x02\xa1k\xc0\xa0\x00\xa2m1", 400, "the replica names no replica"},

		// Of the later requests.
		"add of text":       {"\x94\x01\x07\xa1k\xa1x", 400, "a whole number"},
		"add without":       {"\x93\x01\x07\xa1k", 400, "value is missing in an add"},
		"causal add":        {"\x94\x03\x07\xa1k\xa11", 400, "no add in model causal"},
		"delete of a value": {"\x94\x01\x03\xa1k\xa1v", 400, "a delete takes no value"},
		"list":              {"\x93\x01\x04\xa1k", 400, "a list cannot be sent in a batch"},
		"watch":             {"\x93\x01\x05\xa0", 400, "a watch cannot be sent in a batch"},
		"txn of nothing":    {"\x94\x01\x06\xa0\xc4\x05\x94\x01\x90\x90\x90", 400, "does nothing"},
		"txn of text":       {"\x94\x01\x06\xa0\xa1x", 400, "bad message"},
		"txn with a key":    {"\x94\x01\x06\xa1k\xa1x", 400, "has no key of its own"},
		"causal condition":  {"\x9a\x03\x01\xa1k\xa1v\xa0\x00\xa0\xa0\x00\x01", 400, "no condition in model causal"},
		"get of a revision": {"\x9a\x01\x02\xa1k\xc0\xa0\x00\xa0\xa0\x00\x00", 400, "a get takes no condition"},
		"short ttl":         {"\x9b\x01\x01\xa1k\xa1v\xa0\x00\xa0\xa0\x00\xc0\x01", 400, "a TTL of 1 ms"},
		"delete with a ttl": {"\x9b\x01\x03\xa1k\xc0\xa0\x00\xa0\xa0\x00\xc0\xcd\x03\xe8", 400, "a delete takes no TTL"},
		"too large":         {"\x94\x01\x01\xa1k\xc6\x00\x08\x00\x00" + strings.Repeat("v", 512<<10), 413, "bytes"},
	} {
		got, err := ParseBatch([]byte("\x92\x93\x04\x02\xa1k"+c.item), nil)
		if err != nil || len(got) != 2 || got[0].Err != nil {
			t.Errorf("%s: the rest was refused too: %v, %+v", name, err, got)
			continue
		}
		var e *Error
		if !errors.As(got[1].Err, &e) || e.Code != c.code || !strings.Contains(e.Reason, c.want) {
			t.Errorf("%s: %v; want %d, %q", name, got[1].Err, c.code, c.want)
		}
	}
}

func TestAnswersAreReadAsTheyWereWritten(t *testing.T) {
	clock := lamport.Timestamp{Time: 1 << 33, Node: lamport.Replica(3)}
	want := []Reply{
		{
			Answer: model.Answer{
				RID: 1, Code: model.OK, Clock: clock, Replica: lamport.Replica(3), Position: 0, HasPosition: true,
			},
			Body: []byte("value"),
		},
		{Answer: model.Answer{RID: 1 << 50, Code: model.OK, Clock: clock, Timestamp: 77}, Body: []byte{}},
		{
			Answer: model.Answer{RID: 3, Code: model.NotFound, Clock: clock, Reason: "no value under key k"},
			Body:   []byte("no value under key k"),
		},
		{
			Answer: model.Answer{
				RID: 4, Code: model.Unavailable, Clock: lamport.Timestamp{Node: lamport.Master(1)}, Reason: "a b",
			},
			Body: []byte("a b"),
		},
		{Answer: model.Answer{RID: 5, Code: model.OK, Clock: clock, HasRevision: true, Revision: 1<<64 - 1}, Body: []byte{}},
		{Answer: model.Answer{RID: 6, Code: model.OK, Clock: clock, Expires: 1_700_000_000_000}, Body: []byte("v")},
		{
			Answer: model.Answer{
				RID: 7, Code: model.Failed, Clock: clock, HasRevision: true, Reason: "no", Value: packedResults(2),
			},
			Body: []byte("no"),
		},
	}

	index := []int{5, 0, 1023, 7, 8, 9, 10}
	w := AnswersWriter{Fields: AnswerMost}
	for range 2 { // the writer is used again
		if w.Len() != 0 {
			t.Fatalf("%d bytes in an empty writer", w.Len())
		}

		for i := range want {
			r := want[i]
			if i == 3 {
				r.Reason = " a\r\nb "
			}
			w.Add(index[i], &r)
		}

		body, rids := w.Take()
		if diff := cmp.Diff([]uint64{1, 1 << 50, 3, 4, 5, 6, 7}, rids); diff != "" {
			t.Error(diff)
		}

		var r AnswersReader
		i := 0
		err := r.Read(body, func(n int, got *Reply) {
			if n != index[i] {
				t.Errorf("answer %d has index %d", i, n)
			}
			if diff := cmp.Diff(want[i], *got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("answer %d: (-want +got)\n%s", i, diff)
			}
			i++
		})
		if err != nil || i != len(want) {
			t.Fatalf("%d answers, %v", i, err)
		}

		for cut := range body {
			if err := r.Read(body[:cut], func(int, *Reply) {}); !errors.Is(err, ErrBatch) {
				t.Fatalf("cut after %d bytes: %v", cut, err)
			}
		}
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add(write(items()[:5]))
	f.Add([]byte("\x91\x97\x02\x02\xa1k\xc0\xa0\x07\xa2r1"))
	f.Add([]byte("\xdd\xff\xff\xff\xff"))

	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseBatch(body, nil)
		if err != nil {
			checkRefusal(t, err)
			return
		}

		kept := got[:0]
		for _, item := range got {
			if item.Err != nil {
				checkRefusal(t, item.Err)
				continue
			}
			if err := Check(&item.Request.Request); err != nil {
				t.Fatalf("accepted %+v: %v", item, err)
			}
			kept = append(kept, item)
		}
		if len(kept) == 0 {
			return
		}

		again, err := ParseBatch(write(kept), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(kept, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzReadAnswers(f *testing.F) {
	var w AnswersWriter
	w.Add(0, &Reply{Answer: model.Answer{RID: 1, Code: model.OK, HasPosition: true}, Body: []byte("v")})
	w.Add(1, &Reply{Answer: model.Answer{RID: 2, Code: model.NotFound, Reason: "no"}})
	body, _ := w.Take()
	f.Add(body)
	f.Add([]byte("\xdd\xff\xff\xff\xff"))

	f.Fuzz(func(t *testing.T, body []byte) {
		var r AnswersReader
		var w AnswersWriter
		n := 0
		err := r.Read(body, func(i int, r *Reply) {
			n++
			if i < 0 || i >= MaxBatch {
				t.Fatalf("index %d", i)
			}
			w.Add(i, r)
		})
		if err != nil {
			if !errors.Is(err, ErrBatch) {
				t.Fatal(err)
			}
			return
		}

		again, _ := w.Take()
		m := 0
		if err := r.Read(again, func(int, *Reply) { m++ }); err != nil || m != n {
			t.Fatalf("%d answers became %d, %v", n, m, err)
		}
	})
}

func BenchmarkParseBatch64(b *testing.B) {
	var all []BatchItem
	for range 64 {
		all = append(all, BatchItem{Request: Request{Request: model.NewSet(4, "k000000000000001", make([]byte, 100))}})
	}
	body := write(all)
	b.ReportAllocs()
	for b.Loop() {
		all, _ = ParseBatch(body, all)
	}
}

func BenchmarkAnswers64(b *testing.B) {
	reply := Reply{
		Answer: model.Answer{
			RID: 1 << 20, Code: model.OK, Clock: lamport.Timestamp{Time: 1 << 20, Node: 1}, Replica: 1,
		},
		Body: make([]byte, 100),
	}
	var w AnswersWriter
	var r AnswersReader
	b.ReportAllocs()
	for b.Loop() {
		for i := range 64 {
			w.Add(i, &reply)
		}
		body, _ := w.Take()
		_ = r.Read(body, func(int, *Reply) {})
	}
}
