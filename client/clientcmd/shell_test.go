package clientcmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client/internal/responder"
)

// shell runs it with lines on stdin.
func shell(t *testing.T, url, lines string, args ...string) world {
	t.Helper()
	w := world{stdin: lines, env: map[string]string{"NATS_URL": url}}
	w.run(t, append([]string{"shell"}, args...)...)
	return w
}

var taken = regexp.MustCompile(`[0-9.]+(µs|ms|s), `)

func TestShellInAPipe(t *testing.T) {
	r := responder.Start(t, nil)
	w := shell(t, r.URL, `# four models
set a one
SET two words ::: a value
get a
get two words

.consistency causal
set c v
get c
.replica r3
get c
4, 2, none
.session
.replica any
.quit
get never
`)
	want := `OK  (r2, T, linearizable, position 1)
OK  (r3, T, linearizable, position 2)
one  (r1, T, linearizable, position 3)
a value  (r2, T, linearizable, position 4)
causal: never older than what the session has seen
OK  (r3, T, causal, timestamp 1)
v  (r1, T, causal, timestamp 1)
r3 serves (a causal set is numbered by the master whatever stands here)
v  (r3, T, causal, timestamp 1)
no value  (r3, T, eventual)
position seen 4 (sequential), timestamp seen 1 (causal)
token AQQB7ehGtw
any replica serves
`
	w.stdout = taken.ReplaceAllString(w.stdout, "T, ")
	wantOut(t, w, 0, want)
	calls := r.Calls()
	if len(calls) != 8 || calls[5].Options.MinTimestamp != 1 || calls[6].Options.Replica != "r3" || calls[1].Request.Key != "two words" {
		t.Errorf("%d calls: %+v", len(calls), calls)
	}
}

// What a line gets wrong is told, the others are served, and the worst is the exit status.
func TestShellMistakes(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.Request.Key == "late" {
			return responder.Action{Code: model.Unknown}
		}
		return responder.Action{}
	})
	w := shell(t, r.URL, "bad\n1, 8, x\nset k\nget \n.nope\n.consistency strong\n.replica m1\nset a:::b:::c v\nget a\n")
	for _, want := range []string{
		"line 1: not understood: bad",
		"line 2: unknown request \"8\" (want 1 set, 2 get, 3 delete, 4 list, 5 watch, 6 txn or 7 add)\n" +
			"    1, 8, x\n       ^",
		"line 3: set needs a key and a value",
		"line 4: empty key", "line 5: there is no command .nope", "line 6: ", `line 7: no replica is called "m1"`,
	} {
		if !strings.Contains(w.stderr, want) {
			t.Errorf("no %q in\n%s", want, w.stderr)
		}
	}
	if w.status != exit.StatusUsage || !strings.Contains(w.stdout, "b:::c v  (") || len(r.Calls()) != 2 {
		t.Errorf("status %d\n%s", w.status, w.stdout)
	}

	if w := shell(t, r.URL, "get late\nget b\n", "--retries", "0"); w.status != exit.StatusUnknown ||
		!strings.Contains(w.stdout, "no value") {
		t.Errorf("an unknown outcome: status %d\n%s", w.status, w.stdout)
	}
	if w := shell(t, r.URL, strings.Repeat("x", 1<<20)); w.status != exit.StatusUsage {
		t.Errorf("a line too long: status %d", w.status)
	}
	if w := shell(t, responder.Server(t).ClientURL(), "get a\nget b\n", "--retries", "0"); w.status != exit.StatusNoCluster {
		t.Errorf("no cluster: status %d, %s", w.status, w.err)
	}
}

func TestShellFormats(t *testing.T) {
	r := responder.Start(t, nil)
	wantOut(t, shell(t, r.URL, "set k v\nget k\nget none\n.status\n.help\n", "-o", "raw"), 0, "v\n")
	w := shell(t, r.URL, "set k v\nget k\n", "-o", "json")
	var replies []struct{ Value string }
	if err := json.Unmarshal([]byte(w.stdout), &replies); err != nil || len(replies) != 2 || replies[1].Value != "v" {
		t.Errorf("%v\n%s", err, w.stdout)
	}
	w = shell(t, r.URL, "get k\nget k\n.consistency 4\n", "-o", "jsonl")
	if strings.Count(w.stdout, "\n") != 2 || !strings.Contains(w.stderr, "eventual: ") {
		t.Errorf("%s%s", w.stdout, w.stderr)
	}
	dir := filepath.Join(t.TempDir(), "run")
	if w := shell(t, r.URL, "set k v\nget k\n", "--record", dir); w.status != 0 {
		t.Fatal(w.err)
	}
	if history, err := os.ReadFile(filepath.Join(dir, "history.jsonl")); err != nil || strings.Count(string(history), `"key":"k"`) != 2 {
		t.Errorf("%v\n%s", err, history)
	}
}

func TestExplain(t *testing.T) {
	r := responder.Start(t, nil)
	for _, m := range model.All {
		w := quartet(t, r.URL, "explain", m.Word())
		for _, want := range []string{
			m.Word() + ": ", "It promises", "cannot", "Deletes, conditions, ends", "What it costs", "Here",
			"When it is wrong",
		} {
			if w.status != 0 || !strings.Contains(w.stdout, want) {
				t.Errorf("%s: status %d, no %q in\n%s", m.Word(), w.status, want, w.stdout)
			}
		}
		for line := range strings.SplitSeq(w.stdout, "\n") {
			if len([]rune(line)) > 125 {
				t.Errorf("%s: a line too long for a terminal: %s", m.Word(), line)
			}
		}
	}

	var e struct {
		Model, Promise, Example, Writes, Messages, Wrong string
		NoFigures                                        string `json:"no_figures"`
	}
	w := quartet(t, "nats://127.0.0.1:1", "explain", "3", "-o", "json")
	if err := json.Unmarshal([]byte(w.stdout), &e); err != nil || w.status != 0 || e.Model != "causal" ||
		e.Example == "" || e.Writes == "" || !strings.Contains(e.NoFigures, "no cluster") {
		t.Errorf("status %d, %v\n%s", w.status, err, w.stdout)
	}

	if w := quartet(t, r.URL, "explain", "strong"); w.status != exit.StatusUsage || !strings.Contains(w.err, "want 1 linearizable") {
		t.Errorf("status %d, %s", w.status, w.err)
	}
}
