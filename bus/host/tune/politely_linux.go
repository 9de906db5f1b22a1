package tune

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// looks bounds how often the threads are looked at: each look finds only what threads made since
// the last one that were not told themselves.
const looks = 4

// politely has the kernel let what runs go on when a thread of this process wakes (the policy
// SCHED_BATCH, see sched(7)), and keeps the process's nice value. A thread takes it from the one
// that makes it, and so do child processes. It takes no privilege. Where the kernel refuses, or
// another policy was chosen for this process (chrt), nothing changes.
func politely() {
	told := map[int]bool{}
	for range looks {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		news := false
		for _, task := range tasks {
			if id, err := strconv.Atoi(task.Name()); err == nil && !told[id] {
				told[id], news = true, true
				batch(id)
			}
		}
		if !news {
			return
		}
	}
}

func batch(thread int) {
	attributes, err := unix.SchedGetAttr(thread, 0)
	if err != nil || attributes.Policy != unix.SCHED_NORMAL {
		return
	}
	attributes.Policy = unix.SCHED_BATCH
	_ = unix.SchedSetAttr(thread, attributes, 0) // then it stays as it was
}
