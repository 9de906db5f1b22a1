package archtest_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
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

// runByGo are the functions that go test finds by their names: what is said of them is what they
// show.
var runByGo = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`)

// A comment on a function or a type begins with its name, so that a search for what a name means
// ends there, and a name that was changed was changed there, too. Of a type it may be "A name".
func TestCommentsBeginWithTheName(t *testing.T) {
	all, fset := sources(t)
	check := func(s source, name string, doc *ast.CommentGroup, mayHaveArticle bool) {
		words := strings.FieldsFunc(doc.Text(), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		isNamed := len(words) == 0 || words[0] == name
		hasArticle := mayHaveArticle && slices.Contains([]string{"A", "An"}, words[0])
		if !isNamed && !hasArticle {
			t.Errorf("%s:%d: the comment on %s begins with %q", s.name, fset.Position(doc.Pos()).Line, name, words[0])
		}
	}

	for _, s := range all {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				isRunByGo := s.test && d.Recv == nil && runByGo.MatchString(d.Name.Name)
				if d.Doc != nil && !isRunByGo {
					check(s, d.Name.Name, d.Doc, false)
				}
			case *ast.GenDecl:
				if d.Tok == token.TYPE && d.Doc != nil && len(d.Specs) == 1 {
					check(s, d.Specs[0].(*ast.TypeSpec).Name.Name, d.Doc, true)
				}
			}
		}
	}
}
