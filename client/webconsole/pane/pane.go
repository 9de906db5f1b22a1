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
	"time"

	"quartet/bus/model"
	"quartet/bus/readable"
)

//go:embed *.html
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"grouped": readable.Grouped, "micros": micros, "rate": rate, "class": Class, "clock": clock, "ago": ago, "shown": readable.Text,
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

const dash = "–" // for no figure

// micros writes a time in µs in the unit in which people say it; a dash for no time.
func micros(us float64) string {
	if us <= 0 {
		return dash
	}
	v, unit := readable.Time(us)
	return readable.Digits(v) + readable.Gap + unit
}

// rate writes so many a second.
func rate(v float64) string {
	if v > 0 && v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return readable.Grouped(uint64(v + 0.5))
}

// clock writes a time of day.
func clock(t time.Time) string { return t.Format(time.TimeOnly) }

// ago writes how long ago something was.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0" + readable.Gap + "ms"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + readable.Gap + "ms"
	case d < 100*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + readable.Gap + "s"
	case d < 100*time.Minute:
		return strconv.FormatInt(int64(d.Minutes()), 10) + readable.Gap + "min"
	}
	return strconv.FormatInt(int64(d.Hours()), 10) + readable.Gap + "h"
}
