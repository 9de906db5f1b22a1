// Package responder is a node for tests of what clients do: a test scripts what it does with each
// request. It promises to keep the public contract on a real NATS server. It is no replica and
// proves nothing about one.
package responder

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/bus/server/servertest"
)

// Action is what happens to one request.
type Action struct {
	Ignore bool       // it is lost on its way: neither executed nor answered
	Silent bool       // it is executed, its reply is lost
	Code   model.Code // it is refused with this code, not executed
	Reply  bus.Reply  // with Code: other fields of the reply
	Raw    *nats.Msg  // this very message is the reply
}

// Call is one request as it came.
type Call struct {
	N       int // from 1
	Request bus.Request
	Options bus.Options
	Header  nats.Header
	Body    string
}

// Responder answers requests as a cluster of replicas r1 to r3 would that are never behind.
type Responder struct {
	URL  string
	Conn *nats.Conn

	mu        sync.Mutex
	script    func(Call) Action
	told      func(*bus.Status) // changes what a status says; nil: nothing
	calls     []Call
	values    map[string]stored
	outcomes  map[string]bus.Reply
	rid, time uint64
	position  uint64
	timestamp uint64
}

type stored struct {
	value     []byte
	timestamp uint64
}

// Server starts a NATS server in this process that ends with the test.
func Server(t testing.TB) *server.Server { return serverAt(t, -1, 0) }

// Narrow is Server with messages of at most maxPayload bytes.
func Narrow(t testing.TB, maxPayload int32) *server.Server { return serverAt(t, -1, maxPayload) }

func serverAt(t testing.TB, port int, maxPayload int32) *server.Server {
	t.Helper()
	return servertest.Start(t, &server.Options{Port: port, JetStream: true, StoreDir: storeDir(t), MaxPayload: maxPayload})
}

// storeDir is a folder that a server which is slow to let go cannot fail the test with.
func storeDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "responder")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Start starts a server and a responder on it. script may be nil: all is served.
func Start(t testing.TB, script func(Call) Action) *Responder {
	t.Helper()
	return On(t, Server(t).ClientURL(), script)
}

// Again starts a server where one has stopped, and a responder on it.
func Again(t testing.TB, url string, script func(Call) Action) *Responder {
	t.Helper()
	_, port, found := strings.Cut(strings.TrimPrefix(url, "nats://"), ":")
	n, err := strconv.Atoi(port)
	if !found || err != nil {
		t.Fatalf("no port in %q", url)
	}
	return On(t, serverAt(t, n, 0).ClientURL(), script)
}

// On starts a responder on a server that runs.
func On(t testing.TB, url string, script func(Call) Action) *Responder {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r := &Responder{URL: url, Conn: nc, script: script, values: map[string]stored{}, outcomes: map[string]bus.Reply{}}
	for subject, handler := range map[string]nats.MsgHandler{
		"quartet.request": r.request, "quartet.read": r.request, "quartet.status": r.status,
	} {
		if _, err := nc.Subscribe(subject, handler); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

// Calls returns what has come so far, in order.
func (r *Responder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Call{}, r.calls...)
}

// Executed returns how many sets took effect.
func (r *Responder) Executed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.outcomes)
}

func (r *Responder) request(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	request, err := bus.ParseRequest(m.Data)
	var options bus.Options
	if err == nil {
		options, err = bus.OptionsOf(&request, m.Header)
	}
	reply, action := r.take(Call{Request: request, Options: options, Header: m.Header, Body: string(m.Data)}, err)
	switch {
	case action.Raw != nil:
		action.Raw.Subject = m.Reply
		r.publish(m, action.Raw)
	case reply != nil:
		reply.Encoding = request.Encoding
		r.publish(m, reply.Msg(m.Reply))
	}
}

// take does with a request what the script says; no reply: none is to be sent.
func (r *Responder) take(call Call, err error) (*bus.Reply, Action) {
	call.N = len(r.calls) + 1
	r.calls = append(r.calls, call)
	var action Action
	if r.script != nil {
		action = r.script(call)
	}
	switch {
	case action.Ignore || action.Raw != nil:
		return nil, action
	case action.Code != 0 && action.Code != model.OK:
		reply := action.Reply
		r.stamp(&reply, call.Request)
		reply.Code = action.Code
		call.session(&reply)
		return &reply, action
	}
	reply := r.execute(call.Request, call.Options, err)
	call.session(&reply)
	if action.Silent {
		return nil, action
	}
	return &reply, action
}

// session gives the reply to a request of a session the session's new token.
func (c *Call) session(reply *bus.Reply) {
	if c.Options.InSession && reply.Code != model.Malformed {
		reply.Session = c.Options.Session.Seen(reply, bus.History{}).Token()
	}
}

// TakeBatches makes the responder listen for batches, too, whose answers it sends last
// first, in messages of at most most each. The returned function says how many came.
func (r *Responder) TakeBatches(t testing.TB, most int) (count func() int) {
	t.Helper()
	batches := 0
	_, err := r.Conn.Subscribe("quartet.batch", func(m *nats.Msg) {
		r.mu.Lock()
		defer r.mu.Unlock()
		batches++
		items, err := bus.ParseBatch(m.Data, nil)
		if err != nil {
			r.publish(m, &nats.Msg{Subject: m.Reply, Data: []byte(err.Error())})
			return
		}

		replies := make([]*bus.Reply, len(items))
		for i, item := range items {
			item.Options.Client = m.Header.Get(bus.HeaderClient)
			replies[i], _ = r.take(Call{Request: item.Request, Options: item.Options, Header: m.Header}, item.Err)
		}

		w := bus.AnswersWriter{Fields: bus.AnswerFields(m.Header)}
		inIt := 0
		for i := len(replies) - 1; i >= 0; i-- {
			if replies[i] != nil {
				w.Add(i, replies[i])
				inIt++
			}
			last := i == 0 && inIt > 0
			if inIt == most || last {
				body, _ := w.Take()
				r.publish(m, &nats.Msg{Subject: m.Reply, Data: body})
				inIt = 0
			}
		}
	})

	if err == nil {
		err = r.Conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return batches
	}
}

func (r *Responder) publish(m, reply *nats.Msg) {
	if m.Reply != "" {
		_ = r.Conn.PublishMsg(reply) // a closed connection is the test's own doing
	}
}

// stamp gives a reply what every reply has.
func (r *Responder) stamp(reply *bus.Reply, request bus.Request) {
	r.rid++
	r.time++
	reply.RID, reply.Model, reply.Type = r.rid, request.Model, request.Type
	if reply.Clock == (lamport.Timestamp{}) {
		reply.Clock = lamport.Timestamp{Time: r.time, Node: lamport.Master(1)}
	}
}

func (r *Responder) execute(request bus.Request, options bus.Options, err error) bus.Reply {
	var reply bus.Reply
	r.stamp(&reply, request)
	var bad *bus.Error
	if errors.As(err, &bad) {
		reply.Code, reply.Reason = bad.Code, bad.Reason
		return reply
	}

	if first, found := r.outcomes[options.Identity]; found && options.Identity != "" {
		return first
	}

	reply.Code = model.OK
	reply.Replica = lamport.Replica(int(r.rid%3) + 1)
	if options.Replica != "" {
		reply.Replica, _ = lamport.ParseNode(options.Replica)
	}
	reply.Clock.Node = reply.Replica
	if reply.HasPosition = request.Model.Strong(); reply.HasPosition {
		r.position++
		reply.Position = r.position
	}

	if request.Type == model.Get {
		value, found := r.values[request.Key]
		if reply.Value = value.value; !found {
			reply.Code, reply.Reason = model.NotFound, "no value under key "+request.Key
		}
		if request.Model == model.Causal {
			reply.Timestamp = value.timestamp
		}
		return reply
	}

	switch request.Type {
	case model.List:
		reply.Value, _ = codec.AppendPage(nil, &model.Page{}) // an empty one keeps all limits
		return reply
	case model.Txn:
		reply.Value = done(request.Value)
	}

	if request.Model == model.Causal {
		r.timestamp++
		reply.Timestamp = r.timestamp
	}
	r.values[request.Key] = stored{append([]byte{}, request.Value...), reply.Timestamp}
	if request.Encoding == bus.Text {
		reply.Body = bus.AppendEcho(nil, request.Key, request.Value)
	}

	identity := options.Identity
	if identity == "" {
		identity = "rid " + time.Duration(r.rid).String()
	}
	r.outcomes[identity] = reply
	return reply
}

// done is what a transaction comes to here: each of its steps is said to be done.
func done(value []byte) []byte {
	t, _ := codec.ParseTransaction(value) // it was read as a request
	results := model.Results{Succeeded: true, Failed: -1, Results: make([]model.Result, len(t.Then))}
	for i := range results.Results {
		results.Results[i].Code = model.OK
		if t.Then[i].Type == model.Add {
			results.Results[i].Value = t.Then[i].Value
		}
	}
	encoded, _ := codec.AppendResults(nil, &results) // which keep all limits
	return encoded
}

// Tell has every status from now on say what change makes of it.
func (r *Responder) Tell(change func(*bus.Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = change
}

func (r *Responder) status(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := bus.Status{
		Ready: true, Version: "test", Data: bus.DataMemory, Epoch: 1,
		Master: bus.MasterStatus{ID: "m1", PID: 4711, Clock: r.time},
	}
	for i := 1; i <= 3; i++ {
		status.Replicas = append(status.Replicas, bus.ReplicaStatus{
			ID: lamport.Replica(i).String(), PID: 4711 + i, Member: i < 3, Clock: r.time,
			Position: r.position, Timestamp: r.timestamp, Keys: uint64(len(r.values)),
		})
	}
	if r.told != nil {
		r.told(&status)
	}
	body, err := json.Marshal(status)
	if err != nil {
		return
	}
	_ = m.Respond(body)
}
