package archtest_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readable are the folders whose functions have paragraphs and whose conditions have names. The
// list may only grow: a folder is added when it is clean.
var readable = []string{
	"bus", "bus/codec", "bus/dial", "bus/host/config", "bus/host/exit", "bus/host/lock",
	"bus/host/loop", "bus/host/monitor", "bus/host/nodelog", "bus/host/tune", "bus/internal/pack",
	"bus/lamport", "bus/link", "bus/message", "bus/model", "bus/server", "bus/testkit",
	"bus/trouble", "client", "client/clientcmd", "client/clientcmd/bench",
	"client/clientcmd/check", "client/clientcmd/compare", "client/clientcmd/console",
	"client/clientcmd/demo", "client/clientcmd/doctor", "client/clientcmd/explain",
	"client/clientcmd/operate", "client/clientcmd/send", "client/clientcmd/shell",
	"client/clientcmd/top", "client/clientcmd/tracecmd", "client/inbox", "client/internal/gather",
	"client/internal/process", "client/internal/program", "client/internal/responder",
	"client/internal/spacetime", "client/judge/archtest", "client/judge/e2e",
	"client/judge/e2e/faults", "client/judge/fuzz", "client/judge/history", "client/judge/mutants",
	"client/judge/record", "client/judge/sim", "client/judge/transcript",
	"client/measure/comparison", "client/measure/figure", "client/measure/load",
	"client/quartettest", "client/requestfile", "client/trace", "master", "master/inprocess",
	"master/ledger", "master/ledger/page", "master/mastercmd", "master/masternode/mastermetrics",
	"master/membership", "master/membership/register", "replica", "replica/abcast",
	"replica/dedup", "replica/disk", "replica/durable", "replica/layers", "replica/replicacmd",
	"replica/replicametrics", "replica/replicanode", "replica/store", "replica/store/storetest",
	"replica/view",
}

// longWithoutParagraph is the length, in lines, from which a function has a blank line between two
// thoughts.
const longWithoutParagraph = 30

// Functions of 30 lines or more have a blank line where a thought ends.
func TestFunctionsHaveParagraphs(t *testing.T) {
	all, fset := sources(t)
	for _, s := range readableOf(t, all) {
		text, err := os.ReadFile(filepath.Join(root, s.name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")

		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			from, to := fset.Position(f.Body.Lbrace).Line, fset.Position(f.Body.Rbrace).Line
			isBlank := func(line string) bool { return strings.TrimSpace(line) == "" }
			if to-from >= longWithoutParagraph && !slices.ContainsFunc(lines[from:to-1], isBlank) {
				t.Errorf("%s:%d: %s has %d lines and no paragraph", s.name, from, f.Name.Name, to-from)
			}
		}
	}
}

// A condition that mixes && and || has names for its parts.
func TestMixedConditionsHaveNames(t *testing.T) {
	all, fset := sources(t)
	for _, s := range readableOf(t, all) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			e, ok := n.(*ast.BinaryExpr)
			if !ok {
				return true
			}
			used := operators(e)
			if used[token.LAND] && used[token.LOR] {
				t.Errorf("%s:%d: a condition mixes && and ||: name its parts", s.name, fset.Position(e.Pos()).Line)
			}
			return len(used) == 0 // its parts were looked at with it
		})
	}
}

// operators returns which of && and || an expression uses by itself, outside of the arguments of
// calls and the bodies of functions.
func operators(e ast.Expr) map[token.Token]bool {
	used := make(map[token.Token]bool)
	ast.Inspect(e, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.FuncLit, *ast.CallExpr:
			return false
		case *ast.BinaryExpr:
			if x.Op == token.LAND || x.Op == token.LOR {
				used[x.Op] = true
			}
		}
		return true
	})
	return used
}

// readableOf returns the sources in folders that are readable. Each of these must exist.
func readableOf(t *testing.T, all []source) []source {
	t.Helper()
	for _, dir := range readable {
		if !slices.ContainsFunc(all, func(s source) bool { return s.dir == dir }) {
			t.Errorf("%s holds no Go file: take it off the list", dir)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s source) bool { return !slices.Contains(readable, s.dir) })
}
