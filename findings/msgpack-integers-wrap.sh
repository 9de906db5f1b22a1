#!/usr/bin/env bash
# msgpack for Go: a number that does not fit its field is decoded to another number, without an error
# Package: github.com/vmihailenco/msgpack/v5 v5.4.1
#
# What one expects: as encoding/json (which this program prints beside it) and encoding/gob do, Unmarshal refuses a
#   number that the type of the field cannot hold.
# What happens: the error is nil and the number has been cut to its low bits; a negative one becomes a huge
#   unsigned one, a huge unsigned one a negative one.
#
#     300 into int8:                    msgpack 44, error false; json error true
#     -1 into uint64:                   msgpack 18446744073709551615, error false; json error true
#     18446744073709551615 into int64:  msgpack -1, error false; json error true
#     65536 into uint16:                msgpack 0, error false; json error true
#
# Why it matters: a peer that is newer, broken, or written in another language turns a large sequence into a small
#   one, or a count of -1 into "everything". Whoever decodes what others send must decode into 64 bits with the
#   right sign and compare before narrowing.
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
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

func main() {
	show[int8](300)
	show[uint64](-1)
	show[int64](uint64(math.MaxUint64))
	show[uint16](65536)
}

// show encodes v with both packages and decodes it into a T.
func show[T any](v any) {
	var packed, text T
	b, err := msgpack.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	errPacked := msgpack.Unmarshal(b, &packed)
	if b, err = json.Marshal(v); err != nil {
		log.Fatal(err)
	}
	errText := json.Unmarshal(b, &text)

	name := fmt.Sprintf("%v into %T:", v, packed)
	fmt.Printf("%-33s msgpack %v, error %v; json error %v\n", name, packed, errPacked != nil, errText != nil)
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
300 into int8:                    msgpack 44, error false; json error true
-1 into uint64:                   msgpack 18446744073709551615, error false; json error true
18446744073709551615 into int64:  msgpack -1, error false; json error true
65536 into uint16:                msgpack 0, error false; json error true
SEEN
