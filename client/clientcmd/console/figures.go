package console

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Micros writes a time of us microseconds.
func Micros(us int64) string { return (time.Duration(us) * time.Microsecond).String() }

// Pad fills a cell of a table's column with blanks, up to width characters and the length
// of the column's head at least. Where width is negative the cell begins at the left.
func Pad(cell, head string, width int) string {
	blanks := strings.Repeat(" ", max(0, max(width, -width, utf8.RuneCountInString(head))-utf8.RuneCountInString(cell)))
	if width < 0 {
		return cell + blanks
	}
	return blanks + cell
}
