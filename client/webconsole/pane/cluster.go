package pane

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/readable"
	"quartet/bus/trouble"
	"quartet/client/glance"
)

// Sight is all that is known of a cluster at a moment: what the view of the cluster shows.
type Sight struct {
	At       time.Time
	Reached  bool   // the cluster has answered
	Why      string // it does not: one line
	Since    time.Time
	Look     *glance.Look // the newest; nil: there was none
	View     *glance.View // of the nodes; nil: as above
	Requests []glance.Request
	Rates    History
	Happened []glance.Happening // newest first
	Demo     bool               // its replicas may be paused
	Paused   map[int]bool       // by pid
}

// History is how many requests of each model were answered a second, at the looks of the last
// minutes, oldest first.
type History map[string][]float64

// Notice is what is to be said before all else.
type Notice struct{ Class, Title, Text string }

// pill is the state of the cluster in one word.
type pill struct{ Class, Word string }

// Pill says in a word how the cluster is.
func (s *Sight) Pill() template.HTML {
	p := pill{"good", "ready"}
	switch {
	case s.Look == nil && s.Why == "":
		p = pill{"idle", "looking"}
	case !s.Reached:
		p = pill{"bad", "no answer"}
	case !s.Look.Status.Ready:
		p = pill{"bad", "not ready"}
	case len(s.Look.Status.Warnings) > 0 || s.away() > 0:
		p = pill{"warn", "ready, but …"}
	}
	html, err := Fragment("pill", p)
	if err != nil {
		return "" // a page without it is a page
	}
	return html
}

// away is how many replicas are no members.
func (s *Sight) away() int {
	n := 0
	for _, r := range s.Look.Status.Replicas {
		if !r.Member {
			n++
		}
	}
	return n
}

// Fragments are the parts of the cluster's view that change, by the ids of their places.
func (s *Sight) Fragments() (map[string]template.HTML, error) {
	all := map[string]template.HTML{"pill": s.Pill()}
	for id, shows := range map[string]any{
		"state": s.state(), "tiles": s.tiles(), "nodes": s.nodes(), "models": s.models(), "events": s.Happened,
		"replicas": s.replicas(),
	} {
		html, err := Fragment("part-"+id, shows)
		if err != nil {
			return nil, err
		}
		all[id] = html
	}
	return all, nil
}

// problem is something that is wrong, and what to do.
type problem struct {
	Class, Says, Remedy, Command string
}

// state is how the cluster is, in words.
type state struct {
	Class, Title, Text string
	Problems           []problem
}

func (s *Sight) state() state {
	switch {
	case s.Look == nil && s.Why == "":
		return state{Class: "idle", Title: "Looking for the cluster"}
	case !s.Reached:
		return state{
			Class: "bad", Title: "The cluster does not answer", Text: s.Why,
			Problems: []problem{advised("bad", "What is below is as it was at "+clock(s.Since)+".",
				"see where it was looked for: quartet doctor; or start a cluster: quartet master --memory")},
		}
	}

	status := &s.Look.Status
	st := state{Class: "good", Title: "All four models are served"}
	if st.Text = sentence(status.Survives); strings.HasPrefix(status.Survives, "survives ") {
		st.Text = sentence("What is acknowledged " + status.Survives)
	}
	if !status.Ready {
		st.Class, st.Title, st.Text = "bad", "The cluster is not ready", ""
	}
	if status.Reason != "" {
		st.Problems = append(st.Problems, advised("bad", sentence(status.Reason), trouble.Remedy(status.Reason)))
	}
	for _, warning := range status.Warnings {
		if st.Class == "good" {
			st.Class, st.Title = "warn", "All four models are served now"
		}
		st.Problems = append(st.Problems, advised("warn", sentence(warning), trouble.Remedy(warning)))
	}
	return st
}

// advised cuts the command out of a remedy, so that it can be copied.
func advised(class, says, remedy string) problem {
	p := problem{Class: class, Says: says, Remedy: sentence(remedy)}
	if _, after, found := strings.Cut(remedy, "quartet "); found {
		command, _, _ := strings.Cut(after, ";")
		command, _, _ = strings.Cut(command, " (")
		p.Command = "quartet " + strings.TrimSpace(command)
	}
	return p
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	s = readable.Text(s)
	first := s[:1]
	if len(s) > 1 && s[0] == 'r' && s[1] >= '0' && s[1] <= '9' {
		first = "r" // the name of a replica
	} else {
		first = strings.ToUpper(first)
	}
	s = first + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// tile is a figure to be seen first.
type tile struct{ Label, Figure, Note string }

func (s *Sight) tiles() []tile {
	if s.Look == nil {
		return nil
	}

	status := &s.Look.Status
	total, failed := 0.0, 0.0
	for _, r := range s.Requests {
		total += r.Rate
		failed += r.Failed
	}
	note := "none failed"
	if failed > 0 {
		note = rate(failed) + " a second failed"
	}

	var keys uint64
	for _, r := range status.Replicas {
		keys = max(keys, r.Keys)
	}
	in := len(status.Replicas) - s.away()
	members := tile{"Members", readable.Grouped(uint64(in)) + " of " + readable.Grouped(uint64(len(status.Replicas))), "all replicas are in the view"}
	if s.away() > 0 {
		members.Note = readable.Grouped(uint64(s.away())) + " not in the view"
	}
	data := tile{"Data", status.Data, ""}
	switch {
	case status.Sync != "":
		data.Note = "sync " + status.Sync
	case status.InProcess:
		data.Note = "one process"
	case status.Data == bus.DataMemory:
		data.Note = "nothing on disk"
	}
	if data.Figure == "" {
		data.Figure = dash
	}
	return []tile{
		{"Requests a second", rate(total), note}, members,
		{"View", readable.Grouped(status.Epoch), "led by " + leader(status)},
		{"Keys", readable.Grouped(keys), readable.Grouped(status.Master.Pending) + " requests under way"}, data,
	}
}

// leader is the name of the master that leads.
func leader(s *bus.Status) string {
	if s.Master.Name != "" {
		return readable.Text(s.Master.Name)
	}
	return s.Master.ID
}

// node is a node's card.
type node struct {
	ID, Role, Class, Remark string
	PID                     int
	Figures                 []figure
	IsMaster                bool
	Demo, Paused            bool // it may be paused, waked, killed
}

type figure struct {
	Label, Figure string
	Marked        bool
	Title         string // what it means
}

func (s *Sight) nodes() []node {
	if s.View == nil {
		return nil
	}

	status := &s.Look.Status
	m := node{ID: leader(status), Role: "master, leads", Class: "leads", PID: status.Master.PID, IsMaster: true}
	m.Figures = []figure{
		{"clock", readable.Grouped(status.Master.Clock), false, "Lamport time"},
		{"numbered", readable.Grouped(status.Master.Last), false, "causal writes: the highest number given out"},
		{"may be read", readable.Grouped(status.Master.Safe), status.Master.Safe < status.Master.Last, "the highest number that enough members hold"},
		{"under way", readable.Grouped(status.Master.Pending), false, "requests taken and not answered"},
	}
	if !s.Reached {
		m.Role, m.Class, m.Remark = "master", "bad", "does not answer"
	}

	list := append([]node{m}, standbys(status)...)
	for i := range s.View.Replicas {
		r := &s.View.Replicas[i]
		n := node{ID: r.ID, Role: "member", Class: "good", PID: r.Status.PID, Remark: sentence(glance.Remark(r.Status)), Demo: s.Demo}
		switch {
		case !r.Member:
			n.Class, n.Role = "bad", phases[r.Phase]
			if n.Role == "" {
				n.Role = "not in the view"
			}
		case n.Remark != "":
			n.Class = "warn"
		}

		n.Figures = []figure{
			{"position", readable.Grouped(r.Position), false, "ordered operations applied"},
			{"behind", readable.Grouped(r.Behind), !r.Member && r.Behind > 0, "positions, of the furthest replica"},
			{"operations/s", rate(r.Rate), false, "positions a second"},
			{"watermark", readable.Grouped(r.Status.Safe), false, "the highest causal number that it may let be read"},
			{"lag", readable.Grouped(r.Lag), !r.Member && r.Lag > 0, "causal numbers given out that it may not let be read yet"},
			{"queue", readable.Grouped(r.Queue), false, "broadcasts received and not yet delivered"},
			{"tentative", readable.Grouped(r.Tentative), false, "weak writes not yet committed"},
			{"keys", readable.Grouped(r.Keys), false, "keys that have a value"},
		}
		list = append(list, n)
	}
	return list
}

// standbys are the masters that do not lead.
func standbys(s *bus.Status) []node {
	var list []node
	for _, peer := range s.Masters {
		if peer.Name == s.Master.Name {
			continue
		}
		n := node{ID: readable.Text(peer.Name), Role: "master, " + readable.Text(peer.Role), Class: "idle", PID: peer.PID, IsMaster: true}
		if peer.Host != "" {
			n.Figures = append(n.Figures, figure{Label: "host", Figure: readable.Text(peer.Host)})
		}
		if silent := time.Duration(peer.Silent) * time.Millisecond; silent > 0 {
			n.Class, n.Remark = "bad", "Not heard for "+ago(silent)+"."
		}
		list = append(list, n)
	}
	return list
}

// phases are what replicas outside of the view do, in words.
var phases = map[string]string{
	"boot": "starting", "wedged": "between two views", "learning": "being loaded", "caught": "waiting to be let in",
	"member": "not in the view",
}

// models is the table of models, and their rates over time.
type models struct {
	Rows  []row
	Lines []line
}

type row struct {
	Class, Model, Request               string
	Rate, Failed, Mean, P50, P99, Count string
	Fails, FirstOfModel                 bool
}

func (s *Sight) models() models {
	var m models
	before := ""
	for _, r := range s.Requests {
		one := row{
			Class: Class(r.Consistency), Model: r.Consistency, Request: r.Request, Rate: rate(r.Rate), Failed: rate(r.Failed),
			Mean: micros(r.Mean), P50: micros(float64(r.P50)), P99: micros(float64(r.P99)), Count: readable.Grouped(r.Count),
			Fails: r.Failed > 0, FirstOfModel: r.Consistency != before,
		}
		if one.Model == "" {
			one.Model = "none named"
		}
		if one.Request == "" {
			one.Request = dash
		}
		before = r.Consistency
		m.Rows = append(m.Rows, one)
	}

	highest := 0.0
	for _, values := range s.Rates {
		if len(values) > 0 {
			highest = max(highest, slices.Max(values))
		}
	}
	for _, c := range model.All {
		values := s.Rates[c.Word()]
		now := 0.0
		if len(values) > 0 {
			now = values[len(values)-1]
		}
		m.Lines = append(m.Lines, line{Class: Class(c.Word()), Model: c.Word(), Now: rate(now), Path: spark(values, highest)})
	}
	return m
}
