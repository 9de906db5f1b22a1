package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/client/inbox"
)

// Bucket is a JetStream key-value bucket, in a file, made for one run: what a user of NATS would
// take instead. Puts are publishes that wait for the stream's acknowledgement (with several
// replicas: of a majority), gets are direct gets, which any replica answers from what it holds.
// Its servers write each put to the file and, unless they are configured otherwise, do not wait
// for the disk (no fsync per put).
type Bucket struct {
	js     jetstream.JetStream
	prefix string // of the API; "": JetStream's own
	name   string
}

// MakeBucket creates a bucket with one replica; [Bucket.Delete] deletes it. The
// connection is only used for that and by [Bucket.Leader].
func MakeBucket(ctx context.Context, nc *nats.Conn) (*Bucket, error) {
	return MakeReplicatedBucket(ctx, nc, 1)
}

// MakeReplicatedBucket creates a bucket with a number of replicas, each on a server of its own.
func MakeReplicatedBucket(ctx context.Context, nc *nats.Conn, replicas int) (*Bucket, error) {
	return makeBucket(ctx, nc, "", jetstream.FileStorage, replicas)
}

// MakeBucketBelow creates a bucket below a prefix of the API: of quartet's key-value. Storage is
// that of the stream behind its watches.
func MakeBucketBelow(
	ctx context.Context, nc *nats.Conn, prefix string, storage jetstream.StorageType,
) (*Bucket, error) {
	return makeBucket(ctx, nc, prefix, storage, 1)
}

func makeBucket(
	ctx context.Context, nc *nats.Conn, prefix string, storage jetstream.StorageType, replicas int,
) (*Bucket, error) {
	b := &Bucket{prefix: prefix, name: "quartet-bench-" + nats.NewInbox()[len(nats.InboxPrefix):]}
	js, err := b.stream(nc)
	if err != nil {
		return nil, err
	}
	b.js = js
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: b.name, Storage: storage, Replicas: replicas, History: 1,
		Description: "made by quartet bench for one comparison; may be deleted",
	})
	if err != nil {
		return nil, fmt.Errorf("load: make a key-value bucket: %w", err)
	}
	return b, nil
}

// stream is the API on a connection.
func (b *Bucket) stream(nc *nats.Conn, opts ...jetstream.JetStreamOpt) (js jetstream.JetStream, err error) {
	if b.prefix == "" {
		js, err = jetstream.New(nc, opts...)
	} else {
		js, err = jetstream.NewWithAPIPrefix(nc, b.prefix, opts...)
	}
	if err != nil {
		return nil, fmt.Errorf("load: JetStream: %w", err)
	}
	return js, nil
}

// open is a handle on the bucket, on a connection.
func (b *Bucket) open(ctx context.Context, nc *nats.Conn, opts ...jetstream.JetStreamOpt) (jetstream.KeyValue, error) {
	js, err := b.stream(nc, opts...)
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, b.name)
	if err != nil {
		return nil, fmt.Errorf("load: bucket %s: %w", b.name, err)
	}
	return kv, nil
}

// Delete deletes the bucket with all that is in it.
func (b *Bucket) Delete(ctx context.Context) error {
	if err := b.js.DeleteKeyValue(ctx, b.name); err != nil {
		return fmt.Errorf("load: delete bucket %s: %w", b.name, err)
	}
	return nil
}

// Leader returns the name of the server that orders the bucket's puts; "" where there is
// only one server.
func (b *Bucket) Leader(ctx context.Context) (string, error) {
	stream, err := b.js.Stream(ctx, "KV_"+b.name)
	if err != nil {
		return "", fmt.Errorf("load: bucket %s: %w", b.name, err)
	}
	if cluster := stream.CachedInfo().Cluster; cluster != nil {
		return cluster.Leader, nil
	}
	return "", nil
}

// API returns a caller that drives the bucket by the official Go API, KeyValue.Put and
// KeyValue.Get, on the given connection.
func (b *Bucket) API(ctx context.Context, nc *nats.Conn, timeout time.Duration) (Caller, error) {
	kv, err := b.open(ctx, nc, jetstream.WithDefaultTimeout(timeout))
	if err != nil {
		return nil, err
	}
	return apiCaller{kv}, nil
}

// Lister reads the keys of a bucket with their values, and returns how many begin with a prefix.
type Lister func(ctx context.Context, prefix string) (int, error)

// Lister returns what reads the bucket over a connection: with a watch, which begins with all
// values and is faster than to ask for each key.
func (b *Bucket) Lister(ctx context.Context, nc *nats.Conn) (Lister, error) {
	kv, err := b.open(ctx, nc)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, prefix string) (int, error) {
		w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
		if err != nil {
			return 0, fmt.Errorf("load: watch bucket %s: %w", b.name, err)
		}
		defer func() { _ = w.Stop() }() // of a watch that has told all
		return countValues(ctx, w, prefix)
	}, nil
}

func countValues(ctx context.Context, w jetstream.KeyWatcher, prefix string) (n int, err error) {
	for {
		select {
		case <-ctx.Done():
			return n, context.Cause(ctx)
		case e, open := <-w.Updates():
			if !open || e == nil { // all that was there has been told
				return n, nil
			}
			if strings.HasPrefix(e.Key(), prefix) {
				n++
			}
		}
	}
}

type apiCaller struct{ kv jetstream.KeyValue }

// Call implements [Caller].
func (c apiCaller) Call(op Op) Outcome {
	// Without a deadline: the API then puts its default timeout on the context itself.
	ctx := context.Background()
	var err error
	if op.Type == model.Set {
		_, err = c.kv.Put(ctx, op.Key, op.Value)
	} else {
		_, err = c.kv.Get(ctx, op.Key)
	}

	var refused *jetstream.APIError
	switch {
	case err == nil:
		return OK
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return Missing
	case errors.As(err, &refused), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, nats.ErrNoResponders):
		return Failed
	}
	return Unknown
}

// Send implements [Sender].
func (c apiCaller) Send(op Op, done func(Outcome)) error {
	go func() { done(c.Call(op)) }()
	return nil
}

// Sender returns a sender of the same bytes as the API's, on a connection's inbox: no
// goroutine waits for a reply.
func (b *Bucket) Sender(in *inbox.Inbox, timeout time.Duration) Sender {
	return &bucketSender{
		in: in, timeout: timeout,
		put: b.below("") + "$KV." + b.name + ".",
		get: b.below("$JS.API.") + "DIRECT.GET.KV_" + b.name + ".$KV." + b.name + ".",
	}
}

// below is the prefix of the bucket's requests; own is JetStream's.
func (b *Bucket) below(own string) string {
	if b.prefix == "" {
		return own
	}
	return b.prefix + "."
}

type bucketSender struct {
	in       *inbox.Inbox
	timeout  time.Duration
	put, get string // subjects without the key
}

func (s *bucketSender) Send(op Op, done func(Outcome)) error {
	if op.Type == model.Set {
		_, err := s.in.Send(s.put+op.Key, nil, op.Value, s.timeout, func(m *nats.Msg, err error) {
			done(putOutcome(m, err))
		})
		return err
	}
	_, err := s.in.Send(s.get+op.Key, nil, nil, s.timeout, func(m *nats.Msg, err error) {
		done(getOutcome(m, err))
	})
	return err
}

// putOutcome reads a stream's acknowledgement, {"stream":…,"seq":…} or {"error":…}.
func putOutcome(m *nats.Msg, err error) Outcome {
	switch {
	case err != nil:
		return Unknown
	case len(m.Data) == 0 || bytes.Contains(m.Data, []byte(`"error":`)):
		return Failed
	}
	return OK
}

// getOutcome reads a direct get's reply: the message, or a header Status.
func getOutcome(m *nats.Msg, err error) Outcome {
	if err != nil {
		return Unknown
	}
	switch m.Header.Get("Status") {
	case "":
		return OK
	case "404":
		return Missing
	}
	return Failed
}
