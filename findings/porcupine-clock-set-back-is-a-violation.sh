#!/usr/bin/env bash
# Porcupine: one operation that returns before it was called makes any history illegal, without a word
# Package: github.com/anishathalye/porcupine v1.3.1
#
# What one expects: a history in which an operation's Return lies before its Call is malformed (times of the wall clock,
#   which was set back meanwhile), and is refused with an error or a panic that names the operation.
# What happens: CheckOperations returns false, whatever was read and written: the same answer that a real violation gets.
#
#     write 1 at 5..10, read 1 at 20..30:   legal true
#     write 1 at 10..5, read 1 at 20..30:   legal false
#     write 1 at 10..10, read 1 at 20..30:  legal true
#
# Why it matters: a test that takes its times with time.Now().UnixNano() loses the monotonic clock (only the difference
#   of two time.Time values keeps it), and on a machine whose clock is stepped it then blames the store.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat >go.mod <<'MOD'
module finding

go 1.26

require github.com/anishathalye/porcupine v1.3.1
MOD

cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// register holds one number; an input of 0 reads it.
var register = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		if input == 0 {
			return output == state, state
		}
		return true, input
	},
}

func main() {
	show(5, 10)
	show(10, 5)
	show(10, 10)
}

func show(called, returned int64) {
	legal := porcupine.CheckOperations(register, []porcupine.Operation{
		{ClientId: 0, Input: 1, Call: called, Return: returned},
		{ClientId: 1, Input: 0, Output: 1, Call: 20, Return: 30},
	})
	fmt.Printf("%-37s legal %v\n", fmt.Sprintf("write 1 at %d..%d, read 1 at 20..30:", called, returned), legal)
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
write 1 at 5..10, read 1 at 20..30:   legal true
write 1 at 10..5, read 1 at 20..30:   legal false
write 1 at 10..10, read 1 at 20..30:  legal true
SEEN
