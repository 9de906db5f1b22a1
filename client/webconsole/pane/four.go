package pane

import (
	"fmt"
	"html/template"
	"slices"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/readable"
)

// Four is what the view of a key in four models shows.
type Four struct {
	Key, Value, Replica string
	Replicas            template.HTML // the list that is kept up to date
	Names               []string      // of replicas
	Results             map[model.Consistency]template.HTML
}

// fourModel is a model's card.
type fourModel struct {
	Number               int
	Word, Class, Promise string
	Result               template.HTML
}

// promises are what the cards say of the models.
var promises = map[model.Consistency]string{
	model.Linearizable: "One operation at a time, each between its request and its reply: once a set is answered, every later get sees it.",
	model.Sequential:   "One order of all operations that keeps each session's own. A get may be stale, but is never out of that order.",
	model.Causal:       "A get never returns what is older than what its session has seen, or than what that depends on.",
	model.Eventual:     "Any replica that can be reached answers at once. When writing stops, all come to hold the same.",
}

// Models are the four cards.
func (f *Four) Models() []fourModel {
	var list []fourModel
	for _, c := range model.All {
		list = append(list, fourModel{Number: int(c), Word: c.Word(), Class: Class(c.Word()), Promise: promises[c], Result: f.Results[c]})
	}
	return list
}

// How a request ended, as far as the eye is concerned.
const (
	ended   = "ok"
	none    = "none"    // answered: there is no value
	old     = "stale"   // answered, with what had been replaced before the request was sent
	refused = "refused" // not executed
	unknown = "unknown" // no outcome in time
)

// Tried is a request that was sent, and what came of it.
type Tried struct {
	Model   model.Consistency
	Type    model.Type
	Reply   bus.Reply // of code 0: none came
	Why     string    // it has failed: one line
	Unknown bool      // it may have taken effect
	Value   string    // of a set: what was to be written
	Took    time.Duration
	Age     Age
	Story   bool // its story can be shown
}

// Age is how old what was read is, as far as the console knows.
type Age struct {
	Known    bool
	Old      time.Duration // since the write was answered
	Stale    bool          // another write had been answered before the get was sent
	Replaced time.Duration // how long before it was sent
}

// slow is how long a request takes that the eye is to see.
const slow = 300 * time.Millisecond

// outcome says how a request ended.
func (t *Tried) outcome() string {
	switch code := t.Reply.Code; {
	case t.Unknown, code == 0 && t.Why == "":
		return unknown
	case t.Age.Stale:
		return old
	case code == model.NotFound:
		return none
	case code == model.OK:
		return ended
	}
	return refused
}

// told is a result as it is shown.
type told struct {
	Class, Dot, Verdict, Value, Why string
	HasValue                        bool
	Facts                           []figure
	RID                             uint64 // of its story; 0: there is none
	Slow                            bool
	Text                            string // of a cell: all in one line
}

// tell puts a result into words.
func (t *Tried) tell() told {
	o := t.outcome()
	words := map[string]string{
		ended: "answered", none: "answered: no value", old: "stale", refused: "refused", unknown: "no answer: outcome unknown",
	}
	r := told{Class: o, Dot: map[string]string{ended: "good", none: "good", old: "warn", refused: "bad", unknown: "bad"}[o], Verdict: words[o]}
	switch {
	case o == old && t.Model == model.Linearizable:
		r.Verdict = "stale, which this model never is"
	case o == old:
		r.Verdict = fmt.Sprintf("stale, as %s may be", t.Model.Word())
	case o == unknown && t.Type == model.Get:
		r.Verdict = "no answer in time"
	case o == ended && t.Type == model.Set:
		r.Verdict = "written"
	}

	if t.Why != "" && o != none {
		r.Why = readable.Text(t.Why)
		if t.Reply.Code != 0 {
			r.Verdict += fmt.Sprintf(" (%d)", t.Reply.Code)
		}
	}
	r.HasValue = t.Reply.Code == model.OK || t.Type == model.Set
	if r.Value = t.Value; t.Type == model.Get {
		r.Value = string(t.Reply.Value)
	}
	r.Value = short(readable.Text(r.Value), 80)
	r.Facts = t.facts()
	r.Slow = t.Took >= slow
	if t.Story {
		r.RID = t.Reply.RID
	}
	r.Text = fmt.Sprintf("%s, %s after %s", t.Type.Word(), r.Verdict, ago(t.Took))
	if t.Reply.Replica != 0 {
		r.Text += " by " + t.Reply.Replica.String()
	}
	return r
}

// facts are the figures of a reply.
func (t *Tried) facts() []figure {
	var list []figure
	add := func(label, text string) { list = append(list, figure{Label: label, Figure: text}) }
	if t.Reply.Replica != 0 {
		add("replica", t.Reply.Replica.String())
	}
	if t.Reply.HasPosition {
		add("position", readable.Grouped(t.Reply.Position))
	}
	if t.Reply.HasRevision {
		add("revision", readable.Grouped(t.Reply.Revision))
	}
	if t.Reply.Timestamp != 0 {
		add("timestamp", readable.Grouped(t.Reply.Timestamp))
	}

	switch {
	case t.Type != model.Get:
	case t.Age.Stale:
		add("replaced", ago(t.Age.Replaced)+" before the get")
	case t.Age.Known:
		add("age", ago(t.Age.Old))
	case t.Reply.Code == model.OK:
		add("age", "not written from here")
	}
	add("took", micros(float64(t.Took.Microseconds())))
	return list
}

// short cuts a text to so many characters.
func short(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}

// Result is the result as it stands on a model's card.
func (t *Tried) Result() (template.HTML, error) { return Fragment("four-result", t.tell()) }

// Cell is the result as one cell of a strip.
func (t *Tried) Cell() (template.HTML, error) { return Fragment("four-cell", t.tell()) }

// replicas is the list of replicas beside the four models.
func (s *Sight) replicas() []node {
	list := s.nodes()
	for i := range list {
		n := &list[i]
		if n.Paused = s.Paused[n.PID]; n.Paused {
			n.Role, n.Class = n.Role+", paused", "bad"
		}
	}
	return slices.DeleteFunc(list, func(n node) bool { return n.IsMaster })
}

// Failed notes why a request has failed; an answer is no failure.
func (t *Tried) Failed(why string, unknownOutcome bool) { t.Why, t.Unknown = why, unknownOutcome }
