// Package shadow is how the streams of package kv are found, read, made and removed on the
// JetStream of a NATS server. It promises that an error says whether there can be one: everything
// else may be tried again.
package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/master/kv"
)

// Limits of one call, unless the context ends sooner.
const (
	callWait = 5 * time.Second
	readAt   = 5000 // messages that are asked for at once
)

// Streams are the streams of one account. Make it with [New].
type Streams struct{ js jetstream.JetStream }

// New returns the streams of the account of a connection. domain is that of its JetStream; "": the
// account's own.
func New(nc *nats.Conn, domain string) (*Streams, error) {
	var js jetstream.JetStream
	var err error
	if domain == "" {
		js, err = jetstream.New(nc)
	} else {
		js, err = jetstream.NewWithDomain(nc, domain)
	}
	if err != nil {
		return nil, fmt.Errorf("shadow: %w", err)
	}
	return &Streams{js: js}, nil
}

// config is a shadow's configuration.
func config(s *kv.Shadow, first uint64) jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if s.InMemory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name: s.Name, Description: "quartet: what watchers of the bucket " + s.Bucket + " are told",
		Subjects:         s.Subjects,
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: s.Source, Destination: s.Target},
		Storage:          storage, Replicas: 1, MaxMsgsPerSubject: int64(s.Depth),
		MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Discard: jetstream.DiscardOld, AllowRollup: true, AllowMsgTTL: true, AllowDirect: true, DenyDelete: true,
		FirstSeq: first,
	}
}

// Open is [kv.Streams.Open].
func (t *Streams) Open(ctx context.Context, s kv.Shadow, each func(kv.Stored)) (last uint64, err error) {
	asking, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	stream, err := t.js.Stream(asking, s.Name)
	if err != nil {
		return 0, asFault(err)
	}

	have := stream.CachedInfo()
	want := config(&s, have.Config.FirstSeq)
	isOther := have.Config.SubjectTransform == nil || *have.Config.SubjectTransform != *want.SubjectTransform ||
		!slices.Equal(have.Config.Subjects, want.Subjects) || max(have.Config.FirstSeq, 1) != s.First
	if isOther {
		return 0, fmt.Errorf("%w: %s is another's, or an older one", kv.ErrNoStream, s.Name)
	}
	if stream, err = t.keep(asking, stream, s.Depth); err != nil {
		return 0, err
	}
	have = stream.CachedInfo()

	last = have.State.LastSeq
	if have.State.Msgs == 0 {
		return last, nil
	}
	return last, read(ctx, stream, &s, last, each)
}

// ErrCut is wrapped by the error of a reading that has not come to its end.
var ErrCut = errors.New("shadow: the stream's messages do not come")

// read reads a stream up to a sequence, without its values: all of it, or it returns an error.
func read(ctx context.Context, stream jetstream.Stream, s *kv.Shadow, last uint64, each func(kv.Stored)) error {
	asking, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	consumer, err := stream.CreateConsumer(asking, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1,
		HeadersOnly: true, MemoryStorage: true, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return asFault(err)
	}
	defer forget(stream, consumer)

	r := reading{s: s, last: last, each: each}
	for {
		before := r.delivered
		batch, err := consumer.Fetch(readAt, jetstream.FetchMaxWait(callWait))
		if err != nil {
			return asFault(err)
		}
		isOver, err := r.take(batch)
		switch {
		case err != nil:
			return err
		case isOver:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.delivered > before:
			continue
		}
		if isOver, err := isRead(ctx, consumer); err != nil || isOver {
			return err
		}
		return fmt.Errorf("%w: none of %s in %v, after %d", ErrCut, s.Name, callWait, r.delivered)
	}
}

// forget deletes a consumer that has done its duty. If that fails the server does it, later.
func forget(stream jetstream.Stream, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.Background(), callWait)
	defer cancel()
	_ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name)
}

// isRead reports whether a consumer has nothing more: what was last has ended meanwhile.
func isRead(ctx context.Context, consumer jetstream.Consumer) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil {
		return false, asFault(err)
	}
	return info.NumPending == 0, nil
}

// reading is a stream that is read.
type reading struct {
	s         *kv.Shadow
	last      uint64
	each      func(kv.Stored)
	delivered uint64 // messages, so far
}

// take takes a batch. isOver: the last message was in it.
func (r *reading) take(batch jetstream.MessageBatch) (isOver bool, err error) {
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return false, fmt.Errorf("shadow: %s: %w", r.s.Name, err)
		}
		if meta.Sequence.Consumer != r.delivered+1 {
			return false, fmt.Errorf("%w: %s: after message %d comes %d", ErrCut, r.s.Name, r.delivered, meta.Sequence.Consumer)
		}

		r.delivered++
		r.each(stored(r.s, m, meta))
		isLast := meta.Sequence.Stream >= r.last || meta.NumPending == 0
		if isLast {
			return true, nil
		}
	}
	return false, asFault(batch.Error())
}

// stored is what a message of a shadow says.
func stored(s *kv.Shadow, m jetstream.Msg, meta *jetstream.MsgMetadata) kv.Stored {
	h := m.Headers()
	out := kv.Stored{
		Sequence: meta.Sequence.Stream, At: meta.Timestamp, More: h.Get(bus.HeaderMore) != "", TTL: h.Get("Nats-TTL"),
		Marker: h.Get("Nats-Marker-Reason"),
	}
	if out.Marker == "" {
		out.Marker = h.Get("KV-Operation")
	}
	out.Revision, _ = strconv.ParseUint(h.Get(bus.HeaderRevision), 10, 64) // nobody else writes there
	if size, err := strconv.ParseInt(h.Get("Nats-Msg-Size"), 10, 32); err == nil {
		out.Size = int32(size)
	}
	if key, found := strings.CutPrefix(m.Subject(), strings.TrimSuffix(s.Target, ">")); found {
		out.Key = key
	}
	return out
}

// Keep is [kv.Streams.Keep].
func (t *Streams) Keep(ctx context.Context, s kv.Shadow, depth int) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	stream, err := t.js.Stream(ctx, s.Name)
	if err != nil {
		return asFault(err)
	}
	_, err = t.keep(ctx, stream, depth)
	return err
}

// keep has a stream keep so many messages of each subject; 0: all.
func (t *Streams) keep(ctx context.Context, stream jetstream.Stream, depth int) (jetstream.Stream, error) {
	next := stream.CachedInfo().Config
	limit := int64(depth)
	if depth == 0 {
		limit = -1
	}
	if next.MaxMsgsPerSubject == limit {
		return stream, nil
	}
	next.MaxMsgsPerSubject = limit
	stream, err := t.js.UpdateStream(ctx, next)
	return stream, asFault(err)
}

// Make is [kv.Streams.Make]. What the new stream holds at once is an error: a server may show what
// one held that was deleted.
func (t *Streams) Make(ctx context.Context, s kv.Shadow) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	if err := t.Remove(ctx, s); err != nil {
		return err
	}
	stream, err := t.js.CreateStream(ctx, config(&s, s.First))
	if err != nil {
		return asFault(err)
	}
	if held := stream.CachedInfo().State; held.Msgs > 0 {
		return fmt.Errorf("shadow: %s was just made and holds %d messages", s.Name, held.Msgs)
	}
	return nil
}

// Remove is [kv.Streams.Remove].
func (t *Streams) Remove(ctx context.Context, s kv.Shadow) error {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	family := s.Name[:strings.LastIndexByte(s.Name, '-')+1]
	names := t.js.StreamNames(ctx, jetstream.WithStreamListSubject(s.Source))
	for name := range names.Name() {
		if !strings.HasPrefix(name, family) {
			continue // somebody else's, who hears what is written here
		}
		err := asFault(t.js.DeleteStream(ctx, name))
		isNone := errors.Is(err, kv.ErrNoStream) || errors.Is(err, kv.ErrNoJetStream)
		if err != nil && !isNone {
			return err
		}
	}

	err := asFault(names.Err())
	if errors.Is(err, kv.ErrNoJetStream) {
		return nil
	}
	return err
}

// asFault tells what cannot be from what may be tried again.
func asFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("%w: %w", kv.ErrNoStream, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: %w", kv.ErrNoJetStream, err)
	}
	return fmt.Errorf("shadow: %w", err)
}
