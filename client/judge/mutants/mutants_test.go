package mutants_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quartet/client/judge/mutants"
)

// Every change has its place in the code as it is now, and every mutant says what it breaks.
func TestEveryMutantHasItsPlace(t *testing.T) {
	dir := t.TempDir()
	if _, err := mutants.Overlay("../../..", dir, mutants.All); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range mutants.All {
		if m.Name == "" || m.Rule == "" || names[m.Name] {
			t.Errorf("%+v: a mutant has a name of its own, and a rule", m)
		}
		names[m.Name] = true
	}

	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) == 0 {
		t.Fatalf("%d files, error %v", len(left), err)
	}
	for _, file := range left {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "MUTANT(") {
			t.Errorf("%s has a switch that was not replaced", file)
		}
	}
}

// What does not fit the code is said by name.
func TestMutantsThatDoNotFit(t *testing.T) {
	root := t.TempDir()
	source := "package p\n\nfunc f() bool { return true }\n\nfunc g() bool { return true }\n"
	if err := os.WriteFile(filepath.Join(root, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func(before, after string) []mutants.Edit {
		return []mutants.Edit{{File: "p.go", Old: before, New: after}}
	}
	tests := []struct {
		name string
		all  []mutants.Mutant
		want string
	}{
		{
			"a place that is gone", []mutants.Mutant{{Name: "x", Edits: edit("return false", "return MUTANT")}},
			`"x": the text that it changes stands there 0 times`,
		},
		{
			"a place that is there twice", []mutants.Mutant{{Name: "x", Edits: edit("return true", "return MUTANT")}},
			`"x": the text that it changes stands there 2 times`,
		},
		{"two at one place", []mutants.Mutant{
			{Name: "x", Edits: edit("f() bool { return", "f() bool { return MUTANT ||")},
			{Name: "y", Edits: edit("bool { return true }\n\nfunc g", "bool { return MUTANT }\n\nfunc g")},
		}, `"x" and "y" change the same text`},
		{
			"one that is none",
			[]mutants.Mutant{{Name: "x", Edits: edit("func g()", `func g() bool { return MUTANT("z") }; func h()`)}},
			`"x" names "z", which is none`,
		},
		{"one that changes nothing", []mutants.Mutant{{Name: "x"}}, `"x" changes nothing`},
		{"a file that is gone", []mutants.Mutant{{Name: "x", Edits: []mutants.Edit{{File: "q.go", Old: "a", New: "b"}}}}, "q.go"},
	}

	for _, test := range tests {
		if _, err := mutants.Overlay(root, t.TempDir(), test.all); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// A switch is on where it is told, and no other is.
func TestOneMutantIsOn(t *testing.T) {
	defer mutants.Switch("")
	for i, m := range mutants.All {
		mutants.Switch(m.Name)
		for k := range mutants.All {
			if mutants.On(k) != (i == k) {
				t.Errorf("%q is switched on, and that %q is on is %v", m.Name, mutants.All[k].Name, mutants.On(k))
			}
		}
	}
	mutants.Switch("")
	for k := range mutants.All {
		if mutants.On(k) {
			t.Errorf("all are switched off, and %q is on", mutants.All[k].Name)
		}
	}
}
