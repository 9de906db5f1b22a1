// Package inbox promises that each request gets at most one end: a reply, or an error,
// handed to a callback once. It keeps any number of requests outstanding on one NATS
// connection at the cost of one subscription, one goroutine and one map entry each.
//
// It exists because nats.Conn.Request wakes a goroutine for every reply; handing the
// reply to a callback in the subscription's own goroutine was measured twice as fast at
// 64 requests at once.
package inbox

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors with which a request ends, or (ErrNotConnected, ErrClosed) does not begin.
var (
	ErrTimeout      = errors.New("inbox: no reply in time")
	ErrDisconnected = errors.New("inbox: the connection was lost before a reply came")
	ErrNotConnected = errors.New("inbox: not connected, nothing was sent")
	ErrClosed       = errors.New("inbox: closed")
)

// sweep is how often deadlines are looked at: a timeout is late by at most this.
const sweep = 20 * time.Millisecond

// Done is told how a request ended: a message, or an error ([ErrTimeout],
// [ErrDisconnected], [ErrClosed]) and no message. It runs in the goroutine that hands
// out replies, so it must not block and must not call Close; it may send the next request. The message
// is its to keep. A server that says that nobody listens says so in a message (header Status).
type Done func(*nats.Msg, error)

// More is told of each message that answers a request with [Inbox.SendForMany], and
// returns whether it waits for another. An error comes last.
type More func(*nats.Msg, error) bool

// Token names an outstanding request.
type Token uint64

// Inbox waits for replies. It is safe for concurrent use. Make it with [New].
type Inbox struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	prefix string // of every reply subject, with the dot
	status chan nats.Status
	watch  sync.WaitGroup
	down   atomic.Bool

	mu      sync.Mutex
	waiting map[Token]entry
	last    Token
	closed  bool
	timer   *time.Timer // runs expire while something waits
}

type entry struct {
	done     Done
	more     More // instead of done: stays until it says so
	deadline time.Time
}

// fail ends an entry that has been taken.
func (e *entry) fail(err error) {
	if e.more != nil {
		e.more(nil, err)
		return
	}
	e.done(nil, err)
}

// New subscribes to one wildcard subject under the connection's own inbox prefix.
// [Inbox.Close] undoes it.
func New(nc *nats.Conn) (*Inbox, error) {
	in := &Inbox{nc: nc, prefix: nc.NewInbox() + ".", waiting: make(map[Token]entry)}
	sub, err := nc.Subscribe(in.prefix+"*", in.deliver)
	if err != nil {
		return nil, fmt.Errorf("inbox: subscribe: %w", err)
	}
	// Who sends bounds what is outstanding; a limit here would only lose replies.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, errors.Join(fmt.Errorf("inbox: pending limits: %w", err), sub.Unsubscribe())
	}
	in.sub = sub
	in.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	in.down.Store(nc.Status() != nats.CONNECTED)
	in.watch.Add(1)
	go in.watchConnection()
	return in, nil
}

// Send publishes a request and returns its token. Either it returns an error, nothing
// was sent and done is never called, or done is called exactly once, unless
// [Inbox.Cancel] comes before. header may be nil. It refuses to fill the connection's
// reconnect buffer: an error now beats a message that is old when it arrives.
func (in *Inbox) Send(subject string, header nats.Header, body []byte, timeout time.Duration, done Done) (Token, error) {
	return in.send(subject, header, body, timeout, entry{done: done})
}

// SendForMany is Send for a request that is answered by several messages: more is called
// for each, as [Done] is, until it wants no more, or once with an error.
func (in *Inbox) SendForMany(subject string, header nats.Header, body []byte, timeout time.Duration, more More) (Token, error) {
	return in.send(subject, header, body, timeout, entry{more: more})
}

// Connected reports whether a request can be sent now.
func (in *Inbox) Connected() bool { return !in.down.Load() }

func (in *Inbox) send(subject string, header nats.Header, body []byte, timeout time.Duration, e entry) (Token, error) {
	if in.down.Load() {
		return 0, ErrNotConnected
	}
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
	if !in.Cancel(token) {
		return token, nil // a lost connection has ended it meanwhile, and done knows
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return 0, fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	return 0, err
}

func (in *Inbox) register(timeout time.Duration, e entry) (Token, error) {
	e.deadline = time.Now().Add(timeout)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return 0, ErrClosed
	}
	in.last++
	in.waiting[in.last] = e
	if in.timer == nil {
		in.timer = time.AfterFunc(sweep, in.expire)
	}
	return in.last, nil
}

// Cancel forgets a request and reports whether it was still outstanding; if so, its
// done is not called any more.
func (in *Inbox) Cancel(token Token) bool {
	_, found := in.take(token, true)
	return found
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
	err := in.sub.Unsubscribe()
	in.nc.RemoveStatusListener(in.status)
	in.watch.Wait()
	in.failAll(ErrClosed)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	return err
}

// take returns an entry, and forgets it unless it may wait for more.
func (in *Inbox) take(token Token, last bool) (entry, bool) {
	in.mu.Lock()
	e, found := in.waiting[token]
	if last || e.more == nil {
		delete(in.waiting, token)
	}
	in.mu.Unlock()
	return e, found
}

// deliver hands a message to whoever waits for it. A second reply finds nobody.
func (in *Inbox) deliver(m *nats.Msg) {
	if len(m.Subject) <= len(in.prefix) {
		return
	}
	token, err := strconv.ParseUint(m.Subject[len(in.prefix):], 36, 64)
	if err != nil {
		return
	}
	switch e, found := in.take(Token(token), false); {
	case !found:
	case e.more == nil:
		e.done(m, nil)
	case !e.more(m, nil):
		in.take(Token(token), true)
	}
}

// expire ends what is overdue, and comes again while something waits.
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

// watchConnection ends what is outstanding when the connection breaks: a reply that
// was on its way is lost, and waiting for the deadline would only cost time.
func (in *Inbox) watchConnection() {
	defer in.watch.Done()
	for status := range in.status {
		// Events can be dropped; the state of now cannot.
		in.down.Store(in.nc.Status() != nats.CONNECTED)
		if status != nats.CONNECTED {
			in.failAll(ErrDisconnected)
		}
	}
}

func (in *Inbox) failAll(err error) {
	in.mu.Lock()
	lost := in.waiting
	in.waiting = make(map[Token]entry)
	in.mu.Unlock()
	for _, e := range lost {
		e.fail(err)
	}
}
