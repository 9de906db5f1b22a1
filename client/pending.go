package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client/inbox"
)

// Pending is a request that was sent and has not ended. It belongs to one goroutine.
type Pending struct {
	c       *Client
	r       Request
	ends    chan ended
	sending *sending // the last; nil: it has ended
	pinned  string   // the replica that the next sending asks for
	refused []string

	first    time.Time // when it was sent first
	sent     time.Time // when the last sending began
	attempts int
	unknown  bool // an earlier sending may take effect
	writes   bool // it may change what a key holds
	result   Result
}

type ended struct {
	reply bus.Reply
	err   error
}

// Begin sends a request for the first time, gives a set without an id one, and returns
// without waiting: requests that one goroutine begins are sent in this order. Every
// Pending needs a [Pending.Wait]. The error is an [*Error], and is returned only for a
// request that is not sent because it could not be right.
func (c *Client) Begin(ctx context.Context, r Request) (*Pending, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, &Error{Reason: "not sent", ID: r.Identity, Err: err}
	}
	if r.Identity != "" {
		if err := bus.CheckName(bus.HeaderMsgID, r.Identity); err != nil {
			return nil, refusal(err)
		}
	}
	if err := r.checkOne(); err != nil {
		return nil, err
	}
	writes := r.Writes() && !readsOnly(&r)
	if r.Identity == "" && writes {
		r.Identity = c.newID()
	}
	if c.o.trace != nil && r.Traceparent == "" {
		r.Traceparent, r.Tracestate = c.o.trace(ctx)
	}
	p := &Pending{c: c, r: r, writes: writes, pinned: r.Replica, first: r.FirstSent, ends: make(chan ended, 1)}
	if p.first.IsZero() {
		p.first = time.Now()
	}
	p.send()
	return p, nil
}

// ID returns the request's Nats-Msg-Id, "" for a get without one.
func (p *Pending) ID() string { return p.r.Identity }

func (p *Pending) send() {
	p.attempts++
	p.sent = time.Now()
	p.r.Age = 0
	again := p.attempts > 1 || !p.r.FirstSent.IsZero()
	if p.writes && again {
		p.r.Age = age(p.first)
	}

	p.sending = p.c.newSending(&p.r, func(reply *bus.Reply, err error) {
		end := ended{err: err}
		if reply != nil {
			end.reply = *reply
		}
		p.ends <- end
	})
	p.sending.item.Replica = p.pinned
	p.sending.waited = true
	p.c.out.add(p.sending)
}

// age is how long ago something was, in milliseconds rounded up; 0 of the zero time.
func age(first time.Time) uint64 {
	if first.IsZero() {
		return 0
	}
	return uint64(max(time.Since(first), 0)/time.Millisecond) + 1
}

// late reports whether the time is over in which a set is sure to be recognised when it is
// sent again.
func (p *Pending) late() bool {
	return p.writes && time.Since(p.first) >= bus.RetryWindow
}

// unsent marks the error of a sending that left nothing behind.
type unsent struct{ error }

func (u *unsent) Unwrap() error { return u.error }

// Wait waits for the request's end and retries as the package says. When ctx ends first
// the error wraps its cause, and is [ErrUnknownOutcome] if a sending has no answer.
func (p *Pending) Wait(ctx context.Context) (Result, error) {
	for {
		select {
		case end := <-p.ends:
			v := p.judge(end)
			if v.final || p.attempts > p.c.o.retries || p.late() {
				return p.finish(v)
			}
			p.c.o.log.Debug("client: sending again", "id", p.r.Identity, "key", p.r.Key, "attempt", p.attempts, "code",
				uint16(v.code), "reason", v.reason, "error", v.err)
			if err := p.pause(ctx); err != nil {
				v.err = err
				return p.finish(v)
			}
			if p.late() { // the pause was long
				return p.finish(v)
			}
			p.send()

		// The caller gives up: what is known by then is its answer.
		case <-ctx.Done():
			if p.sending != nil && p.sending.cancel() {
				p.sending = nil
				return p.finish(verdict{unknown: true, err: context.Cause(ctx), reason: "gave up waiting"})
			}
			// The end has come, or is on its way: it decides.
			v := p.judge(<-p.ends)
			if !v.final {
				v.err = errors.Join(context.Cause(ctx), v.err)
			}
			return p.finish(v)
		}
	}
}

// judge reads an end and prepares the next sending.
func (p *Pending) judge(end ended) verdict {
	p.sending = nil
	v := p.c.read(&end.reply, end.err, &p.result)
	p.unknown = p.unknown || v.unknown
	chosen := p.pinned != p.r.Replica // by us, after a 425
	switch {
	case chosen && v.code == model.Malformed, chosen && v.code == model.Unavailable:
		// The replica that we remembered is gone: not the request's fault.
		p.c.forget(p.pinned)
		p.pinned, v.final, v.code = p.r.Replica, false, model.Unavailable
	case v.code == model.TooEarly && p.r.Replica == "":
		p.refused = append(p.refused, p.result.Replica.String())
		p.pinned = p.c.another(p.refused)
	default:
		p.pinned = p.r.Replica
	}
	return v
}

// pause waits before the next sending, the longer the more have failed; but no longer once a master
// has begun to lead.
func (p *Pending) pause(ctx context.Context) error {
	begins, last := p.c.led.next()
	d := min(firstPause<<min(p.attempts-1, 16), maxPause)
	if last.After(p.sent) {
		d = firstPause
	}
	timer := time.NewTimer(d/2 + rand.N(d/2))
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-begins:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish turns the last verdict into what Wait returns.
func (p *Pending) finish(v verdict) (Result, error) {
	p.result.Attempts = p.attempts
	if v.code == model.OK {
		return p.result, nil
	}
	// Sent again after a sending without an answer, a write stays unknown whatever refuses the
	// later one. That its condition did not hold is no refusal: it is the first outcome of all of
	// them. What only reads has no effect to be unknown about. The same goes for what an earlier call
	// has sent; but of that ErrGone says all that is known.
	ofEarlierCall := !p.r.FirstSent.IsZero() && v.code != model.Gone
	mayHaveTaken := p.unknown || ofEarlierCall
	writeStaysUnknown := mayHaveTaken && p.writes && v.code != model.Failed
	v.unknown = v.unknown || writeStaysUnknown
	err := v.failure(&p.r, &p.result)
	var failed *Error
	if errors.As(err, &failed) {
		failed.FirstSent = p.first
	}
	return p.result, err
}

// verdict is what one sending came to.
type verdict struct {
	code    model.Code // of the reply; 0: none came
	final   bool       // sending again cannot help
	unknown bool       // it may take effect
	reason  string
	err     error
}

// besides says of the end of a request without a reply that somebody else has answered it.
func besides(strangers int, err error) error {
	if strangers == 0 {
		return err
	}
	return fmt.Errorf("%w (but %d messages that are none of quartet's: who else answers on its subjects says quartet "+
		"doctor)", err, strangers)
}

// read fills result from the end of a sending, and judges it.
func (c *Client) read(reply *bus.Reply, err error, result *Result) verdict {
	if err != nil {
		*result = Result{}
		var no *unsent
		switch {
		case errors.As(err, &no):
			return c.notSent(no.error)
		case errors.Is(err, inbox.ErrRefused):
			return c.notSent(err)
		case errors.Is(err, inbox.ErrDeaf): // it was sent before that was known
			return verdict{final: true, unknown: true, err: err, reason: permission(err)}
		case errors.Is(err, bus.ErrNoResponders): // no master heard it, so another try is safe
			return verdict{err: fmt.Errorf("%w: %w", ErrNoCluster, err), reason: "nobody answers requests there"}
		case errors.Is(err, inbox.ErrClosed): // while it was under way
			return verdict{final: true, unknown: true, err: ErrClosed, reason: err.Error()}
		}
		return verdict{unknown: true, err: err, reason: err.Error()}
	}

	*result = resultOf(reply)
	c.remember(reply.Replica)

	v := verdict{code: reply.Code, reason: reply.Reason}
	switch reply.Code {
	case model.OK, model.NotFound, model.Malformed, model.Conflict, model.Gone, model.Failed,
		model.TooLarge, model.Misdirected:
		v.final = true
	case model.TooEarly, model.Unavailable: // worth another try
	case model.Unknown:
		v.unknown = true
	default: // a code of a later contract: 4xx is a refusal, anything else says nothing
		v.final = true
		v.unknown = reply.Code < 400 || reply.Code >= 500
	}
	return v
}

// notSent judges a sending that failed before it left.
func (c *Client) notSent(err error) verdict {
	switch {
	case errors.Is(err, bus.ErrPermission):
		e := c.forbidden(err)
		return verdict{final: true, code: e.Code, reason: e.Reason, err: err}
	case errors.Is(err, nats.ErrMaxPayload):
		return verdict{final: true, code: model.TooLarge, reason: "larger than the server's max_payload", err: err}
	case errors.Is(err, inbox.ErrClosed):
		return verdict{final: true, reason: "the client is closed", err: ErrClosed}
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return verdict{final: true, reason: "the connection is closed", err: fmt.Errorf("%w: %w", ErrNoCluster, err)}
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported):
		return verdict{final: true, reason: err.Error(), err: err}
	}
	return verdict{reason: "not connected", err: fmt.Errorf("%w: %w", ErrNoCluster, err)}
}

// failure returns nil for OK and else the *Error.
func (v verdict) failure(r *Request, result *Result) error {
	if v.code == model.OK {
		return nil
	}
	e := &Error{
		Code: v.code, Reason: v.reason, ID: r.Identity, RID: result.RID,
		Attempts: max(1, result.Attempts), Unknown: v.unknown, Err: v.err,
	}
	switch {
	case v.code != model.Failed: // what follows is told of conditions alone
	case r.Type == model.Txn:
		e.Failed, e.Revision = failedStep(result)
	default:
		e.Revision = result.Revision
	}
	if e.Unknown && errors.Is(e.Err, ErrNoCluster) {
		e.Err = nil // of the last sending; it must not make an unknown outcome look definite
	}
	return e
}

// remember notes that a replica has answered. Clusters are small: r64 and above are
// simply never chosen after a 425.
func (c *Client) remember(n lamport.Node) {
	if bit := uint64(1) << n; n < 64 && n > 0 && c.seen.Load()&bit == 0 {
		c.seen.Or(bit)
	}
}

func (c *Client) forget(name string) {
	if n, err := lamport.ParseNode(name); err == nil && n < 64 {
		c.seen.And(^(uint64(1) << n))
	}
}

// another picks a replica that has answered before and has not refused; "" (whichever
// the cluster picks) where none is known.
func (c *Client) another(refused []string) string {
	var names []string
	seen := c.seen.Load()
	for n := lamport.Node(1); n < 64; n++ {
		if name := n.String(); seen&(1<<n) != 0 && !slices.Contains(refused, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[rand.IntN(len(names))]
}
