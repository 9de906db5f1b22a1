// Package pane is what the console in the browser shows, as HTML: a pane for each of its views. It
// promises that a pane depends on what it is given and on nothing else, that nothing of a key, a
// value or a reason is more in it than text, and that it holds no script and no style of its own,
// so that a strict policy of content can forbid them.
package pane

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quartet/bus/model"
)

//go:embed *.html
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"grouped": grouped, "micros": micros, "rate": rate, "class": Class, "clock": clock, "ago": ago, "shown": shown,
}).ParseFS(files, "*.html"))

// Frame is what stands around every pane.
type Frame struct {
	Title     string
	View      string // the view that is open: its address without the slash; "cluster" for "/"
	Live      string // address of the events that keep the pane up to date; "": it does not change
	Token     string // which whatever changes something must bring
	Version   string
	Server    string // the NATS server, without credentials
	Visitor   string // whose certificate opens the page; "": there are none
	Write     bool   // whoever opens it may change keys
	ReadsOnly string // why not, and what to do about it
	Demo      bool   // replicas may be paused
	Pill      template.HTML
}

// Page writes a whole page: a pane by its name, of what it shows, within its frame.
func Page(w io.Writer, f Frame, name string, shows any) error {
	body, err := Fragment(name, within{f, shows})
	if err != nil {
		return err
	}
	if err := templates.ExecuteTemplate(w, "frame", framed{f, views, body}); err != nil {
		return fmt.Errorf("pane: %w", err)
	}
	return nil
}

// within is what a pane is given on a page: what it shows, and the frame.
type within struct {
	Frame Frame
	Shows any
}

type framed struct {
	Frame
	Views []view
	Body  template.HTML
}

type view struct{ Name, Address, Label string }

var views = []view{
	{"cluster", "/", "Cluster"}, {"four", "/four", "A key, four ways"}, {"story", "/story", "Stories"},
	{"keys", "/keys", "Keys"}, {"runs", "/runs", "Runs"},
}

// Fragment is a part of a pane by its name.
func Fragment(name string, shows any) (template.HTML, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, shows); err != nil {
		return "", fmt.Errorf("pane: %w", err)
	}
	return template.HTML(b.String()), nil // what a template has escaped
}

// Class is the class of a model's colour, by the model's word.
func Class(word string) string {
	c, err := model.ParseConsistency(word)
	if err != nil {
		return "m0"
	}
	return "m" + strconv.Itoa(int(c))
}

// shown makes a text of whatever bytes: what has no shape of its own, or changes that of others, is
// written as an escape.
func shown(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// grouped writes a number with its thousands apart.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const (
	dash = "–"
	gap  = "\u00a0" // between a number and its unit, which are not to be torn apart
)

// micros writes a time in µs with three digits that count; nothing for no time.
func micros(us float64) string {
	switch {
	case us <= 0:
		return dash
	case us < 999.5:
		return digits(us) + gap + "µs"
	case us < 999_500:
		return digits(us/1e3) + gap + "ms"
	}
	return digits(us/1e6) + gap + "s"
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// rate writes so many a second.
func rate(v float64) string {
	if v > 0 && v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(uint64(v + 0.5))
}

// clock writes a time of day.
func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// ago writes how long ago something was.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0" + gap + "ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + gap + "ms"
	case d < 100*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + gap + "s"
	case d < 100*time.Minute:
		return strconv.FormatInt(int64(d.Minutes()), 10) + gap + "min"
	}
	return strconv.FormatInt(int64(d.Hours()), 10) + gap + "h"
}
