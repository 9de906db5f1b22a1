package pane_test

import (
	"bytes"
	"flag"
	"html/template"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client/glance"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
	"quartet/client/webconsole/pane"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what a pane shows with its file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); if it is to be so: go test ./client/webconsole/pane -update\n%s", file, diff)
	}
}

// page is a whole page.
func page(t *testing.T, f pane.Frame, name string, shows any) string {
	t.Helper()
	var b bytes.Buffer
	f.Title, f.Token, f.Version, f.Server = "Test", "the-token", "0.0.0", "nats://127.0.0.1:4222"
	if !f.Write {
		f.Visitor, f.ReadsOnly = "ann, role read", "the certificate of ann has the role read"
	}
	if err := pane.Page(&b, f, name, shows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// sight is what is seen of a cluster that is well but for what change does to it.
func sight(change func(*pane.Sight, *bus.Status)) *pane.Sight {
	now := &glance.Look{At: noon, Status: bus.Status{
		Ready: true, Version: "0.0.0", Data: bus.DataMemory, Epoch: 3, Survives: "survives the death of any one replica",
		Master: bus.MasterStatus{ID: "m1", PID: 100, Clock: 12345, Last: 40, Safe: 40, Pending: 2},
	}}
	for i := range 3 {
		now.Status.Replicas = append(now.Status.Replicas, bus.ReplicaStatus{
			ID: lamport.Replica(i + 1).String(), PID: 101 + i, Member: true, Phase: "member", Clock: 12340, Position: 1000, Safe: 40, Keys: 7, Supervised: true,
		})
	}
	before := *now
	before.At = noon.Add(-time.Second)
	now.Report.Groups = []bus.ReportGroup{
		{Consistency: "linearizable", Request: "set", Count: 1500, Timed: 1500, Mean: 412.5, P50: 400, P99: 1250},
		{Consistency: "eventual", Request: "get", Count: 12, Timed: 12, Failed: 3, Mean: 90, P50: 80, P99: 200},
	}
	s := &pane.Sight{
		At: noon, Reached: true, Look: now, Rates: pane.History{"linearizable": {0, 750, 1500}, "eventual": {0, 0, 12}},
		Happened: []glance.Happening{{At: noon, Text: "view 3: r1, r2, r3"}}, Paused: map[int]bool{},
	}
	change(s, &now.Status)
	s.View = glance.Compare(&before, now)
	s.Requests = s.View.Requests
	return s
}

func TestTheClusterIsShown(t *testing.T) {
	for name, change := range map[string]func(*pane.Sight, *bus.Status){
		"cluster-well": func(*pane.Sight, *bus.Status) {},
		"cluster-without-a-majority": func(s *pane.Sight, c *bus.Status) {
			c.Ready, c.Reason = false, "only 1 of 3 replicas can be reached, and 2 are needed: r2, r3 cannot go on, or are not loaded yet"
			c.Replicas[1] = bus.ReplicaStatus{ID: "r2", PID: 102, Phase: "learning", Position: 900, Reason: "it is being loaded"}
			c.Replicas[2].Member, c.Replicas[2].Reason, c.Replicas[2].Restarts = false, "it has not answered for 1s", 2
			c.Replicas[2].LastError = "signal: killed"
		},
		"cluster-warned": func(s *pane.Sight, c *bus.Status) {
			c.Warnings = []string{"the next death of a replica stops models 1 and 2 and causal sets: 2 of 3 replicas work, and 2 are needed"}
			c.Replicas[1].Member, c.Replicas[1].Unheard = false, []string{"r3"}
		},
		"cluster-unreachable": func(s *pane.Sight, _ *bus.Status) {
			s.Reached, s.Why, s.Since = false, "nobody listens", noon
		},
		"cluster-of-several-masters": func(_ *pane.Sight, c *bus.Status) {
			c.Master.Name = "north"
			c.Masters = []bus.MasterPeer{
				{Name: "north", Role: "leads", PID: 100}, {Name: "south", Role: "stands by", PID: 200, Host: "b"},
				{Name: "west", Role: "stands by", PID: 300, Silent: 4000},
			}
		},
	} {
		parts, err := sight(change).Fragments()
		if err != nil {
			t.Fatal(err)
		}

		golden(t, name, page(t, pane.Frame{View: "cluster", Live: "/live", Pill: parts["pill"]}, "cluster", parts))
	}
}

// Before there is anything to see the page says that it looks, and shows no figure.
func TestNothingIsShownOfAClusterThatWasNotSeen(t *testing.T) {
	parts, err := (&pane.Sight{}).Fragments()
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"state": "Looking for the cluster", "pill": "looking", "tiles": `<dl class="tiles"></dl>`} {
		if !strings.Contains(string(parts[id]), want) {
			t.Errorf("%s: no %q in %s", id, want, parts[id])
		}
	}
}

func TestAKeyIsShownFourWays(t *testing.T) {
	answer := func(code model.Code, value string) bus.Reply {
		return bus.Reply{Answer: model.Answer{
			RID: 17, Code: code, Replica: lamport.Replica(2), HasPosition: true, Position: 1234, HasRevision: true, Revision: 1200, Value: []byte(value),
		}}
	}
	f := pane.Four{Key: "colour", Value: "green", Names: []string{"r1", "r2", "r3"}, Results: map[model.Consistency]template.HTML{}}
	for i, tried := range []pane.Tried{
		{Type: model.Get, Reply: answer(model.OK, "green"), Took: 1234 * time.Microsecond, Age: pane.Age{Known: true, Old: 2 * time.Second}, Story: true},
		{Type: model.Get, Reply: answer(model.OK, "red"), Took: time.Millisecond, Age: pane.Age{Known: true, Stale: true, Replaced: 340 * time.Millisecond}},
		{Type: model.Set, Reply: answer(model.Unavailable, ""), Why: "no majority", Value: "<b>blue</b>", Took: 400 * time.Millisecond},
		{Type: model.Set, Why: "no reply", Unknown: true, Value: "blue", Took: 2 * time.Second},
	} {
		tried.Model = model.Consistency(i + 1)
		html, err := tried.Result()
		if err != nil {
			t.Fatal(err)
		}
		f.Results[tried.Model] = html
	}

	s := sight(func(s *pane.Sight, _ *bus.Status) { s.Demo, s.Paused[102] = true, true })
	parts, err := s.Fragments()
	if err != nil {
		t.Fatal(err)
	}
	f.Replicas = parts["replicas"]
	golden(t, "four", page(t, pane.Frame{View: "four", Write: true, Demo: true}, "four", &f))
}

// How a request ended is told by the shape of a cell and not by its colour alone.
func TestCells(t *testing.T) {
	ok := bus.Reply{Answer: model.Answer{Code: model.OK}}
	for want, tried := range map[string]pane.Tried{
		`class="cell ok" title="set, written after 1`: {Type: model.Set, Reply: ok},
		`class="cell stale" title="get, stale, which this model never is after`: {
			Model: model.Linearizable, Type: model.Get, Reply: ok, Age: pane.Age{Known: true, Stale: true},
		},
		`class="cell stale" title="get, stale, as eventual may be after`: {
			Model: model.Eventual, Type: model.Get, Reply: ok, Age: pane.Age{Known: true, Stale: true},
		},
		`class="cell none" title="get, answered: no value after`: {Type: model.Get, Reply: bus.Reply{Answer: model.Answer{Code: model.NotFound}}},
		`class="cell refused" title="set, refused (503) after`: {
			Type: model.Set, Reply: bus.Reply{Answer: model.Answer{Code: model.Unavailable}}, Why: "no majority",
		},
		`class="cell unknown" title="get, no answer in time (504) after`: {
			Type: model.Get, Reply: bus.Reply{Answer: model.Answer{Code: model.Unknown}}, Why: "too late", Unknown: true,
		},
		`class="cell refused" title="get, refused after`: {Type: model.Get, Why: "nobody listens"},
	} {
		tried.Took = time.Millisecond
		html, err := tried.Cell()
		if err != nil || !strings.Contains(string(html), want) {
			t.Errorf("no %q in %q, %v", want, html, err)
		}
	}
}

func TestKeysAreShown(t *testing.T) {
	k := pane.Keys{
		Prefix: "or", Contains: "ders", Model: model.Sequential, Next: "word", Items: []model.Item{
			{Key: "orders/1", HasValue: true, Value: []byte("<script>alert(1)</script>"), Revision: 12},
			{Key: "orders/\u202e2", HasValue: true, Value: []byte{0xff, 0}, Expires: uint64(noon.UnixMilli())},
		},
	}
	golden(t, "keys", page(t, pane.Frame{View: "keys"}, "keys", &k))

	told := pane.Told{At: noon, More: 3, Events: []model.Event{
		{Kind: model.EventDelete, Key: "orders/2", Revision: 14}, {Kind: model.EventSet, Key: "orders/1", Value: []byte("<i>"), Revision: 13},
		{Kind: model.EventCaughtUp, Revision: 12},
	}}
	html, err := pane.Fragment("keys-events", &told)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "keys-events", string(html))
}

// A long value of characters that take several bytes is text, wherever it is cut.
func TestTheBeginningOfALongValueIsText(t *testing.T) {
	const columns = 80 // of a value in the list
	listed := func(value string) string {
		k := pane.Keys{Model: model.Linearizable, Items: []model.Item{{Key: "k", Value: []byte(value), HasValue: true}}}
		return k.Rows()[0].Value
	}
	for _, character := range []string{"a", "é", "語", "🙂"} {
		for before := range 4 {
			value := strings.Repeat("a", before) + strings.Repeat(character, 1000)
			want := string([]rune(value)[:columns-1]) + "…"
			if got := listed(value); got != want {
				t.Errorf("%d × a, then %s: %s", before, character, got)
			}
		}
	}
	if got := listed("short"); got != "short" {
		t.Error(got)
	}
	if got := listed(strings.Repeat("\xff", 1000)); !strings.HasPrefix(got, `"\xff\xff`) {
		t.Errorf("bytes: %s", got)
	}
}

func TestAKeyIsShown(t *testing.T) {
	one := pane.One{
		Key: "orders/1", Model: model.Linearizable, Write: true, Token: "the-token", ID: "the-id",
		Reply:  bus.Reply{Answer: model.Answer{Code: model.OK, Value: []byte("\n1 < 2\n"), HasRevision: true, Revision: 12, Replica: lamport.Replica(1)}},
		Notice: &pane.Notice{Class: "good", Title: "Written"},
	}
	golden(t, "key", page(t, pane.Frame{View: "keys", Write: true}, "key", &one))

	one = pane.One{Key: "k", Model: model.Eventual, Reply: bus.Reply{Answer: model.Answer{Code: model.OK, Value: []byte{0, 1, 0xff}}}}
	golden(t, "key-of-bytes", page(t, pane.Frame{View: "keys"}, "key", &one))
}

func TestRunsAreShown(t *testing.T) {
	recording, err := history.ReadFile("../../../testdata/histories/eventual-a-b-a.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	judged := &pane.Judged{
		Operations: len(recording.Operations), Verdicts: history.Judge(recording, history.Budget{}), Took: 20 * time.Millisecond,
	}
	if judged.Verdict() != "violated" {
		t.Fatalf("the history is %s", judged.Verdict())
	}
	r := pane.Run{
		Name: "2026-11-29T12-00-00", Judged: judged, Page: true,
		Stats: &record.Stats{Began: noon, Seconds: 1.5, Kinds: []record.Kind{{Model: "eventual", Type: "get", Count: 3, OK: 3, P50: 0.25, P99: 1.5, Max: 2}}},
	}
	golden(t, "run", page(t, pane.Frame{View: "runs"}, "run", &r))
	list := pane.Runs{Folder: "runs", List: []pane.RunEntry{
		{Name: "2026-11-29T12-00-00", Verdict: "violated", At: noon, Size: 1234567}, {Name: "a b", At: noon},
	}}
	golden(t, "runs", page(t, pane.Frame{View: "runs"}, "runs", &list))
}

// Of no page is anything a script or a style of its own: the policy of content would forbid it.
func TestPagesNeedNothingThatThePolicyForbids(t *testing.T) {
	files, err := filepath.Glob("testdata/*.html")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{" style=", "<style", "<script>", " onclick=", " onload=", "javascript:", "//cdn", "https://"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %q", file, word)
			}
		}
	}
}
