package load

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Process is a process whose processor time is measured.
type Process struct {
	Name string
	PID  int
}

// tick is the unit of times in /proc/PID/stat: USER_HZ, which Linux fixed at 100.
const tick = time.Second / 100

// Local reports whether the process with this id runs on this machine with arg among its
// arguments. The ids of a cluster on another machine may be those of any processes here.
func Local(pid int, arg string) bool {
	if pid <= 0 {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && slices.Contains(strings.Split(string(line), "\x00"), arg)
}

// cpuTimes returns each process's user and system time so far; negative: not known.
func cpuTimes(processes []Process) []time.Duration {
	times := make([]time.Duration, len(processes))
	for i, p := range processes {
		times[i] = -1
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			continue
		}
		if ticks, ok := parseStat(stat); ok {
			times[i] = time.Duration(ticks) * tick
		}
	}
	return times
}

// parseStat returns utime + stime, fields 14 and 15 of proc(5). The name, field 2, is in
// parentheses and may itself hold blanks and parentheses.
func parseStat(stat []byte) (uint64, bool) {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseUint(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseUint(string(fields[12]), 10, 64)
	return user + system, err1 == nil && err2 == nil
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
