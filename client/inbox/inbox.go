// Package inbox is how requests wait for their replies. It promises that each request gets at most
// one end: a reply, or an error, handed to a callback once. It keeps any number of requests
// outstanding on one NATS connection at the cost of one subscription, one goroutine and one map
// entry each.
//
// It exists because nats.Conn.Request wakes a goroutine for every reply; handing the
// reply to a callback in the subscription's own goroutine was measured twice as fast at
// 64 requests at once.
package inbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// Errors with which a request ends, or (ErrNotConnected, ErrClosed) does not begin.
var (
	ErrTimeout      = errors.New("inbox: no reply in time")
	ErrDisconnected = errors.New("inbox: the connection was lost before a reply came")
	ErrNotConnected = errors.New("inbox: not connected, nothing was sent")
	ErrClosed       = errors.New("inbox: closed")
	ErrAbandoned    = errors.New("inbox: a master that leads no more had it, and no reply came")

	// ErrRefused wraps a [*bus.PermissionError]: the server did not let the request through.
	// Nobody has heard it.
	ErrRefused = errors.New("inbox: refused by the server, nothing was sent")
	// ErrDeaf wraps a [*bus.PermissionError]: the server does not let us hear replies. A request
	// that was sent before that was known may have been executed.
	ErrDeaf = errors.New("inbox: replies cannot be heard")
)

// sweep is how often deadlines are looked at: a timeout is late by at most this.
const sweep = 20 * time.Millisecond

// Done is called when a request has ended: with a message, or with an error ([ErrTimeout],
// [ErrDisconnected], [ErrRefused], [ErrDeaf], [ErrClosed]) and no message. It runs in the
// goroutine that hands out replies, so it must not block and must not call Close; it may send the
// next request. The message is its to keep. A server that says that nobody listens says so in a
// message (header Status).
type Done func(*nats.Msg, error)

// More is called with each message that answers a request of [Inbox.SendForMany], and returns
// whether it waits for another message. An error comes last.
type More func(*nats.Msg, error) bool

// Token identifies an outstanding request.
type Token uint64

// Inbox waits for replies. It is safe for concurrent use. Make it with [New].
type Inbox struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string // of every reply subject, with the dot
	status chan nats.Status
	watch  sync.WaitGroup
	down   atomic.Bool

	unwatch func()

	mu      sync.Mutex
	deaf    error             // [ErrDeaf], of this connection to the server; nil: we hear
	sent    map[string]*tally // by subject
	waiting map[Token]entry
	last    Token
	closed  bool
	timer   *time.Timer // runs expire while something waits
}

// tally counts what was published to a subject since the connection stands. A server refuses each
// publish by a message of its own, which does not say which publish it was. But when all that was
// published has been answered or refused, the requests that still wait were refused: nobody has
// heard them. So a refusal is definite or is no answer at all, also when permissions change while
// requests are under way.
type tally struct{ published, answered, refused uint64 }

// entry is an outstanding request.
type entry struct {
	done     Done
	subject  string
	tally    *tally // of the subject
	heard    bool   // a message has come: the tally counts the request as answered
	more     More   // instead of done: the request stays until it says so
	deadline time.Time
}

// fail ends an entry that is no longer among those that wait.
func (e *entry) fail(err error) {
	if e.more != nil {
		e.more(nil, err)
		return
	}
	e.done(nil, err)
}

// New subscribes to one wildcard subject under the connection's own inbox prefix.
// [Inbox.Close] undoes it. The error wraps [ErrDeaf] where the server refuses the subscription.
func New(nc *nats.Conn) (*Inbox, error) {
	in := &Inbox{
		nc: nc, prefix: nc.NewInbox() + ".", waiting: make(map[Token]entry), sent: make(map[string]*tally),
	}
	in.unwatch = bus.OnRefusal(nc, in.refused)

	connected := nc.Status() == nats.CONNECTED
	err := bus.Listen(nc, func() (err error) {
		if in.sub, err = nc.Subscribe(in.prefix+"*", in.deliver); err != nil {
			return err
		}
		// The senders bound what is outstanding; a limit here would only lose replies.
		return in.sub.SetPendingLimits(-1, -1)
	})

	// A connection that is away, or has broken meanwhile, subscribes when it is back.
	away := !connected || nc.Status() != nats.CONNECTED
	standsAnyway := in.sub != nil && away && !errors.Is(err, bus.ErrPermission)
	if err != nil && !standsAnyway {
		in.unwatch()
		if in.sub != nil {
			err = errors.Join(err, in.sub.Unsubscribe())
		}
		if errors.Is(err, bus.ErrPermission) {
			return nil, fmt.Errorf("%w: %w", ErrDeaf, err)
		}
		return nil, fmt.Errorf("inbox: subscribe: %w", err)
	}

	in.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	in.down.Store(nc.Status() != nats.CONNECTED)
	in.watch.Add(1)
	go in.watchConnection()
	return in, nil
}

// Send publishes a request and returns its token. Either it returns an error, nothing was sent and
// done is never called, or done is called exactly once, unless [Inbox.Cancel] comes before. header
// may be nil. Send refuses to fill the connection's reconnect buffer: an error now beats a message
// that is old when it arrives.
func (in *Inbox) Send(subject string, header nats.Header, body []byte, timeout time.Duration, done Done) (Token, error) {
	return in.send(subject, header, body, timeout, entry{done: done})
}

// SendForMany is [Inbox.Send] for a request that is answered by several messages: more is called
// with each, as [Done] is, until it wants no more, or once with an error.
func (in *Inbox) SendForMany(subject string, header nats.Header, body []byte, timeout time.Duration, more More) (Token, error) {
	return in.send(subject, header, body, timeout, entry{more: more})
}

// Connected reports whether a request can be sent now.
func (in *Inbox) Connected() bool { return !in.down.Load() }

func (in *Inbox) send(subject string, header nats.Header, body []byte, timeout time.Duration, e entry) (Token, error) {
	if in.down.Load() {
		return 0, ErrNotConnected
	}

	e.subject = subject
	token, err := in.register(timeout, e)
	if err != nil {
		return 0, err
	}

	reply := in.prefix + strconv.FormatUint(uint64(token), 36)
	if header == nil {
		err = in.nc.PublishRequest(subject, reply, body)
	} else {
		err = in.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Header: header, Data: body})
	}

	if err == nil {
		return token, nil
	}
	if !in.unsend(token) {
		return token, nil // a lost connection has ended it meanwhile, and done knows
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return 0, fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	return 0, err
}

// register gives an entry its deadline and its token, and counts it as published.
func (in *Inbox) register(timeout time.Duration, e entry) (Token, error) {
	e.deadline = time.Now().Add(timeout)
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return 0, ErrClosed
	case in.deaf != nil:
		return 0, in.deaf
	}

	t := in.sent[e.subject]
	if t == nil {
		t = &tally{}
		in.sent[e.subject] = t
	}
	t.published++
	e.tally = t

	in.last++
	in.waiting[in.last] = e

	if in.timer == nil {
		in.timer = time.AfterFunc(sweep, in.expire)
	}
	return in.last, nil
}

// Cancel forgets a request and reports whether it was still outstanding; if so, its done is not
// called any more.
func (in *Inbox) Cancel(token Token) bool {
	_, found := in.hear(token, true)
	return found
}

// unsend is [Inbox.Cancel] for a request that was not published after all.
func (in *Inbox) unsend(token Token) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	e, found := in.waiting[token]
	if found {
		e.tally.published--
		delete(in.waiting, token)
	}
	return found
}

// refused is told what the server has refused this connection, and ends the requests that nobody
// has heard.
func (in *Inbox) refused(p *bus.PermissionError) {
	if p.Listen {
		if p.Subject == in.prefix+"*" {
			in.deafened(fmt.Errorf("%w: %w", ErrDeaf, p))
		}
		return
	}

	var lost []entry
	in.mu.Lock()
	t := in.sent[p.Subject]
	if t == nil { // another publish of this connection
		in.mu.Unlock()
		return
	}

	t.refused++
	if t.published == t.answered+t.refused {
		for token, e := range in.waiting {
			if e.subject == p.Subject && !e.heard {
				lost = append(lost, e)
				delete(in.waiting, token)
			}
		}
		delete(in.sent, p.Subject)
	}
	in.mu.Unlock()

	for i := range lost {
		lost[i].fail(fmt.Errorf("%w: %w", ErrRefused, p))
	}
}

// deafened ends all outstanding requests, and refuses further ones until the connection is a new
// one.
func (in *Inbox) deafened(err error) {
	in.mu.Lock()
	in.deaf = err
	in.mu.Unlock()
	in.failAll(err)
}

// Abandon ends the requests to these subjects that wait: whoever had them answers no more. Each
// ends with [ErrAbandoned].
func (in *Inbox) Abandon(subjects ...string) {
	var lost []entry
	in.mu.Lock()
	for token, e := range in.waiting {
		if slices.Contains(subjects, e.subject) {
			lost = append(lost, e)
			delete(in.waiting, token)
		}
	}
	in.mu.Unlock()

	for i := range lost {
		lost[i].fail(ErrAbandoned)
	}
}

// Outstanding returns how many requests wait.
func (in *Inbox) Outstanding() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.waiting)
}

// Close ends every outstanding request with [ErrClosed]. The connection stays open.
func (in *Inbox) Close() error {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return nil
	}
	in.closed = true
	in.mu.Unlock()

	in.unwatch()
	err := in.sub.Unsubscribe()
	in.nc.RemoveStatusListener(in.status)
	in.watch.Wait()
	in.failAll(ErrClosed)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return err
}

// hear returns an entry and notes that a message has come for it, the first of which counts as its
// answer; last says that nothing came and nothing is awaited. The entry is forgotten unless it may
// wait for more.
func (in *Inbox) hear(token Token, last bool) (entry, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()

	e, found := in.waiting[token]
	if found && !last && !e.heard {
		e.heard = true
		e.tally.answered++
		in.waiting[token] = e
	}

	if last || e.more == nil {
		delete(in.waiting, token)
	}
	return e, found
}

// deliver hands a message to the request that waits for it. A second reply finds nobody.
func (in *Inbox) deliver(m *nats.Msg) {
	if len(m.Subject) <= len(in.prefix) {
		return
	}
	token, err := strconv.ParseUint(m.Subject[len(in.prefix):], 36, 64)
	if err != nil {
		return
	}
	switch e, found := in.hear(Token(token), false); {
	case !found:
	case e.more == nil:
		e.done(m, nil)
	case !e.more(m, nil):
		in.hear(Token(token), true)
	}
}

// expire ends the requests that are overdue, and comes again while something waits.
func (in *Inbox) expire() {
	now := time.Now()
	var late []entry

	in.mu.Lock()
	for token, e := range in.waiting {
		if e.deadline.Before(now) {
			late = append(late, e)
			delete(in.waiting, token)
		}
	}

	if len(in.waiting) > 0 {
		in.timer.Reset(sweep)
	} else {
		in.timer = nil
	}
	in.mu.Unlock()

	for i := range late {
		late[i].fail(ErrTimeout)
	}
}

// watchConnection ends all outstanding requests when the connection breaks: replies that were on
// their way are lost, and waiting for the deadline would only cost time.
func (in *Inbox) watchConnection() {
	defer in.watch.Done()
	for status := range in.status {
		// Events can be dropped; the state of now cannot.
		in.down.Store(in.nc.Status() != nats.CONNECTED)
		if status != nats.CONNECTED {
			in.forget()
			in.failAll(ErrDisconnected)
		}
	}
}

// forget begins anew with a connection: it may be another user's, or have other permissions.
func (in *Inbox) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.deaf = nil
	clear(in.sent)
}

// failAll ends all outstanding requests.
func (in *Inbox) failAll(err error) {
	in.mu.Lock()
	lost := in.waiting
	in.waiting = make(map[Token]entry)
	in.mu.Unlock()
	for _, e := range lost {
		e.fail(err)
	}
}
