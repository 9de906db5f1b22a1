package faults_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"quartet/client/internal/program"
)

var (
	rounds   = flag.Int("faults.rounds", 0, "how often to run every scenario; 0: a few of them, once")
	mode     = flag.String("faults.mode", "both", "memory, dir or both")
	traffics = flag.String("faults.traffic", "",
		"linearizable, sequential, causal, eventual, mixed or idle; default: another one for each scenario and round")
	first = flag.Int("faults.first", 0, "number of the first round: rounds differ in traffic, in the replica that is hit and in chance")
	keep  = flag.String("faults.keep", "", "`DIR` for the logs and the history of runs that fail")
	built = flag.String("faults.binary", "", "`FILE` of the program, rather than to build it")
)

const roleVariable = "QUARTET_FAULTS_ROLE"

// binary is the program under test, which TestMain builds.
var binary string

// children has every process that a test starts killed when this process ends, however it
// ends.
var children *reaper

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	switch os.Getenv(roleVariable) {
	case roleBus:
		return beBus()
	case roleReaper:
		return beReaper(os.Stdin)
	}

	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	flag.Parse()
	dir, err := os.MkdirTemp("", "quartet-faults")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	if binary = *built; binary == "" {
		if binary, err = program.Build(ctx, dir); err != nil {
			return fail(err)
		}
	}

	if children, err = startReaper(); err != nil {
		return fail(err)
	}
	defer children.close()
	defer table.print(os.Stdout)
	return m.Run()
}

// reaper is a process that is told of others, and kills those that are left when nobody
// holds the other end of its pipe any more: a test binary that runs into its time limit,
// or is killed, has no cleanup.
type reaper struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
}

const roleReaper = "reaper"

func startReaper() (*reaper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &reaper{cmd: exec.Command(self)}
	r.cmd.Env = append(os.Environ(), roleVariable+"="+roleReaper)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the others
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return r, r.cmd.Start()
}

// add and remove say that a child of this process runs, and that it has been waited for.
func (r *reaper) add(pid int)    { r.say("+", pid) }
func (r *reaper) remove(pid int) { r.say("-", pid) }

func (r *reaper) say(sign string, pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.in, "%s%d\n", sign, pid) // a reaper that is gone is nothing that a test could mend
}

func (r *reaper) close() {
	_ = r.in.Close()
	_ = r.cmd.Wait()
}

func beReaper(in io.Reader) int {
	living := map[int]bool{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		pid, err := strconv.Atoi(strings.TrimLeft(line, "+-"))
		if err != nil || pid <= 1 {
			continue
		}
		if strings.HasPrefix(line, "-") {
			delete(living, pid)
		} else {
			living[pid] = true
		}
	}
	for pid := range living {
		_ = syscall.Kill(pid, syscall.SIGCONT)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return 0
}
