package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/follow"
	"quartet/bus/model"
)

// Event is one thing that a watch tells: what was there, that it has caught up, and each change.
type Event = model.Event

// EventKind is what an [Event] tells.
type EventKind = model.EventKind

// The kinds of events that a watch gives out, for those who import only this package.
const (
	EventValue    = model.EventValue    // what was there when the watch began
	EventCaughtUp = model.EventCaughtUp // all of that has been told
	EventSet      = model.EventSet
	EventDelete   = model.EventDelete
	EventExpire   = model.EventExpire
)

const (
	// watchSilence is for how long a stream may be silent: heartbeats come every 5 s.
	watchSilence = 12 * time.Second
	// watchProbe is how often a silent replica is asked whether it is there: the server says at
	// once if it is not.
	watchProbe = time.Second
)

// FromRevision makes a watch begin after a revision, in place of with what is there.
func FromRevision(n uint64) RequestOption {
	return func(r *Request) { r.Range = &model.Range{From: fmt.Sprint(n)} }
}

// Watch tells of the keys that begin with prefix ("": of all): with each value that is there, then
// that it has caught up, and then with each change as it comes. [With] names the model, by which it
// is told what that model's gets see; without it the watch is linearizable.
//
//   - In models 1 and 2 every committed change is told, exactly once, in the common order, with its
//     revision. The changes of a transaction share a revision, and all but the last have More.
//   - In models 3 and 4 each version of a key is told once, in the order in which it becomes
//     visible at the replica that serves the watch, and the last of each key is its final value.
//
// The watch goes on by itself when its replica dies, when the view changes, the master restarts or
// the connection is lost: at another replica, without a gap and without a repeat. It ends when the
// loop is left, with ctx (and its error), when it is refused, and with [ErrGone] if the changes
// that it is to go on from are not kept any more, or [ErrOtherHistory] if the cluster's history is
// not that of the events that were told, as after a restored backup: whoever wants to goes on with
// a new watch. While no event has come yet, it also ends when no cluster answers.
//
// An event is acknowledged when the loop's body has returned. While it does not, the cluster holds
// back what would be more than 1 MiB.
func (c *Client) Watch(ctx context.Context, prefix string, opts ...RequestOption) iter.Seq2[Event, error] {
	return c.watch(ctx, nil, prefix, opts)
}

// Watch is [Client.Watch] within the session: it begins after what the session has seen, so what is
// told to be there is not older than that, in the sequential and the causal model, too. And what is
// told has been seen: a request of the session that follows an event, in the loop's body as well,
// is answered with that or with what is newer. If the session's history has ended, the watch ends
// at once with [ErrOtherHistory].
//
// The loop belongs to the goroutine that has the session.
func (s *Session) Watch(ctx context.Context, prefix string, opts ...RequestOption) iter.Seq2[Event, error] {
	return s.c.watch(ctx, s, prefix, opts)
}

// watch is a watch of a session, or (nil) of none.
func (c *Client) watch(ctx context.Context, s *Session, prefix string, opts []RequestOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := watch{c: c, session: s, request: build(model.Watch, prefix, nil, opts), yield: yield}
		if s != nil {
			s.ask(&w.request)
			w.history = s.history
		}
		if err := w.request.check(); err != nil {
			yield(Event{}, err)
			return
		}

		from := ""
		if w.request.Range != nil {
			from = w.request.Range.From
		}
		w.follower = follow.New(w.request.Model, from)
		if err := w.run(ctx); err != nil && !w.left {
			yield(Event{}, err)
		}
	}
}

// watch is a watch that is under way.
type watch struct {
	c        *Client
	session  *Session // nil: it is of none
	request  Request
	follower *follow.Follower
	history  bus.History // where that of the cluster stood at the newest event
	yield    func(Event, error) bool
	left     bool   // the loop has ended
	began    bool   // an event has come, of whatever stream
	given    uint64 // events
	failures int    // streams in a row that told nothing
}

// errResume ends a stream after which another one follows.
var errResume = errors.New("client: the stream of a watch has ended")

// run follows stream after stream until the watch is over.
func (w *watch) run(ctx context.Context) error {
	for {
		begun := time.Now()
		err := w.stream(ctx)
		switch {
		case w.left: // whoever ranges over the events has ended the loop
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.isOver(err):
			return err
		}

		w.c.o.log.Debug("client: watch goes on", "prefix", w.request.Key, "from", w.follower.From(), "error", err)
		p := Pending{c: w.c, sent: begun, attempts: max(w.failures, 1)}
		if err := p.pause(ctx); err != nil {
			return err
		}
	}
}

// isOver reports whether a stream's end is the watch's.
func (w *watch) isOver(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) {
		return !errors.Is(err, errResume)
	}
	if errors.Is(err, nats.ErrConnectionClosed) { // for good
		return true
	}
	mayHelp := failed.Code == 0 || failed.Code == model.TooEarly || failed.Code == model.Unavailable || failed.Code == model.Unknown
	if !mayHelp {
		return true
	}
	return !w.began && w.failures > w.c.o.retries
}

// stream asks for the next stream, and follows it to its end.
func (w *watch) stream(ctx context.Context) error {
	w.failures++
	inbox := w.c.nc.NewInbox()
	sub, err := w.c.nc.SubscribeSync(inbox)
	if err != nil {
		return w.c.notSent(err).failure(&w.request, &Result{})
	}
	end := func() { _ = sub.Unsubscribe() } // of a connection that is closed nothing is left
	defer end()
	defer context.AfterFunc(ctx, end)() // who waits for a message then waits no more
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return w.c.notSent(err).failure(&w.request, &Result{})
	}
	door := w.c.door(model.Watch)
	refused := make(chan *bus.PermissionError, 1)
	defer bus.OnRefusal(w.c.nc, func(p *bus.PermissionError) {
		if p.Subject != inbox && p.Subject != door {
			return
		}
		select {
		case refused <- p:
		default: // it has been told
		}
		end()
	})()
	s := stream{w: w, sub: sub, inbox: inbox, asked: time.Now()}
	if err := w.ask(door, inbox); err != nil {
		return err
	}

	for {
		m, err := s.next(ctx)
		if err != nil {
			select {
			case p := <-refused:
				if w.c.tryReading(model.Watch, p.Subject) {
					return errResume
				}
				return w.c.forbidden(p)
			default:
				return err
			}
		}
		if err := s.take(m); err != nil || w.left {
			return err
		}
	}
}

// ask sends the request for the next stream to a door.
func (w *watch) ask(door, inbox string) error {
	r := w.request
	r.Range = nil
	from := w.follower.Begin()
	if from != "" {
		r.Range = &model.Range{From: from}
	}
	if r.Model.Strong() {
		r.MinPosition = max(r.MinPosition, w.follower.Least())
	}
	r.Client = w.c.o.name
	if w.history != (bus.History{}) {
		r.History, r.AsksHistory = w.history, true
	}

	body, err := bus.AppendMsgpack(nil, &r.Request)
	if err != nil {
		return refusal(err)
	}
	header := r.Options.Header(r.Model)
	if header == nil {
		header = nats.Header{}
	}
	header[bus.HeaderEventFields] = []string{strconv.Itoa(bus.EventMost)}
	if r.MinPosition > 0 { // of model 1, too: what was told is of the history that is named
		header[bus.HeaderMinPosition] = []string{strconv.FormatUint(r.MinPosition, 10)}
	}
	m := &nats.Msg{Subject: door, Reply: inbox, Header: header, Data: body}
	if err := w.c.nc.PublishMsg(m); err != nil {
		return w.c.notSent(err).failure(&w.request, &Result{})
	}
	return nil
}

// stream is what comes of one request.
type stream struct {
	w     *watch
	sub   *nats.Subscription
	inbox string
	asked time.Time // before the request was sent
	flow  string    // where the newest event is to be acknowledged; "": nowhere yet

	frames bus.FrameReader
}

// next waits for the next message. A stream that is silent is over: at once if its replica is not
// there any more, else after watchSilence. Before its first event it is over after the client's
// timeout, and once a master begins that was not asked.
func (s *stream) next(ctx context.Context) (*nats.Msg, error) {
	since, wait := time.Now(), watchSilence
	if s.flow == "" {
		since, wait = s.asked, s.w.c.o.timeout // whatever else has come meanwhile
	}
	for {
		m, err := s.sub.NextMsg(watchProbe)
		_, led := s.w.c.led.next()
		wasLost := s.flow == "" && led.After(s.asked) // with the master that had it
		switch {
		case err == nil:
			return m, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, nats.ErrNoResponders): // a message, for nats.go an error
			return nobodyListens, nil
		case !errors.Is(err, nats.ErrTimeout):
			return nil, s.w.c.notSent(err).failure(&s.w.request, &Result{})
		case wasLost, time.Since(since) >= wait:
			return nil, &Error{Attempts: 1, Reason: "no event in time", Err: errResume}
		}
		if s.flow != "" {
			s.acknowledge()
		}
	}
}

// nobodyListens is what the server says where nobody listens.
var nobodyListens = &nats.Msg{Header: nats.Header{"Status": {"503"}}}

// take takes a message: events, a refusal, or the server's word that nobody listens.
func (s *stream) take(m *nats.Msg) error {
	switch {
	case bus.IsFrame(m):
		if err := s.frame(m.Data); err != nil {
			return err
		}
	case bus.IsEvent(m):
		e, err := bus.ParseEvent(m)
		if err != nil {
			return fmt.Errorf("%w: %w", errResume, err)
		}
		if err := s.event(&e); err != nil {
			return err
		}
	default:
		return s.refused(m)
	}

	if m.Reply != "" && !s.w.left {
		s.flow = m.Reply
		s.acknowledge()
	}
	return nil
}

// frame takes the events of a frame. What is given out shares no memory with it: who keeps one
// value does not keep the others.
func (s *stream) frame(body []byte) error {
	var failed error
	err := s.frames.Read(body, func(e *bus.Event) bool {
		e.Value = bytes.Clone(e.Value)
		failed = s.event(e)
		return failed == nil && !s.w.left
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return fmt.Errorf("%w: %w", errResume, err)
	}
	return nil
}

// event takes an event, and where the history stands if it says that.
func (s *stream) event(e *bus.Event) error {
	w := s.w
	if e.History.Epoch >= w.history.Epoch && e.History != (bus.History{}) { // a replica may be late
		w.history = e.History
	}
	verdict := w.follower.Take(e.Stream, &e.Event, w.give)
	switch {
	case w.left:
		return nil
	case verdict == follow.Gone: // what it would go on from is kept no more
		return &Error{Code: model.Gone, Reason: e.Reason, Attempts: 1}
	case verdict == follow.Resume: // an event is missing, or the stream has ended
		return fmt.Errorf("%w: %s", errResume, e.Reason)
	}
	w.began, w.failures = true, 0
	return nil
}

// give gives an event out.
func (w *watch) give(e Event) {
	w.given++
	e.Sequence = w.given // its streams count anew, the watch does not
	if w.session != nil {
		w.session.heard(&e, w.history)
	}
	if !w.left && !w.yield(e, nil) {
		w.left = true
	}
}

// acknowledge says that the events up to the newest that asked for it have come. It is sent as a
// request, so that the server says at once if its replica is not there any more.
func (s *stream) acknowledge() {
	if err := s.w.c.nc.PublishRequest(s.flow, s.inbox, nil); err != nil {
		s.w.c.o.log.Debug("client: an acknowledgement of a watch was not sent", "error", err)
	}
}

// refused reads a message that is no event: what is none of the cluster's is passed over.
func (s *stream) refused(m *nats.Msg) error {
	if !bus.IsReply(m) {
		return nil
	}
	reply, err := bus.ParseReply(m)
	isGone := errors.Is(err, bus.ErrNoResponders) && s.flow != ""
	switch {
	case isGone:
		return fmt.Errorf("%w: the replica that served it is gone", errResume)
	case err != nil && !errors.Is(err, bus.ErrNoResponders):
		return nil
	}
	if reply.Code == model.OK && err == nil {
		return nil
	}
	var result Result
	return s.w.c.read(&reply, err, &result).failure(&s.w.request, &result)
}
