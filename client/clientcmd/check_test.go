package clientcmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/model"
	"quartet/client/internal/responder"
)

const histories = "../../testdata/histories"

// judgements says of each recorded history which checks do not pass it. One for each
// model and guarantee must be rejected, and each good one accepted.
var judgements = map[string]string{
	"linearizable-good": "", "linearizable-unknown-late": "", "retry-joined": "", "sequential-good": "", "sequential-no-positions": "",
	"weak-write-good": "", "causal-good": "", "causal-unknown-read": "", "eventual-good": "", "fenced-good": "",
	"recorded/demo-good": "", "recorded/converged-good": "", "recorded/open-good": "", "recorded/killed-recorder": "",

	"linearizable-stale-read":               "linearizable violated",
	"linearizable-unknown-twice":            "linearizable violated, sequential violated",
	"fenced-stale":                          "linearizable violated, sequential violated",
	"fenced-against-time":                   "linearizable violated, sequential violated",
	"refused-and-read":                      "linearizable violated, sequential violated",
	"retry-two-outcomes":                    "only once violated",
	"sequential-two-orders":                 "sequential violated",
	"sequential-session-back":               "sequential violated, sessions violated",
	"sequential-two-at-one-position":        "sequential violated, only once violated",
	"order-against-time":                    "sequential violated",
	"weak-write-back-in-time":               "linearizable violated, sequential violated",
	"causal-effect-without-cause":           "causal violated",
	"causal-own-write-missed":               "causal violated, sessions violated",
	"causal-number-against-cause":           "causal violated, sessions violated",
	"causal-number-given-twice":             "causal violated",
	"eventual-a-b-a":                        "steady violated",
	"recorded/linearizable-stale":           "linearizable violated, sequential violated",
	"recorded/sequential-out-of-order":      "sequential violated",
	"recorded/causal-before-its-dependency": "causal violated",
	"recorded/read-your-writes":             "sequential violated, sessions violated",
	"recorded/monotonic-reads":              "causal violated, sessions violated",
	"recorded/monotonic-writes":             "causal violated, sessions violated",
	"recorded/diverged-replicas":            "converged violated",
	"recorded/settled-on-the-overwritten":   "eventual violated",
	"recorded/replica-silent":               "converged unknown",
	"recorded/open-back-to-before":          "linearizable violated, sequential violated",
	"recorded/open-others-wrote":            "linearizable unknown, sequential unknown",
}

// judgedFile is what check says of a file in JSON.
type judgedFile struct {
	File       string
	Operations int
	Open       bool
	Cut        []int
	Verdict    string
	Checks     []struct {
		Check, Verdict, Reason, Picture string
		Judged, Culprit                 int
		Counterexample, Allowed         []string
	}
}

func TestCheckRecordedHistories(t *testing.T) {
	pictures := t.TempDir()
	w := world{env: map[string]string{}}
	w.run(t, "check", "-o", "json", "--pictures", pictures, histories, histories+"/recorded")
	var files []judgedFile
	if err := json.Unmarshal([]byte(w.stdout), &files); err != nil || w.status != 1 || !strings.Contains(w.err, "violated") {
		t.Fatalf("status %d, %s, %v", w.status, w.err, err)
	}

	got := make(map[string]string)
	drawn := 0

	for _, f := range files {
		var bad []string
		for _, c := range f.Checks {
			if c.Judged == 0 {
				t.Errorf("%s: %s judged nothing", f.File, c.Check)
			}
			if c.Verdict == "ok" {
				continue
			}
			bad = append(bad, c.Check+" "+c.Verdict)
			noExample := c.Verdict == "violated" && len(c.Counterexample) == 0
			if c.Reason == "" || noExample {
				t.Errorf("%s: %s says nothing: %+v", f.File, c.Check, c)
			}
			if len(c.Counterexample) > 0 {
				drawn++
				if _, err := os.Stat(c.Picture); err != nil || filepath.Dir(c.Picture) != pictures {
					t.Errorf("%s: %s drew %q: %v", f.File, c.Check, c.Picture, err)
				}
			}
		}

		if (f.Verdict == "ok") != (bad == nil) {
			t.Errorf("%s is %s in spite of %v", f.File, f.Verdict, bad)
		}

		name, err := filepath.Rel(histories, strings.TrimSuffix(f.File, ".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = strings.Join(bad, ", ")
	}

	if diff := cmp.Diff(judgements, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if found, err := filepath.Glob(pictures + "/*.*ml"); err != nil || drawn == 0 || len(found) == 0 {
		t.Errorf("%d pictures, of Porcupine %v, %v", drawn, found, err)
	}
}

// Each file alone has the exit status of its verdict, and says in words what is wrong.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	for name, want := range map[string][]string{
		"linearizable-stale-read": {"1\n", `> 3  c2/s2:  get x -> "a"`, `> 3 could have returned "b"`},
		"recorded/causal-before-its-dependency": {
			"1\n", `Client3/s3  get question -> nothing  10.000 to 11.000 ms`, `could have returned "how?"`,
		},
		"recorded/diverged-replicas": {"1\n", `replica r1 has "1" under x, replica r2 has "2"`},
		"recorded/open-others-wrote": {"1\n", "sets may be missing", "others wrote x"},
		"recorded/killed-recorder":   {"0\n", "line 5 was cut off", "not judged: whether the replicas converged"},
		"recorded/demo-good":         {"0\n", "90 operations, ok", "converged"},
	} {
		w := world{env: map[string]string{}}
		w.run(t, "check", "--pictures", "none", filepath.Join(histories, name+".jsonl"))
		said := string(rune('0'+w.status)) + "\n" + w.stdout
		for _, line := range want {
			if line = strings.ReplaceAll(line, "c2/s2:", "c2/s2"); !strings.Contains(said, line) {
				t.Errorf("%s: without %q:\n%s", name, line, said)
			}
		}
		if strings.Contains(w.stdout, "\x1b[") || strings.Contains(w.stdout, "drawn") {
			t.Errorf("%s: colour or a picture:\n%s", name, w.stdout)
		}
	}
}

func TestCheckOtherForms(t *testing.T) {
	good := filepath.Join(histories, "causal-good.jsonl")
	w := world{env: map[string]string{}}
	w.run(t, "check", "-o", "raw", good)
	if w.status != 0 || !strings.Contains(w.stdout, good+"\tcausal\tok\n") {
		t.Errorf("raw: status %d, %q", w.status, w.stdout)
	}

	w = world{env: map[string]string{}}
	w.run(t, "check", "-o", "jsonl", good, good)
	if w.status != 0 || strings.Count(w.stdout, "\n") != 2 {
		t.Errorf("jsonl: status %d, %q", w.status, w.stdout)
	}

	body, err := os.ReadFile(filepath.Join(histories, "linearizable-stale-read.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	w = world{env: map[string]string{}, stdin: string(body)}
	w.run(t, "check", "--pictures", "none", "-")
	if w.status != 1 || !strings.Contains(w.stdout, "linearizable  4  violated") {
		t.Errorf("stdin: status %d, %q", w.status, w.stdout)
	}

	// The budget is too small: unknown, which is not ok.
	w = world{env: map[string]string{}}
	w.run(t, "check", "--budget", "1ns", filepath.Join(histories, "linearizable-good.jsonl"))
	if w.status != 1 || !strings.Contains(w.stdout, "linearizable: unknown") || !strings.Contains(w.err, "0 are violated and 1 unknown") {
		t.Errorf("no time: status %d, %q, %s", w.status, w.stdout, w.err)
	}

	empty := filepath.Join(t.TempDir(), "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w = world{env: map[string]string{}}
	w.run(t, "check", empty)
	if w.status != 1 {
		t.Errorf("an empty history: status %d, %q", w.status, w.stdout)
	}
}

func TestCheckRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.jsonl")
	if err := os.WriteFile(bad, []byte("{\"model\":\"strict\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"nothing": {}, "no such file": {filepath.Join(dir, "none")}, "an empty folder": {t.TempDir()},
		"no history": {bad}, "no budget": {"--budget", "0s", bad},
		"a good and a bad one": {filepath.Join(histories, "causal-good.jsonl"), bad},
	} {
		w := world{env: map[string]string{}}
		w.run(t, append([]string{"check"}, args...)...)
		if w.status != 2 || w.stdout != "" || w.err == "" {
			t.Errorf("%s: status %d, %q, %s", name, w.status, w.stdout, w.err)
		}
	}
}

// What a sending command records is what check reads; a picture lies beside it.
func TestRecordAndCheck(t *testing.T) {
	served := responder.Start(t, nil)
	dir := filepath.Join(t.TempDir(), "run")
	for _, args := range [][]string{
		{"client", "--record", dir, "--name", "Client7", "linear1"}, {"client", "--record", dir, "--async", "event1"},
		{"set", "--record", dir, "one", "1"}, {"get", "--record", dir, "one"}, {"get", "--record", dir, "none"},
	} {
		w := quartet(t, served.URL, args...)
		fails := w.status != 0 && !slices.Contains(args, "none")
		if !strings.Contains(w.stderr, "recorded in "+dir) || fails {
			t.Errorf("%v: status %d, %s", args, w.status, w.stderr)
		}
	}
	w := world{env: map[string]string{}}
	w.run(t, "check", "-o", "json", dir)
	var files []judgedFile
	if err := json.Unmarshal([]byte(w.stdout), &files); err != nil || w.status != 0 || len(files) != 1 || !files[0].Open {
		t.Fatalf("status %d, %v, %s", w.status, err, w.stdout)
	}
	// Nine requests of each file, three more, and at rest one key at two members in two models for
	// each client.
	keys := 3
	if want := 9 + 9 + 3 + 2*2*2*keys; files[0].Operations != want {
		t.Errorf("%d operations, want %d", files[0].Operations, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "stats.json")); err != nil {
		t.Error(err)
	}
}

// A cluster that breaks its promise is caught by what its clients recorded.
func TestRecordCatchesALie(t *testing.T) {
	served := responder.Start(t, func(c responder.Call) responder.Action {
		if c.N == 3 { // a get after the set was answered
			return responder.Action{Code: model.NotFound}
		}
		return responder.Action{}
	})
	dir := t.TempDir()
	quartet(t, served.URL, "client", "--record", dir, "1, 1, k ::: v", "1, 2, k", "1, 2, k", "1, 2, k")
	w := world{env: map[string]string{}}
	w.run(t, "check", dir)
	if w.status != 1 || !strings.Contains(w.stdout, `could have returned "v"`) {
		t.Errorf("status %d\n%s", w.status, w.stdout)
	}
	if _, err := os.Stat(filepath.Join(dir, "history.linearizable.html")); err != nil {
		t.Error(err)
	}
}

func TestRecordCannot(t *testing.T) {
	served := responder.Start(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"client", "--record", file, "1, 2, k"}, {"set", "--record", file, "k", "v"}, {"get", "--record", file, "k"},
	} {
		if w := quartet(t, served.URL, args...); w.status != 1 || !strings.Contains(w.err, "cannot record") {
			t.Errorf("%v: status %d, %s", args, w.status, w.err)
		}
	}
	if n := len(served.Calls()); n > 0 {
		t.Errorf("%d requests were sent and not recorded", n)
	}
}
