package e2e_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
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
