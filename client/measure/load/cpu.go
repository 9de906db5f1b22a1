package load

import (
	"slices"
	"time"

	"github.com/prometheus/procfs"
)

// Process is a process whose processor time is measured.
type Process struct {
	Name string
	PID  int
}

// Local reports whether the process with this id runs on this machine with arg among its
// arguments. The ids of a cluster on another machine may be those of any processes here.
func Local(pid int, arg string) bool {
	if pid <= 0 {
		return false
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return false
	}
	args, err := p.CmdLine()
	return err == nil && slices.Contains(args, arg)
}

// cpuTimes returns each process's user and system time so far; negative: not known.
func cpuTimes(processes []Process) []time.Duration {
	times := make([]time.Duration, len(processes))
	for i, p := range processes {
		times[i] = -1
		if spent, known := cpuTime(p.PID); known {
			times[i] = spent
		}
	}
	return times
}

// cpuTime is a process's user and system time so far; false: the system does not say.
func cpuTime(pid int) (time.Duration, bool) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, false
	}
	stat, err := p.Stat()
	if err != nil {
		return 0, false
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), true
}

// cpuUsed returns after - before where both are known. The time of a process that ended, or whose
// id another process took, is not known: negative.
func cpuUsed(before, after []time.Duration) []time.Duration {
	used := make([]time.Duration, len(before))
	for i := range before {
		used[i] = -1
		if before[i] >= 0 && after[i] >= before[i] {
			used[i] = after[i] - before[i]
		}
	}
	return used
}
