package tune

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// helped says in which process the test runs: a policy is for all of a process, and for good.
const helped = "QUARTET_TEST_POLITELY"

// All threads of a process are told, those that come later too, and the nice value stays.
func TestPolitely(t *testing.T) {
	if os.Getenv(helped) == "" {
		nice := exec.Command("nice", "-n", "3", os.Args[0], "-test.run=^TestPolitely$", "-test.v")
		nice.Env = append(os.Environ(), helped+"=yes")
		if said, err := nice.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		return
	}

	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	politely()

	const more = 8
	held, done := make(chan struct{}), make(chan struct{})
	for range more { // each keeps a thread of its own
		go func() {
			runtime.LockOSThread()
			held <- struct{}{}
			<-done
		}()
	}
	for range more {
		<-held
	}
	defer close(done)

	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if len(tasks) < more {
		t.Fatalf("%d threads", len(tasks))
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		now, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			continue // it has ended
		}
		if now.Policy != unix.SCHED_BATCH || now.Nice != before.Nice {
			t.Errorf("thread %d: policy %d, nice %d; before: %d, %d", id, now.Policy, now.Nice, before.Policy, before.Nice)
		}
	}

	// A policy that somebody chose stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		t.Fatal(err)
	}
	politely()
	if now, err := unix.SchedGetAttr(0, 0); err != nil || now.Policy != unix.SCHED_IDLE {
		t.Errorf("%+v, %v: the policy that was chosen is gone", now, err)
	}
}
