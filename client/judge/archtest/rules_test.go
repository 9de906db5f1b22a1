package archtest_test

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

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

// rulesOf are the numbers of the rules, in the order of the page.
func rulesOf(t *testing.T) []string {
	page, err := os.ReadFile("../../../replica/DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, found := range regexp.MustCompile(`(?m)^- \*\*([A-Z]\d+)\*\*`).FindAllSubmatch(page, -1) {
		rules = append(rules, string(found[1]))
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
	rule := regexp.MustCompile(`^[SLFHPWOMD]\d+`)
	for {
		found := rule.FindString(rest)
		if found == "" {
			return rules
		}
		rules = append(rules, found)
		rest = rest[len(found):]
	}
}
