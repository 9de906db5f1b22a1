#!/usr/bin/env bash
# JetStream counters: an increment that is sent again under its Nats-Msg-Id is acknowledged without the sum
# Packages: github.com/nats-io/nats-server/v2 v2.15.2, github.com/nats-io/nats.go v1.55.0
#
# What one expects: a stream with AllowMsgCounter answers each increment with the new sum ("val"). An increment
#   whose answer was lost is sent again with the same Nats-Msg-Id, counts once, and is answered like the first
#   time: that is what an id is for.
# What happens: it counts once, but the acknowledgement of the repetition has no "val". The stored message of
#   that sequence has the sum; the client must read it, by the sequence in the acknowledgement.
#
#     +5  id one  {"stream":"C","seq":1,"val":"5"}
#     +5  id one  {"stream":"C","seq":1,"duplicate": true}
#     +0  id two  {"stream":"C","seq":2,"val":"5"}
#     stored 1    {"val":"5"}
#
# Why it matters: code that reads the sum from the acknowledgement (a ticket number, a rate limit) gets "no value"
#   in exactly the case for which it sends ids, and Go's PubAck.Value is then the empty string, not an error.
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
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "C", Subjects: []string{"c"}, AllowMsgCounter: true, AllowDirect: true,
	})
	check(err)

	increment := func(by, id string) {
		m := nats.NewMsg("c")
		m.Header.Set("Nats-Incr", by)
		m.Header.Set("Nats-Msg-Id", id)
		reply, err := nc.RequestMsgWithContext(ctx, m)
		check(err)
		fmt.Printf("%s  id %s  %s\n", by, id, reply.Data)
	}

	increment("+5", "one")
	increment("+5", "one")
	increment("+0", "two")

	stored, err := stream.GetMsg(ctx, 1)
	check(err)
	fmt.Printf("stored 1    %s\n", stored.Data)
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
+5  id one  {"stream":"C","seq":1,"val":"5"}
+5  id one  {"stream":"C","seq":1,"duplicate": true}
+0  id two  {"stream":"C","seq":2,"val":"5"}
stored 1    {"val":"5"}
SEEN
