package requestfile

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// shown is how many characters of a line are shown at most, around the column of the mistake.
const shown = 100

// Place returns the line with the mistake and under it a line with a caret below Column, without a
// line end after it. Characters that a terminal would obey are replaced; a long line is cut around
// the column.
func (e *Error) Place() string {
	line := []rune(strings.TrimRight(e.Text, "\r\n"))
	at := min(max(e.Column-1, 0), len(line))
	from := max(0, at-shown*2/3)
	to := min(len(line), from+shown)

	var text, below strings.Builder
	if from > 0 {
		text.WriteString("…")
		below.WriteString(" ")
	}
	for i := from; i < to; i++ {
		r := line[i]
		switch {
		case r == '\t': // the caret's line has it, too
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.Is(unicode.Cf, r):
			r = '·'
		}

		text.WriteRune(r)
		if i < at {
			below.WriteString(blank(r))
		}
	}
	if to < len(line) {
		text.WriteString("…")
	}
	return text.String() + "\n" + below.String() + "^"
}

// blank returns blanks that are as wide as r on a terminal.
func blank(r rune) string {
	switch {
	case r == '\t':
		return "\t"
	case unicode.Is(unicode.Mn, r):
		return ""
	}

	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return "  "
	}
	return " "
}

// Show returns the text of an error of this package, or of several joined, with the line of each
// mistake under it and a caret under its column.
func Show(err error) string {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var parts []string
		for _, e := range several.Unwrap() {
			parts = append(parts, Show(e))
		}
		return strings.Join(parts, "\n")
	}
	if mistake, ok := err.(*Error); ok {
		return mistake.Error() + "\n    " + strings.ReplaceAll(mistake.Place(), "\n", "\n    ")
	}
	return err.Error()
}
