package bus

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
)

// Sentinels that an [Error] of this package wraps.
var (
	ErrMalformed = errors.New("bus: malformed request") // code 400
	ErrTooLarge  = errors.New("bus: request too large") // code 413
)

// Error says why a request is refused before anything is done with it.
type Error struct {
	Code   model.Code // Malformed or TooLarge
	Reason string     // one line for the client
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns [ErrMalformed] or [ErrTooLarge].
func (e *Error) Unwrap() error {
	if e.Code == model.TooLarge {
		return ErrTooLarge
	}
	return ErrMalformed
}

func malformed(format string, args ...any) error {
	return &Error{Code: model.Malformed, Reason: fmt.Sprintf(format, args...)}
}

// Encoding is one of the three forms of a request's body.
type Encoding uint8

// The encodings; the body's first byte tells them apart.
const (
	Text    Encoding = iota // CONSISTENCY, REQUEST, DATA
	Msgpack                 // a map
	JSON                    // an object
)

// String returns "text", "msgpack" or "json".
func (e Encoding) String() string {
	switch e {
	case Msgpack:
		return "msgpack"
	case JSON:
		return "json"
	}
	return "text"
}

// Separator stands between key and value in a text set.
const Separator = ":::"

// Request is a client's request. Of those that [ParseRequest] returned Value is never nil in a set,
// an add or a txn, and nil in all others.
type Request struct {
	model.Request
	Encoding Encoding

	// KeysOnly: a body has the field values, and it is false, as where it is left out.
	KeysOnly bool

	// Asked is what a JSON body says in place of headers, under their names; nil: nothing.
	// [OptionsOf] reads it.
	Asked nats.Header
}

// ParseRequest reads a request's body in any encoding. Value may share body's memory.
// An error is always an [*Error]; the Request that comes with it holds Encoding, and
// Model and Type where they could be read, for the reply needs them.
func ParseRequest(body []byte) (Request, error) {
	if len(body) > 0 && body[0] >= utf8.RuneSelf {
		return parseMsgpack(body)
	}
	if len(body) > 0 && body[0] == '{' { // begins no text: that begins with a consistency
		return parseJSON(body)
	}
	return parseText(body)
}

func parseText(body []byte) (Request, error) {
	r := Request{Encoding: Text}
	consistency, rest, ok := bytes.Cut(body, []byte{','})
	consistency = trim(consistency)
	r.Model = readConsistency(consistency)
	if !ok {
		if len(consistency) == 0 {
			return r, malformed("empty request (want CONSISTENCY, REQUEST, DATA)")
		}
		return r, malformed("no comma after the consistency (want CONSISTENCY, REQUEST, DATA)")
	}

	request, data, ok := bytes.Cut(rest, []byte{','})
	request, data = trim(request), trim(data)
	r.Type = readType(request)
	switch {
	case r.Model == 0:
		return r, malformed("unknown consistency %s (want %s)", quote(consistency), consistencyChoice)
	case r.Type == 0:
		return r, malformed("unknown request %s (want %s)", quote(request), model.TypeChoice)
	case r.Type == model.Txn:
		return r, malformed("a txn has no text form: send it as JSON or msgpack")
	case !ok:
		return r, malformed("no comma after the request (want CONSISTENCY, REQUEST, DATA)")
	}

	key := data
	if takesValue(r.Type) {
		var value []byte
		if key, value, ok = bytes.Cut(data, []byte(Separator)); !ok {
			return r, malformed("%s needs a key and a value with %s between them", article(r.Type), Separator)
		}
		key, r.Value = trim(key), trim(value)
	}

	r.Key = string(key)
	return r, settle(&r.Request)
}

const consistencyChoice = "1 linearizable, 2 sequential, 3 causal or 4 eventual"

// takesValue reports whether requests of a type come with a value.
func takesValue(t model.Type) bool { return t == model.Set || t == model.Add || t == model.Txn }

// article is a type's name with an article, for a sentence.
func article(t model.Type) string {
	if t == model.Add {
		return "an add"
	}
	return "a " + t.Word()
}

// settle refuses what breaks a rule, and brings the number of an add to its one form.
func settle(r *model.Request) error {
	if err := checkParts(r); err != nil || r.Type != model.Add {
		return err
	}
	n, err := number(r.Value)
	if err != nil {
		return err
	}
	r.Value = n
	return nil
}

// number is a number of 64 bits with its sign in its one form, without plus and leading zeros.
func number(value []byte) ([]byte, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return nil, malformed("an add takes a whole number from %d to %d, not %s", math.MinInt64, math.MaxInt64, quote(value))
	}
	return strconv.AppendInt(nil, n, 10), nil
}

// checkParts refuses what breaks a rule of the parts of a request whose codes are good: of its
// value, only the length counts here.
func checkParts(r *model.Request) error {
	if !r.Type.In(r.Model) {
		return malformed("no %s in model %s: it needs a place in the order; use linearizable or sequential",
			r.Type.Word(), r.Model.Word())
	}
	if err := checkSubject(r); err != nil {
		return err
	}
	if err := checkSize(len(r.Key), len(r.Value)); err != nil {
		return err
	}
	return checkExtras(r)
}

// checkSubject looks at what a request is about: a key, a prefix, or (of a txn) neither.
func checkSubject(r *model.Request) error {
	switch {
	case r.Type.HasKey():
		return checkKey(r.Key)
	case r.Type == model.Txn && r.Key != "":
		return malformed("a txn has no key of its own: its steps have")
	case r.Key == "":
		return nil
	}
	return checkLetters("prefix", r.Key)
}

// trim cuts what the contract calls spaces, tabs and line ends; never to nil.
func trim(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// readConsistency returns 0 for what is no code and no name.
func readConsistency(b []byte) model.Consistency {
	for _, c := range model.All {
		if isWord(b, byte(c), c.Word()) {
			return c
		}
	}
	return 0
}

// readType returns 0 for what is no code and no name.
func readType(b []byte) model.Type {
	for _, t := range model.Types {
		if isWord(b, byte(t), t.Word()) {
			return t
		}
	}
	return 0
}

// isWord compares lengths first: Unicode folds some longer letters into ASCII ones, and
// the contract's letter case is ASCII's.
func isWord(b []byte, code byte, word string) bool {
	if len(b) == 1 {
		return b[0] == '0'+code
	}
	return len(b) == len(word) && strings.EqualFold(string(b), word)
}

// checkKey refuses a key that the contract does not allow.
func checkKey(key string) error {
	if len(key) == 0 {
		return malformed("empty key")
	}
	return checkLetters("key", key)
}

// checkLetters refuses a key, or a prefix of keys, that is too long or holds what none may.
func checkLetters(what, key string) error {
	switch {
	case len(key) > model.MaxKey:
		return malformed("%s of %d bytes (at most %d)", what, len(key), model.MaxKey)
	case !utf8.ValidString(key):
		return malformed("%s is not UTF-8", what)
	case strings.Contains(key, Separator):
		return malformed("%s holds %s", what, Separator)
	}
	for _, r := range key {
		if unicode.IsControl(r) {
			return malformed("%s holds the control character %U", what, r)
		}
	}
	return nil
}

func checkSize(key, value int) error {
	if key+value > model.MaxKeyValue {
		return &Error{
			Code:   model.TooLarge,
			Reason: fmt.Sprintf("key and value of %d bytes together (at most %d)", key+value, model.MaxKeyValue),
		}
	}
	return nil
}

// Check refuses what [ParseRequest] would refuse, with the same [*Error].
func Check(r *model.Request) error {
	switch {
	case !r.Model.Valid():
		return malformed("unknown consistency %d (want %s)", r.Model, consistencyChoice)
	case !r.Type.Valid():
		return malformed("unknown request %d (want %s)", r.Type, model.TypeChoice)
	case !takesValue(r.Type) && len(r.Value) > 0:
		return malformed("%s takes no value", article(r.Type))
	}
	if err := checkParts(r); err != nil {
		return err
	}

	switch r.Type {
	case model.Add:
		_, err := number(r.Value)
		return err
	case model.Txn:
		return checkPacked(r.Value)
	}
	return nil
}

// AppendText appends r in text form. It checks nothing. Text loses the blanks at the
// ends of a key or a value; [Trimmed] tells whether there are any. What r says beside key and value
// stands in headers ([TextHeader]); a txn has no text form.
func AppendText(dst []byte, r *model.Request) []byte {
	dst = append(dst, r.Model.Word()...)
	dst = append(dst, ", "...)
	dst = append(dst, r.Type.Word()...)
	dst = append(dst, ", "...)
	if takesValue(r.Type) {
		return AppendEcho(dst, r.Key, r.Value)
	}
	return append(dst, r.Key...)
}

// AppendEcho appends `key ::: value`: the data of a text set and the body of its reply.
func AppendEcho(dst []byte, key string, value []byte) []byte {
	dst = append(dst, key...)
	dst = append(dst, " "+Separator+" "...)
	return append(dst, value...)
}

// Trimmed reports whether key and value have no blanks at their ends, so that text
// says exactly what msgpack says.
func Trimmed(r *model.Request) bool {
	key := strings.Trim(r.Key, " \t\r\n")
	return len(key) == len(r.Key) && len(trim(r.Value)) == len(r.Value)
}

// maxQuote is how many bytes of a stranger's text a reason repeats.
const maxQuote = 40

// quote makes any bytes one short printable word for a reason.
func quote[T string | []byte](b T) string {
	if len(b) <= maxQuote {
		return strconv.Quote(string(b))
	}
	end := maxQuote
	for end > maxQuote-utf8.UTFMax && !utf8.RuneStart(b[end]) {
		end--
	}
	return strconv.Quote(string(b[:end])) + "…"
}
