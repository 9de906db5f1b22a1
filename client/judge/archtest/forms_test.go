package archtest_test

import (
	"bytes"
	"encoding/json"
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

	switch v.Kind() {
	case reflect.String:
		v.SetString("text of " + name)
		if name == "Replica" {
			v.SetString("r2")
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(len(name)) + 1)
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

// apart are the options that travel otherwise, and how.
var apart = cmpopts.IgnoreFields(bus.Options{},
	"Client",               // a header of the whole batch
	"Session", "InSession", // a token, which a batch cannot have: a session has one request at a time
)

// jsonFields are the names of a request's fields in JSON, and what stands there.
func jsonFields(t *testing.T, r *model.Request) map[string]any {
	t.Helper()
	names := map[string]string{"Model": "consistency", "Type": "request", "Key": "key", "Value": "value_base64"}
	object := map[string]any{}
	for v, i := reflect.ValueOf(*r), 0; i < v.NumField(); i++ {
		field := v.Type().Field(i).Name
		if names[field] == "" {
			t.Fatalf("field %s of a request has no name in JSON: add it to bus/json.go, and here", field)
		}
		object[names[field]] = v.Field(i).Interface()
	}
	return object
}

func TestEveryBodyCarriesTheWholeRequest(t *testing.T) {
	want := filled[model.Request](t)
	packed, err := bus.AppendMsgpack(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	object, err := json.Marshal(jsonFields(t, &want))
	if err != nil {
		t.Fatal(err)
	}
	for form, body := range map[string][]byte{"text": bus.AppendText(nil, &want), "msgpack": packed, "json": object} {
		got, err := bus.ParseRequest(body)
		if diff := cmp.Diff(want, got.Request); err != nil || diff != "" || got.Encoding.String() != form {
			t.Errorf("%s: %v\n%s", form, err, diff)
		}
	}
}

func TestHeadersAndBatchesCarryAllOptions(t *testing.T) {
	item := bus.BatchItem{Request: bus.Request{Request: filled[model.Request](t)}, Options: filled[bus.Options](t)}
	item.MinPosition = 0 // concerns no causal request

	got, err := bus.ParseOptions(item.Options.Header(item.Model), item.Model)
	if diff := cmp.Diff(item.Options, got, cmpopts.IgnoreFields(bus.Options{}, "Session", "InSession")); err != nil || diff != "" {
		t.Errorf("headers: %v\n%s", err, diff)
	}

	var w bus.BatchWriter
	w.Begin(1)
	w.Add(&item)
	items, err := bus.ParseBatch(w.Bytes(), nil)
	if err != nil {
		t.Fatal(err)
	}
	item.Encoding = bus.Msgpack
	if diff := cmp.Diff(item, items[0], apart); diff != "" {
		t.Errorf("a batch:\n%s", diff)
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

	for _, text := range []bool{true, false} {
		request := client.Request{Request: filled[model.Request](t), Options: filled[bus.Options](t), Text: text}
		request.MinPosition = 0 // concerns no causal request
		_, err := c.Do(t.Context(), request)
		if calls := r.Calls(); err != nil || len(calls) == 0 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		calls := r.Calls()
		call := calls[len(calls)-1]
		if diff := cmp.Diff(request.Request, call.Request.Request); diff != "" {
			t.Errorf("text %t: the request\n%s", text, diff)
		}
		said := cmpopts.IgnoreFields(bus.Options{}, "Session", "InSession", "Age") // not a token; worked out of FirstSent
		if diff := cmp.Diff(request.Options, call.Options, said); diff != "" {
			t.Errorf("text %t: its options\n%s", text, diff)
		}
	}
}

func TestMessagesCarryTheWholeRequest(t *testing.T) {
	r, came := filled[message.Request](t), filled[message.Request](t)
	r.Came, came.First = 0, 0 // a request has one of the two
	head := message.Header{From: lamport.Master(1), Incarnation: 1, Epoch: 1, Clock: 1}
	for _, m := range []message.Message{
		&message.Forward{Header: head, Requests: []message.Request{r, came}},
		&message.Forward{Header: head, Writes: []message.CausalWrite{{Number: 1, Request: r}}},
		&message.Data{Header: head, Seq: 1, Ops: []message.Operation{{Op: message.OpStrong, Request: r}, {Op: message.OpWeak, Request: came}}},
	} {
		b, err := codec.NewEncoder().Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.NewDecoder().Decode(bytes.Clone(b))
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", m.Kind(), err, diff)
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
	request := client.Request{Request: filled[model.Request](t)}
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
