package register

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/message"
)

// Errors of this package.
var (
	// ErrOptions is wrapped by Open for options that cannot be.
	ErrOptions = errors.New("register: wrong options")
	// ErrBucket is wrapped by Open: the bucket cannot be made, or is not fit for the record.
	ErrBucket = errors.New("register: unfit bucket")
	// ErrUnavailable is wrapped where the bus or the disk gave no answer. Asking again may help.
	ErrUnavailable = errors.New("register: no answer")
	// ErrDamaged is wrapped by Read: there was a record, and it cannot be read.
	ErrDamaged = errors.New("register: the record of the view is damaged")
	// ErrNewer is wrapped by Read: there is a record in a form that only a newer version of
	// quartet reads. It is whole, and nothing may take its place.
	ErrNewer = errors.New("register: the record of the view is of a newer version of quartet")
	// ErrUnsound is wrapped by Propose for a record that cannot be one. Nothing was sent.
	ErrUnsound = errors.New("register: not a record")
	// ErrDisk is wrapped when the bucket could not be synced to disk. No later call
	// succeeds: what the system failed to write once it may report as written next time.
	ErrDisk = errors.New("register: cannot sync to disk")
)

// Fate is what became of a proposal.
type Fate uint8

// The fates of a proposal.
const (
	// Unknown: it may stand there, now or later, or never. Read until the record
	// changes: if it has the proposal's nonce, it won. Proposing again with the same
	// revision is safe: of the two at most one wins.
	Unknown Fate = iota
	// Won: it is the record.
	Won
	// Lost: it is not, and never will be. As a rule another is; but it may also be that
	// another, perhaps an earlier one of one's own, was only under way, and comes to
	// nothing. Read, and if the revision is the same, propose again.
	Lost
)

// String returns the fate in lower case.
func (o Fate) String() string {
	switch o {
	case Won:
		return "won"
	case Lost:
		return "lost"
	}
	return "unknown"
}

// DefaultTimeout bounds a call whose context ends later or never.
const DefaultTimeout = 2 * time.Second

// A record that is listed and not found for so long is damaged. Servers that are a cluster may
// be behind with what they have listed.
const (
	listedAlone     = time.Second
	listedClustered = 5 * time.Second
)

// Options of a store. The zero value is a bucket with one replica.
type Options struct {
	Prefix string // of the cluster's subjects; "": [bus.DefaultPrefix]

	// Memory: the bucket is kept in memory. For a server that ends with its master, which keeps
	// the record itself.
	Memory bool

	Domain string // JetStream's; "": the account's own

	// Replicas of the bucket's stream: 1, 3 or 5. 0: an existing bucket stays as it is; a
	// new one has three where the servers are a cluster, else one.
	Replicas int

	// Sync returns once everything that the server has acknowledged is on disk. It is
	// called after each write and before what was read counts. Nil where the servers see
	// to that themselves, or where nothing need survive the machine.
	Sync func() error

	Timeout time.Duration // of one call; 0: [DefaultTimeout]
}

// Store is the record's place. It is safe for concurrent use. Its calls wait for the
// bus: not for an event loop.
type Store struct {
	js      jetstream.JetStream
	stream  atomic.Pointer[jetstream.Stream]
	made    bool // by this Store: it was not there
	subject string
	opts    Options
	broken  atomic.Pointer[error] // the sync that failed

	unreadable atomic.Pointer[time.Time] // since when Read has found a record that is only listed
}

// Open finds the bucket or makes it; ctx bounds only that. Of several that do so at once
// all succeed. The error wraps [ErrOptions], [ErrBucket] or [ErrUnavailable].
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = bus.DefaultPrefix
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if _, err := bus.NewSubjects(o.Prefix); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	switch o.Replicas {
	case 0, 1, 3, 5:
	default:
		return nil, fmt.Errorf("%w: %d replicas of the bucket: want 1, 3 or 5", ErrOptions, o.Replicas)
	}
	s := &Store{subject: subject(o.Prefix), opts: o}
	js, err := s.JetStream(nc)
	if err != nil {
		return nil, err
	}
	s.js = js
	stream, made, err := openStream(ctx, js, o.config(), o.Replicas)
	if err != nil {
		return nil, err
	}
	s.made = made
	s.stream.Store(&stream)
	return s, nil
}

// JetStream returns, on nc, the JetStream in which the bucket is.
func (s *Store) JetStream(nc *nats.Conn) (js jetstream.JetStream, err error) {
	if s.opts.Domain == "" {
		js, err = jetstream.New(nc)
	} else {
		js, err = jetstream.NewWithDomain(nc, s.opts.Domain)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBucket, err)
	}
	return js, nil
}

// Made reports whether the bucket was not there before it was opened.
func (s *Store) Made() bool { return s.made }

// Bucket returns the bucket's name.
func (s *Store) Bucket() string { return Bucket(s.opts.Prefix) }

// Read returns the record with its revision, or nil and 0 when there is none yet. The error wraps
// [ErrUnavailable], [ErrDamaged], [ErrNewer] or [ErrDisk]; with ErrDamaged the revision is that of
// what stands in the record's place, for a proposal that replaces it. A record that its server
// lists and does not find is ErrUnavailable at first, and ErrDamaged if it is read again after a
// second, or after five where the servers are a cluster.
func (s *Store) Read(ctx context.Context) (*message.Record, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()

	// The stream's handle says that direct gets are off, and is never asked to look
	// again: this is always a question to the leader.
	m, err := (*s.stream.Load()).GetLastMsgForSubject(ctx, s.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, s.none(ctx)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, 0, s.gone(ctx)
	case err != nil:
		return nil, 0, fmt.Errorf("%w: reading %s: %w", ErrUnavailable, s.Bucket(), err)
	}
	s.unreadable.Store(nil)

	if op := m.Header.Get(operationHeader); op != "" {
		return nil, m.Sequence, s.damaged(m.Sequence, fmt.Errorf("it was removed (%s)", op))
	}
	rec, err := codec.NewDecoder().DecodeRecord(m.Data)
	if errors.Is(err, codec.ErrNewer) {
		return nil, 0, fmt.Errorf("%w: bucket %s, key %s, revision %d: %w; start the version that wrote it, or a "+
			"later one", ErrNewer, s.Bucket(), Key, m.Sequence, err)
	}
	if err != nil {
		return nil, m.Sequence, s.damaged(m.Sequence, err)
	}
	// Its writer may have died before its own sync.
	if err := s.sync(); err != nil {
		return nil, 0, err
	}
	return &rec, m.Sequence, nil
}

// none tells a bucket in which there was never a record from a bucket that has lost it: to take
// one for the other would begin a second history. A server compares a proposal with what it finds,
// so where it finds nothing only revision 0 wins.
func (s *Store) none(ctx context.Context) error {
	fresh, err := s.js.Stream(ctx, s.streamName())
	if err != nil {
		return fmt.Errorf("%w: reading %s: %w", ErrUnavailable, s.Bucket(), err)
	}
	last := fresh.CachedInfo().State.LastSeq
	if last == 0 {
		return nil
	}
	info, err := fresh.Info(ctx, jetstream.WithSubjectFilter(s.subject))
	switch {
	case err != nil:
		return fmt.Errorf("%w: reading %s: %w", ErrUnavailable, s.Bucket(), err)
	case len(info.State.Subjects) > 0:
		return s.listed(info.Cluster != nil)
	}
	return s.damaged(0, errors.New("the bucket was emptied"))
}

// gone makes a bucket anew of which the servers say that it is not there any more. Its revisions
// begin above all that the old one can have had, so that no proposal on one of those wins; and
// by that it says itself that it has lost a record.
func (s *Store) gone(ctx context.Context) error {
	want := s.opts.config()
	want.FirstSeq = uint64(time.Now().UnixMicro())
	stream, made, err := openStream(ctx, s.js, want, s.opts.Replicas)
	if err != nil {
		return err
	}
	s.stream.Store(&stream)
	if !made { // another was faster: the next Read sees what stands there
		return fmt.Errorf("%w: reading %s: the bucket was gone, and is there again", ErrUnavailable, s.Bucket())
	}
	return s.damaged(0, errors.New("the bucket was gone, and is made anew"))
}

func (s *Store) streamName() string { return streamPrefix + Bucket(s.opts.Prefix) }

// listed tells a record that has been written since it was asked for, which the next Read
// finds, from one whose bytes on disk are damaged: the server lists it, and never finds it.
func (s *Store) listed(clustered bool) error {
	now := time.Now()
	s.unreadable.CompareAndSwap(nil, &now)
	limit := listedAlone
	if clustered {
		limit = listedClustered
	}
	if since := s.unreadable.Load(); since == nil || now.Sub(*since) < limit {
		return fmt.Errorf("%w: reading %s: a record is listed, and not found: it is being written, or damaged", ErrUnavailable, s.Bucket())
	}
	return s.damaged(0, errors.New("the server lists it, and cannot read it"))
}

func (s *Store) damaged(revision uint64, why error) error {
	return fmt.Errorf("%w: bucket %s, key %s, revision %d: %w", ErrDamaged, s.Bucket(), Key, revision, why)
}

// Propose makes rec the record if the record still has this revision, as [Store.Read]
// returned it (0: there is none), and returns, if it has won, its new one. The error is nil for
// [Won] and, but for an unsound record, for [Lost]; with [Unknown] it says why and wraps
// [ErrUnavailable] or [ErrDisk].
//
// Exactly one message is sent. So nothing comes twice, and Lost never means "to myself";
// but a proposal that was Unknown may still arrive, and then the next one loses to it.
func (s *Store) Propose(ctx context.Context, rec message.Record, revision uint64) (Fate, uint64, error) {
	b, err := codec.NewEncoder().EncodeRecord(&rec)
	if err != nil {
		return Lost, 0, fmt.Errorf("%w: %w", ErrUnsound, err)
	}
	if err := s.failed(); err != nil {
		return Unknown, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: s.written(s.subject), Data: b},
		jetstream.WithExpectStream(s.streamName()),
		jetstream.WithExpectLastSequencePerSubject(revision),
		jetstream.WithRetryAttempts(0))
	switch {
	case err == nil:
	case wrongRevision(err):
		return Lost, 0, nil
	default:
		return Unknown, 0, fmt.Errorf("%w: proposing epoch %d in %s: %w", ErrUnavailable, rec.Epoch, s.Bucket(), err)
	}
	if err := s.sync(); err != nil {
		return Unknown, 0, err
	}
	return Won, ack.Sequence, nil
}

// Try finds out whether the bucket takes a write: it puts something of no meaning behind
// another key of it. The error wraps [ErrUnavailable] or [ErrDisk].
func (s *Store) Try(ctx context.Context) error {
	if err := s.failed(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	tried := nats.Msg{
		Subject: s.written(trySubject(s.opts.Prefix)), Data: []byte("the store of the view's record was tried"),
	}
	_, err := s.js.PublishMsg(ctx, &tried,
		jetstream.WithExpectStream(s.streamName()), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("%w: trying to write in %s: %w", ErrUnavailable, s.Bucket(), err)
	}
	return s.sync()
}

// written is the subject to which a write to a key's subject is published. A publish is not
// put into the handle's domain, as reads and streams are: where JetStream is another server's,
// behind a leaf node, only what begins as its API does gets there (and is mapped to the key).
func (s *Store) written(subject string) string {
	if s.opts.Domain == "" {
		return subject
	}
	return "$JS." + s.opts.Domain + ".API." + subject
}

// wrongRevision reports whether the stream's leader has refused the write because of
// what stands there, or of what it is just writing.
func wrongRevision(err error) bool {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return false
	}
	return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
}

func (s *Store) sync() error {
	if s.opts.Sync == nil {
		return nil
	}
	if err := s.failed(); err != nil {
		return err
	}
	if err := s.opts.Sync(); err != nil {
		err = fmt.Errorf("%w: bucket %s: %w", ErrDisk, s.Bucket(), err)
		s.broken.Store(&err)
		return err
	}
	return nil
}

func (s *Store) failed() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}
