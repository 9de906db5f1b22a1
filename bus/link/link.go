package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
)

// ErrSend is wrapped by [Link.Send].
var ErrSend = errors.New("bus/link: not sent")

// warnEvery is how often a bad message is worth a warning.
const warnEvery = time.Second

// Link is one node's end of what nodes say to each other. Everything but Counters
// belongs to one goroutine: the one that owns the node's machine.
type Link struct {
	nc       *nats.Conn
	subjects bus.Subjects
	self     lamport.Node
	sub      *bus.Subscription
	log      *slog.Logger
	enc      *codec.Encoder
	dec      *codec.Decoder

	// Reused by every Send: the connection copies a message before Publish returns.
	rids   []uint64
	text   []byte
	header nats.Header
	out    nats.Msg

	now       func() time.Time
	warned    time.Time
	unwarned  uint64 // bad messages since then
	sent      byKind
	received  byKind
	bad       atomic.Uint64
	sendError atomic.Uint64
}

// byKind counts messages, each in the place of its kind.
type byKind [message.KindLast + 1]atomic.Uint64

func (b *byKind) all() (sum uint64) {
	for i := range b {
		sum += b[i].Load()
	}
	return sum
}

// Counters counts messages since Open.
type Counters struct {
	Sent     uint64 // handed to the connection, one for each destination
	Unsent   uint64 // refused by the connection (it is away) or by a limit
	Received uint64 // decoded
	Bad      uint64 // received and not decodable
	Dropped  uint64 // by the subscription's pending limits
}

// Open subscribes self's subject: push gets every message for self, on the bus's
// goroutine, and must only append (see [bus.Inbox]); the owner then gives each to
// Receive. A nil log logs nothing. The error wraps [bus.ErrSubscribe].
func Open(nc *nats.Conn, subjects bus.Subjects, self lamport.Node, push func(*nats.Msg), log *slog.Logger) (*Link, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	sub, err := bus.Subscribe(nc, subjects.Node(self), push)
	if err != nil {
		return nil, err
	}
	return &Link{
		nc: nc, subjects: subjects, self: self, sub: sub, log: log,
		enc: codec.NewEncoder(), dec: codec.NewDecoder(),
		header: nats.Header{bus.HeaderRequestID: {""}},
		now:    time.Now,
	}, nil
}

// Send publishes m to each of to, one message each. It never blocks on a peer. One
// destination's failure doesn't keep m from the others; the error wraps [ErrSend] and the
// first cause ([codec.ErrMessage]: m breaks a limit and went nowhere;
// [nats.ErrMaxPayload]: m is too large for the bus). The protocol repairs a lost message,
// so a caller may do no more than count.
func (l *Link) Send(m message.Message, to ...lamport.Node) error {
	body, err := l.enc.Encode(m)
	if err != nil {
		l.sendError.Add(uint64(len(to)))
		return fmt.Errorf("%w: %w", ErrSend, err)
	}
	l.rids = m.AppendRIDs(l.rids[:0])
	l.out.Data, l.out.Header = body, nil
	if len(l.rids) > 0 {
		l.text = bus.AppendRIDs(l.text[:0], l.rids)
		l.header[bus.HeaderRequestID][0] = string(l.text)
		l.out.Header = l.header
	}
	var first error
	for _, n := range to {
		l.out.Subject = l.subjects.Node(n)
		if err := l.nc.PublishMsg(&l.out); err != nil {
			l.sendError.Add(1)
			if first == nil {
				first = fmt.Errorf("%w: %v to %v: %w", ErrSend, m.Kind(), n, err)
			}
			continue
		}
		l.sent[m.Kind()].Add(1)
	}
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.debugOut(m, to, first)
	}
	return first
}

func (l *Link) debugOut(m message.Message, to []lamport.Node, err error) {
	names := make([]string, len(to))
	for i, n := range to {
		names[i] = n.String()
	}
	attrs := append(describe(m, l.out.Header), slog.Any("to", names))
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "out", attrs...)
}

// describe is what a log says of any message.
func describe(m message.Message, header nats.Header) []slog.Attr {
	h := m.Head()
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("kind", m.Kind().String()), slog.Uint64("epoch", h.Epoch), slog.Uint64("clock", h.Clock))
	if d, ok := m.(*message.Data); ok {
		attrs = append(attrs, slog.Uint64("seq", d.Seq))
	}
	if rids, ok := bus.Lookup(header, bus.HeaderRequestID); ok {
		attrs = append(attrs, slog.String("rids", rids))
	}
	return attrs
}

// Receive decodes a message that push was given. One that cannot be decoded is counted,
// dropped (false) and, at most once a second, warned of. Acked of DATA and ACK is nil:
// it stands in the message's header only.
func (l *Link) Receive(in *nats.Msg) (message.Message, bool) {
	m, err := l.dec.Decode(in.Data)
	if err != nil {
		l.bad.Add(1)
		l.warn(in, err)
		return nil, false
	}
	l.received[m.Kind()].Add(1)
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		attrs := append(describe(m, in.Header), slog.String("from", m.Head().From.String()))
		l.log.LogAttrs(context.Background(), slog.LevelDebug, "in", attrs...)
	}
	return m, true
}

func (l *Link) warn(in *nats.Msg, err error) {
	l.unwarned++
	now := l.now()
	if !l.warned.IsZero() && now.Sub(l.warned) < warnEvery {
		return
	}
	l.log.Warn("bus/link: bad message dropped", "subject", in.Subject, "bytes", len(in.Data), "error", err,
		"since_last_warning", l.unwarned)
	l.warned, l.unwarned = now, 0
}

// Counters returns a snapshot. Safe for concurrent use.
func (l *Link) Counters() Counters {
	return Counters{
		Sent: l.sent.all(), Unsent: l.sendError.Load(), Received: l.received.all(),
		Bad: l.bad.Load(), Dropped: l.sub.Dropped(),
	}
}

// Kind counts the messages of one kind since Open.
type Kind struct {
	Kind     message.Kind
	Sent     uint64 // handed to the connection, one for each destination
	Received uint64 // decoded
}

// Traffic is what a node counts of its messages, for those who watch it.
type Traffic struct {
	Counters Counters
	Kinds    []Kind
	Waiting  int    // in the node's inbox
	Dropped  uint64 // by the inbox, which was full
	Refused  uint64 // by the machine
	Again    uint64 // of what the machine wanted sent, what was sent before
}

// Kinds returns the counts of each kind of which there were any, in rising order. Safe
// for concurrent use.
func (l *Link) Kinds() []Kind {
	var list []Kind
	for i := range l.sent {
		k := Kind{Kind: message.Kind(i), Sent: l.sent[i].Load(), Received: l.received[i].Load()}
		if k.Sent+k.Received > 0 {
			list = append(list, k)
		}
	}
	return list
}

// MaxPayload returns how many bytes, header included, a message may have on this bus.
func (l *Link) MaxPayload() int64 { return l.nc.MaxPayload() }

// Close ends the subscription. It leaves the connection open.
func (l *Link) Close() error { return l.sub.Close() }
