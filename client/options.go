package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"quartet/bus"
)

// Defaults of a [Client].
const (
	// DefaultTimeout is how long one sending waits. It is longer than the cluster's own
	// request timeout (5 s), so that the cluster's word comes first.
	DefaultTimeout = 6 * time.Second
	DefaultRetries = 6 // with their pauses 1.6 s in all, if each fails at once
)

// The pauses between sendings: they double, and each is shortened by up to half at
// random so that clients which failed together do not come back together.
const (
	firstPause = 25 * time.Millisecond
	maxPause   = time.Second
)

type options struct {
	name    string
	prefix  string
	timeout time.Duration
	retries int
	log     *slog.Logger
	tls     *tls.Config
	trace   func(context.Context) (traceparent, tracestate string) // or nil
}

func defaults() options {
	return options{
		prefix: bus.DefaultPrefix, timeout: DefaultTimeout, retries: DefaultRetries,
		log: slog.New(slog.DiscardHandler),
	}
}

// Option changes one setting of a [Client].
type Option func(*options)

// WithName sets the client's role name, sent with every request for logs and reports:
// 1 to 256 printable bytes.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// WithPrefix sets the first part of the cluster's subjects instead of "quartet".
func WithPrefix(prefix string) Option { return func(o *options) { o.prefix = prefix } }

// WithTimeout sets how long one sending waits for its reply; see [DefaultTimeout].
// Not above 0: the default.
func WithTimeout(d time.Duration) Option {
	return func(o *options) {
		if o.timeout = d; d <= 0 {
			o.timeout = DefaultTimeout
		}
	}
}

// WithRetries sets how often a request is sent again at most; 0: never.
func WithRetries(n int) Option { return func(o *options) { o.retries = max(0, n) } }

// WithLogger has retries (debug) and the connection's troubles (warn) logged.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) {
		if log != nil {
			o.log = log
		}
	}
}

// WithPropagator has every request that brings no Traceparent of its own ask propagate for
// one: with OpenTelemetry,
//
//	func(ctx context.Context) (string, string) {
//		c := propagation.MapCarrier{}
//		propagation.TraceContext{}.Inject(ctx, c)
//		return c["traceparent"], c["tracestate"]
//	}
//
// It is called once for each request, with the context of [Client.Do] or [Client.Begin], and
// by any goroutine; "" is none.
func WithPropagator(propagate func(ctx context.Context) (traceparent, tracestate string)) Option {
	return func(o *options) { o.trace = propagate }
}

// WithTLS sets the TLS configuration of [Connect]; [New] has no use for it.
func WithTLS(c *tls.Config) Option { return func(o *options) { o.tls = c } }
