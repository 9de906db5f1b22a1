#!/usr/bin/env bash
# Pebble: SeekPrefixGE of "user/" finds nothing beside user/1 and user/2, unless the comparer splits keys there
# Package: github.com/cockroachdb/pebble/v2 v2.1.7
#
# What one expects: SeekPrefixGE is the seek of a scan over all keys with a prefix. At worst, without a function that
#   cuts prefixes off keys, it is a plain SeekGE, as RocksDB's Seek without a prefix extractor is.
# What happens: the default comparer calls the whole key its prefix. So SeekPrefixGE(x) is a lookup of the key x: it finds
#   nothing where x itself does not exist, says no error, and after a hit Next ends at once.
#
#     SeekGE("user/"):          true, user/1 user/2
#     SeekPrefixGE("user/"):    false, error <nil>
#     SeekPrefixGE("user/1"):   true, user/1
#     bounds "user/", "user0":  true, user/1 user/2
#
# Why it matters: a listing below a prefix is empty, and a program that takes that for "none" goes on. The scan that is
#   meant needs a LowerBound and an UpperBound; a Split of one's own is a property of the store from its first day.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >go.mod <<'MOD'
module finding

go 1.26

require github.com/cockroachdb/pebble/v2 v2.1.7
MOD

cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func main() {
	log.SetFlags(0)
	db, err := pebble.Open("store", &pebble.Options{FS: vfs.NewMem(), Logger: quiet{}})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"apple", "user/1", "user/2"} {
		if err := db.Set([]byte(key), nil, pebble.NoSync); err != nil {
			log.Fatal(err)
		}
	}

	show(db, `SeekGE("user/"):`, nil, func(it *pebble.Iterator) bool { return it.SeekGE([]byte("user/")) })
	show(db, `SeekPrefixGE("user/"):`, nil, func(it *pebble.Iterator) bool { return it.SeekPrefixGE([]byte("user/")) })
	show(db, `SeekPrefixGE("user/1"):`, nil, func(it *pebble.Iterator) bool { return it.SeekPrefixGE([]byte("user/1")) })
	within := &pebble.IterOptions{LowerBound: []byte("user/"), UpperBound: []byte("user0")}
	show(db, `bounds "user/", "user0":`, within, (*pebble.Iterator).First)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}

// show prints whether a seek has found something, and all keys from there on.
func show(db *pebble.DB, what string, o *pebble.IterOptions, seek func(*pebble.Iterator) bool) {
	it, err := db.NewIter(o)
	if err != nil {
		log.Fatal(err)
	}
	found := seek(it)
	fmt.Printf("%-25s %v", what, found)
	if !found {
		fmt.Printf(", error %v", it.Error())
	}
	for sep := ", "; it.Valid(); it.Next() {
		fmt.Printf("%s%s", sep, it.Key())
		sep = " "
	}
	fmt.Println()
	if err := it.Close(); err != nil {
		log.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)            {}
func (quiet) Errorf(string, ...any)           {}
func (quiet) Fatalf(format string, a ...any) { log.Fatalf(format, a...) }
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
SeekGE("user/"):          true, user/1 user/2
SeekPrefixGE("user/"):    false, error <nil>
SeekPrefixGE("user/1"):   true, user/1
bounds "user/", "user0":  true, user/1 user/2
SEEN
