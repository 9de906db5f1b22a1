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
			var stderr testkit.Buffer
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

			testkit.Eventually(t, time.Minute, "the cluster's processes end", func() error {
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
	cmd := exec.Command(built(t), "demo", "--log-dir", filepath.Join(t.TempDir(), "log"))
	cmd.Env = append(os.Environ(), "QUARTET_REQUESTS="+endless(t)) // still under way when it is told to stop
	var stdout, stderr testkit.Buffer
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
