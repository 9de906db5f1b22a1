package lock

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// held, in the environment, makes the test binary a process that holds the file that it names
// until its standard input ends.
const held = "QUARTET_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(held); path != "" {
		l, err := Take(path, 0, Holder{PID: os.Getpid(), URL: "nats://h:1"})
		if err != nil {
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString("held\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		l.Release()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hold starts a process that holds a file.
func hold(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), held+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })

	if n, err := out.Read(make([]byte, 8)); err != nil || n == 0 {
		t.Fatalf("it does not hold %s: %v", path, err)
	}
	return cmd
}

// look is [Look] for a test.
func look(t *testing.T, path string) (Holder, bool) {
	t.Helper()
	h, held, err := Look(path)
	if err != nil {
		t.Fatal(err)
	}
	return h, held
}

func TestHolderIsKnownUntilItEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.lock")
	if h, held := look(t, path); held {
		t.Errorf("held by %+v before it is there", h)
	}
	cmd := hold(t, path)
	if h, held := look(t, path); !held || h.PID != cmd.Process.Pid || h.URL != "nats://h:1" {
		t.Errorf("%v %+v, want pid %d", held, h, cmd.Process.Pid)
	}
	if _, err := Take(path, 0, Holder{PID: 7}); !errors.Is(err, ErrHeld) {
		t.Errorf("taken twice: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if h, held := look(t, path); held {
		t.Errorf("a process that was killed holds it: %+v", h)
	}
	l, err := Take(path, time.Second, Holder{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

// What a copy carries proves nothing: it names a process that lives, and that process
// holds another file.
func TestCopyIsHeldByNobody(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "r1.lock"), filepath.Join(dir, "copy.lock")
	cmd := hold(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, held := look(t, other); held {
		t.Errorf("the copy is held by %+v", h)
	}

	// Even if somebody holds the copy: it is not the process that the copy names.
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	hold(t, other)
	if err := os.WriteFile(other, b, 0o600); err != nil {
		t.Fatal(err)
	}
	h, held := look(t, other)
	believed := h.PID == cmd.Process.Pid && procfs()
	if !held || believed {
		t.Errorf("%v: the pid of a process that does not hold it is believed: %+v", held, h)
	}
}

func procfs() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
}

// A file that was removed is no lock: the next process takes the one that is there.
func TestRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.lock")
	l, err := Take(path, 0, Holder{PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()

	if l.Lost() {
		t.Error("lost while it is there")
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !l.Lost() {
		t.Error("not lost when it is gone")
	}
	if h, held := look(t, path); held {
		t.Errorf("held by %+v", h)
	}

	cmd := hold(t, path)
	if h, held := look(t, path); !held || h.PID != cmd.Process.Pid {
		t.Errorf("%v %+v", held, h)
	}
	if !l.Lost() {
		t.Error("another's file is taken for one's own")
	}
	if err := l.Renew(); !errors.Is(err, ErrHeld) {
		t.Errorf("taken again from another: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second time there is nothing to do
		if err := l.Renew(); err != nil {
			t.Fatal(err)
		}
	}

	h, held := look(t, path)
	another := h.PID != os.Getpid() && procfs()
	if !held || l.Lost() || another {
		t.Errorf("taken again: %v %+v", held, h)
	}
}
