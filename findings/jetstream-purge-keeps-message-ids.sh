#!/usr/bin/env bash
# JetStream: a purge, or the deletion of a message, does not forget its Nats-Msg-Id
# Packages: github.com/nats-io/nats-server/v2 v2.15.2, github.com/nats-io/nats.go v1.55.0
#
# What one expects: the ids that make a publish a duplicate are those of messages in the stream. After a purge
#   the stream is empty, so a message published again under its old id (a test that starts from an empty stream,
#   an importer that is run a second time) is stored.
# What happens: for the length of the duplicate window (two minutes unless set) the publish is acknowledged
#   without an error, as a duplicate of a sequence that is no longer there, and nothing is stored. The same
#   after DeleteMsg.
#
#     first:         sequence 1 duplicate false, messages 1
#     after purge:   sequence 1 duplicate true, messages 0
#     first:         sequence 2 duplicate false, messages 1
#     after delete:  sequence 2 duplicate true, messages 0
#
# Why it matters: Publish returns a nil error, so the data are lost unless PubAck.Duplicate is looked at, and even
#   then nothing says that the message which it duplicates is gone. Whoever purges in order to load again must
#   use new ids, or wait for the window to pass.
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

func main() {
	s, err := server.NewServer(&server.Options{Port: -1, JetStream: true, StoreDir: os.Args[1], NoSigs: true})
	check(err)
	s.Start()
	defer s.Shutdown()

	nc, err := nats.Connect(s.ClientURL())
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	check(err)

	publish := func(when, id string) uint64 {
		ack, err := js.Publish(ctx, "s.a", []byte("value"), jetstream.WithMsgID(id))
		check(err)
		info, err := stream.Info(ctx)
		check(err)
		fmt.Printf("%-14s sequence %d duplicate %v, messages %d\n", when, ack.Sequence, ack.Duplicate, info.State.Msgs)
		return ack.Sequence
	}

	publish("first:", "one")
	check(stream.Purge(ctx))
	publish("after purge:", "one")

	sequence := publish("first:", "two")
	check(stream.DeleteMsg(ctx, sequence))
	publish("after delete:", "two")
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
first:         sequence 1 duplicate false, messages 1
after purge:   sequence 1 duplicate true, messages 0
first:         sequence 2 duplicate false, messages 1
after delete:  sequence 2 duplicate true, messages 0
SEEN
