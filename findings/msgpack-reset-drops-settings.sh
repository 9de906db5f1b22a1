#!/usr/bin/env bash
# msgpack for Go: Reset of an Encoder or Decoder switches off all that was set on it, ResetReader another part
# Package: github.com/vmihailenco/msgpack/v5 v5.4.1
#
# What one expects: Reset makes an encoder or decoder ready for the next stream and keeps how it is to work, as Reset of
#   compress/gzip's and flate's writers keeps the level; so one that comes from a pool is set up once.
# What happens: Reset(w) clears every setting without a word: compact integers, sorted keys, omitted empty fields,
#   refused unknown fields, the custom struct tag. ResetReader and ResetWriter keep those, but ResetReader drops the
#   function that SetMapDecoder was given, so neither call keeps everything.
#
#     unknown field:      new "msgpack: unknown field \"B\"", after Reset "", after ResetReader "msgpack: unknown field \"B\""
#     int64(1), compact:  new 1 byte, after Reset 9, after ResetWriter 1
#     SetMapDecoder:      new map[string]bool, after Reset map[string]interface {}, after ResetReader map[string]interface {}
#
# Why it matters: a decoder that is strict with the first message of a connection takes anything from the second one
#   on; bytes that are compared, hashed or signed differ between the first and the later uses of one encoder.
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

func main() {
	strict := msgpack.NewDecoder(unknown())
	strict.DisallowUnknownFields(true)
	first := fails(strict)
	strict.ResetReader(unknown())
	kept := fails(strict)
	strict.Reset(unknown())
	fmt.Printf("unknown field:      new %q, after Reset %q, after ResetReader %q\n", first, fails(strict), kept)

	var out bytes.Buffer
	compact := msgpack.NewEncoder(&out)
	compact.UseCompactInts(true)
	one := size(compact, &out)
	compact.ResetWriter(&out)
	two := size(compact, &out)
	compact.Reset(&out)
	fmt.Printf("int64(1), compact:  new %d byte, after Reset %d, after ResetWriter %d\n", one, size(compact, &out), two)

	after := func(reset func(*msgpack.Decoder)) any {
		d := msgpack.NewDecoder(flags())
		d.SetMapDecoder(func(d *msgpack.Decoder) (any, error) {
			var m map[string]bool
			return m, d.Decode(&m)
		})
		reset(d)
		v, err := d.DecodeInterface()
		if err != nil {
			log.Fatal(err)
		}
		return v
	}
	fmt.Printf("SetMapDecoder:      new %T, after Reset %T, after ResetReader %T\n", after(func(*msgpack.Decoder) {}),
		after(func(d *msgpack.Decoder) { d.Reset(flags()) }), after(func(d *msgpack.Decoder) { d.ResetReader(flags()) }))
}

func flags() *bytes.Reader { return pack(map[string]bool{"on": true}) }

// unknown has a field that fails does not know.
func unknown() *bytes.Reader { return pack(map[string]int{"A": 1, "B": 2}) }

func pack(v any) *bytes.Reader {
	b, err := msgpack.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return bytes.NewReader(b)
}

func fails(d *msgpack.Decoder) string {
	var known struct{ A int }
	if err := d.Decode(&known); err != nil {
		return err.Error()
	}
	return ""
}

func size(e *msgpack.Encoder, out *bytes.Buffer) int {
	out.Reset()
	if err := e.Encode(int64(1)); err != nil {
		log.Fatal(err)
	}
	return out.Len()
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
unknown field:      new "msgpack: unknown field \"B\"", after Reset "", after ResetReader "msgpack: unknown field \"B\""
int64(1), compact:  new 1 byte, after Reset 9, after ResetWriter 1
SetMapDecoder:      new map[string]bool, after Reset map[string]interface {}, after ResetReader map[string]interface {}
SEEN
