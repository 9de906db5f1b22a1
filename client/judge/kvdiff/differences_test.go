package kvdiff_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// page has the differences that stay.
const page = "DIFFERENCES.md"

// difference is one of the page: what is told otherwise, and why.
type difference struct {
	name         string
	step         *regexp.Regexp // of the step, as JSON
	theirs, ours *regexp.Regexp // what is told on each side
	ends         bool           // the two sides differ from then on: the program ends there
	reason       string
	seen         int
}

// stated is how the page states a difference.
var stated = regexp.MustCompile(`(?s)^([^\n]+)\n\n(.+)\n\n` + "```" +
	`\noperation  ([^\n]+)\nJetStream  ([^\n]+)\nquartet    ([^\n]+)\nthen       (ends|goes on)\n` + "```\n*$")

// differences reads the page: a heading for each, its reason, and between fences what is told.
func differences(t testing.TB) []*difference {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}

	var listed []*difference
	for _, one := range strings.Split(string(text), "\n### ")[1:] {
		parts := stated.FindStringSubmatch(one)
		if parts == nil {
			t.Fatalf("%s: this has another form than the others:\n%s", page, one)
		}

		d := &difference{name: parts[1], ends: parts[6] == "ends", reason: parts[2]}
		for k, to := range []**regexp.Regexp{&d.step, &d.theirs, &d.ours} {
			if *to, err = regexp.Compile(parts[3+k]); err != nil {
				t.Fatalf("%s: %s: %v", page, d.name, err)
			}
		}
		listed = append(listed, d)
	}
	return listed
}

// outcome is what the two sides said of a step.
type outcome struct {
	step         string
	theirs, ours string
}

func (o outcome) String() string {
	return fmt.Sprintf("%s\n  JetStream  %s\n  quartet    %s", o.step, o.theirs, o.ours)
}

// among returns the difference that an outcome falls under, nil if there is none.
func (o outcome) among(listed []*difference) *difference {
	for _, d := range listed {
		if d.step.MatchString(o.step) && d.theirs.MatchString(o.theirs) && d.ours.MatchString(o.ours) {
			d.seen++
			return d
		}
	}
	return nil
}

// The page is read as it is meant: each difference is found, no two have one name, and each has a
// reason.
func TestThePageOfDifferences(t *testing.T) {
	names := map[string]bool{}
	for _, d := range differences(t) {
		if names[d.name] {
			t.Errorf("two differences are called %q", d.name)
		}
		names[d.name] = true
		isFenced := strings.Contains(d.reason, "```")
		if len(d.reason) < 20 || isFenced {
			t.Errorf("%q has no reason: %q", d.name, d.reason)
		}
	}
	if len(names) < 10 {
		t.Errorf("%d differences are found: the page has another form", len(names))
	}
}
