package transcript_test

import (
	"fmt"
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/follow"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	"quartet/replica/listing"
	"quartet/replica/watching"
)

// watcher is a client that watches, by the code of package client.
type watcher struct {
	name     string
	follower *follow.Follower
	requests int
	subject  string // on which it listens; "": nowhere
	loses    int    // so many events, the next ones, do not come
}

// watch fills in the request of a watcher: it goes on from what it was told.
func (c *cluster) watch(name string, in *master.Incoming) {
	w := c.watchers[name]
	if w == nil {
		w = &watcher{name: name, follower: follow.New(in.Request.Model, "")}
		c.watchers[name] = w
	}
	w.requests++
	w.subject = fmt.Sprintf("%s.%d", name, w.requests)
	in.Request.Range = &model.Range{From: w.follower.Begin()}
	in.Request.Watcher = &message.Watcher{Reply: w.subject, Client: name}
}

// tell takes the events of a replica's turn to their watchers.
func (c *cluster) tell(from *replicaNode, events []watching.Event) {
	for i := range events {
		e := &events[i]
		name, _, _ := strings.Cut(e.To.Reply, ".")
		c.line(from.id.String()+" tells", "%s of stream %s: %d %s", name, e.Stream, e.Sequence, eventOf(&e.Event))
		w := c.watchers[name]
		switch {
		case w.subject != e.To.Reply:
			c.line("nobody", "listens to that")
			from.machine.Unheard(e.Watch)
		case w.loses > 0:
			w.loses--
			c.line(name+" loses", "number %d", e.Sequence)
		default:
			c.hear(w, e)
		}
	}
}

func (c *cluster) hear(w *watcher, e *watching.Event) {
	verdict := w.follower.Take(e.Stream, &e.Event, func(e model.Event) { c.line(w.name+" is given", "%s", eventOf(&e)) })
	if verdict != follow.GoesOn {
		w.subject = ""
		c.line(w.name+" leaves", "it: the next stream is to go on after revision %d", w.follower.From())
	}
}

func eventOf(e *model.Event) string {
	s := e.Kind.String()
	if e.Kind.Concerns() {
		s += " " + e.Key
	}
	if e.Kind == model.EventValue || e.Kind == model.EventSet {
		s += " = " + string(e.Value)
	}
	if e.Revision > 0 {
		s += fmt.Sprintf(" revision %d", e.Revision)
	}
	if e.Reason != "" {
		s += fmt.Sprintf(" %d: %s", e.Code, e.Reason)
	}
	return s
}

// lose lets the next events to a watcher come to nothing.
func (c *cluster) lose(t *testing.T, name string, n int) {
	w := c.watchers[name]
	if w == nil {
		t.Fatalf("%s watches nothing", name)
	}
	w.loses = n
}

// list fills in the request of a list: of its next page, if it is to go on.
func (c *cluster) list(t *testing.T, name string, limit int, goesOn bool, in *master.Incoming) {
	in.Request.Range = &model.Range{Limit: limit}
	if !goesOn {
		return
	}
	in.Request.Range.From = c.next[name]
	if !listing.GoesOn(&in.Request.Request) {
		t.Fatalf("%s has no next page", name)
	}
	cursor, err := codec.ParseNext(c.next[name])
	if err != nil {
		t.Fatal(err)
	}
	in.Cursor = cursor
}

// pageOf tells the page that a client hears, and keeps where the next one begins.
func (c *cluster) pageOf(name string, value []byte) string {
	p, err := codec.ParsePage(value)
	if err != nil {
		return " " + err.Error()
	}
	c.next[name] = p.Next
	var keys []string
	for _, x := range p.Items {
		keys = append(keys, fmt.Sprintf("%s revision %d", x.Key, x.Revision))
	}
	more := ", that is all"
	if p.Next != "" {
		more = ", and more"
	}
	return fmt.Sprintf(" [%s]%s", strings.Join(keys, ", "), more)
}
