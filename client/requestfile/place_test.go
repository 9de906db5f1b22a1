package requestfile

import (
	"errors"
	"strings"
	"testing"
)

func TestPlace(t *testing.T) {
	long := strings.Repeat("k", 300)
	for line, want := range map[string]string{
		"1, 8, key":           "1, 8, key\n   ^",
		"  strong, 1, a":      "  strong, 1, a\n  ^",
		"1, 1, key = value":   "1, 1, key = value\n                 ^",
		"\t1,\tx, k":          "\t1,\tx, k\n\t  \t^",
		"1, 2, a\x1b[31mb":    "1, 2, a·[31mb\n      ^",
		"1, 1, 键 no":          "1, 1, 键 no\n           ^", // the wide one takes two cells
		"1, 1, é no":          "1, 1, é no\n          ^",
		"":                    "\n^",
		"1, 1, " + long:       "…" + strings.Repeat("k", 66) + "\n" + strings.Repeat(" ", 67) + "^",
		"x" + long + ", 1, k": "x" + strings.Repeat("k", 99) + "…\n^",
	} {
		_, bad := parseLine([]byte(line))
		if bad == nil {
			t.Errorf("%q is no mistake", line)
			continue
		}
		if got := bad.Place(); got != want {
			t.Errorf("%q (column %d): got\n%s\nwant\n%s", line, bad.Column, got, want)
		}
	}
	for _, column := range []int{-5, 0, 99} { // whatever Column is, nothing breaks
		if got := (&Error{Text: "abc", Column: column}).Place(); !strings.HasSuffix(got, "^") {
			t.Errorf("column %d: %q", column, got)
		}
	}
}

// Every mistake of a load can be shown, and what cannot stays a sentence.
func TestMistakesOf(t *testing.T) {
	_, err := Parse("f", strings.NewReader("1, 8, k\n1, 1, k\n"))
	got := Show(errors.Join(err, ErrNoFile))
	want := "f:1:4: unknown request \"8\" (want 1 set, 2 get, 3 delete, 4 list, 5 watch, 6 txn or 7 add)\n    1, 8, k\n       ^\n" +
		"f:2:8: a set needs a key and a value with ::: between them\n    1, 1, k\n           ^\n" + ErrNoFile.Error()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
