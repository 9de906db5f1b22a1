// Package incarnation is the drawing of the numbers by which a node's processes are told apart. It
// promises that a process that starts later has the greater number, unless the clock was set back
// meanwhile: then rules F10 and F12 of replica/DESIGN.md let it go on above what is known.
package incarnation

import "time"

// ahead is by how much the clock of this program is ahead, as [time.ParseDuration] reads it.
// Nothing sets it but the linker (-X), for the test of a clock that is set back; "": by nothing.
var ahead string

// Draw draws a number: the time, in nanoseconds since 1970.
func Draw() uint64 {
	by, err := time.ParseDuration(ahead)
	if err != nil {
		by = 0
	}
	return uint64(time.Now().Add(by).UnixNano())
}
