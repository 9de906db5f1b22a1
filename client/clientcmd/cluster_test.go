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

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
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

// limit is for what takes a second or two on a machine with time for it.
const limit = time.Minute

// demo starts the demo with more requests than it comes to the end of in time.
func demo(t *testing.T, logs string, stdout *os.File) *testkit.Child {
	t.Helper()
	cmd := exec.Command(built(t), "demo", "--log-dir", logs)
	cmd.Env = append(os.Environ(), "QUARTET_REQUESTS="+endless(t))
	if stdout != nil {
		cmd.Stdout = stdout
	}
	return testkit.Launch(t, cmd)
}

// The reader of the demo's output leaves after a few lines, or the demo is killed: it ends at
// once, without a chance to stop its cluster, which stops all the same, replicas and all.
func TestDemoLeavesNoClusterBehind(t *testing.T) {
	for name, end := range map[string]func(d *testkit.Child, output io.Closer) error{
		"closed output": func(_ *testkit.Child, output io.Closer) error { return output.Close() },
		"kill -9":       func(d *testkit.Child, _ io.Closer) error { d.Kill(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := filepath.Join(t.TempDir(), "log")
			output, writes, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer output.Close()
			d := demo(t, logs, writes)
			if err := writes.Close(); err != nil { // the demo has its own
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(output).ReadString('\n'); err != nil {
				t.Fatalf("no reply: %v\n%s", err, &d.Stderr)
			}
			pids := pidsOf(t, d.Stderr.String())

			if err := end(d, output); err != nil {
				t.Fatal(err)
			}
			if status := d.Wait(t, limit); status == 0 {
				t.Error("the demo exits 0")
			}

			testkit.Eventually(t, limit, "the cluster's processes end", func() error {
				for _, pid := range pids {
					if syscall.Kill(pid, 0) == nil {
						return fmt.Errorf("process %d of %v still runs", pid, pids)
					}
				}
				return nil
			})

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
	t.Parallel()
	d := demo(t, filepath.Join(t.TempDir(), "log"), nil)
	d.AwaitStdout(t, limit, "a reply", func(said string) bool { return strings.Contains(said, "data: ") })
	if status := d.Stop(t, os.Interrupt, limit); status == 0 {
		t.Error("an interrupted demo exits 0")
	}

	url := regexp.MustCompile(`nats://\S+[0-9]`).FindString(d.Stderr.String())
	if gone := quartet(t, url, "status"); gone.status != exit.StatusNoCluster {
		t.Errorf("the cluster at %q is left behind: %s", url, gone.stdout)
	}
}
