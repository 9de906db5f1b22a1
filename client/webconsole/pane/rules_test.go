package pane_test

import (
	"strings"
	"testing"
	"time"

	"quartet/client/trace"
	"quartet/client/webconsole/pane"
)

// said is a message of a story: FROM KIND TO @CLOCK.
func said(from, kind, to string, clock uint64) trace.Event {
	return trace.Event{At: time.Unix(0, int64(clock)), From: from, Kind: kind, To: to, Clock: clock}
}

func TestRulesThatLetARequestBeAnswered(t *testing.T) {
	acknowledges := said("r1", "DATA", "r3", 9)
	acknowledges.Detail = trace.DetailAcknowledges
	set := []trace.Event{
		said("client", "REQUEST", "m1", 0), said("m1", "FORWARD", "r2", 4), said("r2", "DATA", "r1", 5), said("r2", "DATA", "r3", 5),
		said("r1", "ACK", "r2", 6), said("r3", "ACK", "r2", 7), acknowledges, said("r2", "ANSWERS", "m1", 8), said("m1", "REPLY", "client", 10),
	}

	fenced := []trace.Event{
		said("client", "REQUEST", "m1", 0), said("m1", "FORWARD", "r1", 2), said("m1", "FORWARD", "r3", 2), said("r3", "ANSWERS", "m1", 3),
		said("r1", "ANSWERS", "m1", 3), said("m1", "REPLY", "client", 4),
	}
	for name, test := range map[string]struct {
		trace trace.Trace
		want  string // numbers of rules, each with the messages that show it
	}{
		"linearizable set": {
			trace.Trace{Model: "linearizable", Type: "set", Code: 200, Replica: "r2", Position: 3, Events: set},
			"S1 3, 4 | S2 5, 6 | S4 (A) 5, 6, 7 | S4 (B) 5, 6, 7 | S5 | place",
		},
		"sequential add that failed": {
			trace.Trace{Model: "sequential", Type: "add", Code: 412, Replica: "r2", Events: set}, "S1 3, 4 | S2 5, 6 | S4 (A) 5, 6, 7 | S4 (B) 5, 6, 7 | S5",
		},
		"linearizable get, ordered": {
			trace.Trace{Model: "linearizable", Type: "get", Code: 404, Replica: "r2", Events: set[:6]}, "S1 3, 4 | S2 5, 6 | S4 (A) 5, 6 | S4 (B) 5, 6",
		},
		"linearizable get": {
			trace.Trace{Model: "linearizable", Type: "get", Code: 200, Replica: "r1", Events: fenced}, "L1 2 | L2 5 | L3 3 | L4 4",
		},
		"sequential get": {trace.Trace{Model: "sequential", Type: "get", Code: 200, Replica: "r1", Events: fenced}, "sequential 5"},
		"causal set":     {trace.Trace{Model: "causal", Type: "set", Code: 200, Number: 7, Events: fenced}, "causal 2, 3 | causal 4, 5 | causal"},
		"causal get":     {trace.Trace{Model: "causal", Type: "get", Code: 200, Replica: "r1", Events: fenced}, "causal 5"},
		"eventual set":   {trace.Trace{Model: "eventual", Type: "set", Code: 200, Replica: "r2", Events: set}, "eventual 8 | eventual 3, 4, 7"},
		"eventual get":   {trace.Trace{Model: "eventual", Type: "get", Code: 200, Replica: "r1", Events: fenced}, "eventual 2"},
		"refused":        {trace.Trace{Model: "linearizable", Type: "set", Code: 503, Events: set[:1]}, ""},
		"unheard":        {trace.Trace{RID: 9}, ""},
	} {
		var got []string
		for _, r := range pane.Rules(&test.trace) {
			word := r.Number
			if _, messages, found := strings.Cut(r.Seen, "message"); found {
				word += " " + strings.TrimLeft(messages, "s ")
			}
			got = append(got, word)
			if !strings.HasSuffix(r.Says, ".") {
				t.Errorf("%s: %q is no sentence", name, r.Says)
			}
		}
		if text := strings.Join(got, " | "); text != test.want {
			t.Errorf("%s: %q, want %q", name, text, test.want)
		}
	}
}

func TestAStoryIsShown(t *testing.T) {
	told := &trace.Trace{
		RID: 17, Client: "ann", Model: "linearizable", Type: "set", Key: "<colour>", Code: 200, Replica: "r2", Position: 3,
		Events: []trace.Event{said("client", "REQUEST", "m1", 0), said("r2", "DATA", "r1", 5), said("r1", "ACK", "r2", 6), said("m1", "REPLY", "client", 10)},
	}
	golden(t, "story", page(t, pane.Frame{View: "story"}, "story", pane.StoryOf(told)))
	list := pane.Stories{List: []*trace.Trace{told}, Names: []string{"r1"}, Notice: &pane.Notice{Class: "warn", Title: "Nobody has sent a request"}}
	golden(t, "stories", page(t, pane.Frame{View: "story", Write: true}, "stories", &list))
}
