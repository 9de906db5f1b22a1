package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fatih/color"
	"github.com/reeflective/readline"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client/clientcmd/console"
)

// EnvHistory names the variable with the file of the shell's history; "none": there is none.
const EnvHistory = "QUARTET_HISTORY"

// What of the history is kept from one shell to the next.
const (
	historyKept = 1000 // lines
	historyMost = 2 * historyKept
)

// editor is the prompt on a terminal.
type editor struct{ lines *readline.Shell }

// open makes the prompt.
func (s *shell) open() (lineReader, error) {
	lines := readline.NewShell()
	lines.Prompt.Primary(func() string {
		at := s.model.Word()
		if s.replica != "" {
			at += " " + string(s.replica)
		}
		return s.paint.Paint("quartet", color.Bold) + " " + s.paint.Paint(at, modelColour[s.model.Consistency]) + "> "
	})

	lines.Completer = func(line []rune, cursor int) readline.Completions {
		var pairs []string
		for _, c := range s.complete(string(line[:min(cursor, len(line))])) {
			pairs = append(pairs, c.word, c.about)
		}
		return readline.CompleteValuesDescribed(pairs...).NoSort()
	}

	lines.Hint.SetProvider(func(line []rune, _ int) []rune {
		hint := s.hint(string(line))
		if hint == "" {
			return nil // colour around nothing would count as a line
		}
		return []rune(s.paint.Paint(hint, color.Faint))
	})

	file, err := historyFile(s.env.Getenv)
	if err != nil {
		fmt.Fprintln(s.env.Stderr, "the history is not kept:", err)
	}
	if file != "" {
		history, err := readline.NewHistoryFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		lines.History.Add("quartet", history)
	}

	_, err = fmt.Fprintf(s.env.Stdout, "%s at %s; .help says what there is\n", s.conn.Prefix, bus.Redact(s.conn.URL))
	return editor{lines}, err
}

// modelColour is that of figures and reports, as near as a terminal has it.
var modelColour = map[model.Consistency]color.Attribute{
	model.Linearizable: color.FgHiBlue, model.Sequential: color.FgYellow, model.Causal: color.FgGreen, model.Eventual: color.FgMagenta,
}

func (e editor) next() (string, error) {
	line, err := e.lines.Readline()
	switch {
	case errors.Is(err, readline.ErrInterrupt):
		return "", errInterrupted
	case errors.Is(err, io.EOF):
		return "", io.EOF
	case err != nil:
		return "", fmt.Errorf("read the terminal: %w", err)
	}
	return line, nil
}

// historyFile returns the history's file, made and not too long; "": none is wanted.
func historyFile(getenv func(string) string) (string, error) {
	file := getenv(EnvHistory)
	switch {
	case file == "none":
		return "", nil
	case file != "":
	case getenv("XDG_STATE_HOME") != "":
		file = filepath.Join(getenv("XDG_STATE_HOME"), "quartet", "history")
	case getenv("HOME") != "":
		file = filepath.Join(getenv("HOME"), ".local", "state", "quartet", "history")
	default:
		return "", nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	body, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return file, os.WriteFile(file, nil, 0o600)
	}
	if err != nil {
		return "", err
	}
	if lines := bytes.SplitAfter(body, []byte("\n")); len(lines) > historyMost {
		return file, os.WriteFile(file, bytes.Join(lines[len(lines)-historyKept:], nil), 0o600)
	}
	return file, nil
}

// candidate is a word that could stand at the cursor.
type candidate struct{ word, about string }

// complete returns the words that could stand at the end of line; of those the editor
// shows the words that begin as the last word does. A word that must be followed by another
// ends with a blank, since the editor adds none.
func (s *shell) complete(line string) []candidate {
	var out []candidate
	first, rest, begun := strings.Cut(strings.TrimLeft(line, " \t"), " ")
	switch {
	case !begun:
		for _, v := range verbs {
			out = append(out, candidate{v.name, v.argument})
		}
		for _, d := range dots {
			out = append(out, candidate{"." + d.name, d.argument})
		}

		for i := range out {
			if out[i].about != "" { // something follows
				out[i].word += " "
			}
		}
		return out
	case strings.Contains(strings.TrimLeft(rest, " "), " "):
		return nil // a value, or too much
	}
	after := "" // a key
	switch strings.ToLower(first) {
	case "set", "create", "add":
		after = " "
		fallthrough
	case "get", "delete":
		for _, key := range s.keys {
			if !strings.ContainsAny(key, " \t") {
				out = append(out, candidate{key + after, ""})
			}
		}
	case ".consistency", ".explain":
		for _, m := range model.All {
			out = append(out, candidate{m.Word(), console.ModelPromise[m]})
		}
	case ".replica":
		for _, r := range s.replicas {
			out = append(out, candidate{r, "serves everything"})
		}
		out = append(out, candidate{"any", "whichever the master draws"})
	case ".session":
		out = append(out, candidate{bus.NewSession, "has seen nothing"})
	}
	return out
}

// hint says, under the line, what it will do or what is missing.
func (s *shell) hint(line string) string {
	line = strings.TrimSpace(line)
	if line == "" {
		return ""
	}
	l, err := parseLine(line, s.model.Consistency)
	switch word, _, _ := strings.Cut(strings.ToLower(line), " "); {
	case err == nil && l.request != nil:
		return l.request.Model.Word() + " " + l.request.Type.Word() + ": " + console.ModelPromise[l.request.Model]
	case verbOf(word) != "":
		return verbOf(word)
	case err == nil:
		for _, d := range dots {
			if strings.HasPrefix("."+d.name, word) {
				return strings.TrimSpace("." + d.name + " " + d.argument)
			}
		}
		return "there is no such command: .help"
	case strings.Contains(line, ","):
		return "CONSISTENCY, REQUEST, KEY ::: VALUE  " + strings.SplitN(err.Error(), "\n", 2)[0]
	}
	return "get KEY · set KEY VALUE · delete KEY · 1, 1, key ::: value · .help"
}
