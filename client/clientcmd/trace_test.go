package clientcmd_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/client/internal/process"
	"quartet/client/internal/responder"
	"quartet/client/trace"
)

// traced runs trace and reads what it shows.
func traced(t *testing.T, url string, args ...string) trace.Trace {
	t.Helper()
	w := quartet(t, url, append([]string{"trace", "-o", "json"}, args...)...)
	var got trace.Trace
	if err := json.Unmarshal([]byte(w.stdout), &got); err != nil || w.status != 0 {
		t.Fatalf("trace %v: status %d, %s, %v\n%s", args, w.status, w.err, err, w.stdout)
	}
	return got
}

// messages lists a trace's messages, each as "KIND from to clock", in a fixed order.
func messages(tr *trace.Trace) []string {
	var list []string
	for _, e := range tr.Events {
		list = append(list, fmt.Sprintf("%s %s %s %d", e.Kind, e.From, e.To, e.Clock))
	}
	slices.Sort(list)
	return list
}

// count says how many messages of each kind a trace has.
func count(tr *trace.Trace) map[string]int {
	n := make(map[string]int)
	for _, e := range tr.Events {
		n[e.Kind]++
	}
	return n
}

// On a real cluster trace shows the true messages of a request: those that DESIGN.md says,
// at clocks that rise along cause and effect, and the same as the nodes' own logs.
func TestTrace(t *testing.T) {
	t.Parallel()
	logs := filepath.Join(t.TempDir(), "log")
	cluster, err := process.Start(t.Context(), built(t), logs, bus.DefaultPrefix, "--log-level", "debug")
	if err != nil {
		t.Fatal(err)
	}

	running := true
	stop := func() {
		if running {
			running = false
			if err := cluster.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	defer stop()

	svg := filepath.Join(t.TempDir(), "set.svg")
	set := traced(t, cluster.URL, "1, 1, key ::: value", "--svg", svg)
	checkSet(t, &set)
	checkSVG(t, svg, "linearizable set key", "DATA @", "ANSWERS @")

	for request, want := range map[string]map[string]int{
		"2, 2, key":       {"REQUEST": 1, "FORWARD": 1, "ANSWERS": 1, "REPLY": 1},
		"3, 2, key":       {"REQUEST": 1, "FORWARD": 1, "ANSWERS": 1, "REPLY": 1},
		"4, 2, key":       {"REQUEST": 1, "FORWARD": 1, "ANSWERS": 1, "REPLY": 1},
		"4, 1, key ::: w": {"REQUEST": 1, "FORWARD": 1, "DATA": 2, "ANSWERS": 1, "REPLY": 1, "ACK": 4},
	} {
		got := traced(t, cluster.URL, request)
		if n := count(&got); !cmp.Equal(n, want) {
			t.Errorf("%s: %v, want %v\n%s", request, n, want, got.Text())
		}
	}

	causal := traced(t, cluster.URL, "3, 1, key ::: v")
	if n := count(&causal); n["FORWARD"] != 3 || n["ANSWERS"] < 2 || causal.Number == 0 || causal.Code != 200 {
		t.Errorf("a causal set: two members must say that they hold it\n%s", causal.Text())
	}

	follow(t, cluster.URL)
	traceWatches(t, cluster.URL)
	if w := quartet(t, cluster.URL, "trace", "--wait", "50ms", "1000000"); w.status != 1 || !strings.Contains(w.err, "--log-dir") {
		t.Errorf("a request that does not come: status %d, %s", w.status, w.err)
	}

	// With the cluster stopped the logs are whole.
	stop()
	said := traced(t, "", "--log-dir", logs, fmt.Sprint(set.RID))
	if diff := cmp.Diff(messages(&set), messages(&said)); diff != "" {
		t.Errorf("heard and logged differ (-heard +logged):\n%s", diff)
	}
	if said.Model != "linearizable" || said.Key != "key" || said.Replica != set.Replica || said.Position != set.Position {
		t.Errorf("of the logs: %+v", said)
	}
	if w := quartet(t, "", "trace", "--log-dir", logs, "1000000"); w.status != 1 || !strings.Contains(w.err, "know nothing") {
		t.Errorf("a request that never was: status %d, %s", w.status, w.err)
	}
}

// checkSet checks the messages of a linearizable set by three replicas.
func checkSet(t *testing.T, set *trace.Trace) {
	t.Helper()
	// On a busy machine a tick may pass within the set: the others then tell each other, too.
	owed := *set
	owed.Events = slices.DeleteFunc(slices.Clone(set.Events), func(e trace.Event) bool {
		return e.Kind == "ACK" && e.To != set.Replica
	})
	set = &owed

	want := map[string]int{"REQUEST": 1, "FORWARD": 1, "DATA": 2, "ACK": 2, "ANSWERS": 1, "REPLY": 1}
	if n := count(set); !cmp.Equal(n, want) || set.Code != 200 || set.Model != "linearizable" || set.Type != "set" ||
		set.Key != "key" || set.Client == "" {
		t.Fatalf("%+v\n%s", set, set.Text())
	}

	at := func(kind, replica string) int {
		return slices.IndexFunc(set.Events, func(e trace.Event) bool {
			concerns := replica == "" || e.From == replica || e.To == replica
			return e.Kind == kind && concerns
		})
	}

	for _, e := range set.Events {
		if e.Kind != "ACK" {
			continue
		}
		chain := []int{at("REQUEST", ""), at("FORWARD", ""), at("DATA", e.From), at("ACK", e.From), at("ANSWERS", ""), at("REPLY", "")}
		if !slices.IsSorted(chain) {
			t.Errorf("an effect stands before its cause:\n%s", set.Text())
		}
	}

	clock := make(map[string]uint64) // the highest of each kind
	for _, e := range set.Events {
		clock[e.Kind] = max(clock[e.Kind], e.Clock)
		serves := map[string][2]string{
			"REQUEST": {trace.ClientLane, "m1"}, "FORWARD": {"m1", set.Replica}, "DATA": {set.Replica, e.To},
			"ACK": {e.From, set.Replica}, "ANSWERS": {set.Replica, "m1"}, "REPLY": {"m1", trace.ClientLane},
		}[e.Kind]
		if e.From != serves[0] || e.To != serves[1] || e.From == e.To {
			t.Errorf("%s from %s to %s:\n%s", e.Kind, e.From, e.To, set.Text())
		}
	}

	rises := clock["FORWARD"] < clock["DATA"] && clock["DATA"] < clock["ACK"] && clock["ACK"] < clock["ANSWERS"]
	if !rises || clock["REPLY"] == 0 {
		t.Errorf("clocks do not rise along cause and effect:\n%s", set.Text())
	}

	if text := set.Text(); !strings.Contains(text, "|---REQUEST-->|") || !strings.Contains(text, "|<---REPLY----|") {
		t.Errorf("the diagram:\n%s", text)
	}
}

func checkSVG(t *testing.T, file string, want ...string) {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var any struct{}
	if err := xml.Unmarshal(body, &any); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	for _, text := range want {
		if !strings.Contains(string(body), text) {
			t.Errorf("%s: without %q", file, text)
		}
	}
}

// follow has trace show what others send, one by one and at once, until it has seen
// enough.
func follow(t *testing.T, url string) {
	t.Helper()
	seen := make(chan world, 1)
	svg := filepath.Join(t.TempDir(), "all.svg")
	go func() { seen <- quartet(t, url, "trace", "--follow", "--count", "12", "-o", "jsonl", "--svg", svg) }()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		select {
		case w := <-seen:
			checkFollowed(t, w, svg)
			return
		case <-limit.C:
			t.Fatal("trace --follow saw nothing")
		default:
			if w := quartet(t, url, "client", "--name", "Client5", "--async", "1, 1, a ::: 1", "2, 1, b ::: 2",
				"1, 2, a", "4, 2, b"); w.status != 0 {
				t.Fatal(w.err)
			}
		}
	}
}

func checkFollowed(t *testing.T, w world, svg string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(w.stdout), "\n")
	if w.status != 0 || len(lines) != 12 || !strings.Contains(w.stderr, "listening") {
		t.Fatalf("status %d, %s, %d lines\n%s", w.status, w.err, len(lines), w.stderr)
	}
	whole := 0
	for _, line := range lines {
		var got trace.Trace
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		checkSVG(t, strings.TrimSuffix(svg, ".svg")+fmt.Sprintf("-%d.svg", got.RID), "request "+fmt.Sprint(got.RID))
		if n := count(&got); n["REQUEST"] == 1 && n["REPLY"] == 1 && n["FORWARD"] > 0 && got.Client == "Client5" {
			whole++
		}
	}
	if whole < 8 { // it may have begun to listen in the middle of some
		t.Errorf("%d of %d requests were seen from the beginning to the end", whole, len(lines))
	}
}

func TestTraceRefuses(t *testing.T) {
	served := responder.Start(t, nil)
	quiet := filepath.Join(t.TempDir(), "quiet")
	if err := os.MkdirAll(quiet, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(quiet, "m1.log"),
		[]byte("time=2026-11-24T15:00:00.000Z level=INFO msg=hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		status int
		args   []string
	}{
		"nothing":                  {2, nil},
		"two":                      {2, []string{"1", "2"}},
		"a request that is none":   {2, []string{"9, 9, key"}},
		"a file of many":           {2, []string{"linear1"}},
		"follow and a request":     {2, []string{"--follow", "1, 2, key"}},
		"logs of no request":       {2, []string{"--log-dir", quiet}},
		"logs of a sent request":   {2, []string{"--log-dir", quiet, "1, 2, key"}},
		"logs without debug":       {1, []string{"--log-dir", quiet, "1"}},
		"no logs":                  {1, []string{"--log-dir", t.TempDir(), "1"}},
		"no cluster":               {6, []string{"--nats", "nats://127.0.0.1:1", "1, 2, key"}},
		"a picture with no folder": {1, []string{"--svg", filepath.Join(quiet, "no", "such.svg"), "1, 2, key"}},
		"a wait that is not":       {2, []string{"--wait", "-1s", "7"}},
	} {
		w := quartet(t, served.URL, append([]string{"trace"}, c.args...)...)
		if w.status != c.status || w.stdout != "" || w.err == "" {
			t.Errorf("%s: status %d, want %d: %s\n%s", name, w.status, c.status, w.err, w.stdout)
		}
	}
	// Against what is no cluster of replicas the request and its reply are all there is.
	if got := traced(t, served.URL, "1, 1, k ::: v"); len(got.Events) != 2 || got.Code != 200 {
		t.Errorf("%+v", got)
	}
	// A refused request is shown; its status is its own.
	if w := quartet(t, served.URL, "trace", "--replica-none", "1, 2, k"); w.status != 2 {
		t.Errorf("an unknown flag: status %d", w.status)
	}
}

// traceWatches traces watches up to their first events: one of everything, of a cluster in which a
// key was set, and one that goes on.
func traceWatches(t *testing.T, url string) {
	t.Helper()
	for body, first := range map[string]string{"1, watch, ": "VALUE", `{"consistency":2,"request":"watch","prefix":"","from":"0"}`: "SET"} {
		got := traced(t, url, body)
		isFirst := func(e trace.Event) bool { return e.Kind == trace.KindEvent && strings.HasPrefix(e.Detail, first) }
		if got.Type != "watch" || got.Code != 200 || !slices.ContainsFunc(got.Events, isFirst) {
			t.Errorf("%s: %s %d, and no %s among %+v", body, got.Type, got.Code, first, got.Events)
		}
	}
}
