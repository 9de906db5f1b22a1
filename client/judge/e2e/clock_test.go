package e2e_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
	"quartet/client/internal/program"
	"quartet/replica/disk"
	"quartet/replica/durable"
)

// A clock that is set back an hour is, for a process that starts without its disk, the same as a
// cluster that knows it by an incarnation of in an hour: it is let in within seconds all the same,
// and so the death of another one takes nothing with it.
func TestTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	d := aged(t, true)
	fromTheFuture(t, d.home("r2"), time.Hour)
	m, nc := d.start(t)
	for _, id := range []string{"r1", "r2", "r3"} {
		awaitMember(t, nc, id, 0)
	}

	for _, id := range []string{"r2", "r1", "r3"} {
		before := atRest(t, nc)
		pid := replicaOf(before, id).PID
		if err := os.Rename(d.home(id), d.home(id)+".away"); err != nil { // it runs on: its files are open
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitMember(t, nc, id, pid)
		for _, key := range acknowledged {
			if got := mustOK(t, nc, "1, 2, "+key, bus.HeaderReplica, id); string(got.Data) != "new" {
				t.Errorf("%s of %s is %q", key, id, got.Data)
			}
		}
	}
	serves(t, nc)
	stopped(t, m)
}

// The same in memory, where nothing but the clock says what incarnation a process is of: replicas
// that die after it was set back, and a master that does, are back within seconds, and nothing is
// lost.
func TestTheClockWasSetBackInMemory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	ahead, err := program.BuildAhead(ctx, t.TempDir(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}

	p := newFolder(t)
	args := []string{"--memory", "--listen", freeAddress(t), "--suspect", suspicion.String(), "--orphan-timeout", "1m"}
	m := launchOf(t, ahead, p, args...)
	m.awaitReady(t)
	nc := connect(t, m.url)
	for _, key := range acknowledged {
		mustOK(t, nc, "1, 1, "+key+" ::: kept")
	}

	setBack(t, ahead)
	dies := func(id string) {
		before := replicaOf(atRest(t, nc), id)
		isAhead := before.Incarnation > uint64(time.Now().Add(time.Hour/2).UnixNano())
		if !isAhead {
			t.Fatalf("%s is of an incarnation that its clock can reach: %d", id, before.Incarnation)
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitMember(t, nc, id, before.PID)
		for _, key := range acknowledged {
			if got := mustOK(t, nc, "1, 2, "+key, bus.HeaderReplica, id); string(got.Data) != "kept" {
				t.Errorf("%s of %s is %q", key, id, got.Data)
			}
		}
	}
	for _, id := range []string{"r2", "r1", "r3"} {
		dies(id)
	}

	if status := m.stop(t, syscall.SIGKILL); status == 0 {
		t.Fatal("the master was killed, and ended well")
	}
	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	dies("r2")
	serves(t, nc)
}

// setBack makes what a running cluster starts from now on the program of a clock that is right.
func setBack(t *testing.T, ahead string) {
	t.Helper()
	right := ahead + ".right"
	b, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(right, b, 0o700)
	}
	if err == nil {
		err = os.Rename(right, ahead) // those that run keep theirs
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fromTheFuture makes the disk of a replica that is stopped that of an incarnation which was
// drawn from a clock that is ahead.
func fromTheFuture(t *testing.T, dir string, ahead time.Duration) {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = []byte("another") // the replica loads itself anew then, as it also does after a power cut
	}
	on, saved, err := disk.Open(t.Context(), disk.Options{Dir: dir, BootID: strings.TrimSpace(string(boot))})
	if err != nil {
		t.Fatal(err)
	}
	saved.State.Incarnation = uint64(time.Now().Add(ahead).UnixNano())
	if err := on.Commit(&durable.Turn{Changed: true, State: saved.State}); err != nil {
		t.Fatal(err)
	}
	if err := on.Close(); err != nil {
		t.Fatal(err)
	}
}
