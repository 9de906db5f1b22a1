package command_test

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/exit"
	"quartet/client/internal/responder"
	"quartet/replica/lamport"
	"quartet/replica/model"
)

// ofKey tells the parts of a compared key.
var ofKey = regexp.MustCompile(`^compare\.[a-z0-9]{8}\.(lin|seq|cau|eve)\.(.+)$`)

// The user's own requests go out under each model in turn, to keys of the model's own.
func TestCompareRequests(t *testing.T) {
	r := responder.Start(t, nil)
	w := quartet(t, r.URL, "compare", "--clients", "2", "--times", "3", "4, 1, a ::: x", "1, 2, a", "3, 2, b")
	if w.status != 0 {
		t.Fatalf("status %d, %s", w.status, w.err)
	}
	want := `# requests, sent # times by each client
# clients at once, a session each; # replicas, data: memory

MODEL REQUEST OPS/S P# µs P# µs P# µs MAX µs FAILED UNKNOWN STALE BEHIND OUTDATED ms
linearizable set # # # # # # #
linearizable get # # # # # # # # - -
sequential set # # # # # # #
sequential get # # # # # # # # - -
causal set # # # # # # #
causal get # # # # # # # # - -
eventual set # # # # # # #
eventual get # # # # # # # # - -
`
	got := shape(w.stdout)
	if i := strings.Index(got, "\n\nlinearizable: "); i >= 0 {
		got = got[:i+1] // what may have been stale: the clients' sets have one value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.ContainsAny(w.stdout+w.stderr, "\x1b\r") || strings.Contains(w.stdout, "STALE  ") && strings.Contains(w.stdout, "had been replaced") {
		t.Errorf("colour, progress or a legend without a terminal:\n%s%s", w.stdout, w.stderr)
	}
	calls := r.Calls()
	if len(calls) != 4*2*3*3 {
		t.Errorf("%d requests", len(calls))
	}
	last := model.Linearizable
	for _, c := range calls {
		key := ofKey.FindStringSubmatch(c.Request.Key)
		if key == nil || c.Request.Model.Word()[:3] != key[1] || c.Request.Model < last || (c.Request.Type == model.Set) != (string(c.Request.Value) == "x") || key[2] == "b" && c.Request.Type == model.Set {
			t.Errorf("%+v after %s", c.Request, last)
		}
		last = c.Request.Model
	}
}

// forgetful answers gets of one model with the first value of the key.
func forgetful(of model.Consistency) func(responder.Call) responder.Action {
	var mu sync.Mutex
	first := map[string][]byte{}
	return func(c responder.Call) responder.Action {
		mu.Lock()
		defer mu.Unlock()
		if c.Request.Type == model.Set {
			if first[c.Request.Key] == nil {
				first[c.Request.Key] = c.Request.Value
			}
			return responder.Action{}
		}
		if c.Request.Model != of {
			return responder.Action{}
		}
		reply := bus.Reply{Code: model.OK, RID: uint64(c.N), Model: of, Type: model.Get, Body: first[c.Request.Key], Clock: lamport.Timestamp{Time: uint64(c.N), Node: lamport.Master(1)}}
		return responder.Action{Raw: reply.Msg("")}
	}
}

// A stale get is found and told; one that is linearizable is a broken promise.
func TestCompareFindsStaleness(t *testing.T) {
	for of, want := range map[model.Consistency]int{model.Eventual: exit.StatusOK, model.Linearizable: exit.StatusFailed} {
		r := responder.Start(t, forgetful(of))
		dir := t.TempDir()
		plot := filepath.Join(dir, "p.svg")
		args := []string{"compare", "--clients", "1", "--times", "2", "--distinct", "-o", "json", "--plot", plot}
		if of == model.Linearizable { // at rest nothing would agree where eventual gets are wrong
			args = append(args, "--record", dir)
		}
		w := quartet(t, r.URL, append(args, "1, 1, k ::: a", "1, 1, k ::: b", "1, 2, k")...)
		var all []struct {
			Consistency string
			Gets        struct{ Ops int } `json:"get"`
			Staleness   struct {
				Judged, Stale, Doubted, Foreign int
				Percent                         float64
				Behind                          struct{ P50, Max float64 } `json:"versions_behind"`
				Outdated                        struct{ Max float64 }      `json:"outdated_ms"`
			}
		}
		if err := json.Unmarshal([]byte(w.stdout), &all); err != nil || w.status != want || len(all) != 4 {
			t.Fatalf("%s: %v, status %d, %s\n%s", of, err, w.status, w.err, w.stdout)
		}
		if (want != 0) != strings.Contains(w.err, "2 linearizable gets were stale") {
			t.Errorf("%s: %s", of, w.err)
		}
		for _, one := range all {
			s := one.Staleness
			stale := one.Consistency == of.String()
			if one.Gets.Ops != 2 || s.Judged != 2 || s.Doubted+s.Foreign != 0 || (s.Stale == 2) != stale || stale && (s.Percent != 100 || s.Behind.P50 != 1 || s.Behind.Max != 3 || s.Outdated.Max <= 0) {
				t.Errorf("%s: %+v", of, one)
			}
		}
		drawn, err := os.ReadFile(plot)
		if err != nil || !strings.Contains(string(drawn), "100 %, at most") {
			t.Errorf("%s: %v, drawn:\n%s", of, err, drawn)
		}
		if of != model.Linearizable {
			continue
		}
		if rec := recordedIn(t, dir); len(rec.Operations) < 4*2*3 || rec.Operations[0].Session == "" || rec.Operations[0].Client != "Client1" {
			t.Errorf("recorded %+v", rec.Operations[:1])
		}
		if w := quartet(t, r.URL, "check", "--pictures", "none", dir); w.status != exit.StatusFailed || !regexp.MustCompile(`linearizable +6 +violated`).MatchString(w.stdout) {
			t.Errorf("check: status %d\n%s", w.status, w.stdout)
		}
	}
}

func TestCompareLoad(t *testing.T) {
	r := responder.Start(t, nil)
	dir := t.TempDir()
	args := []string{"compare", "--clients", "3", "--duration", "60ms", "--warmup", "5ms", "--keys", "4", "--workload", "mix"}
	lines, err := csv.NewReader(strings.NewReader(quartet(t, r.URL, append(args, "-o", "csv")...).stdout)).ReadAll()
	if err != nil || len(lines) != 9 || lines[1][0] != "LINEARIZABLE" || lines[1][1] != "SET" || lines[8][0] != "EVENTUAL" || lines[8][1] != "GET" || len(lines[8]) != len(lines[0]) || lines[8][16] != "0" || lines[1][16] != "" {
		t.Errorf("csv: %v, %v", lines, err)
	}
	w := quartet(t, r.URL, append(args, "-o", "jsonl", "--gets", "100", "--record", dir)...)
	if w.status != 0 || strings.Count(w.stdout, "\n") != 4 || strings.Contains(w.stdout, `"set":`) || strings.Count(w.stdout, `"stale":0`) != 4 {
		t.Errorf("jsonl: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	if w := quartet(t, r.URL, "check", dir); w.status != 0 {
		t.Errorf("check: %s\n%s", w.err, w.stdout)
	}
	w = quartet(t, r.URL, append(args, "--workload", "set", "--rate", "100000", "--clients", "1")...)
	if w.status != 0 || strings.Contains(w.stdout, " get ") || strings.Count(w.stdout, "were due while all clients were busy") != 4 {
		t.Errorf("open loop: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
}

func TestCompareStatuses(t *testing.T) {
	refusing := responder.Start(t, func(c responder.Call) responder.Action {
		if c.Request.Model == model.Causal {
			return responder.Action{Code: model.Conflict}
		}
		return responder.Action{}
	})
	unknowing := responder.Start(t, func(c responder.Call) responder.Action {
		return responder.Action{Code: map[bool]model.Code{true: model.Unknown}[c.Request.Model == model.Eventual]}
	})
	nobody := responder.Server(t).ClientURL()
	file := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(file, []byte("1, 1, a ::: b\n1, 7, c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := []string{"--clients", "1", "--times", "1", "--retries", "0", "1, 1, k ::: v"}
	for name, test := range map[string]struct {
		url    string
		args   []string
		status int
		says   string
	}{
		"refused":            {refusing.URL, one, exit.StatusRefused, "the worst: client: refused (409)"},
		"unknown":            {unknowing.URL, one, exit.StatusUnknown, "outcome unknown"},
		"no cluster":         {nobody, one, exit.StatusNoCluster, "nobody listens"},
		"no server":          {"nats://127.0.0.1:1", nil, exit.StatusNoCluster, "quartet doctor"},
		"a mistake":          {refusing.URL, []string{file}, exit.StatusUsage, "wrong:2:4"},
		"load and requests":  {refusing.URL, []string{"--keys", "3", "1, 2, k"}, exit.StatusUsage, "--keys describes a load"},
		"times of a load":    {refusing.URL, []string{"--times", "3"}, exit.StatusUsage, "--times"},
		"no such workload":   {refusing.URL, []string{"--workload", "none"}, exit.StatusUsage, "want set, get or mix"},
		"no clients":         {refusing.URL, []string{"--clients", "0"}, exit.StatusUsage, "0 clients"},
		"no such picture":    {refusing.URL, []string{"--plot", "x.pdf"}, exit.StatusUsage, ".svg"},
		"values too short":   {refusing.URL, []string{"--value-size", "3"}, exit.StatusUsage, "distinct values"},
		"the longest of key": {refusing.URL, []string{"1, 2, " + strings.Repeat("k", model.MaxKey)}, exit.StatusUsage, "too long"},
	} {
		before := len(refusing.Calls())
		w := quartet(t, test.url, append([]string{"compare"}, test.args...)...)
		if w.status != test.status || !strings.Contains(w.err, test.says) {
			t.Errorf("%s: status %d, %s", name, w.status, w.err)
		}
		if test.status == exit.StatusUsage && len(refusing.Calls()) != before {
			t.Errorf("%s: something was sent", name)
		}
	}
}
