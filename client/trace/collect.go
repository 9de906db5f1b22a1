package trace

import (
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
)

// Limits of what a collector keeps.
const (
	mostOpen    = 10_000 // requests under way, and sendings without a reply yet
	mostUnnamed = 256    // recent messages that name no request
)

// Linger is how long a request is listened to after its reply: acknowledgements and the
// broadcast of a weak write come behind it.
const Linger = 100 * time.Millisecond

// abandonAfter is how long a request whose reply was not heard must be silent to count as over:
// longer than a cluster lets a request wait.
const abandonAfter = 10 * time.Second

// sending is a message of requests that a client has sent: a single request, or a batch.
type sending struct {
	at     time.Time
	client string
	items  []bus.BatchItem
}

// under is a request under way.
type under struct {
	trace Trace
	last  time.Time // when the last message of it was heard
	reply bool      // its reply was heard
}

// collector puts messages together to traces.
type collector struct {
	subjects bus.Subjects
	dec      *codec.Decoder
	answers  bus.AnswersReader

	mu       sync.Mutex
	sent     map[string]*sending // by reply subject
	sentOld  []string            // in the order in which they came
	requests map[uint64]*under
	order    []uint64 // rIDs in the order in which they were first heard
	unnamed  []Event  // FORWARDs and ANSWERS that name no request
	lost     int      // requests that were forgotten for want of room
}

func newCollector(subjects bus.Subjects) *collector {
	return &collector{
		subjects: subjects, dec: codec.NewDecoder(),
		sent: make(map[string]*sending), requests: make(map[uint64]*under),
	}
}

// hear adds one message that was on the bus at a time.
func (c *collector) hear(m *nats.Msg, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.Subject {
	case c.subjects.Request(), c.subjects.Read():
		c.request(m, at)
	case c.subjects.Batch():
		c.batch(m, at)
	default:
		if to, node := c.node(m.Subject); node {
			c.between(m, to, at)
		} else if s := c.sent[m.Subject]; s != nil {
			c.replied(m, s, at)
		}
	}
}

// node returns the node that listens on a subject.
func (c *collector) node(subject string) (string, bool) {
	prefix := c.subjects.Nodes()
	prefix = prefix[:len(prefix)-1] // without the wildcard
	if len(subject) <= len(prefix) || subject[:len(prefix)] != prefix {
		return "", false
	}
	return subject[len(prefix):], true
}

func (c *collector) request(m *nats.Msg, at time.Time) {
	r, err := bus.ParseRequest(m.Data)
	if err != nil || m.Reply == "" {
		return // it is refused, or nobody awaits its reply
	}
	r.Value = nil
	c.remember(m.Reply, &sending{at: at, client: clientOf(&r, m.Header), items: []bus.BatchItem{{Request: r}}})
}

// clientOf returns the client's name, from a JSON body or from the header. (A request with both is
// refused.)
func clientOf(r *bus.Request, h nats.Header) string {
	name, found := bus.Lookup(h, bus.HeaderClient)
	if said := r.Asked[bus.HeaderClient]; !found && len(said) > 0 {
		return said[0]
	}
	return name
}

func (c *collector) batch(m *nats.Msg, at time.Time) {
	items, err := bus.ParseBatch(m.Data, nil)
	if err != nil || m.Reply == "" {
		return
	}

	for i := range items {
		items[i].Value = nil
	}

	name, _ := bus.Lookup(m.Header, bus.HeaderClient)
	c.remember(m.Reply, &sending{at: at, client: name, items: items})
}

// remember keeps a sending until its reply is heard, and forgets the oldest where too many wait.
func (c *collector) remember(reply string, s *sending) {
	if c.sent[reply] == nil {
		c.sentOld = append(c.sentOld, reply)
	}
	c.sent[reply] = s

	if len(c.sentOld) > mostOpen {
		delete(c.sent, c.sentOld[0])
		c.sentOld = c.sentOld[1:]
	}
}

// of returns the request under way, a new one if it was not heard of before.
func (c *collector) of(rid uint64) *under {
	u := c.requests[rid]
	if u == nil {
		u = &under{trace: Trace{RID: rid}}
		c.requests[rid] = u
		c.order = append(c.order, rid)
		if len(c.order) > mostOpen {
			delete(c.requests, c.order[0])
			c.order = c.order[1:]
			c.lost++
		}
	}
	return u
}

// between adds a message from one node to another to the requests that it concerns.
func (c *collector) between(m *nats.Msg, to string, at time.Time) {
	said, err := c.dec.Decode(m.Data)
	if err != nil {
		return // another version's: it tells nothing
	}
	e := Event{
		At: at, From: said.Head().From.String(), To: to, Kind: said.Kind().String(), Clock: said.Head().Clock,
	}

	text, _ := bus.Lookup(m.Header, bus.HeaderRequestID)
	rids, err := bus.ParseRIDs(text)
	if err != nil {
		return
	}

	if len(rids) == 0 {
		c.passBy(e)
		return
	}

	var own []uint64
	carries, broadcast := said.(interface{ AppendOwnRIDs([]uint64) []uint64 })
	if broadcast {
		own = carries.AppendOwnRIDs(nil)
	}

	e.Others = len(rids) - 1
	for _, rid := range rids {
		mine := e
		if broadcast && !slices.Contains(own, rid) {
			mine.Detail = DetailAcknowledges
		}
		u := c.of(rid)
		u.last = at
		u.trace.Events = append(u.trace.Events, mine)
	}
}

// DetailAcknowledges is the detail of a DATA that does not carry the request and acknowledges it.
const DetailAcknowledges = "acknowledges it"

// passBy keeps a message that names no request for a while; see passedBy.
func (c *collector) passBy(e Event) {
	if e.Kind != "FORWARD" && e.Kind != "ANSWERS" {
		return
	}
	if c.unnamed = append(c.unnamed, e); len(c.unnamed) > mostUnnamed {
		c.unnamed = slices.Delete(c.unnamed, 0, len(c.unnamed)-mostUnnamed)
	}
}

// replied ends the requests that a reply answers, one or some of a batch.
func (c *collector) replied(m *nats.Msg, s *sending, at time.Time) {
	if len(s.items) == 1 && bus.IsEvent(m) {
		c.told(m, s, at)
		return
	}
	if len(s.items) == 1 {
		if reply, err := bus.ParseReply(m); err == nil {
			delete(c.sent, m.Subject)
			c.end(&reply, s, &s.items[0], at)
			return
		}
	}

	_ = c.answers.Read(m.Data, func(index int, reply *bus.Reply) { // what cannot be read tells nothing
		if index < len(s.items) {
			c.end(reply, s, &s.items[index], at)
		}
	})
}

// told ends the request of a watch with the first event of its stream, which names the request
// where it is to be acknowledged. What follows is no part of the request.
func (c *collector) told(m *nats.Msg, s *sending, at time.Time) {
	replica, rid, _, ok := c.subjects.ParseFlow(m.Reply)
	e, err := bus.ParseEvent(m)
	if !ok || err != nil {
		return
	}
	delete(c.sent, m.Subject)
	first := Event{
		At: at, From: replica.String(), To: ClientLane, Kind: KindEvent, Detail: e.Kind.String() + ", the first of the watch",
	}
	reply := bus.Reply{Answer: model.Answer{RID: rid, Code: model.OK, Replica: replica}}
	c.complete(&reply, s, &s.items[0], first)
}

// end completes a request whose reply was heard.
func (c *collector) end(reply *bus.Reply, s *sending, item *bus.BatchItem, at time.Time) {
	c.complete(reply, s, item, Event{
		At: at, To: ClientLane, Kind: KindReply, Clock: reply.Clock.Time, Detail: words(reply), Others: len(s.items) - 1,
	})
}

// complete completes a request with what its sending and its reply say of it, and with the message
// that was its reply. Without a sender that was the master.
func (c *collector) complete(reply *bus.Reply, s *sending, item *bus.BatchItem, last Event) {
	u := c.of(reply.RID)
	t := &u.trace
	t.Client, t.Model, t.Type, t.Key = s.client, item.Model.Word(), item.Type.Word(), item.Key
	t.Code, t.Position, t.Revision, t.Number = int(reply.Code), reply.Position, reply.Revision, reply.Timestamp
	if reply.Replica != 0 {
		t.Replica = reply.Replica.String()
	}

	master := "m1"
	for i := range t.Events {
		if rank(t.Events[i].From) == 1 {
			master = t.Events[i].From
		}
	}

	begin := Event{At: s.at, From: ClientLane, To: master, Kind: KindRequest, Others: len(s.items) - 1}
	t.Events = slices.Insert(t.Events, 0, begin)
	if last.From == "" {
		last.From = master
	}
	t.Events = append(t.Events, last)

	u.reply, u.last = true, last.At
	t.passedBy(c.unnamed)
}

// finished removes the requests that are over at a time, in the order in which they were first
// heard of, and returns their traces.
func (c *collector) finished(now time.Time) []*Trace {
	c.mu.Lock()
	defer c.mu.Unlock()
	var done []*Trace
	c.order = slices.DeleteFunc(c.order, func(rid uint64) bool {
		u := c.requests[rid]
		silent, needed := now.Sub(u.last), Linger
		if !u.reply {
			needed = abandonAfter
		}
		if silent < needed {
			return false
		}

		delete(c.requests, rid)
		done = append(done, &u.trace)
		return true
	})
	return done
}
