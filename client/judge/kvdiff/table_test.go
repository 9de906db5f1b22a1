package kvdiff_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// page is the table of differences that stay.
const page = "DIFFERENCES.md"

// difference is a row of the table: what is told otherwise, and why.
type difference struct {
	name         string
	step         *regexp.Regexp // of the step, as JSON
	theirs, ours *regexp.Regexp // what is told on each side
	ends         bool           // the two sides differ from then on: the program ends there
	reason       string
	seen         int
}

// differences reads the table: lines of | name | step | JetStream | quartet | then | reason |.
func differences(t testing.TB) []*difference {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}

	var rows []*difference
	for i, line := range strings.Split(string(text), "\n") {
		cells := cellsOf(line)
		isRow := len(cells) == 6 && cells[0] != "name" && !strings.HasPrefix(cells[0], "---")
		if !isRow {
			continue
		}

		d := &difference{name: cells[0], ends: cells[4] == "ends", reason: cells[5]}
		for k, to := range []**regexp.Regexp{&d.step, &d.theirs, &d.ours} {
			if *to, err = regexp.Compile(strings.Trim(cells[k+1], "`")); err != nil {
				t.Fatalf("%s:%d: %v", page, i+1, err)
			}
		}

		if d.reason == "" {
			t.Errorf("%s:%d: a difference without a reason", page, i+1)
		}
		rows = append(rows, d)
	}
	return rows
}

// cellsOf are the cells of a line of a table; a bar within a cell is written \|.
func cellsOf(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	const bar = "\x00"
	var cells []string
	for _, cell := range strings.Split(strings.Trim(strings.ReplaceAll(line, `\|`, bar), "|"), "|") {
		cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), bar, "|"))
	}
	return cells
}

// outcome is what the two sides said of a step.
type outcome struct {
	step         string
	theirs, ours string
}

func (o outcome) String() string {
	return fmt.Sprintf("%s\n  JetStream  %s\n  quartet    %s", o.step, o.theirs, o.ours)
}

// row returns the row of the table that an outcome falls under.
func (o outcome) row(rows []*difference) *difference {
	for _, d := range rows {
		if d.step.MatchString(o.step) && d.theirs.MatchString(o.theirs) && d.ours.MatchString(o.ours) {
			d.seen++
			return d
		}
	}
	return nil
}

// The table is read as it is meant: a row is found by what it says, and no two have one name.
func TestTheTableOfDifferences(t *testing.T) {
	names := map[string]bool{}
	for _, d := range differences(t) {
		if names[d.name] {
			t.Errorf("two rows are called %q", d.name)
		}
		names[d.name] = true
		if len(d.reason) < 20 {
			t.Errorf("%q has no reason: %q", d.name, d.reason)
		}
	}

	cells := cellsOf("| a | `b\\|c` | d |")
	if len(cells) != 3 || cells[1] != "`b|c`" || cellsOf("no table") != nil {
		t.Errorf("%q", cells)
	}
}
