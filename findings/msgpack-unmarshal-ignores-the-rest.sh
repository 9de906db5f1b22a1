#!/usr/bin/env bash
# msgpack for Go: Unmarshal takes the first value and says nothing of what stands behind it
# Package: github.com/vmihailenco/msgpack/v5 v5.4.1
#
# What one expects: Unmarshal decodes *the* value in a byte slice, so bytes that follow it are an error, as in
#   encoding/json ("invalid character after top-level value").
# What happens: the error is nil, whatever follows: a second value, or garbage.
#
#     {"a":1}                  msgpack 1 <nil>; json error false
#     {"a":1}{"a":2}           msgpack 1 <nil>; json error true
#     {"a":1} and one byte c1  msgpack 1 <nil>; json error true
#
# Why it matters: two messages that were joined by a bug, or a message of a format that has grown, are read as the
#   first one alone and the rest is lost silently. A protocol that must notice needs a Decoder over a bytes.Reader
#   and a look at what is left. (c1 is the one byte that msgpack never uses.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >go.mod <<'MOD'
module finding

go 1.26

require github.com/vmihailenco/msgpack/v5 v5.4.1
MOD

cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/vmihailenco/msgpack/v5"
)

type message struct {
	A int `msgpack:"a" json:"a"`
}

func main() {
	show(`{"a":1}`, packed(1), `{"a":1}`)
	show(`{"a":1}{"a":2}`, append(packed(1), packed(2)...), `{"a":1}{"a":2}`)
	show(`{"a":1} and one byte c1`, append(packed(1), 0xc1), `{"a":1}`+"\xc1")
}

func packed(a int) []byte {
	b, err := msgpack.Marshal(message{A: a})
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func show(what string, b []byte, text string) {
	var m, other message
	err := msgpack.Unmarshal(b, &m)
	errText := json.Unmarshal([]byte(text), &other)
	fmt.Printf("%-24s msgpack %d %v; json error %v\n", what, m.A, err, errText != nil)
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
{"a":1}                  msgpack 1 <nil>; json error false
{"a":1}{"a":2}           msgpack 1 <nil>; json error true
{"a":1} and one byte c1  msgpack 1 <nil>; json error true
SEEN
