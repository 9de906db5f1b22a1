package clientcmd_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/internal/responder"
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
linearizable get # # # # # # # - -
sequential set # # # # # # #
sequential get # # # # # # # - -
causal set # # # # # # #
causal get # # # # # # # - -
eventual set # # # # # # #
eventual get # # # # # # # - -
`
	got := regexp.MustCompile(` \(# unclear\)`).ReplaceAllString(shape(w.stdout), "") // the clients' sets have one value
	if i := strings.Index(got, "\n\nlinearizable: "); i >= 0 {
		got = got[:i+1]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	legend := strings.Contains(w.stdout, "STALE  ") && strings.Contains(w.stdout, "had been replaced")
	if strings.ContainsAny(w.stdout+w.stderr, "\x1b\r") || legend {
		t.Errorf("colour, progress or a legend without a terminal:\n%s%s", w.stdout, w.stderr)
	}
	calls := r.Calls()
	if len(calls) != 4*2*3*3 {
		t.Errorf("%d requests", len(calls))
	}
	last := model.Linearizable
	for _, c := range calls {
		key := ofKey.FindStringSubmatch(c.Request.Key)
		isSet := c.Request.Type == model.Set
		if key == nil || c.Request.Model.Word()[:3] != key[1] || c.Request.Model < last || isSet != (string(c.Request.Value) == "x") {
			t.Fatalf("%+v after %s", c.Request, last)
		}
		if key[2] == "b" && isSet {
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
		reply := bus.Reply{
			Answer: model.Answer{
				Code: model.OK, RID: uint64(c.N), Clock: lamport.Timestamp{Time: uint64(c.N), Node: lamport.Master(1)},
			},
			Model: of, Type: model.Get, Body: first[c.Request.Key],
		}
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
			if one.Gets.Ops != 2 || s.Judged != 2 || s.Doubted+s.Foreign != 0 || (s.Stale == 2) != stale {
				t.Errorf("%s: %+v", of, one)
			}
			measured := s.Percent == 100 && s.Behind.P50 == 1 && s.Behind.Max == 3 && s.Outdated.Max > 0
			if stale && !measured {
				t.Errorf("%s, how stale: %+v", of, one)
			}
		}

		drawn, err := os.ReadFile(plot)
		if err != nil || !strings.Contains(string(drawn), ">100 %</text>") {
			t.Errorf("%s: %v, drawn:\n%s", of, err, drawn)
		}

		if of != model.Linearizable {
			continue
		}
		if rec := recordedIn(t, dir); len(rec.Operations) < 4*2*3 || rec.Operations[0].Session == "" ||
			rec.Operations[0].Client != "Client1" {
			t.Errorf("recorded %+v", rec.Operations[:1])
		}
		if w := quartet(t, r.URL, "check", "--pictures", "none", dir); w.status != exit.StatusFailed ||
			!regexp.MustCompile(`linearizable +6 +violated`).MatchString(w.stdout) {
			t.Errorf("check: status %d\n%s", w.status, w.stdout)
		}
	}
}

// Where values repeat it is told that age is unclear, and what the model promises about it: of
// linearizable gets it is never said that they may have been stale.
func TestCompareSaysWhatEachModelAllows(t *testing.T) {
	r := responder.Start(t, nil)
	plot := filepath.Join(t.TempDir(), "p.svg")
	// One client, so that it is certain that sets of one value were acknowledged before the get.
	w := quartet(t, r.URL, "compare", "--clients", "1", "--times", "2", "--plot", plot, "1, 1, k ::: a",
		"1, 1, k ::: b", "1, 1, k ::: a", "1, 2, k")
	if w.status != 0 || strings.Contains(w.stdout, "may have been stale") {
		t.Errorf("status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	for _, m := range model.All {
		remark := regexp.MustCompile(`(?m)^` + m.Word() + `: of 2 gets it is unclear .*; this model (.*)$`).FindStringSubmatch(w.stdout)
		if remark == nil || (remark[1] == "allows no stale get") != (m == model.Linearizable) {
			t.Errorf("%s: %q in\n%s", m, remark, w.stdout)
		}
	}
	if strings.Count(w.stdout, "0 (2 unclear)") != 4 {
		t.Errorf("%s", w.stdout)
	}
	drawn, err := os.ReadFile(plot)
	if err != nil || strings.Count(string(drawn), ">0 %, 100 % unclear<") != 4 {
		t.Errorf("%v, drawn:\n%s", err, drawn)
	}
}

// filled finds the colours of bars.
var filled = regexp.MustCompile(`Z" style="stroke:none;fill:rgb\((\d+),(\d+),(\d+)\)"`)

// A model has one colour, whatever is drawn and wherever; a comparison has one bar for a
// model, since sets and gets by themselves only show the mix of what was sent.
func TestAModelHasOneColour(t *testing.T) {
	r := responder.Start(t, nil)
	bars := func(args ...string) (hues [][]string) {
		plot := filepath.Join(t.TempDir(), "p.svg")
		if w := quartet(t, r.URL, append(args, "--plot", plot)...); w.status != 0 {
			t.Fatalf("%q: %s", args, w.err)
		}
		drawn, err := os.ReadFile(plot)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range filled.FindAllStringSubmatch(string(drawn), -1) {
			hues = append(hues, m[1:])
		}
		return hues
	}

	compared := bars("compare", "--clients", "1", "--times", "1", "1, 1, k ::: a", "1, 2, k", "1, 2, k")
	measured := bars("bench", "--keys", "2", "--warmup", "0", "--duration", "20ms", "--concurrency", "1", "--consistency", "all")
	if len(compared) != len(model.All) || len(measured) != 2*len(model.All) {
		t.Fatalf("%d and %d bars", len(compared), len(measured))
	}

	page, err := os.ReadFile("../../master/ledger/page/page.html")
	if err != nil {
		t.Fatal(err)
	}

	for i, m := range model.All {
		for _, of := range measured[2*i : 2*i+2] { // its sets and its gets
			if !slices.Equal(of, compared[i]) {
				t.Errorf("%s is %v and %v", m, compared[i], of)
			}
		}

		for _, hex := range regexp.MustCompile(fmt.Sprintf(`--m%d: #(..)(..)(..);`, i+1)).FindAllStringSubmatch(string(page), -1) {
			var parts []string
			for _, h := range hex[1:] {
				n, err := strconv.ParseUint(h, 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				parts = append(parts, fmt.Sprint(n))
			}
			if off := math.Abs(hue(t, parts) - hue(t, compared[i])); min(off, 360-off) > 20 {
				t.Errorf("%s is %v in figures and %v on the page", m, compared[i], parts)
			}
		}
	}
}

// hue is that of a colour, in degrees.
func hue(t *testing.T, rgb []string) float64 {
	t.Helper()
	var c [3]float64
	for i, s := range rgb {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		c[i] = v
	}
	degrees := math.Atan2(math.Sqrt(3)*(c[1]-c[2]), 2*c[0]-c[1]-c[2]) * 180 / math.Pi
	return math.Mod(degrees+360, 360)
}

func TestCompareLoad(t *testing.T) {
	r := responder.Start(t, nil)
	dir := t.TempDir()
	args := []string{"compare", "--clients", "3", "--duration", "60ms", "--warmup", "5ms", "--keys", "4", "--workload", "mix"}

	// On a machine that is busy a model may have time for one request only: a set, or a get.
	var lines [][]string
	testkit.Eventually(t, time.Minute, "sets and gets of all models", func() (err error) {
		lines, err = csv.NewReader(strings.NewReader(quartet(t, r.URL, append(args, "-o", "csv")...).stdout)).ReadAll()
		if err == nil && len(lines) != 9 {
			err = fmt.Errorf("%d lines: %v", len(lines), lines)
		}
		return err
	})
	first, last := lines[1], lines[8]
	if first[0] != "LINEARIZABLE" || first[1] != "SET" || first[16] != "" ||
		last[0] != "EVENTUAL" || last[1] != "GET" || last[16] != "0" || len(last) != len(lines[0]) {
		t.Errorf("csv: %v", lines)
	}

	w := quartet(t, r.URL, append(args, "-o", "jsonl", "--gets", "100", "--record", dir)...)
	if w.status != 0 || strings.Count(w.stdout, "\n") != 4 || strings.Contains(w.stdout, `"set":`) ||
		strings.Count(w.stdout, `"stale":0`) != 4 {
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
	if err := os.WriteFile(file, []byte("1, 1, a ::: b\n1, 8, c\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	watch := filepath.Join(t.TempDir(), "watch")
	if err := os.WriteFile(watch, []byte("1, 2, k\n1, watch, k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(more string) string {
		return `{"consistency":1,"request":"set","key":"k","value":"v",` + more + `}`
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
		"no clients":         {refusing.URL, []string{"--clients", "0"}, exit.StatusUsage, "from 1 to 1024"},
		"no such picture":    {refusing.URL, []string{"--plot", "x.pdf"}, exit.StatusUsage, ".svg"},
		"values too short":   {refusing.URL, []string{"--value-size", "3"}, exit.StatusUsage, "distinct values"},
		"a delete":           {refusing.URL, []string{"1, 2, k", "1, 3, k"}, exit.StatusUsage, `linearizable, delete "k": only sets and gets`},
		"a watch":            {refusing.URL, []string{watch}, exit.StatusUsage, watch + ":2: linearizable, watch "},
		"an add":             {refusing.URL, []string{"1, add, k ::: 1"}, exit.StatusUsage, "only sets and gets"},
		"a condition":        {refusing.URL, []string{of(`"if_revision":0`)}, exit.StatusUsage, "models 3 and 4 have none"},
		"a value that ends":  {refusing.URL, []string{of(`"ttl":"5s"`)}, exit.StatusUsage, "no value that ends"},
		"a load that ends":   {refusing.URL, []string{"--ttl", "5s"}, exit.StatusUsage, "unknown flag: --ttl"},
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
