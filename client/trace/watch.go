package trace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// ErrWatch is wrapped by the errors of [Watch].
var ErrWatch = errors.New("trace: cannot listen")

const (
	heard     = 65_536 // messages that may wait to be looked at
	lookEvery = 20 * time.Millisecond
)

// Watcher listens to all that a cluster says. [Watcher.Close] ends it.
type Watcher struct {
	c      *collector
	in     chan *nats.Msg
	subs   []*nats.Subscription
	done   chan struct{} // is closed by Close
	ended  sync.WaitGroup
	traces chan *Trace
	once   sync.Once
}

// usualInboxes is the prefix of the subjects on which clients of NATS await replies.
const usualInboxes = "_INBOX"

// Watch begins to listen; when it returns, the server knows. inbox is the prefix of the subjects
// on which some clients await their replies besides the usual one, or "": replies on other
// subjects are not heard, and nor are replies that a server's permissions keep from us. Traces
// come on [Watcher.Traces] as requests end. The error wraps [bus.ErrPermission] where the server
// does not let us hear the cluster.
func Watch(nc *nats.Conn, subjects bus.Subjects, inbox string) (*Watcher, error) {
	listen := []string{subjects.All(), usualInboxes + ".>"}
	if inbox != "" && inbox != usualInboxes {
		listen = append(listen, inbox+".>")
	}

	w := &Watcher{
		c: newCollector(subjects), in: make(chan *nats.Msg, heard),
		done: make(chan struct{}), traces: make(chan *Trace),
	}

	// One channel for all, so that requests, what nodes say and replies keep their order.
	for i, subject := range listen {
		err := bus.Listen(nc, func() error {
			sub, err := nc.ChanSubscribe(subject, w.in)
			if err == nil {
				w.subs = append(w.subs, sub)
			}
			return err
		})
		isReplies := i > 0
		if isReplies && errors.Is(err, bus.ErrPermission) {
			continue // the rest is worth showing without them
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrWatch, err), w.unsubscribe())
		}
	}
	w.ended.Go(w.listen)
	return w, nil
}

// Traces returns the channel on which a request comes when it has ended. It must be read. It is
// closed by [Watcher.Close].
func (w *Watcher) Traces() <-chan *Trace { return w.traces }

// listen hears messages and hands on the traces of requests that are over, until Close.
func (w *Watcher) listen() {
	defer close(w.traces)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()

	for {
		select {
		case m := <-w.in:
			w.c.hear(m, time.Now())
		case now := <-tick.C:
			if !w.hand(w.c.finished(now)) {
				return
			}
		case <-w.done:
			return
		}
	}
}

// hand gives traces to their reader and goes on listening until they are taken. It returns false
// once the watcher is closed.
func (w *Watcher) hand(traces []*Trace) bool {
	for len(traces) > 0 {
		select {
		case w.traces <- traces[0]:
			traces = traces[1:]
		case m := <-w.in:
			w.c.hear(m, time.Now())
		case <-w.done:
			return false
		}
	}
	return true
}

// Await returns the trace of one request when it has ended.
func (w *Watcher) Await(ctx context.Context, rid uint64) (*Trace, error) {
	for {
		select {
		case t, open := <-w.traces:
			if !open {
				return nil, fmt.Errorf("%w: closed", ErrWatch)
			}
			if t.RID == rid {
				return t, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Missed returns how many messages, and how many requests under way, were lost because
// more came than could be looked at.
func (w *Watcher) Missed() (messages, requests int) {
	for _, sub := range w.subs {
		if n, err := sub.Dropped(); err == nil {
			messages += n
		}
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return messages, w.c.lost
}

func (w *Watcher) unsubscribe() error {
	var all []error
	for _, sub := range w.subs {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Close stops listening. The connection stays open.
func (w *Watcher) Close() error {
	var err error
	w.once.Do(func() {
		err = w.unsubscribe()
		close(w.done)
		w.ended.Wait()
	})
	return err
}
