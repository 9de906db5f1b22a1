package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/secure"
	"quartet/client/inbox"
)

// Client sends requests to one cluster. It is safe for concurrent use, and any number
// of requests share its connection. Make it with [Connect] or [New].
type Client struct {
	o        options
	nc       *nats.Conn
	owned    bool // nc is ours to close
	in       *inbox.Inbox
	out      *gatherer
	named    nats.Header // of every batch: the client's name, if it has one, and what answers it reads
	subjects bus.Subjects

	reads atomic.Bool   // the server lets us read alone: see door
	seen  atomic.Uint64 // bit n: replica rn has answered; see another
	led   *led

	ids  string        // what the ids of its requests begin with
	made atomic.Uint64 // how many it has made
}

// Connect dials url, one or more of them joined by commas ("nats://127.0.0.1:4222"),
// and makes a client. ctx bounds the dialling only; afterwards the connection comes back
// by itself for ever. The error is [ErrNoCluster] when no server could be reached;
// whether a cluster answers there is only found out by a request.
func Connect(ctx context.Context, url string, opts ...Option) (*Client, error) {
	return ConnectWith(ctx, bus.DialOptions{URL: url}, opts...)
}

// New makes a client on a connection that stays the caller's. Give the connection
// nats.ReconnectBufSize(-1), or a request may be sent long after it was given up.
func New(nc *nats.Conn, opts ...Option) (*Client, error) { return newClient(nc, collect(opts)) }

func collect(opts []Option) options {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// namedHeader is the header of a client's batches.
func namedHeader(name string) nats.Header {
	h := (&bus.Options{Client: name}).Header(0)
	if h == nil {
		h = nats.Header{}
	}
	h[bus.HeaderAnswerFields] = []string{strconv.Itoa(bus.AnswerMost)}
	return h
}

func newClient(nc *nats.Conn, o options) (*Client, error) {
	subjects, err := bus.NewSubjects(o.prefix)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if err := bus.CheckName(bus.HeaderClient, o.name); o.name != "" && err != nil {
		return nil, refusal(err)
	}
	in, err := inbox.New(nc)
	switch {
	case errors.Is(err, inbox.ErrDeaf):
		return nil, (&Client{subjects: subjects}).forbidden(err)
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{o: o, nc: nc, in: in, subjects: subjects, ids: newPrefix(), named: namedHeader(o.name)}
	c.out = newGatherer(c)
	if c.led, err = c.hearLed(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// unreachable tells a server that is not there from one that refuses us.
func unreachable(err error) bool {
	var alert tls.AlertError
	var said *net.OpError // package tls says so of an alert that the other end has sent
	isSaid := errors.As(err, &said) && said.Op == "remote error"
	isRefusal := isSaid || errors.As(err, &alert) || errors.Is(err, secure.ErrEnded)
	if isRefusal {
		return false
	}
	var network net.Error
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network)
}

// Close ends what is outstanding, as [ErrUnknownOutcome], and the connection too if
// [Connect] made it.
func (c *Client) Close() error {
	c.led.close()
	err := c.in.Close()
	c.out.close()
	if c.owned {
		c.nc.Close()
	}
	if err != nil {
		return fmt.Errorf("client: close: %w", err)
	}
	return nil
}

// Get reads a key. The error is [ErrNotFound] when it has no value; see the package's
// errors for the rest.
func (c *Client) Get(ctx context.Context, key string, opts ...RequestOption) (Result, error) {
	return c.Do(ctx, build(model.Get, key, nil, opts))
}

// Set writes a key. On [ErrUnknownOutcome] it may have been written.
func (c *Client) Set(ctx context.Context, key string, value []byte, opts ...RequestOption) (Result, error) {
	return c.Do(ctx, build(model.Set, key, value, opts))
}

func build(t model.Type, key string, value []byte, opts []RequestOption) Request {
	r := Request{Request: model.Request{Model: Linearizable, Type: t, Key: key, Value: value}}
	for _, opt := range opts {
		opt(&r)
	}
	return r
}

// Do sends a request and waits for its end, retries included. The error, if any, is an
// [*Error]; a get of a missing key is one.
func (c *Client) Do(ctx context.Context, r Request) (Result, error) {
	p, err := c.Begin(ctx, r)
	if err != nil {
		return Result{}, err
	}
	return p.Wait(ctx)
}

// Start sends a request once, as it is (a set without an id stays without), and has
// done called with its end, once: never again sent, never retried. It is what a load
// generator needs: no goroutine waits. done runs in the goroutine that hands out all
// replies (or, if the request could not be sent after all, in one of its own), so it must
// not block; it may call Start. When Start returns an error, nothing
// was sent and done is not called.
func (c *Client) Start(r Request, done func(Result, error)) error {
	if err := r.checkOne(); err != nil {
		return err
	}
	if !c.in.Connected() {
		return c.notSent(inbox.ErrNotConnected).failure(&r, &Result{})
	}
	r.Age = age(r.FirstSent)
	c.out.add(c.newSending(&r, func(reply *bus.Reply, err error) {
		var result Result
		v := c.read(reply, err, &result)
		done(result, v.failure(&r, &result))
	}))
	return nil
}

// ask sends what is no request of the key space once, and returns the body of the first
// answer that has a field.
func (c *Client) ask(ctx context.Context, subject string, body []byte, field string) ([]byte, error) {
	type answer struct {
		m   *nats.Msg
		err error
	}

	answers := make(chan answer, 1)
	var strangers atomic.Int32 // a timer may end what a message has begun
	token, err := c.in.SendForMany(subject, nil, body, c.o.timeout, func(m *nats.Msg, err error) bool {
		if err == nil && !bus.IsAnswer(m, field) {
			strangers.Add(1)
			return true
		}
		if err != nil {
			err = besides(int(strangers.Load()), err)
		}
		answers <- answer{m, err}
		return false
	})
	if err != nil {
		return nil, c.notSent(err).failure(&Request{}, &Result{})
	}

	select {
	case a := <-answers:
		switch {
		case errors.Is(a.err, bus.ErrPermission):
			return nil, c.forbidden(a.err)
		case a.err != nil:
			return nil, &Error{Code: model.Unavailable, Reason: "no answer", Attempts: 1, Err: fmt.Errorf("%w: %w", ErrNoCluster, a.err)}
		case isNoResponders(a.m):
			return nil, &Error{Code: model.Unavailable, Reason: "nobody listens", Attempts: 1, Err: ErrNoCluster}
		}
		return a.m.Data, nil
	case <-ctx.Done():
		c.in.Cancel(token)
		return nil, &Error{Code: model.Unavailable, Attempts: 1, Err: fmt.Errorf("%w: %w", ErrNoCluster, context.Cause(ctx))}
	}
}

func isNoResponders(m *nats.Msg) bool {
	_, err := bus.ParseReply(m)
	return errors.Is(err, bus.ErrNoResponders)
}

// newID returns an id that no other client will use: PREFIX.NUMBER, which a cluster remembers in
// fewer bytes than letters that are drawn (package dedup).
func (c *Client) newID() string {
	b := make([]byte, 0, len(c.ids)+12)
	return string(strconv.AppendUint(append(b, c.ids...), c.made.Add(1), 10))
}

// newPrefix draws what the ids of a client begin with: 12 letters, as NUIDs do, which the system's
// source of randomness has drawn, and a dot.
func newPrefix() string { return nuid.New().Next()[:prefixLetters] + "." }

const prefixLetters = 12
