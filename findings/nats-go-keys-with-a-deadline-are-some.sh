#!/usr/bin/env bash
# nats.go: Keys with a context whose deadline passes returns a part of the keys, and no error
# Packages: github.com/nats-io/nats.go v1.55.0 (package jetstream), github.com/nats-io/nats-server/v2 v2.15.2
#
# What one expects: Keys(ctx) and ListKeys(ctx) of a bucket that is larger than ctx has time for end with
#   context.DeadlineExceeded, as every other call of the package does.
# What happens: the end of the context ends the watch beneath, whose channel is closed; both take that for the end of
#   the list. Keys returns what had arrived, sorted, and a nil error; the lister's channel is closed without a word.
#
#     without a deadline: 300000 keys, error <nil>
#     Keys: 88019 of 300000
#     Keys with a deadline: a part of them true, error <nil>, context: context deadline exceeded
#     ListKeys: 71229 of 300000
#     ListKeys with a deadline: a part of them true, context: context deadline exceeded
#
# Why it matters: a list of keys decides what is copied, counted or deleted elsewhere. With a bucket that has grown, or
#   a server that is busy, keys are missing from it, and nothing says so. Whoever lists looks at ctx.Err()
#   afterwards, and throws the list away unless it is nil.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >go.mod <<'MOD'
module finding

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
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const total = 300_000

func main() {
	s, err := server.NewServer(&server.Options{Port: -1, JetStream: true, StoreDir: os.Args[1], NoSigs: true})
	check(err)
	s.Start()
	defer s.Shutdown()
	nc, err := nats.Connect(s.ClientURL())
	check(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	check(err)
	ctx := context.Background()

	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "orders", Storage: jetstream.MemoryStorage})
	check(err)
	for i := range total {
		_, err := js.PublishAsync(fmt.Sprintf("$KV.orders.%d", i), []byte("value"))
		check(err)
		if i%1000 == 999 {
			<-js.PublishAsyncComplete()
		}
	}

	began := time.Now()
	all, err := kv.Keys(ctx)
	check(err)
	whole := time.Since(began)
	fmt.Printf("without a deadline: %d keys, error %v\n", len(all), err)

	short, cancel := context.WithTimeout(ctx, whole/4)
	defer cancel()
	some, err := kv.Keys(short)
	fmt.Fprintf(os.Stderr, "Keys: %d of %d\n", len(some), total)
	fmt.Printf("Keys with a deadline: a part of them %v, error %v, context: %v\n", len(some) < total, err, short.Err())

	short, cancel = context.WithTimeout(ctx, whole/4)
	defer cancel()
	lister, err := kv.ListKeys(short)
	check(err)
	n := 0
	for range lister.Keys() {
		n++
	}
	fmt.Fprintf(os.Stderr, "ListKeys: %d of %d\n", n, total)
	fmt.Printf("ListKeys with a deadline: a part of them %v, context: %v\n", n < total, short.Err())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO

go mod tidy >/dev/null 2>&1
go run . "$dir/store" | tee seen
diff - seen <<'SEEN'
without a deadline: 300000 keys, error <nil>
Keys with a deadline: a part of them true, error <nil>, context: context deadline exceeded
ListKeys with a deadline: a part of them true, context: context deadline exceeded
SEEN
