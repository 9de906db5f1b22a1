#!/usr/bin/env bash
# msgpack for Go: a fixed array that is decoded from fewer elements keeps its old tail
# Package: github.com/vmihailenco/msgpack/v5 v5.4.1
#
# What one expects: what Unmarshal has filled is what was sent. encoding/json (printed beside it) sets the elements of a
#   Go array for which nothing was sent to zero; more elements than the array has are an error in msgpack, so fewer
#   might be one, too.
# What happens: neither. The error is nil, the elements that came are written over the first ones, and the others
#   stay what they were: half of the new value and half of the last one, for [N]byte and other arrays alike.
#
#     [3]int  {7, 7, 7} from [1]:          msgpack [1 7 7] <nil>; json [1 0 0] <nil>
#     [4]byte {9, 9, 9, 9} from one byte:  msgpack [1 9 9 9] <nil>; json [1 0 0 0] <nil>
#     [1]int  {7} from [1 2]:              msgpack [7] [1]int len is 1, but msgpack has 2 elements; json [1] <nil>
#
# Why it matters: ids, hashes and addresses are arrays of bytes. Where one message struct is decoded into again and
#   again (a pool, a loop over a stream), a sender whose id is shorter gets one that is made of two.
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

func main() {
	show("[3]int  {7, 7, 7} from [1]:", [3]int{7, 7, 7}, []int{1}, "[1]")
	show("[4]byte {9, 9, 9, 9} from one byte:", [4]byte{9, 9, 9, 9}, []byte{1}, "[1]")
	show("[1]int  {7} from [1 2]:", [1]int{7}, []int{1, 2}, "[1,2]")
}

func show[A any](what string, old A, sent any, text string) {
	b, err := msgpack.Marshal(sent)
	if err != nil {
		log.Fatal(err)
	}
	first, second := old, old
	err = msgpack.Unmarshal(b, &first)
	errText := json.Unmarshal([]byte(text), &second)
	fmt.Printf("%-36s msgpack %v %v; json %v %v\n", what, first, err, second, errText)
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
[3]int  {7, 7, 7} from [1]:          msgpack [1 7 7] <nil>; json [1 0 0] <nil>
[4]byte {9, 9, 9, 9} from one byte:  msgpack [1 9 9 9] <nil>; json [1 0 0 0] <nil>
[1]int  {7} from [1 2]:              msgpack [7] [1]int len is 1, but msgpack has 2 elements; json [1] <nil>
SEEN
