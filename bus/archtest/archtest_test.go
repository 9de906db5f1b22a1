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
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "quartet"

	longestFile         = 500 // lines
	longestTestFile     = 800
	longestFunction     = 80
	longestTestFunction = 100 // a table is one statement
)

// pure are the packages that decide: deterministic, so that a schedule from a seed is the
// same each time, and a bug in one can be shown again.
var pure = []string{
	"master", "master/membership", "replica", "replica/abcast", "replica/dedup", "replica/durable", "replica/lamport", "replica/message", "replica/model", "replica/store",
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

// between says for each part of the module (the longest prefix counts) which other parts
// it may not import, and why. "" is the command.
var between = map[string]map[string]string{
	"bus": {
		"client":        "the bus is below its users",
		"master":        "the bus is below its users",
		"replica/node":  "the bus is below its users",
		"replica/store": "the bus carries messages; what a store holds is not its business",
		"replica/sim":   "the simulation is for tests",
	},
	"client": {
		"master":          "a client knows the public contract only: it works with a cluster that it cannot see into",
		"replica":         "a client knows the public contract only: it works with a cluster that it cannot see into",
		"replica/lamport": "", "replica/model": "", // the words of the contract
	},
	"client/quartettest": {
		// It hands tests a cluster and clients of it.
		"replica":     "it starts replicas by master/inprocess",
		"master":      "it starts a master by master/inprocess",
		"master/node": "", "master/inprocess": "",
	},
	// The one place below the command that knows masters and replicas: it is where both
	// become goroutines of one process.
	"master/inprocess": {
		"client":       "the cluster does not know its clients",
		"replica":      "it runs replicas, and does not look into them",
		"replica/sim":  "the simulation is for tests",
		"replica/node": "", "replica/disk": "", "replica/metrics": "",
	},
	"master": {
		"client":         "the cluster does not know its clients",
		"replica":        "a master speaks to replicas by messages: their machine, store and process are not its own",
		"replica/abcast": "", "replica/dedup": "", "replica/lamport": "", "replica/message": "", "replica/model": "",
	},
	"replica": {
		"client": "the cluster does not know its clients",
		"master": "a replica speaks to the master by messages",
	},
	"replica/disk": {
		"client":    "the cluster does not know its clients",
		"master":    "a disk keeps what a replica says, and knows nobody",
		"bus":       "a disk keeps what a replica says, and knows nobody",
		"replica":   "a disk is below the machine, which does not know that there is one",
		"bus/codec": "", "replica/dedup": "", "replica/durable": "", "replica/lamport": "", "replica/message": "", "replica/model": "", "replica/store": "",
	},
	// The simulation drives machines of both kinds in one thread, and judges histories.
	"replica/sim": {"bus": "a simulation that needs a bus is not one", "replica/node": "a simulation has no process", "master/node": "a simulation has no process"},
	"":            {"replica/sim": "the simulation is for tests"},
}

type source struct {
	dir     string // relative to the module
	name    string
	test    bool
	file    *ast.File
	imports []string
	lines   int
}

// sources reads every Go file of the module.
func sources(t *testing.T) ([]source, *token.FileSet) {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == "testdata" || base != ".." && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		s := source{dir: path.Dir(filepath.ToSlash(rel)), name: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go"), file: file}
		s.lines = fset.File(file.Pos()).LineCount()
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files found: the rules would hold for nothing", len(all))
	}
	return all, fset
}

// within reports whether p is name or below it.
func within(p, name string) bool { return p == name || name == "" || strings.HasPrefix(p, name+"/") }

// longest returns the longest of names that p is within.
func longest(p string, names []string) (string, bool) {
	best, found := "", false
	for _, name := range names {
		if within(p, name) && (!found || len(name) > len(best)) {
			best, found = name, true
		}
	}
	return best, found
}

func TestCoresArePure(t *testing.T) {
	all, _ := sources(t)
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

func TestImportsBetweenParts(t *testing.T) {
	all, _ := sources(t)
	parts := slices.Collect(maps.Keys(between))
	for _, s := range all {
		if s.test {
			continue
		}
		part, _ := longest(s.dir, parts)
		forbidden := slices.Collect(maps.Keys(between[part]))
		for _, p := range s.imports {
			inside, ok := strings.CutPrefix(p, module+"/")
			if !ok {
				continue
			}
			if name, ok := longest(inside, forbidden); ok && between[part][name] != "" {
				t.Errorf("%s imports %s: %s", s.name, p, between[part][name])
			}
		}
	}
}

// Large libraries are behind one package each: no other could tell that they are there.
func TestOnlyOnePackageKnowsALibrary(t *testing.T) {
	all, _ := sources(t)
	for library, behind := range map[string]string{
		"github.com/cockroachdb/pebble/v2": "replica/disk",
		"go.opentelemetry.io":              "master/traces",
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

// Only the command knows all four parts, and the simulation machines of both kinds.
func TestOnlyTheCommandKnowsAllFour(t *testing.T) {
	all, _ := sources(t)
	knows := map[string]map[string]bool{}
	for _, s := range all {
		if s.test {
			continue
		}
		if knows[s.dir] == nil {
			knows[s.dir] = map[string]bool{}
		}
		for _, p := range s.imports {
			inside, ok := strings.CutPrefix(p, module+"/")
			if ok && !slices.Contains([]string{"replica/lamport", "replica/model", "replica/message"}, inside) {
				part, _, _ := strings.Cut(inside, "/")
				knows[s.dir][part] = true
			}
		}
	}
	for dir, parts := range knows {
		if len(parts) == 4 != (dir == ".") {
			t.Errorf("%s imports of %v", dir, slices.Sorted(maps.Keys(parts)))
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
		want := "Package " + name + " promises "
		if name == "main" {
			want = "Command " + module
		}
		if len(docs[dir]) != 1 || !strings.HasPrefix(docs[dir][0], want) {
			t.Errorf("%s has %d doc comments; one that begins with %q is wanted", dir, len(docs[dir]), want)
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
		if !slices.Contains([]string{"main.go", "bus", "client", "master", "replica"}, part) {
			t.Errorf("%s: code belongs to bus, client, master or replica", s.name)
		}
	}
}
