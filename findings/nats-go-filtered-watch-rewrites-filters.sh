#!/usr/bin/env bash
# nats.go: ListKeysFiltered and WatchFiltered write into the caller's slice of filters
# Packages: github.com/nats-io/nats.go v1.55.0 (package jetstream), github.com/nats-io/nats-server/v2 v2.15.2
#
# What one expects: a slice of filters is what a program wants to see; a call reads it, and it means the same
#   when it is passed again.
# What happens: each filter is replaced in place by the subject that it stands for ("$KV.BUCKET." before it), also
#   through the variadic parameter of ListKeysFiltered. The second call with the same slice is refused, and the
#   error says that the key is empty or no subject, which is true of none that the program has written:
#
#     call 1: 2 keys, invalid key: false, filters afterwards: ["$KV.orders.open.*"]
#     call 2: 0 keys, invalid key: true, filters afterwards: ["$KV.orders.open.*"]
#
# Why it matters: a loop that starts its watch anew after a fault, or one list of filters for several buckets, keeps
#   its filters in a variable. It works until the first fault, and never again; and two goroutines that share the
#   slice race. Whoever calls these passes a copy (slices.Clone).
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
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "orders", Storage: jetstream.MemoryStorage})
	check(err)
	for _, key := range []string{"open.1", "open.2", "paid.3"} {
		_, err := kv.PutString(ctx, key, "value")
		check(err)
	}

	filters := []string{"open.*"}
	for call := 1; call <= 2; call++ {
		keys := 0
		lister, err := kv.ListKeysFiltered(ctx, filters...)
		if err == nil {
			for range lister.Keys() {
				keys++
			}
		}
		fmt.Printf("call %d: %d keys, invalid key: %v, filters afterwards: %q\n",
			call, keys, errors.Is(err, jetstream.ErrInvalidKey), filters)
	}
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
call 1: 2 keys, invalid key: false, filters afterwards: ["$KV.orders.open.*"]
call 2: 0 keys, invalid key: true, filters afterwards: ["$KV.orders.open.*"]
SEEN
