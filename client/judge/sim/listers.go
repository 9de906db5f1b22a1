package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master"
	replicas "quartet/replica/listing"
	"quartet/replica/store"
)

// lister is a client that lists, page by page, and now and then asks for a page that it has had:
// through crashes, views and learners. What it hears is held against what there was, at the
// replica that serves it, when its list began.
type lister struct {
	index    int
	model    model.Consistency
	prefix   string
	asks     int // so far
	pages    []page
	cuts     []cut // what the pages may be of; nil: the list has not begun
	replica  lamport.Node
	position uint64 // of the cut
	least    uint64 // of model 1: the position that anybody had been told when the list was asked for
	healthy  bool   // the list was asked for when everything had healed
	whole    int    // lists that were told as a whole and were
}

// page is one that a lister has had.
type page struct {
	from  string
	limit int
	first int // index in what the list is to show
	items []model.Item
	next  string
}

// listing is a page that a lister asks for.
type listing struct {
	lister int
	ask    int
	page   int // of the list: the next one, or one that it has had
	limit  int
	from   string
}

// cut is what a list that begins at a replica is to show, in the order of keys.
type cut struct {
	rid     uint64
	replica lamport.Node
	items   []model.Item
}

func (l *listing) String() string {
	return fmt.Sprintf("lister %d asks for page %d, up to %d keys", l.lister, l.page, l.limit)
}

// listerPatience is for how long, in time units, a lister waits for an answer.
const listerPatience = 60 * tickUnits

// ListFromSeed draws a run with listers of every model.
func ListFromSeed(seed uint64) Options {
	o := OpsFromSeed(seed)
	r := rand.New(rand.NewPCG(seed, 0x115715))
	o.Listers = 2 + r.IntN(4)
	o.Keys = 3 + r.IntN(5)
	o.Stale, o.Requests = false, o.Requests+8
	o.Replicas = max(o.Replicas, 3)
	return o
}

// cursorOf is where a list goes on; zero of all that does not.
func cursorOf(r *model.Request) message.Cursor {
	if !replicas.GoesOn(r) {
		return message.Cursor{}
	}
	cursor, _ := codec.ParseNext(r.Range.From) // it came from a reply
	return cursor
}

// beginListers starts the listers.
func (c *cluster) beginListers() {
	for i := range c.opts.Listers {
		c.listers = append(c.listers, &lister{index: i, model: model.Consistency(1 + i%4)})
		c.nextPage(c.listers[i], 10*tickUnits+c.rand.Int64N(30*tickUnits))
	}
}

// nextPage has a lister ask for a page after a while.
func (c *cluster) nextPage(l *lister, after int64) {
	l.asks++
	c.agenda.push(event{at: c.now + after, kind: lists, listing: &listing{lister: l.index, ask: l.asks}})
}

// lists asks for the next page, or again for one that the lister has had.
func (c *cluster) lists(at *listing) {
	l := c.listers[at.lister]
	if at.ask != l.asks {
		return // it has gone on
	}
	at.limit, at.page = 1+c.rand.IntN(2), len(l.pages)
	switch n := len(l.pages); {
	case n == 0:
		l.begin(c)
	case n > 1 && c.rand.IntN(4) == 0: // again, in the same way; the first page would be another list
		at.page = 1 + c.rand.IntN(n-1)
		at.from, at.limit = l.pages[at.page].from, l.pages[at.page].limit
	default:
		at.from = l.pages[n-1].next
	}

	s := &sending{listing: at, first: c.now}
	s.request.Request = model.Request{
		Model: l.model, Type: model.List, Key: l.prefix, Range: &model.Range{Limit: at.limit, Values: true, From: at.from},
	}
	c.nextToken++
	s.token = c.nextToken
	c.tokens[s.token] = s
	c.trace("%6d  %s", c.now, at)
	if c.rand.Float64() >= c.clientDrop {
		c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: asks, sent: s})
	}
	c.nextPage(l, listerPatience) // if nothing comes
	at.ask = l.asks
}

// healthyAfter is when, in time units after everything healed, what was suspected before is not any
// more.
const healthyAfter = 100 * tickUnits

// begin begins another list.
func (l *lister) begin(c *cluster) {
	l.prefix, l.least, l.healthy = "", c.told, c.healed && c.now > c.healedAt+healthyAfter
	if c.rand.IntN(5) == 0 {
		l.prefix = string(rune('a' + c.rand.IntN(c.opts.Keys)))
	}
	l.cuts = slices.DeleteFunc(l.cuts, func(cut) bool { return true })
}

// listed notes what a list that begins at a replica is to show.
func (c *cluster) listed(at lamport.Node, r *message.Request, what func(key string) store.Record) {
	x := cut{rid: r.RID, replica: at}
	for i := range c.opts.Keys {
		key := string(rune('a' + i))
		rec := what(key)
		if rec.Kind != store.KindValue || !strings.HasPrefix(key, r.Key) {
			continue
		}
		item := model.Item{Key: key, HasValue: true, Value: rec.Value, Revision: rec.Revision, Expires: rec.Expires}
		if r.Model == model.Causal {
			item.Timestamp = rec.Number
		}
		x.items = append(x.items, item)
	}
	c.cuts = append(c.cuts, x)
	if len(c.cuts) > mostCuts {
		c.cuts = slices.Delete(c.cuts, 0, 1)
	}
}

// mostCuts is more than there are of requests that nobody has answered yet.
const mostCuts = 1000

// tellLister puts a master's reply on its way.
func (c *cluster) tellLister(r master.Reply, s *sending) {
	if c.rand.Float64() < c.clientDrop {
		return
	}
	reply := &reply{Reply: r}
	c.agenda.push(event{at: c.now + 1 + c.rand.Int64N(c.net.delay), kind: pages, listing: s.listing, reply: reply})
}

// pageCame takes a reply to its lister.
func (c *cluster) pageCame(at *listing, reply *reply) {
	l := c.listers[at.lister]
	if at.ask != l.asks {
		return // it has given up
	}
	c.trace("%6d  lister %d hears %d of page %d, cut %d: %s", c.now, l.index, reply.Code, at.page, reply.Position, reply.Reason)
	switch reply.Code {
	case model.OK:
		if what := l.take(c, at, reply); what != "" && !c.watch.off {
			c.fail("history", "lister %d, %s, page %d: %s", l.index, l.model.Word(), at.page, what)
		}
	case model.Gone:
		if leftTheView := c.record().Index(l.replica) < 0; l.healthy && !leftTheView {
			c.fail("history", "lister %d has lost its list though nothing went wrong since it began: %s", l.index, reply.Reason)
		}
		l.pages = nil
	case model.TooEarly, model.Unavailable, model.Unknown, model.Misdirected:
		if reply.Code == model.Misdirected {
			l.pages = nil
		}
	default:
		c.fail("history", "lister %d is refused: %d %s", l.index, reply.Code, reply.Reason)
	}
	c.nextPage(l, 1+c.rand.Int64N(8*tickUnits))
}

// take takes a page, and says what is wrong with it, or "".
func (l *lister) take(c *cluster, at *listing, reply *reply) string {
	p, err := codec.ParsePage(reply.Value)
	if err != nil {
		return err.Error()
	}

	first := 0
	switch {
	case at.page == 0 && at.from == "": // the list begins
		l.position, l.replica = reply.Position, reply.Replica
		l.cuts = slices.DeleteFunc(slices.Clone(c.cuts), func(x cut) bool { return x.rid != reply.RID || x.replica != reply.Replica })
		if l.model == model.Linearizable && l.position < l.least {
			return fmt.Sprintf("it is of the cut %d, and was asked for when %d had been told", l.position, l.least)
		}
	case at.page < len(l.pages):
		first = l.pages[at.page].first
	default:
		before := l.pages[at.page-1]
		first = before.first + len(before.items)
	}
	if reply.Position != l.position {
		return fmt.Sprintf("it is of the cut %d, and the first page was of %d", reply.Position, l.position)
	}

	l.cuts = slices.DeleteFunc(l.cuts, func(x cut) bool { return !x.has(first, at.limit, &p) })
	if len(l.cuts) == 0 {
		return fmt.Sprintf("it holds %+v (next %q), and that was not there when the list began", p.Items, p.Next)
	}
	if what := l.stands(c, p.Items); what != "" {
		return what
	}

	if at.page < len(l.pages) {
		if had := l.pages[at.page].next; had != p.Next {
			return fmt.Sprintf("asked for again, it is followed by %q, and was by %q", p.Next, had)
		}
		return ""
	}
	l.pages = append(l.pages, page{at.from, at.limit, first, p.Items, p.Next})
	if p.Next == "" {
		l.pages = nil
		if l.healthy {
			l.whole++
		}
	}
	return ""
}

// has reports whether a page is the one that begins with an item.
func (x *cut) has(first, limit int, p *model.Page) bool {
	last := min(first+limit, len(x.items))
	hasMore := last < len(x.items)
	return first <= last && hasMore == (p.Next != "") && slices.EqualFunc(x.items[first:last], p.Items, isSameItem)
}

func isSameItem(a, b model.Item) bool {
	return a.Key == b.Key && string(a.Value) == string(b.Value) && a.Revision == b.Revision && a.Expires == b.Expires &&
		a.Timestamp == b.Timestamp
}

// stands compares a page of models 1 and 2 with what the order has made of its keys at the cut.
func (l *lister) stands(c *cluster, items []model.Item) string {
	if !l.model.Strong() {
		return ""
	}
	for i := range items {
		x := &items[i]
		if want := c.watch.ref.at(x.Key, l.position); !want.has() || want.value != string(x.Value) || want.revision != x.Revision {
			return fmt.Sprintf("at %d the order has made %+v of %s, and it holds %q of revision %d", l.position, want, x.Key, x.Value, x.Revision)
		}
	}
	return ""
}

// unlisted says which lister has had no list as a whole since everything healed, or "".
func (c *cluster) unlisted() string {
	for _, l := range c.listers {
		if l.whole == 0 {
			return fmt.Sprintf("lister %d has had no whole list; ", l.index)
		}
	}
	return ""
}
