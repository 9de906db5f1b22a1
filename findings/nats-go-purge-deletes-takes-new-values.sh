#!/usr/bin/env bash
# nats.go: PurgeDeletes takes values away that are put while it runs
# Packages: github.com/nats-io/nats.go v1.55.0 (package jetstream), github.com/nats-io/nats-server/v2 v2.15.2
#
# What one expects: PurgeDeletes removes the markers of keys that were deleted. A key that has a value again by the
#   time its marker would go has no marker any more, and keeps its value.
# What happens: the call first lists all markers, then purges each one's subject, whatever stands there by then. Of
#   2,000 deleted keys that were put anew meanwhile, each put being acknowledged:
#
#     2000 values were put while PurgeDeletes ran, each acknowledged; 1350 are gone
#
#   The same holds for markers that are older than the default of 30 minutes: the age is the listed marker's, not that
#   of what is purged.
# Why it matters: PurgeDeletes is what keeps a bucket small, and is run from time to time beside the program that uses
#   the bucket. An acknowledged value is lost without a marker or an error, and no watch is told. Only a
#   bucket that nobody writes to can be cleaned so; otherwise markers get a time to live (LimitMarkerTTL), or each key
#   is purged up to the marker's own sequence (jetstream.WithPurgeSequence beside WithPurgeSubject).
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

const total = 2000

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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "orders", Storage: jetstream.MemoryStorage})
	check(err)
	key := func(i int) string { return fmt.Sprintf("key.%d", i) }
	for i := range total {
		check(kv.Delete(ctx, key(i)))
	}

	purged := make(chan error, 1)
	go func() { purged <- kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)) }()

	put := map[string]uint64{}
	for i := total - 1; i >= 0 && len(purged) == 0; i-- {
		revision, err := kv.PutString(ctx, key(i), "a new value")
		check(err)
		put[key(i)] = revision
	}
	check(<-purged)

	lost := 0
	for k := range put {
		if _, err := kv.Get(ctx, k); errors.Is(err, jetstream.ErrKeyNotFound) {
			lost++
		}
	}
	fmt.Fprintf(os.Stderr, "%d values were put while PurgeDeletes ran, each acknowledged; %d are gone\n", len(put), lost)
	fmt.Printf("some are gone: %v\n", lost > 0)
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
some are gone: true
SEEN
