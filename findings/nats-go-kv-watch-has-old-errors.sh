#!/usr/bin/env bash
# nats.go, package jetstream: Watch, Keys and History of a KeyValue return errors of the old package nats; Status of the same one does not
# Package: github.com/nats-io/nats.go v1.55.0, beside github.com/nats-io/nats-server/v2 v2.15.2
#
# What one expects: what a jetstream.KeyValue returns is told apart with the errors of package jetstream:
#   errors.Is(err, jetstream.ErrStreamNotFound), or errors.As with *jetstream.APIError for the code of any other refusal.
# What happens: that holds for Status. But WatchAll, and Keys and History which are made of watches,
#   subscribe through the old JetStreamContext, and hand its errors on as they are: they are
#   *nats.APIError and match nats.ErrStreamNotFound, and nothing of package jetstream. Here the bucket was deleted:
#
#     Status    jetstream.ErrStreamNotFound true   *jetstream.APIError true   *nats.APIError false
#     WatchAll  jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
#     Keys      jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
#     History   jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
#
# Why it matters: a program that makes its bucket anew, or stops, when it is gone, takes this end of a watch for an
#   unknown fault and tries for ever; a test that serves buckets by itself, as quartet's facade does, looks for a code
#   that is never there. Ask for both packages' types, or compare the code of whichever it is.
set -euo pipefail
export CGO_ENABLED=0 GOFLAGS=
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module example.com/kverrors

go 1.26

require (
	github.com/nats-io/nats-server/v2 v2.15.2
	github.com/nats-io/nats.go v1.55.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	dir, err := os.MkdirTemp("", "js")
	must(err)
	defer os.RemoveAll(dir)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	must(err)
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	must(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(err)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "orders"})
	must(err)
	must(js.DeleteKeyValue(ctx, "orders"))

	_, err = kv.Status(ctx)
	tell("Status", err)
	_, err = kv.WatchAll(ctx)
	tell("WatchAll", err)
	_, err = kv.Keys(ctx)
	tell("Keys", err)
	_, err = kv.History(ctx, "17")
	tell("History", err)
}

// tell prints which package's errors one is.
func tell(of string, err error) {
	var own *jetstream.APIError
	var old *nats.APIError
	fmt.Printf("%-8s  jetstream.ErrStreamNotFound %-5v  *jetstream.APIError %-5v  *nats.APIError %v\n",
		of, errors.Is(err, jetstream.ErrStreamNotFound), errors.As(err, &own), errors.As(err, &old))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
GO
go mod tidy >/dev/null 2>&1
go run . | tee seen
cat >want <<'WANT'
Status    jetstream.ErrStreamNotFound true   *jetstream.APIError true   *nats.APIError false
WatchAll  jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
Keys      jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
History   jetstream.ErrStreamNotFound false  *jetstream.APIError false  *nats.APIError true
WANT
diff want seen
