package inprocess_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/master/inprocess"
)

// connect starts a cluster and connects to it.
func connect(t *testing.T, o inprocess.Options) *nats.Conn {
	t.Helper()
	c, err := inprocess.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// said is a request and what it asks for beside that.
type said struct {
	bus.Request
	bus.Options
}

// message is the request in an encoding. The JSON one says all of it in its body, the
// others by headers.
func (s *said) message(t *testing.T, e bus.Encoding) *nats.Msg {
	t.Helper()
	m := &nats.Msg{Subject: "quartet.request", Header: nats.Header{}}
	header := func(name, value string) {
		if value != "" && value != "0" {
			m.Header.Set(name, value)
		}
	}
	header(bus.HeaderMsgID, s.Identity)
	header(bus.HeaderReplica, s.Replica)
	header(bus.HeaderMinTimestamp, strconv.FormatUint(s.MinTimestamp, 10))
	header(bus.HeaderMinPosition, strconv.FormatUint(s.MinPosition, 10))

	var err error
	switch e {
	case bus.Text:
		m.Data = bus.AppendText(nil, &s.Request.Request)
	case bus.Msgpack:
		m.Data, err = bus.AppendMsgpack(nil, &s.Request.Request)
	default:
		fields := map[string]any{"consistency": s.Model.Word(), "request": s.Type.Word(), "key": s.Key}
		if s.Type == model.Set {
			fields["value_base64"] = s.Value
		}
		for name, field := range map[string]string{bus.HeaderMsgID: "id", bus.HeaderReplica: "replica"} {
			if m.Header.Get(name) != "" {
				fields[field] = m.Header.Get(name)
			}
		}
		for field, n := range map[string]uint64{"min_timestamp": s.MinTimestamp, "min_position": s.MinPosition} {
			if n != 0 {
				fields[field] = n
			}
		}
		m.Header = nil
		m.Data, err = json.Marshal(fields)
	}

	if err != nil {
		t.Fatal(err)
	}
	return m
}

// object is the body of a reply to a JSON request.
type object struct {
	Ack, Error, Consistency, Request, Clock, Replica, Session string

	Code      model.Code
	Value     *string
	Binary    []byte `json:"value_base64"`
	RID       uint64 `json:"rID"`
	Timestamp uint64
	Position  *uint64
}

func ask(t *testing.T, nc *nats.Conn, m *nats.Msg) (bus.Reply, *nats.Msg) {
	t.Helper()
	got, err := nc.RequestMsg(m, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r, err := bus.ParseReply(got)
	if err != nil {
		t.Fatal(err)
	}
	return r, got
}

// read returns a reply's value, and that a JSON body says what the headers say.
func read(t *testing.T, r *bus.Reply, e bus.Encoding) string {
	t.Helper()
	if e != bus.JSON {
		return string(r.Body)
	}
	var o object
	if err := json.Unmarshal(r.Body, &o); err != nil {
		t.Fatalf("%v: %s", err, r.Body)
	}

	sameFailure := o.Code == r.Code && o.Error == r.Reason && (o.Ack == bus.AckOK) == (r.Code == model.OK)
	sameNumbers := o.RID == r.RID && o.Clock == r.Clock.String() && o.Timestamp == r.Timestamp && o.Session == r.Session
	samePosition := (o.Position != nil) == r.HasPosition
	if samePosition && r.HasPosition {
		samePosition = *o.Position == r.Position
	}
	ok := sameFailure && sameNumbers && samePosition
	if r.Model != 0 {
		ok = ok && o.Consistency == r.Model.String()
	}
	if r.Type != 0 {
		ok = ok && o.Request == r.Type.String()
	}
	if r.Replica != 0 {
		ok = ok && o.Replica == r.Replica.String()
	}
	if !ok {
		t.Errorf("the body %s of %+v", r.Body, *r)
	}
	if o.Value != nil {
		return *o.Value
	}
	return string(o.Binary)
}

var encodings = []bus.Encoding{bus.Text, bus.Msgpack, bus.JSON}

// The same request in another encoding is the same request, in every model, and the reply
// says the same.
func TestAllEncodingsSayTheSame(t *testing.T) {
	nc := connect(t, options(t))
	for _, c := range model.All {
		for _, by := range encodings {
			key, value := fmt.Sprint(c.Word(), " ", by), fmt.Sprint("of ", by, "\n\xff")
			set := said{bus.Request{Request: model.NewSet(c, key, []byte(value))}, bus.Options{Replica: "r1"}}
			done, _ := ask(t, nc, set.message(t, by))
			if read(t, &done, by); done.Code != model.OK {
				t.Fatalf("%s: %+v", key, done)
			}
			get := said{bus.Request{Request: model.NewGet(c, key)}, bus.Options{Replica: "r1", MinTimestamp: done.Timestamp}}
			if c == model.Sequential {
				get.MinPosition = done.Position
			}

			testkit.Await(t, "what was set is committed, and has a revision", func() bool {
				_, m := ask(t, nc, get.message(t, by))
				return m.Header.Get(bus.HeaderRevision) != ""
			})

			var first []string
			for _, e := range encodings {
				r, m := ask(t, nc, get.message(t, e))
				if got := read(t, &r, e); got != value || r.Replica != 1 {
					t.Errorf("%s, got by %v: %q of %+v", key, e, got, r)
				}
				names := slices.Sorted(maps.Keys(m.Header))
				if first == nil {
					first = names
				}
				if !slices.Equal(first, names) {
					t.Errorf("%s, got by %v: headers %v, not %v", key, e, names, first)
				}
			}
		}
	}
}

func TestAllEncodingsAreRefusedAlike(t *testing.T) {
	nc := connect(t, options(t))
	set := func(key, value, id string) said {
		return said{bus.Request{Request: model.NewSet(model.Linearizable, key, []byte(value))}, bus.Options{Identity: id}}
	}
	get := func(c model.Consistency, o bus.Options) said {
		return said{bus.Request{Request: model.NewGet(c, "missing")}, o}
	}

	first := set("k", "v", "id-1")
	done, _ := ask(t, nc, first.message(t, bus.Text))
	for _, e := range encodings {
		for name, c := range map[string]struct {
			said
			code model.Code
		}{
			"the first sending again":      {first, 200},
			"a known id":                   {set("k", "w", "id-1"), 409},
			"no value":                     {get(model.Eventual, bus.Options{}), 404},
			"a timestamp that never comes": {get(model.Causal, bus.Options{MinTimestamp: 1 << 60}), 425},
			"a position that never comes":  {get(model.Sequential, bus.Options{MinPosition: 1 << 60}), 425},
			"a replica that is none":       {get(model.Linearizable, bus.Options{Replica: "r8"}), 400},
			"a key that cannot be":         {said{bus.Request{Request: model.NewGet(model.Causal, "a:::b")}, bus.Options{}}, 400},
		} {
			if e == bus.Msgpack && c.Key == "a:::b" {
				continue // the encoder refuses it
			}

			r, m := ask(t, nc, c.message(t, e))
			said := read(t, &r, e)
			again := c.code != 200 || r.RID == done.RID // the outcome of the first sending
			switch {
			case r.Code != c.code || !again:
				t.Errorf("%s, by %v: %v %s", name, e, m.Header, m.Data)
			case e != bus.JSON && c.code != 200 && said != r.Reason:
				t.Errorf("%s, by %v: %q", name, e, said)
			}
		}
	}

	for name, body := range map[string]string{
		"broken": `{"consistency":1,`, "no object": `{`,
		"of an unknown field": `{"consistency":1,"request":2,"key":"k","ttl":1}`,
	} {
		r, _ := ask(t, nc, &nats.Msg{Subject: "quartet.request", Data: []byte(body)})
		if read(t, &r, bus.JSON); r.Code != model.Malformed {
			t.Errorf("JSON that is %s: %+v", name, r)
		}
	}

	// A session goes on in the body as it does in the header.
	body := `{"consistency":"causal","request":"set","key":"s","value":"v","session":"new"}`
	r, m := ask(t, nc, &nats.Msg{Subject: "quartet.request", Data: []byte(body)})
	read(t, &r, bus.JSON)
	if s, err := bus.ParseSession(r.Session); err != nil || s.Timestamp != r.Timestamp || r.Timestamp == 0 {
		t.Errorf("session %+v %v of %s", s, err, m.Data)
	}

	// A batch is msgpack and nothing else.
	r, m = ask(t, nc, &nats.Msg{Subject: "quartet.batch", Data: []byte(`{"consistency":1,"request":2,"key":"k"}`)})
	if r.Code != model.Malformed || string(m.Data) != r.Reason {
		t.Errorf("a JSON batch: %+v", r)
	}
}
