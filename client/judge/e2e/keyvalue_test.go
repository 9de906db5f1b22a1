//go:build long

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/judge/history"
	"quartet/client/judge/kvrecord"
)

// What 64 clients of NATS key-value see while replicas, and the master, are killed and paused keeps
// the promise of the model that their prefix names.
func TestKeyValueHistoriesUnderFaults(t *testing.T) {
	for _, c := range []struct {
		model model.Consistency
		fault func(*keyValueRun, *testing.T)
	}{
		{model.Linearizable, (*keyValueRun).killAReplica},
		{model.Linearizable, (*keyValueRun).killTheMaster},
		{model.Sequential, (*keyValueRun).pauseAReplica},
		{model.Causal, (*keyValueRun).killAReplica},
		{model.Sequential, (*keyValueRun).killTheMaster}, // which forgets the sessions
		{model.Causal, (*keyValueRun).killTheMaster},
	} {
		t.Run(c.model.Word(), func(t *testing.T) {
			r := startKeyValue(t, c.model)
			r.more(t, 10)
			c.fault(r, t)
			r.more(t, 10)
			judgeKeyValue(t, c.model, r.load.Stop())
		})
	}
}

// keyValueRun is a cluster with clients of key-value at work.
type keyValueRun struct {
	folder folder
	args   []string
	master *master
	load   *kvrecord.Load
}

// startKeyValue starts a cluster in memory and 64 key-value clients of a model.
func startKeyValue(t *testing.T, m model.Consistency) *keyValueRun {
	t.Helper()
	r := &keyValueRun{folder: newFolder(t)}
	r.args = []string{"--memory", "--listen", freeAddress(t), "--suspect", "2s"}
	r.master = startIn(t, r.folder, r.args...)
	killLeftovers(t, pids(mustStatus(t, connect(t, r.master.url))))

	js, err := kvrecord.Stream(connect(t, r.master.url), keyValuePrefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), askLimit)
	defer cancel()
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "judged", History: 5}); err != nil {
		t.Fatal(err)
	}

	r.load, err = kvrecord.Start(ctx, kvrecord.Options{
		URLs: []string{r.master.url}, Prefix: keyValuePrefix + "." + m.Word(), Bucket: "judged", Model: m,
		Sessions: 64, Keys: 8, Gets: 60, Updates: m.Strong(), Timeout: 5 * time.Second, Pace: 100 * time.Millisecond, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// more waits until each client has had n more answers.
func (r *keyValueRun) more(t *testing.T, n int) {
	t.Helper()
	before := r.load.Answers()
	testkit.Eventually(t, restLimit, fmt.Sprintf("%d more answers for each client", n), func() error {
		for i, answers := range r.load.Answers() {
			if answers-before[i] < n {
				return fmt.Errorf("client %d has had %d", i, answers-before[i])
			}
		}
		return nil
	})
}

func (r *keyValueRun) killAReplica(t *testing.T) {
	running := pids(mustStatus(t, connect(t, r.master.url)))
	if err := syscall.Kill(running[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// pauseAReplica stops a replica until it is suspected, and lets it go on.
func (r *keyValueRun) pauseAReplica(t *testing.T) {
	pid := pids(mustStatus(t, connect(t, r.master.url)))[2]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.more(t, 5) // it is suspected, and the others go on
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func (r *keyValueRun) killTheMaster(t *testing.T) {
	r.master.Kill()
	r.master = startIn(t, r.folder, r.args...)
}

// judgeKeyValue judges a history by what its model promises. One that fails is kept.
func judgeKeyValue(t *testing.T, m model.Consistency, ops []history.Operation) {
	t.Helper()
	counts := count(ops)
	t.Logf("%d operations: %v", len(ops), counts)
	if counts[history.OK] < len(ops)/2 {
		t.Errorf("of %d operations %v", len(ops), counts)
	}

	judges := map[model.Consistency][]string{
		model.Linearizable: {"linearizable", "sequential", "revisions", "sessions", "only once"},
		model.Sequential:   {"sequential", "revisions", "sessions", "only once"},
		model.Causal:       {"causal"},
	}
	var judged []string
	for _, v := range history.Judge(&history.Recording{Operations: ops}, history.Budget{Time: time.Minute}) {
		if !slices.Contains(judges[m], v.Check) {
			continue
		}
		judged = append(judged, v.Check)
		if !v.OK() {
			t.Errorf("%s", v)
		}
	}
	if !slices.Contains(judged, judges[m][0]) {
		t.Errorf("judged by %q only", judged)
	}

	if t.Failed() {
		name := filepath.Join(os.TempDir(), "quartet-"+m.Word()+"-kv.jsonl")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := history.Encode(file, ops); err != nil {
			t.Fatal(err)
		}
		t.Logf("the history: quartet check %s", name)
	}
}
