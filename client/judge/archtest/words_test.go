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

// longWithoutParagraph is the length, in lines, from which a function has a blank line between two
// thoughts.
const longWithoutParagraph = 30

// Functions of 30 lines or more have a blank line where a thought ends.
func TestFunctionsHaveParagraphs(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
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

// A condition that mixes the operators "and" and "or" has names for its parts.
func TestMixedConditionsHaveNames(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			e, ok := n.(*ast.BinaryExpr)
			if !ok {
				return true
			}
			used := operators(e)
			if used[token.LAND] && used[token.LOR] {
				t.Errorf("%s:%d: a condition mixes the operators \"and\" and \"or\": name its parts", s.name, fset.Position(e.Pos()).Line)
			}
			return len(used) == 0 // its parts were looked at with it
		})
	}
}

// operators returns which of the two an expression uses by itself, outside of the arguments of
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
