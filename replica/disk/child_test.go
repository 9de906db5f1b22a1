package disk

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/replica/durable"
)

// The test program is also the process that is killed: with childVar it is told what to do.
const childVar = "QUARTET_DISK_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childVar); what != "" {
		if err := child(strings.Split(what, "|")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is asked for: what, directory, mode, turns.
func child(args []string) error {
	mode, _ := strconv.Atoi(args[2])
	turns, _ := strconv.Atoi(args[3])
	d, saved, err := Open(context.Background(), Options{
		Dir: args[1], Sync: Sync(mode), Window: 50, BootID: "boot 1", SyncEvery: time.Hour, memTable: 256 << 10,
	})
	if err != nil {
		return err
	}

	fmt.Println("open")
	switch args[0] {
	case "hold":
		select {}
	case "die": // at the very end of the last commit
		w := newWorld(1, 50)
		for range turns {
			if err := d.Commit(w.turn(d)); err != nil {
				return err
			}
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "work": // until it is killed
		w := newWorld(1, 50)
		for n := uint64(1); ; n++ {
			if saved != nil && n <= saved.State.Position {
				w.turn(discard{}) // of an earlier life
				continue
			}
			if err := d.Commit(w.turn(d)); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
	return fmt.Errorf("child: %q", args)
}

type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startChild starts this test binary as a process that works on a disk until it is killed.
func startChild(t *testing.T, what, dir string, mode Sync, turns int) *running {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d|%d", childVar, what, dir, mode, turns))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	c := &running{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return c
}

func (c *running) waitFor(line string) {
	c.t.Helper()
	for c.lines.Scan() {
		if c.lines.Text() == line {
			return
		}
	}
	c.t.Fatalf("the child has ended without saying %q", line)
}

// kill ends the child with -9 and returns the last line that it has said.
func (c *running) kill() string {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	last := ""
	for c.lines.Scan() {
		last = c.lines.Text()
	}
	_ = c.cmd.Wait()
	return last
}

// Killed right after Commit: the turn is there. Without a sync of the log, which hands it
// to the operating system, this fails at once.
func TestKilledAfterCommit(t *testing.T) {
	t.Parallel()
	for _, mode := range []Sync{Interval, Always} {
		for _, turns := range []int{1, 2, 3, 10, 50, 200} {
			dir := filepath.Join(t.TempDir(), "r1")
			c := startChild(t, "die", dir, mode, turns)
			c.waitFor("open")
			if err := c.cmd.Wait(); c.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatal(err)
			}
			d, saved := mustOpen(t, Options{Dir: dir, Window: 50, BootID: "boot 1"})
			if diff := after(turns, d, saved); diff != "" {
				t.Errorf("%v, %d turns: %s", mode, turns, diff)
			}
			mustClose(t, d)
		}
	}
}

// after returns how what is on disk differs from what the child's world is after so many turns.
func after(turns int, d *Disk, saved *durable.Saved) string {
	w := newWorld(1, 50)
	for range turns {
		w.turn(discard{})
	}
	return w.snapshot().differs(d, saved)
}

// Killed at any moment: what it said it had committed is there, and nothing else but the
// turn that it was about to say.
func TestKilledAtWork(t *testing.T) {
	t.Parallel()
	for _, mode := range []Sync{Interval, Always} {
		dir := filepath.Join(t.TempDir(), "r1")
		said := 0
		for life := range 6 {
			c := startChild(t, "work", dir, mode, 0)
			c.waitFor(strconv.Itoa(said + 1 + 37*life))
			last, err := strconv.Atoi(c.kill())
			if err != nil {
				last = said + 1 + 37*life
			}

			d, saved := mustOpen(t, Options{Dir: dir, Window: 50, BootID: "boot 1"})
			got := int(saved.State.Position)
			if got < last || got > last+1 {
				t.Fatalf("%v: turn %d is the last on disk, %d was committed", mode, got, last)
			}
			if diff := after(got, d, saved); diff != "" {
				t.Fatalf("%v, turn %d: %s", mode, got, diff)
			}

			mustClose(t, d)
			said = got
		}
	}
}
