package archtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	"quartet/client/judge/record"
)

// A request takes these forms on its way: what the client is given, a body (text, msgpack or
// JSON) and headers, or an item of a batch; what the master parses; messages between nodes; a
// line of a history. The tests below fill every field that a request has, by reflection, so a
// new one is in them at once, and say which form does not carry it.

// fill sets every field below v to something that is not its zero value.
func fill(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	switch v.Interface().(type) {
	case model.Consistency:
		v.SetUint(uint64(model.Causal))
		return
	case model.Type:
		v.SetUint(uint64(model.Set))
		return
	case model.Code:
		v.SetUint(uint64(model.OK))
		return
	case lamport.Node:
		v.SetUint(uint64(lamport.Replica(2)))
		return
	case []byte:
		v.SetBytes([]byte("bytes of " + name))
		return
	}
	switch name {
	case "TTL":
		v.SetUint(90_000)
		return
	case "Replica":
		if v.Kind() == reflect.String {
			v.SetString("r2")
			return
		}
	}

	switch v.Kind() {
	case reflect.String:
		v.SetString("text of " + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(len(name)) + 1)
	case reflect.Int:
		v.SetInt(int64(len(name)) + 1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s is a %s: say here how one is filled", name, v.Type())
	}
}

func filled[T any](t *testing.T) T {
	t.Helper()
	var x T
	fill(t, reflect.ValueOf(&x).Elem(), "")
	return x
}

// requests are one of each type, with all that it can have: every field of a request is set in one
// of them.
func requests(t *testing.T) []model.Request {
	t.Helper()
	key, value := "text of Key", []byte("bytes of Value")
	var steps model.Transaction
	steps.If = []model.Check{
		{Key: key, HasRevision: true, Revision: 17}, {Key: key, HasExists: true, Exists: true}, {Key: key, HasExists: true},
		{Key: key, HasValue: true, Value: value}, {Key: key, HasValue: true, Value: []byte{}},
	}
	steps.Then = []model.Step{
		{Type: model.Set, Key: key, Value: value, HasIf: true, If: 3, TTL: 90_000}, {Type: model.Get, Key: key},
	}
	steps.Else = []model.Step{{Type: model.Delete, Key: key, HasIf: true}, {Type: model.Add, Key: key, Value: []byte("-7")}}
	packed, err := bus.PackTransaction(&steps)
	if err != nil {
		t.Fatal(err)
	}

	all := []model.Request{
		{Model: model.Causal, Type: model.Set, Key: key, Value: value, TTL: 90_000},
		{Model: model.Linearizable, Type: model.Set, Key: key, Value: value, TTL: 90_000, HasIf: true, If: 17},
		{Model: model.Causal, Type: model.Get, Key: key},
		{Model: model.Causal, Type: model.Delete, Key: key},
		{Model: model.Sequential, Type: model.Delete, Key: key, HasIf: true},
		{Model: model.Causal, Type: model.List, Key: "text", Range: &model.Range{Limit: 7, Values: true, From: "r2.7"}},
		{Model: model.Causal, Type: model.List},
		{Model: model.Causal, Type: model.Watch, Key: "text", Range: &model.Range{From: "17"}},
		{Model: model.Linearizable, Type: model.Txn, Value: packed},
		{Model: model.Sequential, Type: model.Add, Key: key, Value: []byte("-7"), HasIf: true, If: 17},
	}
	wholeInOne(t, all)
	return all
}

// wholeInOne fails where a type, or a field of a request or its range, is in none of them.
func wholeInOne(t *testing.T, all []model.Request) {
	t.Helper()
	set, types := map[string]bool{}, map[model.Type]bool{}
	note := func(v reflect.Value) {
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			set[name] = set[name] || !v.Field(i).IsZero()
		}
	}
	for i := range all {
		types[all[i].Type] = true
		note(reflect.ValueOf(all[i]))
		if all[i].Range != nil {
			note(reflect.ValueOf(*all[i].Range))
		}
	}
	for _, one := range model.Types {
		if !types[one] {
			t.Fatalf("no request of type %v: add it to requests, here", one)
		}
	}
	for name, is := range set {
		if !is {
			t.Fatalf("field %s is in no request: add it to requests, here", name)
		}
	}
}

// apart are the options that travel otherwise, and how.
var apart = cmpopts.IgnoreFields(bus.Options{},
	"Client",               // a header of the whole batch
	"Session", "InSession", // a token, which a batch cannot have: a session has one request at a time
)

// jsonFields are the names of a request's fields in JSON, and what stands there. (What a
// transaction is made of has names of its own.)
func jsonFields(t *testing.T, r *model.Request) map[string]any {
	t.Helper()
	subject := "key"
	if !r.Type.HasKey() {
		subject = "prefix"
	}

	object := map[string]any{}
	for v, i := reflect.ValueOf(*r), 0; i < v.NumField(); i++ {
		value := v.Field(i).Interface()
		switch field := v.Type().Field(i).Name; field {
		case "Model":
			object["consistency"] = value
		case "Type":
			object["request"] = value
		case "Key":
			object[subject] = value
		case "Value":
			if r.Value != nil {
				object["value_base64"] = value
			}
		case "HasIf": // with If
		case "If":
			if r.HasIf {
				object["if_revision"] = value
			}
		case "TTL":
			if r.TTL > 0 {
				object["ttl"] = bus.FormatTTL(r.TTL)
			}
		case "Range":
			jsonRange(t, object, r.Range)
		default:
			t.Fatalf("field %s of a request has no name in JSON: add it to bus/json.go, and here", field)
		}
	}
	return object
}

func jsonRange(t *testing.T, object map[string]any, r *model.Range) {
	t.Helper()
	if r == nil {
		return
	}
	names := map[string]string{"Limit": "limit", "Values": "values", "From": "from"}
	for v, i := reflect.ValueOf(*r), 0; i < v.NumField(); i++ {
		field := v.Type().Field(i).Name
		if names[field] == "" {
			t.Fatalf("field %s of a range has no name in JSON: add it to bus/json.go, and here", field)
		}
		if !v.Field(i).IsZero() {
			object[names[field]] = v.Field(i).Interface()
		}
	}
}

// jsonTransaction is a txn in JSON.
func jsonTransaction(t *testing.T, r *model.Request) []byte {
	t.Helper()
	x, err := codec.ParseTransaction(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	steps := func(steps []model.Step) []map[string]any {
		list := []map[string]any{}
		for _, s := range steps {
			object := jsonFields(t, &model.Request{Type: s.Type, Key: s.Key, Value: s.Value, HasIf: s.HasIf, If: s.If, TTL: s.TTL})
			delete(object, "consistency") // that of the txn
			list = append(list, object)
		}
		return list
	}

	checks := []map[string]any{}
	for _, c := range x.If {
		object := map[string]any{"key": c.Key}
		switch {
		case c.HasRevision:
			object["revision"] = c.Revision
		case c.HasExists:
			object["exists"] = c.Exists
		case c.HasValue:
			object["value_base64"] = c.Value
		}
		checks = append(checks, object)
	}

	body, err := json.Marshal(map[string]any{
		"consistency": r.Model, "request": r.Type, "if": checks, "then": steps(x.Then), "else": steps(x.Else),
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEveryBodyCarriesTheWholeRequest(t *testing.T) {
	for _, want := range requests(t) {
		packed, err := bus.AppendMsgpack(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		forms := map[string][]byte{"msgpack": packed}

		if want.Type == model.Txn {
			forms["json"] = jsonTransaction(t, &want)
		} else {
			forms["text"] = bus.AppendText(nil, &want)
			if forms["json"], err = json.Marshal(jsonFields(t, &want)); err != nil {
				t.Fatal(err)
			}
		}

		for form, body := range forms {
			got, err := bus.ParseRequest(body)
			if err == nil && form == "text" { // what it leaves to headers
				_, err = bus.OptionsOf(&got, bus.TextHeader(nil, &want))
			}
			if diff := cmp.Diff(want, got.Request); err != nil || diff != "" || got.Encoding.String() != form {
				t.Errorf("%v in %s: %v\n%s", want.Type, form, err, diff)
			}
		}
	}
}

func TestHeadersAndBatchesCarryAllOptions(t *testing.T) {
	options := filled[bus.Options](t)
	options.MinPosition = 0 // concerns no causal request
	got, err := bus.ParseOptions(options.Header(model.Causal), model.Causal)
	if diff := cmp.Diff(options, got, cmpopts.IgnoreFields(bus.Options{}, "Session", "InSession")); err != nil || diff != "" {
		t.Errorf("headers: %v\n%s", err, diff)
	}

	for _, r := range requests(t) {
		if r.Type == model.List || r.Type == model.Watch {
			continue // which are sent alone
		}
		item := bus.BatchItem{Request: bus.Request{Request: r, Encoding: bus.Msgpack}, Options: options}
		switch r.Model {
		case model.Sequential:
			item.MinTimestamp, item.MinPosition = 0, 17
		case model.Linearizable:
			item.MinTimestamp = 0
		}

		var w bus.BatchWriter
		w.Begin(1)
		w.Add(&item)
		items, err := bus.ParseBatch(w.Bytes(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(item, items[0], apart); diff != "" {
			t.Errorf("%v in a batch:\n%s", r.Type, diff)
		}
	}
}

// What a client is given is what the master parses.
func TestTheClientSendsTheWholeRequest(t *testing.T) {
	r := responder.Start(t, nil)
	c, err := client.New(r.Conn, client.WithName("text of Client"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	for i, want := range requests(t) {
		if want.Type == model.Watch { // a stream, which client.Watch asks for
			continue
		}
		for _, text := range []bool{true, false} {
			if text && want.Type == model.Txn {
				continue
			}
			request := client.Request{Request: want, Options: filled[bus.Options](t), Text: text}
			request.Identity = fmt.Sprint(i, text)
			if want.Model != model.Causal {
				request.MinTimestamp = 0
			}
			if want.Model != model.Sequential {
				request.MinPosition = 0
			}

			if _, err := c.Do(t.Context(), request); err != nil && !errors.Is(err, client.ErrNotFound) {
				t.Fatalf("%v: %v", want.Type, err)
			}
			calls := r.Calls()
			call := calls[len(calls)-1]
			if diff := cmp.Diff(request.Request, call.Request.Request); diff != "" {
				t.Errorf("%v, text %t: the request\n%s", want.Type, text, diff)
			}
			said := cmpopts.IgnoreFields(bus.Options{}, "Session", "InSession", "Age") // not a token; worked out of FirstSent
			if diff := cmp.Diff(request.Options, call.Options, said); diff != "" {
				t.Errorf("%v, text %t: its options\n%s", want.Type, text, diff)
			}
		}
	}
}

func TestMessagesCarryTheWholeRequest(t *testing.T) {
	head := message.Header{From: lamport.Master(1), Incarnation: 1, Epoch: 1, Clock: 1}
	for _, want := range requests(t) {
		r, came := filled[message.Request](t), filled[message.Request](t)
		r.Came, came.First = 0, 0 // a request has one of the two
		r.Request, came.Request = want, want
		if want.Type != model.Watch {
			r.Watcher, came.Watcher = nil, nil
		}
		for _, m := range []message.Message{
			&message.Forward{Header: head, Requests: []message.Request{r, came}},
			&message.Forward{Header: head, Writes: []message.CausalWrite{{Number: 1, Request: r}}},
			&message.Data{
				Header: head, Seq: 1,
				Ops: []message.Operation{{Op: message.OpStrong, Request: r}, {Op: message.OpWeak, Request: came}},
			},
		} {
			b, err := codec.NewEncoder().Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := codec.NewDecoder().Decode(bytes.Clone(b))
			if diff := cmp.Diff(m, got); err != nil || diff != "" {
				t.Errorf("%v in %v: %v\n%s", want.Type, m.Kind(), err, diff)
			}
		}
	}
}

// A recorded history says of a request all that was asked.
func TestHistoriesCarryTheWholeRequest(t *testing.T) {
	dir := t.TempDir()
	recorder, err := record.Open(record.Options{Dir: dir, Program: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	request := client.Request{Request: requests(t)[0]}
	call := recorder.Begin("c", "s", &request)
	call.End(&client.Result{Reply: bus.Reply{Answer: model.Answer{Code: model.OK}}}, nil)
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}

	f, err := os.Open(filepath.Join(dir, record.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read, err := history.Read(f)
	if err != nil || len(read.Operations) != 1 {
		t.Fatalf("%+v, %v", read, err)
	}
	op := reflect.ValueOf(read.Operations[0])
	for v, i := reflect.ValueOf(request.Request), 0; i < v.NumField(); i++ {
		field := v.Type().Field(i).Name
		said := op.FieldByName(field)
		if !said.IsValid() || fmt.Sprintf("%s", said.Interface()) != fmt.Sprintf("%s", v.Field(i).Interface()) {
			t.Errorf("a history does not say the request's %s, which was %v", field, v.Field(i))
		}
	}
}
