package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// ErrFile is wrapped by every error of a file, which says on which line the mistake is.
var ErrFile = errors.New("config: wrong configuration file")

// Entry is one setting of a file.
type Entry struct {
	Table string // "" above the first table: for every command that has the setting
	Key   string // the flag's name
	Value string // as the flag takes it; a list is joined by commas
	Line  int
}

// File is what a configuration file says, in its order.
type File struct {
	Path    string
	Entries []Entry
}

// Read reads a file in TOML. A setting that stands there twice, or a value that no flag could
// have, is an error that wraps [ErrFile].
func Read(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return parse(path, text)
}

// wrong is an error with its place; several of them read as a list.
type wrong struct{ text string }

func (w *wrong) Error() string { return w.text }
func (w *wrong) Unwrap() error { return ErrFile }

func (f *File) wrong(line int, format string, args ...any) error {
	return &wrong{fmt.Sprintf("%s:%d: %s", f.Path, line, fmt.Sprintf(format, args...))}
}

// parse reads the expressions of a file one by one: the library's decoder to structures and maps
// does not say on which line a value stands, and people want to know.
func parse(path string, text []byte) (*File, error) {
	f := &File{Path: path}
	first := map[[2]string]int{}

	var parser unstable.Parser
	parser.Reset(text)
	table, tableLine := "", map[string]int{}
	for parser.NextExpression() {
		e := parser.Expression()
		parts, line := keyOf(&parser, e)

		switch e.Kind {
		case unstable.Comment:
			continue
		case unstable.Table:
			if len(parts) != 1 {
				return nil, f.wrong(line, "a table has one name, [%s] has more", strings.Join(parts, "."))
			}
			table = parts[0]
			if tableLine[table] > 0 {
				return nil, f.wrong(line, "[%s] begins on line %d already", table, tableLine[table])
			}
			tableLine[table] = line
			continue
		case unstable.KeyValue:
		default:
			return nil, f.wrong(line, "[[%s]]: there are no arrays of tables here", strings.Join(parts, "."))
		}

		in := table
		if table == "" && len(parts) == 2 {
			in, parts = parts[0], parts[1:]
		}

		if len(parts) != 1 {
			return nil, f.wrong(line, "%s: a setting has one name", strings.Join(parts, "."))
		}

		value, ok := scalar(e.Value())
		if !ok {
			return nil, f.wrong(line, "%s: want a text, a number, true or false, or a list of these", parts[0])
		}

		entry := Entry{Table: in, Key: strings.ReplaceAll(parts[0], "_", "-"), Value: value, Line: line}
		at := [2]string{entry.Table, entry.Key}
		if first[at] > 0 {
			return nil, f.wrong(line, "%s stands on line %d already", entry.Key, first[at])
		}
		first[at] = line
		f.Entries = append(f.Entries, entry)
	}

	if err := parser.Error(); err != nil {
		line := 0
		var wrong *unstable.ParserError
		if errors.As(err, &wrong) {
			line = parser.Shape(parser.Range(wrong.Highlight)).Start.Line
		}
		return nil, f.wrong(line, "not TOML: %v", err)
	}
	return f, nil
}

// keyOf returns the parts of an expression's key and the line on which it stands.
func keyOf(parser *unstable.Parser, e *unstable.Node) (parts []string, line int) {
	if e.Kind == unstable.Comment {
		return nil, 0
	}
	for it := e.Key(); it.Next(); {
		n := it.Node()
		if line == 0 {
			line = parser.Shape(n.Raw).Start.Line
		}
		parts = append(parts, string(n.Data))
	}
	return parts, line
}

// scalar returns a value as a flag takes it, a list joined by commas; ok is false for a value that
// no flag has.
func scalar(n *unstable.Node) (text string, ok bool) {
	switch n.Kind {
	case unstable.String, unstable.Bool, unstable.Float:
		return string(n.Data), true
	case unstable.Integer:
		return strings.ReplaceAll(string(n.Data), "_", ""), true
	case unstable.Array:
		var list []string
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			part, ok := scalar(it.Node())
			if !ok || it.Node().Kind == unstable.Array {
				return "", false
			}
			list = append(list, part)
		}
		return strings.Join(list, ","), true
	}
	return "", false
}
