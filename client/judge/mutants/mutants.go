// Package mutants is the rules of the protocol, each removed. It promises a test binary in
// which every mutant can be switched on, one at a time, while no file of the program has a word
// of it: the changes stand in a table here, and go into the build by an overlay of the go
// command. A change whose place is not found exactly once in its file is an error that names
// the mutant, so the table cannot fall behind the code unseen.
//
// An environment variable says which mutant is on when the binary starts. A binary that was built
// without the overlay knows none: whatever is on, it keeps all rules.
package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mutant is a rule removed.
type Mutant struct {
	Name  string // what the mutant does
	Rule  string // of replica/DESIGN.md that it breaks, or a few words where there is no number
	Edits []Edit
}

// Edit is a change of a file. Old stands in it exactly once, and no two edits overlap. In New
// the word MUTANT is true while the mutant is on, and MUTANT("NAME") while another one is,
// which has a place in common with it.
type Edit struct {
	File     string // from the root of the module
	Old, New string
}

// Variable is the environment variable that names the mutant which is on.
const Variable = "QUARTET_MUTANT"

// Told is the name of the mutant that this process was started for, or "".
func Told() string { return os.Getenv(Variable) }

// on is the index of the mutant that is on, or below 0.
var on = index(All, Told())

// On reports whether a mutant is on: the overlay's code asks.
func On(i int) bool { return on == i }

// Switch makes the mutant of this name the one that is on; "": none. No machine may be at work.
func Switch(name string) { on = index(All, name) }

func index(all []Mutant, name string) int {
	return slices.IndexFunc(all, func(m Mutant) bool { return m.Name == name })
}

// Find returns a mutant.
func Find(name string) (*Mutant, error) {
	i := index(All, name)
	if i < 0 {
		return nil, fmt.Errorf("no mutant %q: the table is in client/judge/mutants", name)
	}
	return &All[i], nil
}

// Build builds the test binary of a package, such as "./client/judge/sim", with all mutants in
// it, and returns its path in dir. root is the root of the module.
func Build(root, dir, pkg string) (string, error) {
	overlay, err := Overlay(root, dir, All)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "mutants.test")
	build := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", binary, pkg)
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the mutants do not build: %w\n%s", err, said)
	}
	return binary, nil
}

// Command returns the command that runs a test of a binary with a mutant on.
func Command(binary, name string, args ...string) *exec.Cmd {
	run := exec.Command(binary, args...)
	run.Env = append(os.Environ(), Variable+"="+name)
	return run
}

// change is an edit at its place.
type change struct {
	mutant     string
	edit       *Edit
	start, end int
}

// Overlay writes the changed files into dir, and returns the path of what tells the go command
// to take them in the place of those below root.
func Overlay(root, dir string, all []Mutant) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	files := map[string][]change{}
	for i := range all {
		m := &all[i]
		if len(m.Edits) == 0 {
			return "", fmt.Errorf("mutant %q changes nothing", m.Name)
		}
		for k := range m.Edits {
			e := &m.Edits[k]
			files[e.File] = append(files[e.File], change{mutant: m.Name, edit: e})
		}
	}

	replace := map[string]string{}
	folders := map[string]string{} // → package
	var wrong []error
	for _, file := range slices.Sorted(maps.Keys(files)) {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		changed, err := apply(string(source), files[file], all)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", file, err))
			continue
		}
		if err := put(replace, root, dir, file, changed); err != nil {
			return "", err
		}
		folders[filepath.Dir(file)] = packageOf.FindStringSubmatch(changed)[1]
	}
	if len(wrong) > 0 {
		return "", errors.Join(wrong...)
	}
	for folder, name := range folders {
		if err := put(replace, root, dir, filepath.Join(folder, "mutants_on.go"), switches(name)); err != nil {
			return "", err
		}
	}

	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

var (
	packageOf = regexp.MustCompile(`(?m)^package (\w+)`)
	condition = regexp.MustCompile(`\bMUTANT\b(?:\("([^"]+)"\))?`)
)

// put writes a file that takes the place of one below root.
func put(replace map[string]string, root, dir, file, content string) error {
	at := filepath.Join(dir, strings.ReplaceAll(filepath.ToSlash(file), "/", "+"))
	replace[filepath.Join(root, file)] = at
	return os.WriteFile(at, []byte(content), 0o600)
}

// apply makes the changes of a file.
func apply(source string, changes []change, all []Mutant) (string, error) {
	var wrong []error
	for i := range changes {
		c := &changes[i]
		c.start = strings.Index(source, c.edit.Old)
		c.end = c.start + len(c.edit.Old)
		if n := strings.Count(source, c.edit.Old); n != 1 {
			wrong = append(wrong,
				fmt.Errorf("mutant %q: the text that it changes stands there %d times, and not once:\n%s", c.mutant, n, c.edit.Old))
		}
	}
	if len(wrong) > 0 {
		return "", errors.Join(wrong...)
	}
	slices.SortFunc(changes, func(a, b change) int { return a.start - b.start })

	var out strings.Builder
	at := 0
	for i, c := range changes {
		if c.start < at {
			return "", fmt.Errorf("mutants %q and %q change the same text:\n%s", changes[i-1].mutant, c.mutant, c.edit.Old)
		}
		text, err := c.text(all)
		if err != nil {
			return "", err
		}
		out.WriteString(source[at:c.start])
		out.WriteString(text)
		at = c.end
	}
	out.WriteString(source[at:])
	return out.String(), nil
}

// text is what an edit puts in, with the names of the switches.
func (c *change) text(all []Mutant) (string, error) {
	var unknown string
	text := condition.ReplaceAllStringFunc(c.edit.New, func(found string) string {
		name := condition.FindStringSubmatch(found)[1]
		if name == "" {
			name = c.mutant
		}
		i := index(all, name)
		if i < 0 {
			unknown = name
		}
		return fmt.Sprintf("mutantOn(%d)", i)
	})
	if unknown != "" {
		return "", fmt.Errorf("mutant %q names %q, which is none", c.mutant, unknown)
	}
	return text, nil
}

// switches is a file of a package that has mutants in it.
func switches(name string) string {
	return "package " + name + `

import "quartet/client/judge/mutants"

func mutantOn(i int) bool { return mutants.On(i) }
`
}
