//go:build long

package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/bus/trouble"
	"quartet/master/masternode/supervise"
)

// keeper keeps a replica's process running, as systemd does, beside the master's supervisor.
type keeper struct {
	starts, ends chan int      // the pid of each process; the exit status of each, -1 after a signal
	left         chan struct{} // closed: no more processes are started
	over         chan struct{} // closed: the last one is killed
}

// keep starts processes one after the other until the test ends; the next follows when one has
// ended.
func keep(t *testing.T, start func() *exec.Cmd) *keeper {
	t.Helper()
	k := &keeper{starts: make(chan int, 100), ends: make(chan int, 100), left: make(chan struct{}), over: make(chan struct{})}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for k.once(start()) {
		}
	}()
	t.Cleanup(func() {
		close(k.over)
		<-gone
	})
	return k
}

// once awaits the end of a process, and reports whether another one is to follow.
func (k *keeper) once(cmd *exec.Cmd) bool {
	if cmd.Process == nil {
		return false
	}
	k.starts <- cmd.Process.Pid

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state says how
	}()
	select {
	case <-ended:
	case <-k.over:
		_ = cmd.Process.Kill() // an error: it has ended
		<-ended
	}
	k.ends <- cmd.ProcessState.ExitCode()

	select {
	case <-k.left:
		return false
	case <-k.over:
		return false
	case <-time.After(supervise.FirstDelay):
		return true
	}
}

// Two supervisors of one replica do not have their processes replace each other in turn: the
// process that was started later works, and the master's own is started again when that one is
// silent, be it dead or stopped. A process that goes on after it was replaced ends, and says so by
// its exit status.
func TestTwoSupervisorsOfOneReplica(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	m := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1", "--suspect", "3s")
	nc := connect(t, m.url)
	mustOK(t, nc, "1, 1, key ::: value")
	own := replicaOf(atRest(t, nc), "r2").PID

	k := keep(t, replicaCommand(t, m, dir, "--id", "r2", "--dir", filepath.Join(p.tmp, "second")))
	second := <-k.starts
	s := speaks(t, nc, second, true)
	if r := replicaOf(s, "r2"); !strings.Contains(r.LastError, fmt.Sprint("exit status ", exit.StatusReplaced)) || !r.Supervised {
		t.Errorf("the process that was replaced: %+v", r)
	}
	awaitDead(t, deadLimit, own)

	// Both would have begun anew five times by then.
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for begun := time.Now(); time.Since(begun) < 32*supervise.FirstDelay; <-look.C {
		s := mustStatus(t, nc)
		if r := replicaOf(s, "r2"); !s.Ready || r.PID != second || r.Restarts != 1 || len(k.ends) > 0 {
			t.Fatalf("ready %v (%s), %d ends: %+v", s.Ready, s.Reason, len(k.ends), r)
		}
		mustOK(t, nc, "1, 1, key ::: value")
	}

	close(k.left)
	if err := syscall.Kill(second, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	own = replicaOf(speaks(t, nc, 0, false, second), "r2").PID
	if err := syscall.Kill(second, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if status := <-k.ends; status != exit.StatusReplaced {
		t.Errorf("the process that goes on after it was replaced ends with status %d", status)
	}
	speaks(t, nc, own, false)

	third := keep(t, replicaCommand(t, m, dir, "--id", "r2", "--memory"))
	pid := <-third.starts
	speaks(t, nc, pid, true)
	close(third.left)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	speaks(t, nc, 0, false, own, second, pid)
	if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "value" {
		t.Errorf("key has %q", got.Data)
	}
}

// speaks waits until r2 is a member as the process pid, or, with pid 0, as one of the master's own
// that is none of others; it is warned of a second one as said.
func speaks(t *testing.T, nc *nats.Conn, pid int, warned bool, others ...int) (s bus.Status) {
	t.Helper()
	testkit.Eventually(t, restLimit, "r2 is a member as another process", func() error {
		s = mustStatus(t, nc)
		r := replicaOf(s, "r2")
		right := r.PID == pid
		if pid == 0 {
			right = r.PID != 0 && !slices.Contains(others, r.PID)
		}
		works := s.Ready && r.Member && right

		doubled := slices.ContainsFunc(s.Warnings, func(w string) bool { return trouble.Of(w) == trouble.Doubled })
		if !works || doubled != warned {
			return fmt.Errorf("ready %v (%s), warnings %q: %+v", s.Ready, s.Reason, s.Warnings, r)
		}
		return nil
	})
	return s
}
