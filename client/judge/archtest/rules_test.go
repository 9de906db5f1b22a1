package archtest_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/client/judge/mutants"
)

// Every numbered rule of the protocol is named by a test that holds it: TestF3… in a package of
// machines. "Which test holds F3?" is grep -rn 'func TestF3'. A rule that has a mutant names one
// that is there.
func TestEveryRuleIsNamedByATest(t *testing.T) {
	rules := rulesOf(t)
	if len(rules) < 30 {
		t.Fatalf("%d rules are found in replica/DESIGN.md: %v", len(rules), rules)
	}

	all, _ := sources(t)
	held := map[string]bool{}
	for _, s := range all {
		if !s.test {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			for _, rule := range ruleNames(f.Name.Name) {
				held[rule] = true
				if !slices.Contains(rules, rule) {
					t.Errorf("%s: %s names %s, which replica/DESIGN.md does not have", s.name, f.Name.Name, rule)
				}
			}
		}
	}
	for _, rule := range rules {
		if !held[rule] {
			t.Errorf("no test is called Test%s…: nothing says that rule %s is held", rule, rule)
		}
	}

	numbered := regexp.MustCompile(`^[A-Z]\d+$`)
	for _, m := range mutants.All {
		if numbered.MatchString(m.Rule) && !slices.Contains(rules, m.Rule) {
			t.Errorf("the mutant %q breaks %s, which replica/DESIGN.md does not have", m.Name, m.Rule)
		}
	}
}

// The table at the head of replica/DESIGN.md leads to every rule, and to none that is not there.
func TestTheIndexOfRulesIsComplete(t *testing.T) {
	_, table, _ := strings.Cut(designPage(t), "\n| rules |")
	table, _, _ = strings.Cut(table, "\n\n")

	var listed []string
	span := regexp.MustCompile(`([A-Z])(\d+)(?: to [A-Z](\d+))?`)
	for _, row := range strings.Split(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) < 2 {
			continue
		}
		for _, found := range span.FindAllStringSubmatch(cells[1], -1) {
			first, _ := strconv.Atoi(found[2])
			last := first
			if found[3] != "" {
				last, _ = strconv.Atoi(found[3])
			}
			for n := first; n <= last; n++ {
				listed = append(listed, found[1]+strconv.Itoa(n))
			}
		}
	}
	want := rulesOf(t)
	slices.Sort(want)
	slices.Sort(listed)
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("rules of the page (-), and of its table (+):\n%s", diff)
	}
}

// Within a section the numbers of each letter rise, so that a rule is found by its neighbours.
func TestRulesAreInOrder(t *testing.T) {
	newest := map[string]int{}
	read := 0
	for line := range strings.Lines(designPage(t)) {
		if strings.HasPrefix(line, "#") {
			clear(newest)
			continue
		}
		found := rule.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		read++
		number, err := strconv.Atoi(found[2])
		if err != nil {
			t.Fatal(err)
		}
		if before := newest[found[1]]; number <= before {
			t.Errorf("replica/DESIGN.md: %s%d stands behind %s%d", found[1], number, found[1], before)
		}
		newest[found[1]] = number
	}
	if want := len(rulesOf(t)); read != want {
		t.Errorf("%d rules were looked at, and there are %d", read, want)
	}
}

// rule is the beginning of a rule in replica/DESIGN.md.
var rule = regexp.MustCompile(`(?m)^- \*\*([A-Z])(\d+)\*\*`)

// designPage is replica/DESIGN.md.
func designPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../replica/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// rulesOf are the numbers of the rules, in the order of the page.
func rulesOf(t *testing.T) []string {
	t.Helper()
	var rules []string
	for _, found := range rule.FindAllStringSubmatch(designPage(t), -1) {
		rules = append(rules, found[1]+found[2])
	}
	return rules
}

// ruleNames are the rules that the name of a test begins with: F3 of TestF3HowManyAreNeeded,
// P1 and P2 of TestP1P2ARequestOfAReplicaThatHasLeft.
func ruleNames(test string) []string {
	rest, ok := strings.CutPrefix(test, "Test")
	if !ok {
		return nil
	}
	var rules []string
	number := regexp.MustCompile(`^[SLFHPWOMD]\d+`)
	for {
		found := number.FindString(rest)
		if found == "" {
			return rules
		}
		rules = append(rules, found)
		rest = rest[len(found):]
	}
}
