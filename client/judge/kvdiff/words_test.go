package kvdiff_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// known are the errors of both packages that their users compare with.
var known = []struct {
	name string
	err  error
}{
	{"key exists", jetstream.ErrKeyExists}, {"revision mismatch", jetstream.ErrKeyRevisionMismatch},
	{"invalid bucket name", jetstream.ErrInvalidBucketName}, {"invalid key", jetstream.ErrInvalidKey},
	{"bucket exists", jetstream.ErrBucketExists}, {"bucket not found", jetstream.ErrBucketNotFound},
	{"bad bucket", jetstream.ErrBadBucket}, {"key not found", jetstream.ErrKeyNotFound}, {"key deleted", jetstream.ErrKeyDeleted},
	{"history too large", jetstream.ErrHistoryTooLarge}, {"no keys", jetstream.ErrNoKeysFound},
	{"no TTL on delete", jetstream.ErrTTLOnDeleteNotSupported}, {"no marker TTL", jetstream.ErrLimitMarkerTTLNotSupported},
	{"invalid option", jetstream.ErrInvalidOption}, {"no stream response", jetstream.ErrNoStreamResponse},

	{"key exists", nats.ErrKeyExists}, {"revision mismatch", nats.ErrKeyRevisionMismatch},
	{"invalid bucket name", nats.ErrInvalidBucketName}, {"invalid key", nats.ErrInvalidKey},
	{"bucket not found", nats.ErrBucketNotFound}, {"bad bucket", nats.ErrBadBucket}, {"key not found", nats.ErrKeyNotFound},
	{"key deleted", nats.ErrKeyDeleted}, {"history too large", nats.ErrHistoryToLarge}, {"no keys", nats.ErrNoKeysFound},
	{"no stream response", nats.ErrNoStreamResponse}, {"no responders", nats.ErrNoResponders}, {"legacy cannot", errNotInLegacy},
	{"watch ended", errClosed}, {"timeout", context.DeadlineExceeded},
}

// wrong is what a program that compares errors sees: which they are, and the code of the server.
func wrong(err error) string {
	if err == nil {
		return "ok"
	}
	var words []string
	for _, k := range known {
		if isNew := !slices.Contains(words, k.name); isNew && errors.Is(err, k.err) {
			words = append(words, k.name)
		}
	}

	var newer *jetstream.APIError
	var older *nats.APIError
	switch {
	case errors.As(err, &newer):
		words = append(words, codes(newer.Code, int(newer.ErrorCode), newer.Description))
	case errors.As(err, &older):
		words = append(words, codes(older.Code, int(older.ErrorCode), older.Description))
	case len(words) == 0:
		words = append(words, err.Error())
	}
	return "error: " + strings.Join(words, ", ")
}

// codes are those of an error, and its text where the code tells nothing.
func codes(code, number int, text string) string {
	const storeFailed = 10049
	if number == storeFailed {
		return fmt.Sprintf("%d/%d %s", code, number, text)
	}
	return fmt.Sprintf("%d/%d", code, number)
}
