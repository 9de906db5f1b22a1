package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/explain"
	"quartet/client/clientcmd/operate"
	"quartet/client/clientcmd/send"
	"quartet/client/requestfile"
)

// typed is a line of the shell: a request, a command that begins with a dot, or nothing.
type typed struct {
	request  *client.Request
	command  string // without the dot
	argument string
}

// parseLine reads a trimmed line. Words without a model are of the model current.
func parseLine(line string, current model.Consistency) (typed, error) {
	if line == "" || line[0] == '#' {
		return typed{}, nil
	}

	word, rest, _ := strings.Cut(strings.Replace(line, "\t", " ", 1), " ")
	rest = strings.TrimSpace(rest)
	lower := strings.ToLower(word)
	isWord := lower == "exit" || lower == "quit" || lower == "help"
	switch {
	case lower[0] == '.':
		return typed{command: lower[1:], argument: rest}, nil
	case isWord && rest == "":
		return typed{command: lower}, nil
	case lower == "get":
		return checkedLine(model.NewGet(current, rest))
	case lower == "delete":
		return checkedLine(model.Request{Model: current, Type: model.Delete, Key: rest})
	case lower == "list":
		return listLine(rest, current)
	case lower == "watch":
		return checkedLine(model.Request{Model: current, Type: model.Watch, Key: rest})
	case lower == "set", lower == "create", lower == "add":
		return parseWrite(lower, rest, current)
	case lower == "txn":
		return parseTransaction(rest, current)
	}

	// The rest are requests as files have them: "1, 1, key ::: value".
	r, err := requestfile.ParseLine(line)
	var bad *requestfile.Error
	switch {
	case errors.As(err, &bad) && !strings.Contains(line, ","):
		return typed{}, fmt.Errorf("not understood: %s\nwant get KEY, set KEY VALUE, delete KEY, create KEY VALUE, "+
			"add KEY NUMBER, txn FILE, list PREFIX, watch PREFIX, a "+
			"request like \"1, 1, key ::: value\", or .help", console.Printable([]byte(line)))
	case errors.As(err, &bad):
		return typed{}, fmt.Errorf("%s\n    %s", bad.Reason, strings.ReplaceAll(bad.Place(), "\n", "\n    "))
	case err != nil:
		return typed{}, err
	}
	return typed{request: &client.Request{Request: r.Request, Text: r.Encoding == bus.Text}}, nil
}

// parseWrite reads what stands behind the word of a write with a value.
func parseWrite(word, rest string, current model.Consistency) (typed, error) {
	key, value, found := strings.Cut(rest, bus.Separator)
	if !found {
		key, value, found = strings.Cut(rest, " ")
	}
	if !found {
		return typed{}, fmt.Errorf("%[1]s needs a key and a value: %[1]s KEY VALUE", word)
	}

	r := model.NewSet(current, strings.TrimSpace(key), []byte(strings.TrimSpace(value)))
	switch word {
	case "create":
		r.HasIf = true
	case "add":
		r.Type = model.Add
	}
	return checkedLine(r)
}

// parseTransaction reads the file of a transaction.
func parseTransaction(file string, current model.Consistency) (typed, error) {
	if file == "" {
		return typed{}, errors.New("txn needs a file: txn FILE (quartet txn --help shows what stands in it)")
	}
	r, err := send.ReadTransaction(nil, file)
	if err != nil {
		return typed{}, err
	}
	if r.Model == 0 {
		r.Model = current
	}
	return checkedLine(r)
}

// checkedLine checks what the words of the shell have made before it is sent.
func checkedLine(r model.Request) (typed, error) {
	if err := bus.Check(&r); err != nil {
		return typed{}, err
	}
	return typed{request: &client.Request{Request: r}}, nil
}

// listLine is a list, with values where -v says so.
func listLine(rest string, current model.Consistency) (typed, error) {
	r := model.Request{Model: current, Type: model.List, Key: rest}
	if first, prefix, _ := strings.Cut(rest, " "); first == "-v" {
		r.Key, r.Range = strings.TrimSpace(prefix), &model.Range{Values: true}
	}
	return checkedLine(r)
}

// verbs are the words of the shell that make a request of the current model, with what each takes.
var verbs = [...]struct{ name, argument string }{
	{"get", "KEY"}, {"set", "KEY VALUE"}, {"delete", "KEY"}, {"create", "KEY VALUE"}, {"add", "KEY NUMBER"},
	{"txn", "FILE"},
	{"list", "PREFIX"}, {"watch", "PREFIX"},
}

// verbOf is a verb with what it takes; "" for any other word.
func verbOf(word string) string {
	for _, v := range verbs {
		if v.name == word {
			return v.name + " " + v.argument
		}
	}
	return ""
}

// dots are the commands of the shell with what each takes.
var dots = [...]struct{ name, argument string }{
	{"consistency", "MODEL"}, {"replica", "r1, r2, … or any"}, {"session", "new, or a token"}, {"status", ""},
	{"explain", "MODEL"}, {"help", ""}, {"quit", ""},
}

// command does what a line that begins with a dot says.
func (s *shell) command(ctx context.Context, name, argument string) (more bool, err error) {
	switch name {
	case "quit", "exit", "q":
		return false, nil
	case "help", "h", "?":
		err = s.print(help)
	case "consistency", "c":
		chosen, ok := s.modelOr(argument)
		if !ok {
			return true, nil
		}
		s.model = chosen
		err = s.print(s.model.Word() + ": " + console.ModelPromise[s.model.Consistency])
	case "replica", "r":
		err = s.pin(argument)
	case "session":
		err = s.turnTo(argument)
	case "status":
		return true, s.tellStatus(ctx)
	case "explain":
		m, ok := s.modelOr(argument)
		if !ok {
			return true, nil
		}
		err = s.print(strings.TrimRight(explain.Explanation(m.Consistency, nil), "\n"))
	default:
		s.mistake(fmt.Errorf("there is no command .%s; .help lists those that there are", console.Printable([]byte(name))))
	}
	return true, err
}

// modelOr reads a model, the current one where nothing is said.
func (s *shell) modelOr(argument string) (console.Consistency, bool) {
	m := s.model
	if argument == "" {
		return m, true
	}
	if err := m.Set(argument); err != nil {
		s.mistake(err)
		return s.model, false
	}
	return m, true
}

// pin has one replica serve everything, or any again.
func (s *shell) pin(argument string) error {
	switch argument = strings.ToLower(argument); argument {
	case "":
	case "any", "none":
		s.replica = ""
	default:
		if n, err := lamport.ParseNode(argument); err != nil || !n.IsReplica() {
			s.mistake(fmt.Errorf("no replica is called %q (want r1, r2, … or any)", argument))
			return nil
		}
		s.replica = send.ReplicaName(argument)
	}
	if s.replica == "" {
		return s.print("any replica serves")
	}
	return s.print(string(s.replica) + " serves (a causal set is numbered by the master whatever stands here)")
}

func (s *shell) tellStatus(ctx context.Context) error {
	body, err := s.client.StatusJSON(ctx)
	if err != nil {
		s.worst = max(s.worst, console.ExitStatus(err))
		return exit.With(console.ExitStatus(err), err)
	}
	if s.out.Objects() || s.out == console.Raw {
		return s.out.Answer(s.env.Stderr, body) // stdout holds replies
	}
	st, err := bus.ParseStatus(body)
	if err != nil {
		return err
	}
	return operate.PrintStatus(s.env.Stdout, &st)
}

// print tells something that is no answer: between objects for a program it goes to stderr.
func (s *shell) print(text string) error {
	w := s.env.Stdout
	if s.out != console.Table {
		w = s.env.Stderr
	}
	if _, err := fmt.Fprintln(w, text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// words are keys that were used, the last first, without limit beyond maxWords.
type words []string

const maxWords = 1000

func (w *words) add(word string) {
	*w = slices.DeleteFunc(*w, func(s string) bool { return s == word })
	*w = append(words{word}, (*w)[:min(len(*w), maxWords-1)]...)
}
