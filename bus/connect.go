package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors of connecting.
var (
	ErrDial      = errors.New("bus: cannot connect")
	ErrSubscribe = errors.New("bus: cannot subscribe")
)

// What a subscription holds at most before the bus drops: see [Subscribe].
const (
	PendingMessages = 1_000_000
	PendingBytes    = 256 << 20
)

const (
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 150 * time.Millisecond // on top of the wait
	dialTimeout     = 2 * time.Second        // of one server, unless the context ends sooner
	flusherTimeout  = 5 * time.Second        // of one write to the server
	flushTimeout    = 5 * time.Second        // of a round trip to the server
	pingInterval    = 10 * time.Second       // finds a dead connection, not a dead node
	pingElsewhere   = time.Second            // the same where another server is known: silence of 3 s is its end
)

// FrontUser is the user of the embedded server's clients' account as which nodes speak to clients;
// its password is the nodes'.
const FrontUser = "quartet-front"

// Environment variables with which a master tells its replicas the credentials of the
// nodes' account; an argument would show in the list of processes.
const (
	EnvNodeUser     = "QUARTET_NODE_USER"
	EnvNodePassword = "QUARTET_NODE_PASSWORD"
)

// DialOptions say where to connect, and as whom.
type DialOptions struct {
	URL       string                     // one or more, joined by commas; unused with InProcess
	Name      string                     // of the connection, in the server's lists
	User      string                     // "": anonymous, or as the URL says
	Password  string                     //
	InProcess nats.InProcessConnProvider // the embedded server of this process, or nil
	TLS       *tls.Config                // nil: as the URL says
	Log       *slog.Logger               // nil: nothing is logged

	// Rejoined is called when the connection is there again after it was away. It must only append
	// (see [Inbox]). nil: nobody is told.
	Rejoined func()

	// Connect makes the connection with these options in place of [nats.Connect] to URL,
	// which then only names the server in errors: package dial's, with what a user has set.
	// nil: nats.Connect. It may be called again, at the same time too.
	Connect func(options ...nats.Option) (*nats.Conn, error)
}

// Dial connects to a server that is there now: with none it fails at once, wrapping
// [ErrDial]. Once connected it reconnects for ever. While it is away a publish fails at
// once ([nats.ErrReconnectBufExceeded]) rather than be kept: an error now is better than
// an old message later. Disconnects, reconnects and overflows are logged. When ctx ends
// first the error also wraps its cause.
func Dial(ctx context.Context, o DialOptions) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("%w to %s: %w", ErrDial, o.target(), err)
	}
	done := make(chan result, 1)
	go func() {
		nc, err := o.connect(o.natsOptions(ctx)...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("%w to %s: %w", ErrDial, o.target(), r.err)
		}
		return r.nc, nil
	case <-ctx.Done():
		go func() { // Connect cannot be interrupted; it ends by its own timeout.
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, fmt.Errorf("%w to %s: %w", ErrDial, o.target(), context.Cause(ctx))
	}
}

func (o *DialOptions) connect(options ...nats.Option) (*nats.Conn, error) {
	if o.Connect != nil {
		return o.Connect(options...)
	}
	return nats.Connect(o.URL, options...)
}

func (o *DialOptions) target() string {
	if o.InProcess != nil {
		return "the server in this process"
	}
	return Redact(o.URL)
}

func (o *DialOptions) natsOptions(ctx context.Context) []nats.Option {
	timeout := dialTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, max(time.Until(deadline), time.Millisecond))
	}

	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}

	ping := pingInterval
	if isOneOfSeveral := strings.Contains(o.URL, ","); isOneOfSeveral {
		ping = pingElsewhere
	}
	options := []nats.Option{
		nats.Name(o.Name),
		nats.Timeout(timeout),
		nats.RetryOnFailedConnect(false),
		nats.MaxReconnects(-1),
		// Without it a restarted server that refuses us twice would end the reconnecting.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.DontRandomize(), // in the order given, so that a node stays with the server that is named first
		nats.FlusherTimeout(flusherTimeout),
		nats.PingInterval(ping),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: closed by us
				log.Warn("bus: disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("bus: reconnected", "url", nc.ConnectedUrlRedacted(), "times", nc.Stats().Reconnects)
			if o.Rejoined != nil {
				o.Rejoined()
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { logAsync(log, sub, err) }),
	}

	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.InProcess != nil {
		options = append(options, nats.InProcessServer(o.InProcess))
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	return options
}

func logAsync(log *slog.Logger, sub *nats.Subscription, err error) {
	if p := readRefusal(err); p != nil {
		if isOptional := p.Listen && strings.HasSuffix(p.Subject, ledSuffix); isOptional {
			log.Debug("bus: refused, and gone without: "+p.Error(), "subject", p.Subject)
			return
		}
		log.Error("bus: REFUSED: "+p.Error()+"; allow it in the server's configuration", "subject", p.Subject)
		return
	}
	if sub == nil {
		log.Error("bus: error", "error", err)
		return
	}
	if !errors.Is(err, nats.ErrSlowConsumer) {
		log.Error("bus: error", "subject", sub.Subject, "error", err)
		return
	}
	dropped, _ := sub.Dropped()
	messages, size, _ := sub.Pending()
	log.Error("bus: OVERFLOW: messages are being dropped; the protocol will ask for them again",
		"subject", sub.Subject, "dropped", dropped, "pending_messages", messages, "pending_bytes", size)
}

// Subscription is one subscription whose overflow is watched.
type Subscription struct{ sub *nats.Subscription }

// Subscribe has push called with every message on subject, one at a time, in the order
// in which the server sent them. A node hears everything through one subscription: two
// lose the order between them. push must only append (see [Inbox]). Beyond
// [PendingMessages] or [PendingBytes] waiting for push, messages are dropped, counted by
// [Subscription.Dropped], and logged by a connection of [Dial]. When Subscribe returns,
// the server knows the subscription. The error wraps [ErrSubscribe], and [ErrPermission] where the
// server refuses it.
func Subscribe(nc *nats.Conn, subject string, push func(*nats.Msg)) (*Subscription, error) {
	return subscribe(nc, subject, "", push, PendingMessages, PendingBytes)
}

// SubscribeQueue is Subscribe as one of a group: the server gives each message to one
// subscription of the group.
func SubscribeQueue(nc *nats.Conn, subject, group string, push func(*nats.Msg)) (*Subscription, error) {
	return subscribe(nc, subject, group, push, PendingMessages, PendingBytes)
}

// subscribe with an empty group is a subscription of its own.
func subscribe(nc *nats.Conn, subject, group string, push func(*nats.Msg), messages, size int) (*Subscription, error) {
	var sub *nats.Subscription
	err := Listen(nc, func() (err error) {
		if sub, err = nc.QueueSubscribe(subject, group, push); err != nil {
			return err
		}
		return sub.SetPendingLimits(messages, size)
	})
	if err != nil {
		if sub != nil {
			_ = sub.Unsubscribe() // the connection is closed or away: nothing to undo there
		}
		return nil, fmt.Errorf("%w to %q: %w", ErrSubscribe, subject, err)
	}
	return &Subscription{sub: sub}, nil
}

// Dropped returns how many messages were dropped because of the pending limits, as long
// as the subscription lives; then 0. Safe for concurrent use.
func (s *Subscription) Dropped() uint64 {
	n, err := s.sub.Dropped()
	if err != nil || n < 0 {
		return 0
	}
	return uint64(n)
}

// Drain ends the subscription, and has push called for all that the server has sent before it knows
// that. [Subscription.Ended] reports when that is over.
func (s *Subscription) Drain() error {
	err := s.sub.Drain()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}

// Ended reports whether push is not called any more.
func (s *Subscription) Ended() bool { return !s.sub.IsValid() }

// Close ends the subscription; push is not called for anything that the server sends
// from now on. Closing again, or after the connection, does nothing.
func (s *Subscription) Close() error {
	err := s.sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}
