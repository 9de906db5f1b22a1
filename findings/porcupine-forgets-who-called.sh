#!/usr/bin/env bash
# Porcupine: a client's own order is not an order: with a coarse clock a stale read of one's own write passes
# Package: github.com/anishathalye/porcupine v1.3.1
#
# What one expects: Operation has a ClientId, and a client has one operation at a time. So of two operations of one
#   client the first stands before the second, whatever the clock's resolution is: its return is the next one's
#   call, or both fall into one tick.
# What happens: only times count, and two operations whose times touch (one returns at the tick at which the other
#   is called) are concurrent, also for the same client. A read that misses the client's own write is judged
#   linearizable. ClientId is for the picture alone.
#
#     write 0..10, read of the old value 10..20, one client:   true
#     write 5..5, read of the old value 5..5, one client:      true
#     write 0..10, read of the old value 11..20, one client:   false
#
# Why it matters: histories that are recorded in milliseconds, or read back from a log in which times were rounded,
#   pass though they are violated. Record with a clock that never gives one time twice, or number the events and
#   use these numbers as times.
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

const read = -1 // as an input; other inputs are written

// register is one integer that begins with 0.
var register = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		if input.(int) == read {
			return output.(int) == state.(int), state
		}
		return true, input
	},
}

func main() {
	judge("write 0..10, read of the old value 10..20, one client:", 0, 10, 10, 20)
	judge("write 5..5, read of the old value 5..5, one client:", 5, 5, 5, 5)
	judge("write 0..10, read of the old value 11..20, one client:", 0, 10, 11, 20)
}

func judge(what string, writeCall, writeReturn, readCall, readReturn int64) {
	history := []porcupine.Operation{
		{ClientId: 1, Input: 7, Output: 0, Call: writeCall, Return: writeReturn},
		{ClientId: 1, Input: read, Output: 0, Call: readCall, Return: readReturn},
	}
	fmt.Printf("%-56s %v\n", what, porcupine.CheckOperations(register, history))
}
GO

go mod tidy >/dev/null 2>&1
go run . | tee seen
diff - seen <<'SEEN'
write 0..10, read of the old value 10..20, one client:   true
write 5..5, read of the old value 5..5, one client:      true
write 0..10, read of the old value 11..20, one client:   false
SEEN
