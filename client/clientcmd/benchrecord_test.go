package clientcmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client/internal/responder"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

func recordedIn(t *testing.T, dir string) *history.Recording {
	t.Helper()
	rec, err := history.ReadFile(filepath.Join(dir, record.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// What two benches record into one folder can be judged: no two sets have one value.
func TestBenchRecords(t *testing.T) {
	r := responder.Start(t, nil)
	dir := t.TempDir()
	for _, driver := range []string{"callback", "goroutine"} {
		w := bench(t, r.URL, "--record", dir, "--driver", driver, "--request", "mix", "--consistency", "1,4",
			"--sweep", "keys=5,20")
		if w.status != 0 || !strings.Contains(w.stderr, "recorded in "+dir) {
			t.Fatalf("%s: status %d, %s%s", driver, w.status, w.err, w.stderr)
		}
	}

	rec := recordedIn(t, dir)
	// The responder claims two members: what each has of each key is read under two models.
	written, sets, rest := map[string]bool{}, map[model.Consistency]int{}, 0
	for _, o := range rec.Operations {
		if o.Rest {
			rest++
		}
		if o.Type == model.Set {
			if written[o.Value] || len(o.Value) != 100 {
				t.Fatalf("two sets of %q", o.Value)
			}
			written[o.Value] = true
			sets[o.Model]++
		} else if o.Found && !written[o.Output] && o.Rest {
			t.Errorf("at rest %s has %q, which nobody wrote", o.Key, o.Output)
		}
	}

	if len(rec.Headers) != 2 || !rec.Open() || sets[model.Linearizable] <= 50 || sets[model.Eventual] == 0 || rest != 2*20*2*2 {
		t.Errorf("%d programs, sets %v, %d gets at rest", len(rec.Headers), sets, rest)
	}

	if _, err := os.Stat(filepath.Join(dir, record.StatsFile)); err != nil {
		t.Error(err)
	}
	if w := quartet(t, r.URL, "check", dir); w.status != 0 || !strings.Contains(w.stdout, "linearizable  ") ||
		!strings.Contains(w.stdout, "converged") {
		t.Errorf("check: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
}

// Nothing is made where nothing can be recorded.
func TestBenchRecordsNothing(t *testing.T) {
	url := responder.Server(t).ClientURL() // nobody answers there
	for name, test := range map[string]struct {
		args   []string
		status int
	}{
		"values too short": {[]string{"--value-size", "15"}, exit.StatusUsage},
		"no cluster":       {nil, exit.StatusNoCluster},
	} {
		dir := filepath.Join(t.TempDir(), "record")
		w := bench(t, url, append(test.args, "--record", dir)...)
		if _, err := os.Stat(dir); w.status != test.status || err == nil {
			t.Errorf("%s: status %d (%s), a folder: %t", name, w.status, w.err, err == nil)
		}
	}
}
