package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/testkit"
)

// What a replica was sent before too few were left may have been executed, and its client is told
// so (504); what came afterwards was not, and its client is told that (503). Once the others are
// back the first is found out under its id, and each is executed once.
func TestTheQuorumIsLost(t *testing.T) {
	m := startIn(t, newFolder(t), "--memory", "--listen", "127.0.0.1:-1", "--suspect", suspicion.String(), "--timeout", "3s")
	nc := connect(t, m.url)
	mustOK(t, nc, "1, add, sum ::: 1")
	before := atRest(t, nc)

	for _, id := range []string{"r2", "r3"} {
		pid := replicaOf(before, id).PID
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	}

	early := []string{bus.HeaderMsgID, "early", bus.HeaderReplica, "r1"}
	if got := ask(t, nc, "1, add, sum ::: 10", early...); code(got) != "504" {
		t.Errorf("sent while the view stood: %q %s", code(got), got.Data)
	}
	testkit.Eventually(t, restLimit, "too few are left, and that is said", func() error {
		if s := mustStatus(t, nc); s.Ready || !strings.Contains(s.Reason, "r2, r3") {
			return fmt.Errorf("ready %t: %s", s.Ready, s.Reason)
		}
		return nil
	})

	late := []string{bus.HeaderMsgID, "late"}
	begun := time.Now()
	got := ask(t, nc, "1, add, sum ::: 100", late...)
	if code(got) != "503" || !strings.Contains(string(got.Data), "r2, r3") {
		t.Errorf("sent afterwards: %q %s", code(got), got.Data)
	}
	if took := time.Since(begun); took > askLimit/2 {
		t.Errorf("it was refused after %s, and nobody had to be waited for", took)
	}
	for _, c := range []string{"2", "1"} {
		if got := ask(t, nc, c+", get, sum"); code(got) != "503" {
			t.Errorf("a get of model %s: %q %s", c, code(got), got.Data)
		}
	}

	for _, id := range []string{"r2", "r3"} {
		if err := syscall.Kill(replicaOf(before, id).PID, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, restLimit, "all serve again", func() error {
		if s := mustStatus(t, nc); !s.Ready {
			return fmt.Errorf("not ready: %s", s.Reason)
		}
		return nil
	})

	// The first is found out, the second is a new request; each adds once, however often it is sent.
	for range 2 {
		mustOK(t, nc, "1, add, sum ::: 10", early[:2]...)
		mustOK(t, nc, "1, add, sum ::: 100", late...)
	}
	if got := mustOK(t, nc, "1, get, sum"); string(got.Data) != "111" {
		t.Errorf("the sum is %s", got.Data)
	}
}
