package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// Columns that a line may take; a tab takes four. Nobody reads far to the right.
const (
	codeColumns  = 160
	proseColumns = 100
	rowColumns   = 120 // of a table
)

func columns(line string) int { return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) }

// Lines of code end before the eye loses them. What stands in a raw string is data.
func TestLinesOfCodeAreShort(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
		text, err := os.ReadFile(filepath.Join(root, s.name))
		if err != nil {
			t.Fatal(err)
		}

		data := make(map[int]bool)
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && lit.Value[0] == '`' {
				for line := fset.Position(lit.Pos()).Line; line <= fset.Position(lit.End()).Line; line++ {
					data[line] = true
				}
			}
			return true
		})

		for i, line := range strings.Split(string(text), "\n") {
			if n := columns(line); n > codeColumns && !data[i+1] {
				t.Errorf("%s:%d: %d columns, %d at the most", s.name, i+1, n, codeColumns)
			}
		}
	}
}

// Prose is wrapped, in pages and in comments. What stands between fences is not prose, nor are
// lines that one word, such as a link, makes long. A row of a table cannot be wrapped: what would
// make it wider than an editor shows stands in a list, or below the table.
func TestLinesOfProseAreShort(t *testing.T) {
	for _, d := range readTree(t).documents {
		if path.Ext(d.name) != ".md" {
			continue
		}
		isFenced := false
		for i, line := range strings.Split(d.text, "\n") {
			text := strings.TrimSpace(line)
			if strings.HasPrefix(text, "```") {
				isFenced = !isFenced
			}
			isRow := !isFenced && strings.HasPrefix(text, "|")
			isProse := !isFenced && !isRow && strings.Count(text, " ") > 3
			switch n := columns(line); {
			case isProse && n > proseColumns:
				t.Errorf("%s:%d: %d columns of prose, %d at the most", d.name, i+1, n, proseColumns)
			case isRow && n > rowColumns:
				t.Errorf("%s:%d: a row of %d columns, %d at the most", d.name, i+1, n, rowColumns)
			}
		}
	}

	all, fset := sources(t)
	for _, s := range all {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				at := fset.Position(c.Pos())
				stands := fmt.Sprintf("%s:%d", s.name, at.Line)
				if n := columns(c.Text); at.Column <= 9 && strings.Count(c.Text, " ") > 3 && n > proseColumns {
					t.Errorf("%s: %d columns of a comment, %d at the most", stands, n, proseColumns)
				}
			}
		}
	}
}

// Tests do not sleep until something should have happened: bus/testkit waits until it has, and a
// bubble of testing/synctest has a clock of its own.
func TestTestsDoNotSleep(t *testing.T) {
	all, fset := sources(t)
	for _, s := range all {
		if !strings.HasSuffix(s.name, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
				t.Errorf("%s:%d: a test sleeps", s.name, fset.Position(sel.Pos()).Line)
			}
			return true
		})
	}
}
