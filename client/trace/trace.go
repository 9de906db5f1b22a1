// Package trace is the story of a request as its messages tell it: who said what to whom, in which
// order, at which Lamport time. It listens on the bus, where every message carries the ids of the
// requests that it concerns ([Watcher]), or reads the logs that nodes write at level debug
// ([ReadLogs]). It promises to ask nothing of any node, so a trace costs nothing when nobody looks.
//
// What it hears on the bus is in an order that respects cause and effect: one server hands a
// message to its listeners before its receiver can answer it. Times are those at which the
// listener heard a message, on its own clock.
package trace

import (
	"slices"
	"strings"
	"time"

	"quartet/bus/model"
)

// ClientLane is the name under which clients stand.
const ClientLane = "client"

// The kinds of a trace's first and last message; the others are those of the protocol.
const (
	KindRequest = "REQUEST"
	KindReply   = "REPLY"
	KindEvent   = "EVENT" // in place of a reply: the first of a watch
)

// Event is one message from one node to another.
type Event struct {
	At     time.Time `json:"at"`
	From   string    `json:"from"` // client, m1, r1, …
	To     string    `json:"to"`
	Kind   string    `json:"kind"`
	Clock  uint64    `json:"clock,omitempty"`  // the sender's Lamport time when it sent this; 0: clients have none
	Detail string    `json:"detail,omitempty"` // what it says of this request
	Others int       `json:"others,omitempty"` // how many other requests it concerns
}

// ends reports whether the message is what the client was answered.
func (e *Event) ends() bool { return e.Kind == KindReply || e.Kind == KindEvent }

// Trace is the story of one request. Fields of which nothing was heard are empty.
type Trace struct {
	RID      uint64  `json:"rID"`
	Client   string  `json:"client,omitempty"`
	Model    string  `json:"consistency,omitempty"` // linearizable, …
	Type     string  `json:"request,omitempty"`     // set, get, …
	Key      string  `json:"key,omitempty"`         // of a list or watch its prefix
	Code     int     `json:"code,omitempty"`        // of the reply; 0: none was heard
	Replica  string  `json:"replica,omitempty"`
	Position uint64  `json:"position,omitempty"`
	Revision uint64  `json:"revision,omitempty"`
	Number   uint64  `json:"timestamp,omitempty"` // causal
	Events   []Event `json:"events"`              // in the order in which they were heard
}

// Took returns the time from the first message to the reply, or to the last message where no reply
// was heard.
func (t *Trace) Took() time.Duration {
	if len(t.Events) == 0 {
		return 0
	}

	end := t.Events[len(t.Events)-1].At
	for i := range t.Events {
		if t.Events[i].ends() {
			end = t.Events[i].At
		}
	}
	return end.Sub(t.Events[0].At)
}

// passedBy inserts messages that name no request, were under way together with this one, and
// mattered to it. By a FORWARD without requests and its echo members confirm that what was read in
// model 1 may be answered; by ANSWERS without answers they say that they hold a causal write.
func (t *Trace) passedBy(unnamed []Event) {
	var detail string
	kinds := []string{"ANSWERS"}
	switch {
	case t.fenced():
		detail, kinds = "without requests: it still works", append(kinds, "FORWARD")
	case t.numbered():
		detail = "without answers: what it holds"
	default:
		return
	}

	from := slices.IndexFunc(t.Events, func(e Event) bool { return e.Kind == "FORWARD" })
	until := slices.IndexFunc(t.Events, func(e Event) bool { return e.ends() })
	if from < 0 || until < 0 {
		return
	}

	// In the turn that forwards the request others may be asked before its replica is.
	asked, began, ended := t.Events[0].At, t.Events[from].At, t.Events[until].At
	for _, e := range unnamed {
		since := began
		if e.Kind == "FORWARD" {
			since = asked
		}
		if !slices.Contains(kinds, e.Kind) || e.At.Before(since) || e.At.After(ended) {
			continue
		}

		e.Detail = detail

		i := slices.IndexFunc(t.Events, func(o Event) bool { return o.At.After(e.At) || o.ends() })
		t.Events = slices.Insert(t.Events, max(i, 1), e)
	}
}

// fenced reports whether the request was read without a place in the order: the DATA of a
// transaction that writes shows that it was not.
func (t *Trace) fenced() bool {
	switch t.Type {
	case model.Get.Word(), model.List.Word():
		return t.Model == model.Linearizable.Word()
	case model.Txn.Word():
		carried := slices.ContainsFunc(t.Events, func(e Event) bool { return e.Kind == "DATA" && e.Detail != DetailAcknowledges })
		return t.Model == model.Linearizable.Word() && !carried
	}
	return false
}

// numbered reports whether the request is a write that the master has numbered.
func (t *Trace) numbered() bool {
	typ, err := model.ParseType(t.Type)
	return err == nil && typ.Writes() && t.Model == model.Causal.Word()
}

// Lanes lists the participants: the client, masters, replicas.
func (t *Trace) Lanes() []string {
	var lanes []string
	for i := range t.Events {
		for _, name := range []string{t.Events[i].From, t.Events[i].To} {
			if !slices.Contains(lanes, name) {
				lanes = append(lanes, name)
			}
		}
	}

	slices.SortFunc(lanes, func(a, b string) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		if len(a) != len(b) { // r10 stands behind r9
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return lanes
}

// rank orders the kinds of participants: the client, masters, replicas.
func rank(lane string) int {
	switch {
	case lane == ClientLane:
		return 0
	case strings.HasPrefix(lane, "m"):
		return 1
	}
	return 2
}
