#!/usr/bin/env bash
# JetStream atomic batches: sent again under the same message ids after a lost answer, a batch is refused
# Packages: github.com/nats-io/nats-server/v2 v2.15.2, github.com/nats-io/nats.go v1.55.0
#
# What one expects: Nats-Msg-Id makes a retry safe. A single message that is sent again with its id is
#   acknowledged as a duplicate of the first, so a batch that was committed and is sent again with the ids of its
#   messages is acknowledged in the same way.
# What happens: the batch is refused with an error of its own (code 400, 10201), the same that a batch gets of
#   which only one id was ever used, by whomever, or which has one id twice. The answer names neither the id nor
#   a sequence.
#
#     single            {"stream":"B","seq":1}
#     single again      {"stream":"B","seq":1,"duplicate": true}
#     batch             {"stream":"B","seq":3,"batch":"first","count":2}
#     batch again       10201 atomic publish batch contains duplicate message id
#     one id is new     10201 atomic publish batch contains duplicate message id
#     messages 3
#
# Why it matters: after a lost acknowledgement of a commit the client cannot learn from the retry whether its
#   batch stands. It has to read the stream, or keep a condition in the batch and interpret its failure. A publisher
#   that treats 400 as "not stored" drops what was stored, or stores it again under other ids.
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
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
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
		Name: "B", Subjects: []string{"b.>"}, AllowAtomicPublish: true,
	})
	check(err)

	// send publishes one message, or several as an atomic batch, and returns the last answer.
	send := func(batch string, ids ...string) []byte {
		var last []byte
		for i, id := range ids {
			m := nats.NewMsg("b." + id)
			m.Header.Set("Nats-Msg-Id", id)
			if batch != "" {
				m.Header.Set("Nats-Batch-Id", batch)
				m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
			}
			if batch != "" && i == len(ids)-1 {
				m.Header.Set("Nats-Batch-Commit", "1")
			}
			reply, err := nc.RequestMsgWithContext(ctx, m)
			check(err)
			last = reply.Data
		}
		return last
	}

	fmt.Printf("%-17s %s\n", "single", send("", "a"))
	fmt.Printf("%-17s %s\n", "single again", send("", "a"))
	fmt.Printf("%-17s %s\n", "batch", send("first", "b", "c"))
	fmt.Printf("%-17s %s\n", "batch again", refusal(send("again", "b", "c")))
	fmt.Printf("%-17s %s\n", "one id is new", refusal(send("mixed", "c", "d")))

	info, err := stream.Info(ctx)
	check(err)
	fmt.Printf("messages %d\n", info.State.Msgs)
}

func refusal(answer []byte) string {
	var ack struct{ Error jetstream.APIError }
	check(json.Unmarshal(answer, &ack))
	return fmt.Sprintf("%d %s", ack.Error.ErrorCode, ack.Error.Description)
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
single            {"stream":"B","seq":1}
single again      {"stream":"B","seq":1,"duplicate": true}
batch             {"stream":"B","seq":3,"batch":"first","count":2}
batch again       10201 atomic publish batch contains duplicate message id
one id is new     10201 atomic publish batch contains duplicate message id
messages 3
SEEN
