package movecmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/host/exit"
	"quartet/client/dump"
)

// bucketSource reads from a key-value bucket of a NATS server.
type bucketSource struct {
	nc     *nats.Conn
	bucket string
}

// fromNATS connects to the server at a URL whose path is the name of a bucket. creds is a file of
// credentials; "": none.
func fromNATS(u *url.URL, creds string) (source, error) {
	bucket := path(u)
	if bucket == "" || strings.Contains(bucket, "/") {
		return nil, exit.Usage(errors.New("--from: name a bucket, as in nats://127.0.0.1:4222/BUCKET"))
	}

	server := *u
	server.Path = ""
	options := []nats.Option{nats.Name("quartet import")}
	if creds != "" {
		options = append(options, nats.UserCredentials(creds))
	}
	nc, err := nats.Connect(server.String(), options...)
	if err != nil {
		return nil, fmt.Errorf("the NATS server at %s: %w", u.Host, err)
	}
	return &bucketSource{nc, bucket}, nil
}

func (s *bucketSource) close() { s.nc.Close() }

// silence is how long import waits for the next message of a bucket, or for a reply of another
// store.
const silence = 30 * time.Second

// each reads the newest message of each key from the bucket's stream: a bucket's own API does not
// tell when the value of a single key ends.
func (s *bucketSource) each(ctx context.Context, give func(dump.Entry) error) error {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "KV_"+s.bucket)
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", s.bucket, err)
	}

	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, AckPolicy: jetstream.AckNonePolicy,
		FilterSubject: "$KV." + s.bucket + ".>", MemoryStorage: true, InactiveThreshold: 2 * silence,
	})
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", s.bucket, err)
	}
	defer func() { _ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) }() // else the server does it

	maxAge := stream.CachedInfo().Config.MaxAge
	for left := consumer.CachedInfo().NumPending; left > 0; {
		batch, err := consumer.Fetch(int(min(left, 1000)), jetstream.FetchMaxWait(silence))
		if err != nil {
			return fmt.Errorf("the bucket %s: %w", s.bucket, err)
		}

		n := uint64(0)
		for m := range batch.Messages() {
			n++
			if err := s.message(m, maxAge, give); err != nil {
				return err
			}
		}

		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case batch.Error() != nil:
			return fmt.Errorf("the bucket %s: %w", s.bucket, batch.Error())
		case n == 0:
			return fmt.Errorf("the bucket %s: nothing has come for %v", s.bucket, silence)
		}
		left -= min(n, left)
	}
	return nil
}

// message gives the value that a message holds, if it is one.
func (s *bucketSource) message(m jetstream.Msg, maxAge time.Duration, give func(dump.Entry) error) error {
	h := m.Headers()
	isGone := h.Get("KV-Operation") != "" || h.Get("Nats-Marker-Reason") != ""
	if isGone {
		return nil
	}

	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", s.bucket, err)
	}

	age := maxAge
	if said := h.Get("Nats-TTL"); said != "" && said != "never" {
		own, err := time.ParseDuration(said)
		if err != nil {
			return fmt.Errorf("the bucket %s: %s ends after %q: %w", s.bucket, m.Subject(), said, err)
		}
		if age == 0 || own < age {
			age = own
		}
	}

	e := dump.Entry{Key: strings.TrimPrefix(m.Subject(), "$KV."+s.bucket+"."), Value: m.Data(), Revision: meta.Sequence.Stream}
	if age > 0 {
		e.Expires = meta.Timestamp.Add(age)
	}
	if err := fit(&e); err != nil {
		return err
	}
	return give(e)
}
