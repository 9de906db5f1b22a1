package pane

import (
	"fmt"
	"slices"
	"strings"

	"quartet/bus/model"
	"quartet/client/trace"
)

// Rule is a rule of the protocol that let a request be answered, and the messages of its story that
// show it.
type Rule struct {
	Number string // in replica/DESIGN.md; or the model, where its rule has none
	Says   string
	Seen   string // "": no message shows it
}

// Rules says why a request could be answered: the rules of replica/DESIGN.md that its model goes
// by, with the messages that show that they held.
func Rules(t *trace.Trace) []Rule {
	m, err := model.ParseConsistency(t.Model)
	typ, err2 := model.ParseType(t.Type)
	isAnswered := t.Code == 200 || t.Code == 404 || t.Code == 412
	if err != nil || err2 != nil || !isAnswered {
		return nil
	}

	switch isOrdered := len(carried(t)) > 0; {
	case m.Strong() && isOrdered:
		return ordered(t, typ)
	case m == model.Linearizable:
		return fenced(t)
	case m == model.Sequential:
		return inTurn(t)
	case m == model.Causal && typ.Writes():
		return numbered(t)
	case m == model.Causal:
		return caughtUp(t)
	case typ.Writes():
		return spread(t)
	}
	return atOnce(t)
}

// why says what the rules are for, or why there are none.
func why(t *trace.Trace) string {
	switch t.Code {
	case 200, 404, 412:
		return "Why it could be answered"
	case 0:
		return "No reply was heard"
	}
	return "Why it was not answered: " + codeWord(t.Code)
}

// carried are the DATA that carry the request.
func carried(t *trace.Trace) []*trace.Event {
	var list []*trace.Event
	for i := range t.Events {
		if e := &t.Events[i]; e.Kind == "DATA" && e.Detail != trace.DetailAcknowledges {
			list = append(list, e)
		}
	}
	return list
}

// ordered is of what has a place in the order.
func ordered(t *trace.Trace, typ model.Type) []Rule {
	data := carried(t)
	sender, at := data[0].From, data[0].Clock
	announces := func(e *trace.Event) bool {
		says := e.Kind == "ACK" || e.Kind == "DATA"
		return says && e.Clock >= at && e.From != sender
	}
	var members []string
	for i := range t.Events {
		if e := &t.Events[i]; announces(e) && !slices.Contains(members, e.From) {
			members = append(members, e.From)
		}
	}
	slices.Sort(members)
	who := "Nobody else is in the view."
	if len(members) > 0 {
		who = fmt.Sprintf("%s did, at clocks of %d or more", strings.Join(members, ", "), at)
	}

	rules := []Rule{
		{"S1", fmt.Sprintf("One replica, %s, has stamped and numbered it: its broadcast has the time %d.", sender, at),
			seen(t, "DATA of "+sender, func(e *trace.Event) bool { return slices.Contains(data, e) })},
		{"S2", "An acknowledgement says all that its sender has received, so a lost one does no harm, and one serves many requests.",
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "ACK" })},
		{"S4 (A)", "It is the head of the queue, and every member has announced a clock that is not before its time: " +
			"nothing older can come any more.",
			seen(t, who, announces)},
		{"S4 (B)", "Every member has received it without a gap: whoever dies now, it is not lost.",
			seen(t, who, announces)},
	}
	if typ.Writes() {
		rules = append(rules, Rule{"S5", "Ids are looked up where it is delivered, in the common order: had it been executed before, the first outcome " +
			"would have been told.", ""})
	}
	if t.Position != 0 {
		rules = append(rules, Rule{"place", fmt.Sprintf("It was the operation number %d of the one order, at every replica.", t.Position), ""})
	}
	return rules
}

// fenced is of a linearizable read that has no place in the order.
func fenced(t *trace.Trace) []Rule {
	isQuestion := func(e *trace.Event) bool { return e.Kind == "FORWARD" && e.To != t.Replica }
	isEcho := func(e *trace.Event) bool { return e.Kind == "ANSWERS" && e.From != t.Replica }
	return []Rule{
		{"L1", "The master has sent it to one member, with the number of a round that began after the request had come.",
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "FORWARD" && e.To == t.Replica })},
		{"L2", t.Replica + " has given it a turn behind all that it held, and read when its turn came.",
			seen(t, "its ANSWERS", func(e *trace.Event) bool { return e.Kind == "ANSWERS" && e.From == t.Replica })},
		{"L3", "In the same turn other members were asked for the round, so many as may be missing.", seen(t, "", isQuestion)},
		{"L4", "They have echoed it: they still work in this view, so there is no later one in which something newer was answered.",
			seen(t, "", isEcho)},
	}
}

// inTurn is of a sequential read.
func inTurn(t *trace.Trace) []Rule {
	return []Rule{{"sequential", fmt.Sprintf("It has waited for its turn in the queue of %s, and until that had come as far as its session has seen. "+
		"No other replica was asked: so it may be stale, and is never out of the order.", t.Replica),
		seen(t, fmt.Sprintf("read at position %d", t.Position), func(e *trace.Event) bool { return e.Kind == "ANSWERS" && e.From == t.Replica })}}
}

// numbered is of a causal write.
func numbered(t *trace.Trace) []Rule {
	return []Rule{
		{"causal", fmt.Sprintf("The master has numbered it, %d, and sent it to every member of the view.", t.Number),
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "FORWARD" })},
		{"causal", "It is answered once one member more holds it than may be missing: then no view can be formed without it.",
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "ANSWERS" })},
		{"causal", "Its place in the order comes later, with others in one broadcast.", ""},
	}
}

// caughtUp is of a causal read.
func caughtUp(t *trace.Trace) []Rule {
	return []Rule{{"causal", t.Replica + " may let be read all that the session has seen, and all that this depends on: " +
		"it compares one number, and asks nobody.",
		seen(t, "", func(e *trace.Event) bool { return e.Kind == "ANSWERS" && e.From == t.Replica })}}
}

// atOnce is of an eventual read.
func atOnce(t *trace.Trace) []Rule {
	return []Rule{{"eventual", "Any replica that can be reached answers at once, from what it has: the greater version of what is committed " +
		"and what is not yet.",
		seen(t, "FORWARD to "+t.Replica, func(e *trace.Event) bool { return e.Kind == "FORWARD" && e.To == t.Replica })}}
}

// spread is of an eventual write.
func spread(t *trace.Trace) []Rule {
	return []Rule{
		{"eventual", t.Replica + " has taken it and answered. Nobody was waited for.",
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "ANSWERS" && e.From == t.Replica })},
		{"eventual", "It goes to the others behind the answer; of two writes of a key the one with the greater version stays, everywhere.",
			seen(t, "", func(e *trace.Event) bool { return e.Kind == "DATA" })},
	}
}

// seen names the messages that show something, by their numbers in the story.
func seen(t *trace.Trace, what string, shows func(*trace.Event) bool) string {
	var numbers []string
	for i := range t.Events {
		if shows(&t.Events[i]) {
			numbers = append(numbers, fmt.Sprint(i+1))
		}
	}
	if len(numbers) == 0 {
		return ""
	}
	word := "message "
	if len(numbers) > 1 {
		word = "messages "
	}
	if what != "" {
		what += ": "
	}
	return what + word + strings.Join(numbers, ", ")
}
