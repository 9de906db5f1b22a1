package pane

import (
	"quartet/bus/readable"
	"quartet/client/trace"
)

// Stories is what the view of stories shows.
type Stories struct {
	List   []*trace.Trace // newest first
	Names  []string       // of replicas
	Notice *Notice
}

// storyRow is a story in the list.
type storyRow struct {
	RID                                                     uint64
	Class, Model, Request, Key, Client, Outcome, Took, When string
	Replica                                                 string
	Messages                                                int
	Failed                                                  bool
}

// Rows are the stories as they are listed.
func (s *Stories) Rows() []storyRow {
	var rows []storyRow
	for _, t := range s.List {
		r := storyRow{
			RID: t.RID, Class: Class(t.Model), Model: t.Model, Request: t.Type, Key: short(readable.Text(t.Key), 60), Client: readable.Text(t.Client),
			Replica: t.Replica, Took: micros(float64(t.Took().Microseconds())), Messages: len(t.Events),
			Outcome: codeWord(t.Code), Failed: t.Code != 200 && t.Code != 404,
		}
		if len(t.Events) > 0 {
			r.When = clock(t.Events[0].At)
		}
		rows = append(rows, r)
	}
	return rows
}

// Story is what the view of one story shows.
type Story struct {
	RID            uint64
	Title, Outcome string
	Class          string
	Text           string // the diagram as text
	Rules          []Rule
	Why            string // what the rules are for
}

// StoryOf puts a trace into the form in which it is shown.
func StoryOf(t *trace.Trace) *Story {
	return &Story{RID: t.RID, Title: t.Title(), Outcome: t.Outcome(), Class: Class(t.Model), Text: t.Text(), Rules: Rules(t), Why: why(t)}
}

// codeWord is a code with its meaning.
func codeWord(code int) string {
	word := map[int]string{
		0: "no reply was heard", 200: "OK", 400: "400 malformed", 404: "404 no value", 409: "409 id used before", 410: "410 too old",
		412: "412 condition unmet", 413: "413 too large", 421: "421 another history", 425: "425 not caught up", 503: "503 unavailable",
		504: "504 unknown outcome",
	}[code]
	if word == "" {
		return "another code"
	}
	return word
}
