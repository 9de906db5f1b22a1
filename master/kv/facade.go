package kv

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// Host is what the facade needs of the process that it belongs to. All of it is called by the one
// goroutine that calls the facade, and the functions that it is given are called by that, later.
type Host interface {
	// Ask has the cluster serve a request of which the form is good. reply is the subject for the
	// events of a watch; of other requests it is "". done is called once.
	Ask(r model.Request, o bus.Options, reply string, done func(*master.Reply))
	// Send publishes a message in the clients' account, when what the turn changed is kept.
	Send(m *nats.Msg)
	// Job runs work beside the loop, and calls what it returns in the loop. ctx ends with the
	// process.
	Job(work func(ctx context.Context) (done func()))
	// History is the point of the cluster's history.
	History() bus.History
	// Now is the wall clock.
	Now() time.Time
	// Causal is the highest number that a causal write was given.
	Causal() uint64
}

// Streams are the shadows: the streams of which a JetStream server makes watches. Its methods wait,
// and are called beside the loop.
type Streams interface {
	// Open finds the shadow of a bucket and reads what it holds, in the order of its sequences. It
	// returns ErrNoStream if there is none.
	Open(ctx context.Context, s Shadow, each func(Stored)) (last uint64, err error)
	// Make makes a shadow, in place of all others of its bucket.
	Make(ctx context.Context, s Shadow) error
	// Keep has a shadow keep so many messages of each key; 0: all.
	Keep(ctx context.Context, s Shadow, depth int) error
	// Remove removes all shadows of its bucket; that there is none is no error.
	Remove(ctx context.Context, s Shadow) error
}

// Options say what a facade serves.
type Options struct {
	Subjects bus.Subjects
	Inbox    string // begins the subjects on which the facade hears, with its dot
	Host     Host
	Streams  Streams
	Log      *slog.Logger
}

// Facade is the facade of one master. Make it with [New].
type Facade struct {
	o       Options
	host    Host
	log     *slog.Logger
	prefix  string // of requests, with its dot
	shadows string // begins the names of shadows
	ingest  string // begins the subjects of what is written to shadows, with its dot

	catalog  *feed
	ready    bool // the catalog is whole
	relisted bool // it is being read anew
	held     []heldCall
	buckets  map[string]*bucket
	dirty    []*bucket // whose shadows were sent something in this turn
	cutting  []*bucket // whose shadows are read
	feeds    map[string]*feed
	pending  map[string]*asked // questions to the server's JetStream
	sessions sessions
	token    uint64
	counts   Counts
	ticks    uint64
}

// Counts are what a facade has done since it began, and what it has now.
type Counts struct {
	Requests uint64 // of clients
	Refused  uint64 // with an error
	Changes  uint64 // that were numbered
	Stored   uint64 // messages that were sent to shadows
	Passed   uint64 // requests about consumers, passed on
	Reopened uint64 // buckets that were opened again after they had been at work
	Unshown  uint64 // changes of keys that no subject can hold
	Evicted  uint64 // sessions that were forgotten for newer ones

	Buckets  int // that there are
	Streams  int // … and have a stream, of which watches are told
	Sessions int // that are remembered
	Unstored int // messages that a stream does not hold yet
}

// maxHeld bounds the requests that wait until a bucket is open.
const maxHeld = 1 << 14

// New makes a facade. It does nothing before [Facade.Begin].
func New(o Options) *Facade {
	f := &Facade{
		o: o, host: o.Host, log: o.Log, prefix: o.Subjects.Buckets(), ingest: o.Subjects.Shadow(),
		shadows: ShadowPrefix(o.Subjects.Prefix()),
		buckets: map[string]*bucket{}, feeds: map[string]*feed{}, pending: map[string]*asked{},
	}
	f.sessions.init()
	// A watch of model 2 takes no place in the order, so a cluster whose clients know no buckets is
	// as it would be without the facade. It shows all that was acknowledged to an earlier master:
	// each member has that before the epoch of this one begins.
	f.catalog = &feed{f: f, model: model.Sequential, prefix: Records, take: f.cataloged, lost: f.recatalog}
	return f
}

// Begin begins to follow the buckets. It is called when the cluster serves.
func (f *Facade) Begin() { f.catalog.begin("") }

// Counts are what it has done, and what it has.
func (f *Facade) Counts() Counts {
	c := f.counts
	c.Sessions, c.Evicted = f.sessions.order.Len(), f.sessions.evicted
	for _, b := range f.buckets {
		if b.record.State != stateLive {
			continue
		}
		c.Buckets++
		if b.shadowed {
			c.Streams++
			c.Unstored += int(b.out.last - b.out.stored)
		}
	}
	return c
}

// Request takes a message that a client has sent below the prefix.
func (f *Facade) Request(m *nats.Msg) {
	f.counts.Requests++
	c := f.parseCall(strings.TrimPrefix(m.Subject, f.prefix))
	f.serve(&c, m)
}

// serve serves a call as soon as the buckets are known.
func (f *Facade) serve(c *call, m *nats.Msg) {
	if !f.ready {
		f.hold(m, func() { f.serve(c, m) })
		return
	}

	switch c.op {
	case opAccount:
		f.account(m)
	case opNames:
		f.names(m)
	case opList:
		f.list(m)
	case opCreate:
		f.create(c, m)
	case opUpdate:
		f.update(c, m)
	case opUnknown:
		f.fail(m, "", errBadRequest)
	default:
		f.inBucket(c, m)
	}
}

// heldCall is a client's call that waits until something is known.
type heldCall struct {
	m     *nats.Msg
	until time.Time
	again func()
}

// holdWait is how long a call waits until the buckets, or its own, are open: clients wait as long.
const holdWait = 5 * time.Second

// hold keeps a call until the buckets are known.
func (f *Facade) hold(m *nats.Msg, again func()) { f.held = f.kept(f.held, m, again) }

// kept is a list of calls that wait, with one more.
func (f *Facade) kept(held []heldCall, m *nats.Msg, again func()) []heldCall {
	if len(held) >= maxHeld {
		f.fail(m, "", errOccupied)
		return held
	}
	return append(held, heldCall{m: m, until: f.host.Now().Add(holdWait), again: again})
}

// letGoOn lets calls go on that have waited. Some of them may have to wait anew.
func letGoOn(held *[]heldCall) {
	calls := *held
	*held = nil
	for _, c := range calls {
		c.again()
	}
}

// expired refuses the calls that have waited too long, and returns the others.
func (f *Facade) expired(held []heldCall, now time.Time) []heldCall {
	for len(held) > 0 && now.After(held[0].until) {
		f.fail(held[0].m, "", errLoading)
		held = held[1:]
	}
	return held
}

// inBucket serves a call of a bucket that is there.
func (f *Facade) inBucket(c *call, m *nats.Msg) {
	b := f.buckets[c.bucket]
	if b == nil || b.record.State != stateLive {
		f.noBucket(c, m)
		return
	}
	if !b.open {
		b.hold(m, func() { f.inBucket(c, m) })
		return
	}

	switch c.op {
	case opWrite:
		b.write(c, m)
	case opDirect:
		b.direct(c, m)
	case opMsgGet:
		b.msgGet(c, m)
	case opInfo:
		b.status(m)
	case opDelete:
		b.remove(m)
	case opPurge:
		b.purge(m)
	case opConsumer:
		b.consumer(c, m)
	}
}

// noBucket answers a call of a bucket that is not there, as a server does without the stream: where
// nobody would listen, in the server's own words that nobody does.
func (f *Facade) noBucket(c *call, m *nats.Msg) {
	switch c.op {
	case opWrite, opDirect:
		f.counts.Refused++
		f.send(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"503"}}})
	default:
		f.fail(m, typeOf(c.op), errNotFound)
	}
}

// send sends a message to a client, unless nobody is to be told.
func (f *Facade) send(m *nats.Msg) {
	if m.Subject == "" {
		return
	}
	f.host.Send(m)
}

// What comes to the facade's own inbox, as the subject says: KIND.TOKEN.
const (
	ofFeed   = "F" // an event of the feed with that token
	ofServer = "J" // an answer of the server's JetStream to the question with that token
	ofShadow = "A" // that a shadow has stored a message, or has not; the token is the bucket's name
)

// Hear takes a message that came to the facade's own inbox: an event of a feed, or what the
// server's JetStream has to say.
func (f *Facade) Hear(m *nats.Msg) {
	rest, found := strings.CutPrefix(m.Subject, f.o.Inbox)
	kind, token, _ := strings.Cut(rest, ".")
	if !found {
		return
	}
	switch kind {
	case ofFeed:
		if feed := f.feeds[token]; feed != nil {
			feed.hear(m)
		}
	case ofServer:
		if a := f.pending[token]; a != nil {
			delete(f.pending, token)
			a.done(m)
		}
	case ofShadow:
		f.stored(token, m)
	}
}

// inbox is a subject of the facade's own.
func (f *Facade) inbox(kind, token string) string { return f.o.Inbox + kind + "." + token }

// newToken is unique in this process.
func (f *Facade) newToken() string {
	f.token++
	return fmt.Sprint(f.token)
}

// asked is a question to the server's JetStream.
type asked struct {
	until time.Time
	done  func(*nats.Msg) // nil: no answer came
}

// askWait is how long an answer of the server's JetStream is waited for.
const askWait = 5 * time.Second

// ask asks the server's JetStream.
func (f *Facade) ask(m *nats.Msg, done func(*nats.Msg)) {
	token := f.newToken()
	m.Reply = f.inbox(ofServer, token)
	f.pending[token] = &asked{until: f.host.Now().Add(askWait), done: done}
	f.host.Send(m)
}

// ticksOfLook is how often, in ticks of 10 ms, what waits is looked at.
const ticksOfLook = 20

// Tick tells the facade that 10 ms have passed.
func (f *Facade) Tick() {
	f.ticks++
	now := f.host.Now()
	f.tickCuts(now)
	if f.ticks%ticksOfLook != 0 {
		return
	}
	for token, a := range f.pending {
		if now.After(a.until) {
			delete(f.pending, token)
			a.done(nil)
		}
	}
	f.held = f.expired(f.held, now)
	f.catalog.tick(now)
	for _, b := range f.buckets {
		b.tick(now)
	}
}
