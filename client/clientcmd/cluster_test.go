package clientcmd_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/client/internal/process"
	"quartet/client/internal/program"
)

// dir holds the program that the tests share; "" until one has asked. TestMain removes it.
var dir string

var build = sync.OnceValues(func() (path string, err error) {
	if dir, err = os.MkdirTemp("", "quartet-command"); err != nil {
		return "", err
	}
	return program.Build(context.Background(), dir)
})

// built returns the real program.
func built(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The commands on a cluster of real processes.
func TestRealCluster(t *testing.T) {
	binary := built(t)
	cluster, err := process.Start(t.Context(), binary, filepath.Join(t.TempDir(), "log"), bus.DefaultPrefix, "--client-jetstream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	w := quartet(t, cluster.URL, "status", "-o", "json")
	var s bus.Status
	if err := json.Unmarshal([]byte(w.stdout), &s); err != nil || !s.Ready || len(s.Replicas) != 3 {
		t.Fatalf("status %s, %v", w.stdout, err)
	}

	// A wrong name of a replica is refused, and it is the same whatever is wrong with it.
	for _, wrong := range []string{"r9", "r65536", "one", "R1", "m1"} {
		if w := quartet(t, cluster.URL, "get", "k", "--replica", wrong); w.status != exit.StatusRefused || !strings.Contains(w.err, "(400)") || !strings.Contains(w.err, wrong) {
			t.Errorf("--replica %s: status %d, %s", wrong, w.status, w.err)
		}
	}

	// What does not fit is not told in a size that it has not.
	large := world{env: map[string]string{"NATS_URL": cluster.URL}, stdin: strings.Repeat("v", 3<<20)}
	if large.run(t, "set", "large", "-"); large.status != exit.StatusUsage || !strings.Contains(large.err, "more than 524288 bytes") {
		t.Errorf("3 MB: status %d, %s", large.status, large.err)
	}
	sendTo(t, cluster.URL)
	lookAt(t, cluster.URL)
	measure(t, cluster.URL)

	own := world{binary: binary, env: map[string]string{}}
	own.run(t, "bench", "--sweep", "replicas=1,2", "--warmup", "0s", "--duration", "100ms", "--keys", "20", "--request", "set", "-o", "csv")
	if own.status != 0 || strings.Count(own.stdout, ",set,") != 2 {
		t.Errorf("bench of clusters of its own: status %d, %s\n%s", own.status, own.err, own.stdout)
	}
	external := world{binary: binary, env: map[string]string{}}
	external.run(t, "demo", "--nats", cluster.URL)
	checkDemo(t, external)
	if w := quartet(t, cluster.URL, "status"); w.status != 0 {
		t.Errorf("demo did not leave the cluster running: %s", w.err)
	}
}

// Without --client-jetstream there is no bucket to compare with, and bench says what to do.
func TestCompareWithoutJetStream(t *testing.T) {
	cluster, err := process.Start(t.Context(), built(t), filepath.Join(t.TempDir(), "log"), bus.DefaultPrefix, "--replicas", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	w := quartet(t, cluster.URL, "bench", "--compare-kv", "--rounds", "1", "--round", "100ms", "--keys", "5")
	if w.status != exit.StatusFailed || !strings.Contains(w.err, "--client-jetstream") || !strings.Contains(w.err, "not enabled for account") {
		t.Errorf("status %d, %s", w.status, w.err)
	}
	if w := quartet(t, cluster.URL, "doctor"); !strings.Contains(w.stdout, "--client-jetstream") {
		t.Errorf("doctor: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
}

// sendTo has the commands that send requests send them to this cluster.
func sendTo(t *testing.T, url string) {
	t.Helper()
	// Each file alone, so that its gets have one right answer, in all models.
	for _, file := range []string{"linear1", "seq1", "causal1"} {
		w := quartet(t, url, "client", "-o", "jsonl", file)
		var data []string
		for line := range strings.Lines(w.stdout) {
			var reply struct{ Request, Ack, Value string }
			if err := json.Unmarshal([]byte(line), &reply); err != nil {
				t.Fatal(err)
			}
			if reply.Request == "GET" {
				data = append(data, reply.Value)
			}
		}
		if diff := cmp.Diff([]string{"firstOOW", "third", "second", "firstOOW"}, data); diff != "" || w.status != 0 {
			t.Errorf("%s: status %d, %s; gets (-want +got):\n%s", file, w.status, w.err, diff)
		}
	}
	for _, file := range []string{"event1", "event2", "linear2", "seq2", "causal2"} {
		for _, async := range []string{"--async=false", "--async"} {
			w := quartet(t, url, "client", async, file)
			if w.status != 0 || strings.Count(w.stdout, "\ndata: ") != 9 {
				t.Errorf("%s %s: status %d, %s\n%s", file, async, w.status, w.err, w.stdout)
			}
		}
	}
	for _, m := range []string{"linearizable", "sequential", "causal", "eventual"} {
		if w := quartet(t, url, "set", "--consistency", m, "--replica", "r1", "one-"+m, m); w.status != 0 {
			t.Errorf("set, %s: %s", m, w.err)
		}
	}
	wantOut(t, quartet(t, url, "get", "one-linearizable"), 0, "linearizable\n")
	wantOut(t, quartet(t, url, "get", "none"), exit.StatusNoValue, "")
	w := quartet(t, url, "client", "--retries", "0", "1, 2, one-linearizable")
	if w.status != 0 || !strings.Contains(w.stdout, "data: linearizable\n") {
		t.Errorf("client: %s%s", w.stdout, w.err)
	}
	w = quartet(t, url, "get", "--replica", "r9", "k")
	wantOut(t, w, exit.StatusRefused, "")
}

// measure has bench measure this cluster.
func measure(t *testing.T, url string) {
	t.Helper()
	w := quartet(t, url, "bench", "--compare-kv", "--rounds", "2", "--round", "200ms", "--keys", "50", "-o", "jsonl")
	if w.status != 0 || strings.Count(w.stdout, `"kv_r1_file":`) != 2 || strings.Count(w.stdout, `"kv_raw_r1_file":`) != 2 || strings.Count(w.stdout, `"ratio_kv":`) != 2 ||
		strings.Count(w.stdout, `"ratio_kv_raw":`) != 2 || strings.Count(w.stdout, `"durability":"memory"`) != 2 {
		t.Errorf("bench: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	w = quartet(t, url, "bench", "--compare-kv", "--rounds", "1", "--round", "100ms", "--keys", "50", "--request", "set")
	for _, want := range []string{"QUARTET OPS/S, memory", "KV OPS/S, file", "KV RAW OPS/S, file", "QUARTET/KV RAW", "\nlinearizable set "} {
		if w.status != 0 || !strings.Contains(w.stdout, want) {
			t.Errorf("bench: status %d, %s, without %q:\n%s", w.status, w.err, want, w.stdout)
		}
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil && strings.Count(w.stdout, "  master ") != 3 {
		t.Errorf("bench without the master's processor time:\n%s", w.stdout)
	}
	// A linearizable get that is stale would be status 1.
	w = quartet(t, url, "compare", "--warmup", "0s", "--duration", "150ms", "--keys", "2", "-o", "csv")
	if w.status != 0 || strings.Count(w.stdout, ",GET,8,") != 4 || strings.Count(w.stdout, ",SET,8,") != 4 {
		t.Errorf("compare: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
	w = quartet(t, url, "bench", "--warmup", "50ms", "--duration", "200ms", "--keys", "50", "--consistency", "all", "--request", "mix", "--connections", "separate", "--concurrency", "8")
	if w.status != 0 || strings.Count(w.stdout, " mix ") != 4 {
		t.Errorf("bench: status %d, %s\n%s", w.status, w.err, w.stdout)
	}
}

// lookAt has the commands that look at a cluster look at this one.
func lookAt(t *testing.T, url string) {
	t.Helper()
	if w := quartet(t, url, "doctor"); w.status != 0 || strings.Contains(w.stdout, "!!") || !strings.Contains(w.stdout, "(NATS_URL)") {
		t.Errorf("doctor: status %d\n%s", w.status, w.stdout)
	}
	if w := quartet(t, url, "explain", "1"); !strings.Contains(w.stdout, "3 replicas. Times") || !regexp.MustCompile(`set  half within [0-9.]+`).MatchString(w.stdout) {
		t.Errorf("explain has no figures:\n%s", w.stdout)
	}
	for out, want := range map[string]string{"table": `(?m)^ +r3 .*  yes$`, "json": `"positions_per_second": `, "raw": `(?m)^\{"ready":true`} {
		if w := quartet(t, url, "top", "--once", "--interval", "100ms", "-o", out); w.status != 0 || !regexp.MustCompile(want).MatchString(w.stdout) {
			t.Errorf("top -o %s: status %d, %s\n%s", out, w.status, w.err, w.stdout)
		}
	}
	if w := shell(t, url, ".consistency causal\nset shell 1\nget shell\n.status\n"); w.status != 0 || !regexp.MustCompile(`(?m)^1  \(r[123], .*causal, timestamp`).MatchString(w.stdout) || !strings.Contains(w.stdout, "NODE") {
		t.Errorf("shell: status %d\n%s%s", w.status, w.stdout, w.stderr)
	}
}

// checkDemo checks that all eight clients had all their replies, and that a report came.
func checkDemo(t *testing.T, w world) {
	t.Helper()
	if w.status != 0 {
		t.Fatalf("demo: status %d, %s\n%s", w.status, w.err, w.stderr)
	}
	for i := 1; i <= 8; i++ {
		if n := strings.Count(w.stdout, fmt.Sprintf("client: Client%d ", i)); n != 9 {
			t.Errorf("Client%d has %d replies, want 9", i, n)
		}
	}
	for _, report := range []string{"LINEARIZABLE", "(?m)^linearizable +set", "(?m)^eventual +get"} {
		if !regexp.MustCompile(report).MatchString(w.stdout) {
			t.Errorf("no %q in the output", report)
		}
	}
	if strings.Contains(w.stdout+w.stderr, "\x1b[") || strings.Contains(w.stderr, "\r") {
		t.Error("colour or progress without a terminal")
	}
}

func TestDemo(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "log")
	t.Setenv("QUARTET_CONTEXT", "nowhere") // of the user's own cluster: not of the demo's
	w := world{binary: built(t), env: map[string]string{}}
	w.run(t, "demo", "--context", "", "--log-dir", logs)
	checkDemo(t, w)
	if _, err := os.Stat(filepath.Join(logs, "report.txt")); err != nil {
		t.Error(err)
	}
	// It is gone: nobody listens where it was.
	url := regexp.MustCompile(`nats://\S+[0-9]`).FindString(w.stderr)
	if gone := quartet(t, url, "status"); url == "" || gone.status != exit.StatusNoCluster {
		t.Errorf("the demo's cluster at %q still answers: %s", url, gone.stdout)
	}
}

// The reader of the demo's output leaves after a few lines, or the demo is killed: it ends at
// once, without a chance to stop its cluster, which stops all the same, replicas and all.
func TestDemoLeavesNoClusterBehind(t *testing.T) {
	for name, end := range map[string]func(cmd *exec.Cmd, output io.Closer) error{
		"closed output": func(_ *exec.Cmd, output io.Closer) error { return output.Close() },
		"kill -9":       func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			logs := filepath.Join(t.TempDir(), "log")
			cmd := exec.Command(built(t), "demo", "--log-dir", logs)
			cmd.Env = append(os.Environ(), "QUARTET_REQUESTS="+endless(t))
			var stderr buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill() }() // where the test gives up
			if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
				t.Fatalf("no reply: %v\n%s", err, stderr.String())
			}
			pids := pidsOf(t, stderr.String())

			if err := end(cmd, stdout); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the demo exits 0")
			}
			deadline := time.Now().Add(time.Minute)
			for _, pid := range pids {
				for syscall.Kill(pid, 0) == nil {
					if time.Now().After(deadline) {
						t.Fatalf("process %d of the cluster's %v still runs", pid, pids)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			// It stopped as one that is asked to: with its reports.
			if _, err := os.Stat(filepath.Join(logs, "report.txt")); err != nil {
				t.Error(err)
			}
		})
	}
}

// pidsOf returns the processes of the cluster that the demo names in its talk.
func pidsOf(t *testing.T, talk string) []int {
	t.Helper()
	w := quartet(t, regexp.MustCompile(`nats://\S+[0-9]`).FindString(talk), "status", "-o", "json")
	var s bus.Status
	if err := json.Unmarshal([]byte(w.stdout), &s); err != nil || len(s.Replicas) != 3 {
		t.Fatalf("status %q of the demo's cluster: %v\n%s", w.stdout, err, talk)
	}
	pids := []int{s.Master.PID}
	for _, r := range s.Replicas {
		pids = append(pids, r.PID)
	}
	return pids
}

// endless is a request file that no demo comes to the end of in time.
func endless(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "many")
	if err := os.WriteFile(path, []byte(strings.Repeat("1, 2, key1\n", 100_000)), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ctrl-C while the demo runs: it ends, and so does its cluster.
func TestDemoIsInterrupted(t *testing.T) {
	cmd := exec.Command(built(t), "demo", "--log-dir", filepath.Join(t.TempDir(), "log"))
	cmd.Env = append(os.Environ(), "QUARTET_REQUESTS="+endless(t)) // still under way when it is told to stop
	var stdout, stderr buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(stdout.String(), "data: ") {
		select {
		case <-tick.C:
		case err := <-exited:
			t.Fatalf("the demo ended by itself: %v\n%s", err, stderr.String())
		case <-ctx.Done():
			_ = cmd.Process.Kill()
			t.Fatalf("no reply\n%s", stderr.String())
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-exited:
		if err == nil {
			t.Error("an interrupted demo exits 0")
		}
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		t.Fatalf("the demo does not end\n%s", stderr.String())
	}
	url := regexp.MustCompile(`nats://\S+[0-9]`).FindString(stderr.String())
	if gone := quartet(t, url, "status"); gone.status != exit.StatusNoCluster {
		t.Errorf("the cluster at %q is left behind: %s", url, gone.stdout)
	}
}
