package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus/host/exit"
	"quartet/bus/lamport"
	"quartet/bus/testkit"
)

const role = "QUARTET_TEST_SUPERVISED"

// TestMain is also the process that is supervised: the test binary, called with a role.
func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "lives":
		live()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		live()
	case "well":
		os.Exit(0)
	case "replaced":
		os.Exit(exit.StatusReplaced)
	case "damaged":
		fmt.Println("not from this start")
		for i := range 20 {
			fmt.Println("line", i)
		}
		fmt.Fprintln(os.Stderr, "quartet: the store is damaged: restore it")
		os.Exit(exit.StatusDamaged)
	}
	os.Exit(9)
}

// live lasts until a signal ends the process.
func live() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR1)
	fmt.Println("here", os.Getpid())
	<-never
}

const (
	r1, r2 = lamport.Node(1), lamport.Node(2)
	limit  = 20 * time.Second
)

// bench is a supervisor with a clock of its own and children in roles.
type bench struct {
	*Supervisor
	t     *testing.T
	dir   string
	roles map[lamport.Node]string
	now   time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: t.TempDir(), roles: map[lamport.Node]string{}, now: time.Unix(1_000_000, 0)}
	b.Supervisor = New(Options{
		Command: func(n lamport.Node) *exec.Cmd {
			if b.roles[n] == "missing" {
				return exec.Command(filepath.Join(b.dir, "no such program"))
			}
			cmd := exec.Command(self, "replica", "--id", n.String())
			cmd.Env = append(os.Environ(), role+"="+b.roles[n], "GORACE=atexit_sleep_ms=0") // a second, else
			return cmd
		},
		Output: b.output,
	})
	t.Cleanup(func() {
		now := make(chan struct{})
		close(now)
		b.Stop(now)
	})
	return b
}

func (b *bench) output(n lamport.Node) string { return filepath.Join(b.dir, n.String()+".out") }

func (b *bench) start(n lamport.Node, as string) int {
	b.t.Helper()
	b.roles[n] = as
	pid, err := b.Start(n, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

// awaitEnd waits for a process to end; the bench's clock stands still meanwhile.
func (b *bench) awaitEnd() []Event {
	b.t.Helper()
	timeout := time.After(limit)
	for {
		select {
		case <-b.Ready():
		case <-timeout:
			b.t.Fatal("no process ends")
		}
		if events := b.Step(b.now); len(events) > 0 {
			return events
		}
	}
}

// end kills the process of n and waits until the supervisor has seen it.
func (b *bench) end(n lamport.Node) Event {
	b.t.Helper()
	pid := b.Restarts(b.now)[n].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	events := b.awaitEnd()
	if len(events) != 1 || events[0].Kind != Ended || events[0].Node != n || events[0].PID != pid || events[0].Err == nil {
		b.t.Fatalf("events %+v", events)
	}
	return events[0]
}

func (b *bench) nothing() {
	b.t.Helper()
	if events := b.Step(b.now); len(events) > 0 {
		b.t.Fatalf("events %+v", events)
	}
}

// started steps and expects that n is started again; it returns the pid.
func (b *bench) started(n lamport.Node) int {
	b.t.Helper()
	events := b.Step(b.now)
	if len(events) != 1 || events[0].Kind != Started || events[0].Node != n || !Alive(events[0].PID) {
		b.t.Fatalf("events %+v", events)
	}
	return events[0].PID
}

func TestEndedIsStartedAgain(t *testing.T) {
	b := newBench(t)
	first := b.start(r1, "lives")
	other := b.start(r2, "lives")
	delay := FirstDelay
	for i := 1; i <= 3; i++ {

		e := b.end(r1)
		if !strings.Contains(e.Err.Error(), "signal: killed") {
			t.Errorf("error %v", e.Err)
		}

		got := b.Restarts(b.now)
		if r := got[r1]; r.PID != 0 || r.InARow != i || r.Err == nil || !r.Next.Equal(b.now.Add(delay)) {
			t.Errorf("after end %d: %+v", i, r)
		}
		if r := got[r2]; r != (Restart{PID: other}) {
			t.Errorf("the other one: %+v", r)
		}

		b.now = b.now.Add(delay - 1)
		b.nothing()
		b.now = b.now.Add(1)

		pid := b.started(r1)
		if pid == first {
			t.Errorf("pid %d again", pid)
		}
		if r := b.Restarts(b.now)[r1]; r.PID != pid || !r.Next.IsZero() || r.InARow != i {
			t.Errorf("after start %d: %+v", i, r)
		}
		b.nothing()
		delay *= 2
	}

	b.now = b.now.Add(Settled)
	if r := b.Restarts(b.now)[r1]; r.InARow != 0 {
		t.Errorf("settled, and yet %+v", r)
	}
	b.end(r1)
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
}

// A process that ends at once is a failure like any other, and so is ending well.
func TestEndingAtOnceIsNoTightLoop(t *testing.T) {
	for as, want := range map[string]string{"well": "exit status 0", "damaged": "exit status 7"} {
		t.Run(as, func(t *testing.T) {
			b := newBench(t)
			b.start(r1, as)
			for i := range 6 {
				events := b.awaitEnd()
				if len(events) != 1 || events[0].Kind != Ended || !strings.Contains(events[0].Err.Error(), want) {
					t.Fatalf("end %d: %+v", i+1, events)
				}
				b.nothing()
				next := b.Restarts(b.now)[r1].Next
				if got := next.Sub(b.now); got != FirstDelay<<i {
					t.Errorf("delay %s after end %d", got, i+1)
				}
				b.now = next
				b.Step(b.now)
			}
		})
	}
}

func TestDamageAndLastWordsAreInTheError(t *testing.T) {
	b := newBench(t)
	if err := os.WriteFile(b.output(r1), []byte("an earlier start said this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(r1, "damaged")
	err := b.awaitEnd()[0].Err
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("not known as damage: %v", err)
	}
	if text := err.Error(); !strings.Contains(text, "line 19 | quartet: the store is damaged: restore it") ||
		strings.Contains(text, "line 15") || strings.Contains(text, "\n") {
		t.Errorf("error %q", text)
	}
	b.roles[r1] = "well"
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
	if err := b.awaitEnd()[0].Err; errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "line") {
		t.Errorf("the words of an earlier start: %v", err)
	}
}

func TestWordsOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	long := strings.Repeat("x", 3*lastBytes)
	for _, c := range []struct {
		text  string
		begin int64
		want  string
	}{
		{"", 0, ""}, {"one\n", 0, "one"}, {"one\n", 4, ""}, {"one\n", 99, ""}, {"one\ntwo\n", 4, "two"},
		{"1\n2\n\n3\n4\n5\n6\n7", 0, "3 | 4 | 5 | 6 | 7"}, {"a\xffb\r\nc", 0, "a?b | c"}, {long, 0, long[:lastBytes]},
	} {
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := said(name, c.begin); got != c.want {
			t.Errorf("of %q from %d: %q", c.text, c.begin, got)
		}
	}
	if got := said(name+".none", 0); got != "" {
		t.Errorf("of no file: %q", got)
	}
}

// A program that is not there any more, as in the moment of an update, is tried again.
func TestAStartThatFailsIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.start(r1, "lives")
	b.roles[r1] = "missing"
	b.end(r1)
	for i := 1; i <= 3; i++ {
		b.now = b.Restarts(b.now)[r1].Next
		b.nothing()
		if r := b.Restarts(b.now)[r1]; r.PID != 0 || !errors.Is(r.Err, ErrStart) || r.InARow != i+1 ||
			!r.Next.Equal(b.now.Add(FirstDelay<<i)) {
			t.Errorf("after try %d: %+v", i, r)
		}
	}
	b.roles[r1] = "lives"
	b.now = b.Restarts(b.now)[r1].Next
	b.started(r1)
}

func TestAFirstStartThatFailsIsAnError(t *testing.T) {
	b := newBench(t)
	b.roles[r1] = "missing"
	if pid, err := b.Start(r1, b.now); !errors.Is(err, ErrStart) || !errors.Is(err, os.ErrNotExist) || pid != 0 {
		t.Errorf("pid %d, %v", pid, err)
	}
	if all := b.Restarts(b.now); len(all) != 0 {
		t.Errorf("kept: %+v", all)
	}
}

func TestStartTwiceIsOneProcess(t *testing.T) {
	b := newBench(t)
	pid := b.start(r1, "lives")
	if again := b.start(r1, "lives"); again != pid {
		t.Errorf("pids %d and %d", pid, again)
	}
}

func TestDismissedIsNotStartedAgain(t *testing.T) {
	b := newBench(t)
	b.start(r1, "lives")
	b.Dismiss(r1, b.now) // and so its process is told to end
	events := b.awaitEnd()
	if len(events) != 1 || events[0].Kind != Ended || !strings.Contains(events[0].Err.Error(), "terminated") {
		t.Errorf("events %+v", events)
	}
	b.now = b.now.Add(time.Hour)
	b.nothing()
	if all := b.Restarts(b.now); len(all) != 0 {
		t.Errorf("known: %+v", all)
	}
	b.Dismiss(r1, b.now) // who is not there can be dismissed

	b.start(r2, "lives")
	b.end(r2)
	b.Dismiss(r2, b.now) // while it waits for its next try
	b.now = b.now.Add(time.Hour)
	b.nothing()

	b.start(r1, "lives") // a replica of that name is added again
	b.end(r1)
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
}

func TestDismissedThatDoesNotHeedIsKilled(t *testing.T) {
	b := newBench(t)
	pid := b.start(r1, "stubborn")
	testkit.Await(t, "it ignores SIGTERM", func() bool {
		said, err := os.ReadFile(b.output(r1))
		return err == nil && strings.Contains(string(said), "here "+strconv.Itoa(pid))
	})
	b.Dismiss(r1, b.now)
	b.now = b.now.Add(StopWait - 1)
	b.nothing()
	if !Alive(pid) {
		t.Fatal("it has ended")
	}
	b.now = b.now.Add(1)
	b.nothing()
	if e := b.awaitEnd()[0]; e.PID != pid || !strings.Contains(e.Err.Error(), "killed") {
		t.Errorf("event %+v", e)
	}
}

// A replica that is added again while the process of its predecessor of that name ends.
func TestStartedWhileTheDismissedEnds(t *testing.T) {
	b := newBench(t)
	old := b.start(r1, "stubborn")
	b.Dismiss(r1, b.now)
	b.roles[r1] = "lives"
	if pid, err := b.Start(r1, b.now); pid != 0 || err != nil {
		t.Fatalf("pid %d, %v", pid, err)
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := b.awaitEnd()[0]; e.PID != old {
		t.Fatalf("event %+v", e)
	}
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
}

// foreign starts a process that is not the supervisor's child: its parent has ended.
func foreign(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // it has ended already
	return pid
}

func TestAdoptedIsStartedAgain(t *testing.T) {
	b := newBench(t)
	pid := foreign(t)
	b.roles[r1] = "lives"
	for range 2 { // once is enough
		if err := b.Adopt(r1, pid, b.now); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Adopt(r1, os.Getpid(), b.now); !errors.Is(err, ErrStart) {
		t.Errorf("a second one was adopted: %v", err)
	}
	if r := b.Restarts(b.now)[r1]; r != (Restart{PID: pid}) {
		t.Errorf("%+v", r)
	}
	if e := b.end(r1); !errors.Is(e.Err, ErrAdopted) {
		t.Errorf("error %v", e.Err)
	}
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
}

func TestAdoptedThatIsGoneIsStartedAgain(t *testing.T) {
	b := newBench(t)
	gone := exec.Command("/bin/true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	b.roles[r1] = "lives"
	if err := b.Adopt(r1, gone.Process.Pid, b.now); err != nil {
		t.Fatal(err)
	}
	if e := b.awaitEnd()[0]; e.Node != r1 {
		t.Errorf("event %+v", e)
	}
	b.now = b.now.Add(FirstDelay)
	b.started(r1)
}

func TestStopEndsAllAndNothingStarts(t *testing.T) {
	b := newBench(t)
	pids := []int{b.start(r1, "lives"), foreign(t)}
	if err := b.Adopt(r2, pids[1], b.now); err != nil {
		t.Fatal(err)
	}

	waiting := lamport.Replica(3)
	b.start(waiting, "lives")
	b.end(waiting) // and waits for its next try
	b.Stop(nil)
	for _, pid := range pids {
		if Alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}

	b.now = b.now.Add(time.Hour)
	for _, e := range b.Step(b.now) {
		if e.Kind != Ended {
			t.Errorf("started after the stop: %+v", e)
		}
	}

	if pid, err := b.Start(lamport.Replica(4), b.now); !errors.Is(err, ErrStopped) {
		t.Errorf("pid %d, %v", pid, err)
	}
	if err := b.Adopt(lamport.Replica(5), os.Getpid(), b.now); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
	for n, r := range b.Restarts(b.now) {
		if r.PID != 0 {
			t.Errorf("%s: %+v", n, r)
		}
	}
}

func TestStopAtOnceKills(t *testing.T) {
	b := newBench(t)
	pid := b.start(r1, "stubborn")
	testkit.Await(t, "it ignores SIGTERM", func() bool {
		said, err := os.ReadFile(b.output(r1))
		return err == nil && len(said) > 0
	})
	now := make(chan struct{})
	close(now)
	begun := time.Now()
	b.Stop(now)
	if took := time.Since(begun); took >= StopWait || Alive(pid) {
		t.Errorf("after %s alive is %v", took, Alive(pid))
	}
}

func TestZombiesDoNotLive(t *testing.T) {
	b := newBench(t)
	b.roles[r1] = "lives"
	cmd := b.opts.Command(r1) // and nobody waits for it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if !Alive(pid) || birth(pid) == 0 {
		t.Fatalf("alive %v, born %d", Alive(pid), birth(pid))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, "the zombie counts as ended", func() bool { return !Alive(pid) })
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("it is no zombie: %v", err)
	}
	_ = cmd.Wait() // it was killed
	if Alive(pid) || Alive(0) || Alive(-1) || Alive(1) || birth(pid) != 0 {
		t.Error("who is not there lives")
	}
}
