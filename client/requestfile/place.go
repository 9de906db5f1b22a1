package requestfile

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// shown is how many characters of a line are shown at most, around the place at fault.
const shown = 100

// Place returns the line at fault and under it a line with a caret below Column, without
// a line end after it. What a terminal would obey is replaced, a long line is cut around the place.
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
		case r == '\t':
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

// blank is as wide as r on a terminal.
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

// Show returns the text of an error of this package, of several joined too, with each
// mistake's line under it and a caret under the place.
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
