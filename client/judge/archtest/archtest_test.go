// Package archtest_test keeps the shape of the repository: who may import whom and why,
// what a package must say of itself, and how long files and functions may be. It reads
// the sources; nothing of them is run.
package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../../.."
	module = "quartet"

	longestFile         = 500 // lines
	longestTestFile     = 800
	longestFunction     = 80
	longestTestFunction = 100 // a table is one statement
)

// pure are the packages that decide: deterministic, so that a schedule from a seed is the
// same each time, and a bug in one can be shown again.
var pure = []string{
	"bus/lamport", "bus/message", "bus/model", "bus/trouble",
	"master", "master/membership", "master/membership/proposer", "master/succession",
	"replica", "replica/abcast", "replica/acceptor", "replica/changes", "replica/dedup", "replica/durable", "replica/layers",
	"replica/internal/hash", "replica/internal/varint", "replica/listing", "replica/store", "replica/view", "replica/watching",
	"client/internal/gather",
}

// impure is what a pure package may not import, and why. A name stands for all below it.
var impure = map[string]string{
	"bufio":        "no input or output: messages come in and go out as values",
	"context":      "nothing here waits, so there is nothing to cancel",
	"crypto/rand":  "no chance: who calls brings the random number",
	"embed":        "no files",
	"io":           "no input or output: messages come in and go out as values",
	"iter":         "no coroutines",
	"log":          "a machine says nothing: what it did is in its Output and its Stats",
	"maphash":      "its hashes differ between processes",
	"hash/maphash": "its hashes differ between processes",
	"math/rand":    "no chance: who calls brings the random number",
	"net":          "no network",
	"os":           "no environment, files, signals or processes",
	"reflect":      "a message is one of the types of package message",
	"runtime":      "no goroutines, no look at the machine",
	"sync":         "one goroutine owns a machine: a lock would hide that it has two",
	"syscall":      "no environment, files, signals or processes",
	"testing":      "no tests in the program",
	"time":         "time is counted in ticks: a wall clock is different in every run",
	"unsafe":       "no tricks",
}

// order is the one rule for imports: an import only goes down this list. What nodes say is
// at the bottom, whoever watches the whole cluster (client/judge) at the top, and only the
// program above that.
var order = []string{"main", "client", "master", "replica", "bus"}

// part returns the place in order of a package's folder.
func part(dir string) int {
	first, _, _ := strings.Cut(dir, "/")
	if first == "." {
		first = "main"
	}
	return slices.Index(order, first)
}

type source struct {
	dir     string // relative to the module
	name    string
	test    bool
	file    *ast.File
	imports []string
	lines   int
}

// sources returns every Go file of the module.
func sources(t *testing.T) ([]source, *token.FileSet) {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files found: the rules would hold for nothing", len(all))
	}
	return all, positions
}

var (
	positions = token.NewFileSet()
	parsed    = sync.OnceValues(parse) // all tests look at the same files
)

// parse reads the sources.
func parse() ([]source, error) {
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			hidden := base != ".." && strings.HasPrefix(base, ".")
			if base == "testdata" || hidden {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}

		s, err := parseFile(name)
		all = append(all, s)
		return err
	})
	return all, err
}

func parseFile(name string) (source, error) {
	file, err := parser.ParseFile(positions, name, nil, parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return source{}, err
	}

	rel = filepath.ToSlash(rel)
	s := source{dir: path.Dir(rel), name: rel, test: strings.HasSuffix(rel, "_test.go"), file: file}
	s.lines = positions.File(file.Pos()).LineCount()
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}

// within reports whether p is name or below it.
func within(p, name string) bool { return p == name || name == "" || strings.HasPrefix(p, name+"/") }

// longest returns the longest of names that p is within.
func longest(p string, names []string) (string, bool) {
	best, found := "", false
	for _, name := range names {
		longer := !found || len(name) > len(best)
		if longer && within(p, name) {
			best, found = name, true
		}
	}
	return best, found
}

func TestCoresArePure(t *testing.T) {
	all, _ := sources(t)
	for _, name := range pure {
		if !slices.ContainsFunc(all, func(s source) bool { return s.dir == name }) {
			t.Errorf("there is no package %s: the rule would hold for nothing", name)
		}
	}

	forbidden := slices.Collect(maps.Keys(impure))
	for _, s := range all {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		for _, p := range s.imports {
			if inside, ok := strings.CutPrefix(p, module+"/"); ok {
				if !slices.Contains(pure, inside) {
					t.Errorf("%s imports %s: a core imports cores only", s.name, p)
				}
				continue
			}
			if strings.Contains(strings.Split(p, "/")[0], ".") {
				t.Errorf("%s imports %s: a core needs the standard library only", s.name, p)
			}
			if name, ok := longest(p, forbidden); ok {
				t.Errorf("%s imports %s: %s", s.name, p, impure[name])
			}
		}
	}
}

// A core starts no goroutine and uses no channel, which need no import.
func TestCoresHaveNoGoroutines(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
		if s.test || !slices.Contains(pure, s.dir) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
				t.Errorf("%s: a core has neither goroutines nor channels", fset.Position(n.Pos()))
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: no work in init", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// What .ci/race leaves out as of one thread starts no goroutine, in tests neither.
func TestWhatIsNotRacedHasOneThread(t *testing.T) {
	script, err := os.ReadFile("../../../.ci/race")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(script), "one_thread='")
	list, _, _ = strings.Cut(list, "'")
	leftOut := strings.Fields(list)
	if len(leftOut) == 0 {
		t.Fatal(".ci/race names no package")
	}

	all, fset := sources(t)
	for _, dir := range leftOut {
		if !slices.ContainsFunc(all, func(s source) bool { return s.dir == dir }) {
			t.Errorf(".ci/race names %s, and there is no such package", dir)
		}
	}
	for _, s := range all {
		if !slices.Contains(leftOut, s.dir) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if n != nil && startsGoroutine(n) {
				t.Errorf("%s starts a goroutine, and .ci/race leaves its package out", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// startsGoroutine reports whether a node is a go statement, or calls a method Go, as of
// sync.WaitGroup.
func startsGoroutine(n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && method.Sel.Name == "Go"
}

func TestImportsOnlyGoDown(t *testing.T) {
	all, _ := sources(t)
	for _, s := range all {
		for _, p := range s.imports {
			inside, ok := strings.CutPrefix(p, module+"/")
			if ok && part(inside) < part(s.dir) {
				t.Errorf("%s imports %s: an import only goes down %v", s.name, p, order)
			}
		}
	}
}

// processes are the packages of which a process is made.
var processes = []string{
	module + "/bus/host", module + "/bus/link", module + "/bus/server", module + "/master/masternode", module + "/replica/replicanode",
}

// A simulation has no process, and no bus that carries messages.
func TestTheSimulationKnowsNoProcess(t *testing.T) {
	all, _ := sources(t)
	for _, s := range all {
		for _, p := range s.imports {
			if name, ok := longest(p, processes); ok && s.dir == "client/judge/sim" {
				t.Errorf("%s imports %s: it is part of %s", s.name, p, name)
			}
		}
	}
}

// Large libraries are behind one package each: no other could tell that they are there.
func TestOnlyOnePackageKnowsALibrary(t *testing.T) {
	all, _ := sources(t)
	for library, behind := range map[string]string{
		"github.com/cockroachdb/pebble/v2": "replica/disk",
		"go.opentelemetry.io":              "master/masternode/spans",
	} {
		known := false
		for _, s := range all {
			for _, p := range s.imports {
				if !within(p, library) {
					continue
				}
				if known = true; s.dir != behind {
					t.Errorf("%s imports %s: that library is behind %s", s.name, p, behind)
				}
			}
		}
		if !known {
			t.Errorf("nobody imports %s", library)
		}
	}
}

func TestEveryPackageSaysWhatItPromises(t *testing.T) {
	all, _ := sources(t)
	docs, names := map[string][]string{}, map[string]string{}
	for _, s := range all {
		if s.test {
			continue
		}
		names[s.dir] = s.file.Name.Name
		if s.file.Doc != nil {
			docs[s.dir] = append(docs[s.dir], s.file.Doc.Text())
		}
	}
	for dir, name := range names {
		want := "Package " + name + " is "
		if name == "main" {
			want = "Command " + module
		}
		if len(docs[dir]) != 1 || !strings.HasPrefix(docs[dir][0], want) {
			t.Errorf("%s has %d doc comments; one that begins with %q is wanted", dir, len(docs[dir]), want)
			continue
		}
		if name != "main" && !slices.Contains(strings.Fields(docs[dir][0]), "promises") {
			t.Errorf("%s: the doc comment says what the package is, but not what it promises", dir)
		}
	}
}

// A name stands for one package, so that nothing has to be renamed where it is imported.
func TestEveryPackageHasANameOfItsOwn(t *testing.T) {
	all, _ := sources(t)
	folders := map[string][]string{}
	for _, s := range all {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if name != "main" && !slices.Contains(folders[name], s.dir) {
			folders[name] = append(folders[name], s.dir)
		}
	}
	for name, dirs := range folders {
		if len(dirs) > 1 {
			t.Errorf("the packages in %v are all called %s", dirs, name)
		}
	}
}

func TestNothingIsTooLong(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
		most, mostOfFunction := longestFile, longestFunction
		if s.test {
			most, mostOfFunction = longestTestFile, longestTestFunction
		}
		if s.lines > most {
			t.Errorf("%s has %d lines; %d are the most", s.name, s.lines, most)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := fset.Position(f.Pos()), fset.Position(f.End())
			if n := to.Line - from.Line + 1; n > mostOfFunction {
				t.Errorf("%s: %s has %d lines; %d are the most", s.name, f.Name.Name, n, mostOfFunction)
			}
		}
	}
}

// ls shows the parts: no other code stands at the top.
func TestNoOtherCodeAtTheTop(t *testing.T) {
	all, _ := sources(t)
	for _, s := range all {
		part, _, _ := strings.Cut(s.name, "/")
		if !slices.Contains([]string{"main.go", "main_test.go", "bus", "client", "master", "replica"}, part) {
			t.Errorf("%s: code belongs to bus, client, master or replica", s.name)
		}
	}
}
