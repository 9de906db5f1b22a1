#!/usr/bin/env bash
# msgpack for Go: SetSortMapKeys sorts three types of maps; all others keep Go's random order, without an error
# Package: github.com/vmihailenco/msgpack/v5 v5.4.1
#
# What one expects: after SetSortMapKeys(true) the same value is always encoded to the same bytes, as encoding/json's maps
#   are, whatever the type of the map; or Encode refuses a map that it cannot sort.
# What happens: only map[string]string, map[string]bool and map[string]interface{} are sorted (its comment names
#   them). Another type of value, a named type of string, or a key that is a number is encoded in the order in which
#   Go happens to walk through it, with a nil error, also within a map that is sorted itself. Encoded 200 times:
#
#     map[string]string                             1 encoding
#     map[string]interface {}                       1 encoding
#     map[string]int                                several
#     map[string][]uint8                            several
#     map[main.name]string                          several
#     map[int]string                                several
#     map[string]interface {} with a map[string]int  several
#
# Why it matters: what is hashed, signed, deduplicated or compared by its bytes (the identity of a repeated request, a
#   checksum of a replica's state) differs now and then for equal values; a test with one key per map never sees it.
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
	"bytes"
	"fmt"
	"log"

	"github.com/vmihailenco/msgpack/v5"
)

type name string

func main() {
	show("", map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"})
	show("", map[string]any{"a": 1, "b": 2, "c": 3, "d": 4})
	show("", map[string]int{"a": 1, "b": 2, "c": 3, "d": 4})
	show("", map[string][]byte{"a": {1}, "b": {2}, "c": {3}, "d": {4}})
	show("", map[name]string{"a": "1", "b": "2", "c": "3", "d": "4"})
	show("", map[int]string{1: "a", 2: "b", 3: "c", 4: "d"})
	show(" with a map[string]int", map[string]any{"inner": map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}})
}

// show counts the different encodings of one value.
func show(with string, v any) {
	seen := map[string]bool{}
	for range 200 {
		var out bytes.Buffer
		e := msgpack.NewEncoder(&out)
		e.SetSortMapKeys(true)
		if err := e.Encode(v); err != nil {
			log.Fatal(err)
		}
		seen[out.String()] = true
	}
	count := "several"
	if len(seen) == 1 {
		count = "1 encoding"
	}
	fmt.Printf("%-46s %s\n", fmt.Sprintf("%T", v)+with, count)
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
map[string]string                              1 encoding
map[string]interface {}                        1 encoding
map[string]int                                 several
map[string][]uint8                             several
map[main.name]string                           several
map[int]string                                 several
map[string]interface {} with a map[string]int  several
SEEN
