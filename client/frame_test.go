package client_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// teller answers watches as a test says: with one list of messages for each request.
type teller struct {
	nc    *nats.Conn
	asked chan *nats.Msg
	r     *responder.Responder
}

// tellStreams begins a teller. The last of the streams is told to all further requests.
func tellStreams(t *testing.T, streams ...[]*nats.Msg) *teller {
	t.Helper()
	r := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Ignore: call.Request.Type == model.Watch}
	})
	te := &teller{r: r, asked: make(chan *nats.Msg, 100)}
	nc, err := nats.Connect(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	te.nc = nc

	n := 0
	_, err = nc.Subscribe("quartet.request", func(m *nats.Msg) {
		request, err := bus.ParseRequest(m.Data)
		if err != nil || request.Type != model.Watch {
			return
		}
		te.asked <- m
		for _, told := range streams[min(n, len(streams)-1)] {
			copied := *told
			copied.Subject = m.Reply
			if err := nc.PublishMsg(&copied); err != nil {
				t.Error(err)
			}
		}
		n++
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return te
}

// aStream is the name of a stream.
const aStream = "r1.5jr6xq.1"

// message is an event as a message of its own.
func message(e model.Event, history bus.History) *nats.Msg {
	return messageOf(aStream, e, history)
}

func messageOf(stream string, e model.Event, history bus.History) *nats.Msg {
	return bus.EventMsg("", "", &bus.Event{Event: e, Stream: stream, History: history}, false)
}

// frame is events in a frame, the first of which has that sequence.
func frame(sequence uint64, list ...model.Event) *nats.Msg {
	return frameOf(aStream, sequence, list...)
}

func frameOf(stream string, sequence uint64, list ...model.Event) *nats.Msg {
	var w bus.FrameWriter
	for i := range list {
		list[i].Sequence = sequence + uint64(i)
		w.Add(stream, &list[i])
	}
	return &nats.Msg{Data: slices.Clone(w.Take())}
}

func set(key string, revision uint64) model.Event {
	return model.Event{Kind: model.EventSet, Key: key, Value: fmt.Append(nil, revision), Revision: revision}
}

// A watch asks for frames, and reads them beside messages; after a gap between frames, one within
// which it cannot read on, and a stream that ends, it goes on from what it was told, without a
// repeat.
func TestWatchReadsFrames(t *testing.T) {
	history := bus.History{Cluster: 7, Epoch: 2, Nonce: 3}
	there := set("a", 5)
	there.Kind, there.Initial, there.Sequence = model.EventValue, true, 1
	alsoThere := set("b", 4)
	alsoThere.Kind = model.EventValue
	caughtUp := message(model.Event{Kind: model.EventCaughtUp, Sequence: 3, Revision: 6}, bus.History{})
	first := func(e model.Event) *nats.Msg { e.Sequence = 1; return message(e, history) }
	cut := frame(2, set("a", 10), set("b", 11))
	cut.Data = cut.Data[:len(cut.Data)-1]
	te := tellStreams(t,
		[]*nats.Msg{
			message(there, history), frame(2, alsoThere), caughtUp, frame(4, set("a", 7), set("b", 8)),
			frame(7, set("a", 99)), // 6 is lost
		},
		[]*nats.Msg{first(set("a", 9)), cut},
		[]*nats.Msg{
			first(set("b", 11)), frame(2, set("a", 12), set("c", 13)),
			message(model.Event{Kind: model.EventEnd, Sequence: 4, Code: model.Unavailable}, bus.History{}),
		},
		[]*nats.Msg{first(set("c", 13)), frame(2, set("d", 14))},
	)

	events := watching(t, dial(t, te.r.URL), "")
	want := []string{
		"VALUE a=5", "VALUE b=4", "CAUGHT-UP =", "SET a=7", "SET b=8", "SET a=9", "SET a=10", "SET b=11", "SET a=12", "SET c=13", "SET d=14",
	}
	if got := told(t, events, len(want)); !slices.Equal(got, want) {
		t.Errorf("told %q\nwant %q", got, want)
	}
	for _, from := range []string{"", "8", "10", "13"} {
		m := <-te.asked
		request, err := bus.ParseRequest(m.Data)
		asked := ""
		if request.Range != nil {
			asked = request.Range.From
		}
		if err != nil || asked != from {
			t.Errorf("asked from %q, %v; want from %q", asked, err, from)
		}
		if bus.EventFields(m.Header) != bus.EventMost {
			t.Errorf("does not ask for frames: %v", m.Header)
		}
	}
}

// Two replicas tell one watcher, since the master had heard no answer of the first. The sequence of
// the second goes on where that of the first is, and what it told before has not come: the watch
// asks again, after what it was told by the first.
func TestO29AWatchToldByTwoReplicas(t *testing.T) {
	history := bus.History{Cluster: 7, Epoch: 2, Nonce: 3}
	caughtUp := func(stream string, revision uint64) *nats.Msg {
		return messageOf(stream, model.Event{Kind: model.EventCaughtUp, Sequence: 1, Revision: revision}, history)
	}
	second := set("a", 9)
	second.Sequence = 4
	part := set("b", 8) // of a transaction, and the rest does not come
	part.More = true
	te := tellStreams(t,
		[]*nats.Msg{caughtUp("r1.x.1", 6), frameOf("r1.x.1", 2, set("a", 7), part), frameOf("r2.y.1", 4, set("a", 9))},
		[]*nats.Msg{caughtUp("r1.x.2", 8), frameOf("r1.x.2", 2, part, set("a", 8)), messageOf("r2.y.2", second, bus.History{})},
		[]*nats.Msg{caughtUp("r2.y.3", 8), frameOf("r2.y.3", 2, set("a", 9), set("a", 10))},
	)
	events := watching(t, dial(t, te.r.URL), "")
	want := []string{"CAUGHT-UP =", "SET a=7", "SET b=8", "SET a=8", "SET a=9", "SET a=10"}
	if got := told(t, events, len(want)); !slices.Equal(got, want) {
		t.Errorf("told %q\nwant %q", got, want)
	}

	// The next one goes on after 7, and says that it was told of 8, and of which history.
	for _, least := range []string{"", "8", "8"} {
		m := <-te.asked
		isNamed := bus.HistoryOf(m.Header) == history
		if got := m.Header.Get(bus.HeaderMinPosition); got != least || isNamed != (least != "") {
			t.Errorf("a stream is asked for with %v; want the least position %q", m.Header, least)
		}
	}
}

// Whoever keeps one value of a frame does not keep the others.
func TestValuesOfAFrameAreTheirOwn(t *testing.T) {
	e := message(model.Event{Kind: model.EventCaughtUp, Sequence: 1, Revision: 1}, bus.History{Cluster: 1, Epoch: 1})
	te := tellStreams(t, []*nats.Msg{e, frame(2, set("a", 10), set("b", 11))})
	n := 0
	for e, err := range dial(t, te.r.URL).Watch(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != client.EventSet {
			continue
		}
		if cap(e.Value) >= 2*len(e.Value)+8 {
			t.Errorf("the value of %s has room for %d bytes", e.Key, cap(e.Value))
		}
		if n++; n == 2 {
			break
		}
	}
}

// A watch whose connection is closed for good ends, though it has told something already.
func TestAWatchEndsWithItsConnection(t *testing.T) {
	e := message(model.Event{Kind: model.EventCaughtUp, Sequence: 1, Revision: 1}, bus.History{Cluster: 1, Epoch: 1})
	te := tellStreams(t, []*nats.Msg{e})
	nc, err := nats.Connect(te.r.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan error, 1)
	go func() {
		for e, err := range c.Watch(t.Context(), "") {
			if err != nil {
				ended <- err
				return
			}
			if e.Kind == client.EventCaughtUp {
				nc.Close()
			}
		}
	}()
	select {
	case err := <-ended:
		t.Log(err)
	case <-time.After(30 * time.Second):
		t.Error("the watch of a closed connection goes on")
	}
}
