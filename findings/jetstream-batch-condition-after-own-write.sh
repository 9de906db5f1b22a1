#!/usr/bin/env bash
# JetStream atomic batches: a condition on a subject that the batch has already written can never hold
# Packages: github.com/nats-io/nats-server/v2 v2.15.2, github.com/nats-io/nats.go v1.55.0
#
# What one expects: the messages of an atomic batch are applied in order, so Nats-Expected-Last-Subject-Sequence on
#   a second write to a subject is held against either the state before the batch or the state that the first
#   write made. One of the two sequences passes.
# What happens: neither does. Whatever sequence is named (that of the message before the batch, that which the
#   first write of the batch would get, 0), the batch is refused with 10164, "wrong last sequence", which does not
#   say which message it was, nor what the last sequence is. A second write without a condition is accepted.
#
#     without a condition                 {"stream":"B","seq":3,"batch":"b1","count":2}
#     sequence before the batch           10164 wrong last sequence
#     sequence of the first in the batch  10164 wrong last sequence
#     zero                                10164 wrong last sequence
#     condition on the first alone        {"stream":"B","seq":5,"batch":"b5","count":2}
#
# Why it matters: code that turns a list of conditional writes into one batch works until a key stands in the list
#   twice; then it looks like a conflict with somebody else, and retrying with the newest sequence never ends.
#   Writes to one key have to be merged, or only the first may carry a condition.
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

const none = -1 // no condition

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
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "B", Subjects: []string{"b.>"}, AllowAtomicPublish: true,
	})
	check(err)
	ack, err := js.Publish(ctx, "b.key", []byte("before"))
	check(err)
	last := int(ack.Sequence)

	batches := 0
	// twice writes b.key two times in one batch, each under its condition.
	twice := func(what string, conditions ...int) {
		batches++
		var answer []byte
		for i, sequence := range conditions {
			m := nats.NewMsg("b.key")
			m.Header.Set("Nats-Batch-Id", fmt.Sprintf("b%d", batches))
			m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
			if sequence != none {
				m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.Itoa(sequence))
			}
			if i == len(conditions)-1 {
				m.Header.Set("Nats-Batch-Commit", "1")
			}
			reply, err := nc.RequestMsgWithContext(ctx, m)
			check(err)
			answer = reply.Data
		}

		var refused struct{ Error *jetstream.APIError }
		check(json.Unmarshal(answer, &refused))
		if refused.Error != nil {
			answer = fmt.Appendf(nil, "%d %s", refused.Error.ErrorCode, refused.Error.Description)
		} else {
			last += len(conditions)
		}
		fmt.Printf("%-35s %s\n", what, answer)
	}

	twice("without a condition", none, none)
	twice("sequence before the batch", none, last)
	twice("sequence of the first in the batch", none, last+1)
	twice("zero", none, 0)
	twice("condition on the first alone", last, none)
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
without a condition                 {"stream":"B","seq":3,"batch":"b1","count":2}
sequence before the batch           10164 wrong last sequence
sequence of the first in the batch  10164 wrong last sequence
zero                                10164 wrong last sequence
condition on the first alone        {"stream":"B","seq":5,"batch":"b5","count":2}
SEEN
