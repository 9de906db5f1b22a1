package requestfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/model"
)

// TransactionForm is the text form of a transaction, for those who are to write one.
const TransactionForm = `  if                                  # lines of what must hold; may be left out
    missing KEY                       # it has no value
    exists KEY                        # it has one
    revision KEY NUMBER               # its revision is this still (get --meta)
    value KEY VALUE                   # it has this very value
  then                                # what is done if all of that holds
    set [--ttl 30m] [--if-revision N] KEY VALUE
    create [--ttl 30m] KEY VALUE      # a set with --if-revision 0
    get KEY
    delete [--if-revision N] KEY
    add [--if-revision N] KEY NUMBER
  else                                # what is done otherwise; may be left out
    get KEY`

// ParseTransaction reads a transaction: one JSON object, as the public contract has it (consistency
// and request may be left out there), or the text form, [TransactionForm]: a line an operation,
// after lines "if", "then" and "else" (the first operation may follow on the same line). Operations
// before any of these words are of then. A key that holds blanks is parted from its value by ":::".
// Blank lines and lines that begin with # are skipped.
//
// The request's model is 0 where the file does not say one. A mistake is an [*Error].
func ParseTransaction(name string, body []byte) (model.Request, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if text := bytes.TrimSpace(body); len(text) > 0 && text[0] == '{' {
		return jsonTransaction(name, text)
	}

	p := transactionParser{name: name, list: "then"}
	if !utf8.Valid(body) {
		p.whole("it is not UTF-8: write such values as value_base64 in the JSON form", model.Malformed)
	}
	for line := range strings.Lines(string(body)) {
		p.number++
		p.text = strings.TrimRight(line, "\r\n")
		p.line()
		if len(p.mistakes) >= maxErrors {
			break
		}
	}
	return p.finish()
}

// jsonTransaction reads the JSON form.
func jsonTransaction(name string, body []byte) (model.Request, error) {
	var said map[string]json.RawMessage
	faulty := json.Unmarshal(body, &said) != nil
	_, hasModel := said["consistency"]
	_, hasType := said["request"]
	var missing []string
	if !hasModel {
		missing = append(missing, `"consistency":1`)
	}
	if !hasType {
		missing = append(missing, `"request":"txn"`)
	}
	if len(said) > 0 {
		missing = append(missing, "")
	}

	whole := bytes.Replace(body, []byte("{"), []byte("{"+strings.Join(missing, ",")), 1)
	if faulty { // the bus says where
		whole = body
	}
	r, err := bus.ParseRequest(whole)
	switch {
	case err == nil && r.Type != model.Txn:
		err = fmt.Errorf("it is a %s: a transaction has if, then and else", r.Type.Word())
	case err == nil && r.Asked != nil:
		err = errors.New(asksHow)
	case err == nil && !hasModel:
		r.Model = 0
	}
	if err == nil {
		return r.Request, nil
	}

	bad := &Error{Name: name, Line: 1, Column: 1, Reason: err.Error(), Code: model.Malformed}
	var refused *bus.Error
	if errors.As(err, &refused) {
		bad.Code = refused.Code
	}
	bad.Text, _, _ = strings.Cut(string(body), "\n")
	return model.Request{}, bad
}

// transactionParser reads the text form, a line after the other.
type transactionParser struct {
	name     string
	number   int    // of the line
	text     string // of the line
	list     string // that its operation is of
	t        model.Transaction
	mistakes []error
}

// line reads one line: the word of a list, an operation, or both.
func (p *transactionParser) line() {
	rest := strings.TrimSpace(p.text)
	if rest == "" || rest[0] == '#' {
		return
	}
	if word, after := cutWord(rest); isList(word) {
		p.list, rest = strings.ToLower(word), after
	}
	if rest == "" {
		return
	}

	var err error
	if p.list == "if" {
		err = p.check(rest)
	} else {
		err = p.step(rest)
	}
	if err != nil {
		p.mistake(rest, err)
	}
}

func isList(word string) bool {
	return slices.Contains([]string{"if", "then", "else"}, strings.ToLower(word))
}

// cutWord is the first word of a text, and what follows it.
func cutWord(text string) (word, rest string) {
	end := strings.IndexAny(text, blanks)
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// cutKey parts a key from what follows it: at ":::", or else at the first blank.
func cutKey(text string) (key, rest string, found bool) {
	if key, rest, found = strings.Cut(text, bus.Separator); !found {
		key, rest = cutWord(text)
		found = rest != ""
	}
	return strings.TrimSpace(key), strings.TrimSpace(rest), found
}

// check reads a condition.
func (p *transactionParser) check(text string) error {
	word, rest := cutWord(text)
	c := model.Check{Key: rest}
	switch word = strings.ToLower(word); word {
	case "missing", "exists":
		c.HasExists, c.Exists = true, word == "exists"

	case "revision":
		key, number, _ := cutKey(rest)
		revision, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is no revision: want revision KEY NUMBER", number)
		}
		c.Key, c.HasRevision, c.Revision = key, true, revision

	case "value":
		key, value, found := cutKey(rest)
		if !found {
			return errors.New("want value KEY VALUE (KEY ::: for an empty one)")
		}
		c.Key, c.HasValue, c.Value = key, true, []byte(value)

	default:
		return fmt.Errorf("unknown condition %q (want missing, exists, revision or value)", word)
	}

	p.t.If = append(p.t.If, c)
	asGet := model.NewGet(model.Linearizable, c.Key)
	return bus.Check(&asGet) // of the rules for keys
}

// step reads an operation.
func (p *transactionParser) step(text string) error {
	word, rest := cutWord(text)
	s := model.Step{}
	takesValue := false
	switch word = strings.ToLower(word); word {
	case "set", "create":
		s.Type, s.HasIf, takesValue = model.Set, word == "create", true
	case "add":
		s.Type, takesValue = model.Add, true
	case "get":
		s.Type = model.Get
	case "delete":
		s.Type = model.Delete
	default:
		return fmt.Errorf("unknown operation %q (want set, create, get, delete or add)", word)
	}

	rest, err := stepFlags(&s, rest)
	if err != nil {
		return err
	}
	s.Key = rest
	if takesValue {
		key, value, found := cutKey(rest)
		if !found {
			return fmt.Errorf("want %s KEY VALUE (KEY ::: for an empty one)", word)
		}
		s.Key, s.Value = key, []byte(value)
	}

	steps := &p.t.Then
	if p.list == "else" {
		steps = &p.t.Else
	}
	*steps = append(*steps, s)
	r := s.Request(model.Linearizable)
	return bus.Check(&r)
}

// stepFlags takes the flags from the beginning of an operation, and returns the rest.
func stepFlags(s *model.Step, text string) (string, error) {
	for strings.HasPrefix(text, "--") {
		flag, rest := cutWord(text)
		name, argument, joined := strings.Cut(flag, "=")
		if !joined {
			argument, rest = cutWord(rest)
		}
		text = rest

		switch name {
		case "--ttl":
			var err error
			if s.TTL, err = bus.ParseTTL(argument); err != nil {
				return "", fmt.Errorf("%q is no time after which a value ends: %w", argument, err)
			}
		case "--if-revision":
			revision, err := strconv.ParseUint(argument, 10, 64)
			if err != nil {
				return "", fmt.Errorf("%q is no revision: want --if-revision NUMBER", argument)
			}
			s.HasIf, s.If = true, revision
		case "--": // what follows is a key
			return strings.TrimSpace(argument + " " + rest), nil
		default:
			return "", fmt.Errorf("unknown flag %s (want --ttl or --if-revision; -- before a key that begins so)", name)
		}
	}
	return text, nil
}

// mistake notes that the part of the line that ends it cannot be read.
func (p *transactionParser) mistake(part string, err error) {
	bad := &Error{Name: p.name, Line: p.number, Reason: err.Error(), Text: p.text, Code: model.Malformed}
	var refused *bus.Error
	if errors.As(err, &refused) {
		bad.Code = refused.Code
	}
	before := strings.TrimRight(p.text, blanks)
	bad.Column = utf8.RuneCountInString(before[:len(before)-len(part)]) + 1
	p.mistakes = append(p.mistakes, bad)
}

// whole notes a mistake that is no line's.
func (p *transactionParser) whole(reason string, code model.Code) {
	p.mistakes = append(p.mistakes, &Error{Name: p.name, Line: max(p.number, 1), Column: 1, Reason: reason, Text: p.text, Code: code})
}

// finish makes a request of what was read.
func (p *transactionParser) finish() (model.Request, error) {
	if len(p.mistakes) > 0 {
		return model.Request{}, errors.Join(p.mistakes...)
	}
	value, err := bus.PackTransaction(&p.t)
	if err != nil {
		code := model.Malformed
		var refused *bus.Error
		if errors.As(err, &refused) {
			code = refused.Code
		}
		p.whole(err.Error(), code)
		return model.Request{}, errors.Join(p.mistakes...)
	}
	return model.Request{Type: model.Txn, Value: value}, nil
}
