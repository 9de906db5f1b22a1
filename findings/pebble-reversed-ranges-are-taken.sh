#!/usr/bin/env bash
# Pebble: DeleteRange and RangeKeySet take a range whose end lies before its start, and do nothing; Compact and EstimateDiskUsage refuse it
# Package: github.com/cockroachdb/pebble/v2 v2.1.7
#
# What one expects: a range that ends before it begins is a mistake of the caller, and an error wherever a range is
#   taken, as it is of Compact.
# What happens: DeleteRange and RangeKeySet return nil, commit a batch, and neither delete nor set anything; an iterator
#   with such bounds is made without an error and is empty. Compact and EstimateDiskUsage name the mistake.
#
#     from c to a:  DeleteRange         <nil>
#     from c to a:  RangeKeySet         <nil>
#     from c to a:  NewIter             <nil>, 0 keys, error <nil>
#     from c to a:  Compact             Compact start c is not less than end a
#     from c to a:  EstimateDiskUsage   invalid key-range specified (start > end)
#     keys afterwards: 3
#
# Why it matters: an end that is computed wrongly (the successor of a prefix of ff bytes, two ends in the wrong order)
#   looks like a deletion that was done. What should be gone is there after the next start, and no log tells of it.
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
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func main() {
	log.SetFlags(0)
	db, err := pebble.Open("store", &pebble.Options{FS: vfs.NewMem(), FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c"} {
		if err := db.Set([]byte(key), nil, pebble.NoSync); err != nil {
			log.Fatal(err)
		}
	}

	start, end := []byte("c"), []byte("a")
	show := func(call string, result ...any) {
		fmt.Printf("from c to a:  %-18s  %s", call, fmt.Sprintln(result...))
	}
	show("DeleteRange", db.DeleteRange(start, end, pebble.NoSync))
	show("RangeKeySet", db.RangeKeySet(start, end, nil, nil, pebble.NoSync))
	n, err, after := keys(db, &pebble.IterOptions{LowerBound: start, UpperBound: end})
	show("NewIter", fmt.Sprintf("%v, %d keys, error %v", err, n, after))
	show("Compact", db.Compact(context.Background(), start, end, false))
	_, err = db.EstimateDiskUsage(start, end)
	show("EstimateDiskUsage", err)

	n, _, _ = keys(db, nil)
	fmt.Println("keys afterwards:", n)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}

func keys(db *pebble.DB, o *pebble.IterOptions) (n int, err, after error) {
	it, err := db.NewIter(o)
	if err != nil {
		return 0, err, nil
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, nil, it.Close()
}

type quiet struct{}

func (quiet) Infof(string, ...any)            {}
func (quiet) Errorf(string, ...any)           {}
func (quiet) Fatalf(format string, a ...any) { log.Fatalf(format, a...) }
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
from c to a:  DeleteRange         <nil>
from c to a:  RangeKeySet         <nil>
from c to a:  NewIter             <nil>, 0 keys, error <nil>
from c to a:  Compact             Compact start c is not less than end a
from c to a:  EstimateDiskUsage   invalid key-range specified (start > end)
keys afterwards: 3
SEEN
