package register

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Key is the record's key in its bucket, and TryKey that of [Store.Try].
const (
	Key    = "view"
	TryKey = "try"
)

const (
	history       = 10 // records that are kept, to find out what happened
	duplicates    = 2 * time.Minute
	wholeReplicas = 3 // of a new bucket on a cluster of servers
	streamPrefix  = "KV_"

	operationHeader = "KV-Operation" // on what "nats kv del" and "nats kv purge" put in a key's place

	codeReplicasNeedCluster jetstream.ErrorCode = 10074 // the server stands alone
)

// plain are the characters that stand for themselves in a bucket's name.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"

// Bucket returns the name of the bucket for a prefix of subjects: "quartet_views" for
// "quartet". Two prefixes never share a bucket: all but letters, digits and "-" stand as
// "_" and two hexadecimal digits, for a bucket's name takes no dots.
func Bucket(prefix string) string {
	name := make([]byte, 0, len(prefix)+len("_views"))
	for i := range len(prefix) {
		c := prefix[i]
		if strings.IndexByte(plain, c) >= 0 {
			name = append(name, c)
		} else {
			name = fmt.Appendf(name, "_%02X", c)
		}
	}
	return string(append(name, "_views"...))
}

func subject(prefix string) string { return "$KV." + Bucket(prefix) + "." + Key }

func trySubject(prefix string) string { return "$KV." + Bucket(prefix) + "." + TryKey }

// config is what nats.go makes of a key-value bucket, but for the direct gets, which
// nats.go always allows.
func (o *Options) config() jetstream.StreamConfig {
	prefix, storage := o.Prefix, jetstream.FileStorage
	if o.Memory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:              streamPrefix + Bucket(prefix),
		Description:       "quartet: the record of the view",
		Subjects:          []string{"$KV." + Bucket(prefix) + ".>"},
		Storage:           storage,
		Replicas:          max(o.Replicas, 1),
		MaxMsgsPerSubject: history,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Duplicates:        duplicates,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       false,
	}
}

// openStream finds the bucket's stream or makes it, and sees that it is fit.
func openStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig,
	replicas int) (stream jetstream.Stream, made bool, err error) {
	stream, err = js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = create(ctx, js, want, replicas)
		made = err == nil
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another was faster
			stream, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, false, streamError("opening", want.Name, err)
	}

	have := stream.CachedInfo().Config
	inMemory := have.Storage == jetstream.MemoryStorage && want.Storage != jetstream.MemoryStorage
	elsewhere := !slices.Equal(have.Subjects, want.Subjects) || have.Mirror != nil || len(have.Sources) > 0
	switch {
	case inMemory:
		return nil, false, fmt.Errorf("%w: stream %s is kept in memory only: remove it, or use another prefix",
			ErrBucket, want.Name)
	case elsewhere:
		return nil, false, fmt.Errorf("%w: stream %s takes its messages from elsewhere than %s: use another prefix",
			ErrBucket, want.Name, want.Subjects)
	}

	fit := have
	fit.AllowDirect, fit.DenyDelete, fit.MaxAge = want.AllowDirect, want.DenyDelete, want.MaxAge
	if fit.MaxMsgsPerSubject < 1 {
		fit.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	}
	if replicas > 0 {
		fit.Replicas = replicas
	}

	if reflect.DeepEqual(fit, have) {
		return stream, made, nil
	}
	if stream, err = js.UpdateStream(ctx, fit); err != nil {
		return nil, false, streamError("adjusting", want.Name, err)
	}
	return stream, made, nil
}

func create(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, replicas int) (jetstream.Stream, error) {
	if replicas > 0 {
		return js.CreateStream(ctx, want)
	}
	want.Replicas = wholeReplicas
	stream, err := js.CreateStream(ctx, want)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeReplicasNeedCluster {
		want.Replicas = 1
		return js.CreateStream(ctx, want)
	}
	return stream, err
}

// isRefusal reports whether the server has refused what was asked, and will do so again.
func isRefusal(err *jetstream.APIError) bool {
	return err.Code < 500 || err.ErrorCode == codeReplicasNeedCluster
}

// streamError tells a refusal, which stays one, from silence.
func streamError(doing, name string, err error) error {
	var api *jetstream.APIError
	refused := errors.As(err, &api) && isRefusal(api)
	if refused || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return fmt.Errorf("%w: %s stream %s: %w", ErrBucket, doing, name, err)
	}
	return fmt.Errorf("%w: %s stream %s: %w", ErrUnavailable, doing, name, err)
}
