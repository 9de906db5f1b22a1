package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the program quartet where it is called so, as the scripts do.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quartet": main})
}

// TestScripts runs testdata/script: what a user types, and what comes of it. The commands that
// the scripts have beside those of testscript are described in testdata/script/README.md.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			here, err := os.Getwd()
			env.Setenv("REPOSITORY", here)
			env.Values[masterKey{}] = &master{}
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"cluster": cluster, "stop": stop, "exits": exits, "take": take,
		},
	})
}

const (
	startLimit = time.Minute // until a cluster is ready, on a machine that is busy
	stopLimit  = time.Minute // until it has written its reports and ended
)

// master is the cluster of a script.
type master struct {
	cmd    *exec.Cmd // nil: none runs
	exited chan error
}

type masterKey struct{}

var readyLine = regexp.MustCompile(`^ready (nats://\S+)`)

// cluster FLAG…: quartet master on a free port, with these flags, until the script ends.
// NATS_URL says from then on where it is.
func cluster(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(masterKey{}).(*master)
	if neg || m.cmd != nil {
		ts.Fatalf("usage: cluster [FLAG...], once until it is stopped")
	}
	program, err := exec.LookPath("quartet")
	ts.Check(err)

	// It ends when the test does, however: its standard input is at its end then.
	m.cmd = exec.Command(program, append([]string{"master", "--stop-at-eof", "--listen", "127.0.0.1:-1"}, args...)...)
	m.cmd.Dir = ts.MkAbs(".")
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR")}
	_, err = m.cmd.StdinPipe()
	ts.Check(err)
	stdout, err := m.cmd.StdoutPipe()
	ts.Check(err)
	var stderr strings.Builder // is read only once the process has ended
	m.cmd.Stderr = &stderr
	ts.Check(m.cmd.Start())
	ts.Defer(func() { m.end(ts, os.Interrupt) })

	ready := make(chan string, 1)
	m.exited = make(chan error, 1)
	cmd := m.cmd
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if found := readyLine.FindStringSubmatch(lines.Text()); found != nil && len(ready) == 0 {
				ready <- found[1]
			}
		}
		_, _ = io.Copy(io.Discard, stdout) // a line too long for the scanner must not block it
		m.exited <- cmd.Wait()
	}()

	select {
	case url := <-ready:
		ts.Setenv("NATS_URL", url)
	case err := <-m.exited:
		m.exited <- err // for the end of the script
		ts.Fatalf("the cluster ended: %v\n%s", err, stderr.String())
	case <-time.After(startLimit):
		ts.Fatalf("the cluster is not ready after %s", startLimit)
	}
}

// stop: Ctrl-C, and the cluster ends with exit status 0. stop -9: its master is killed.
func stop(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(masterKey{}).(*master)
	if neg || m.cmd == nil {
		ts.Fatalf("usage: stop [-9], after cluster")
	}
	if len(args) == 1 && args[0] == "-9" {
		m.end(ts, os.Kill)
		return
	}
	m.end(ts, os.Interrupt)
}

// end sends the master a signal and waits for its end.
func (m *master) end(ts *testscript.TestScript, signal os.Signal) {
	if m.cmd == nil {
		return // a script may have stopped it
	}
	cmd := m.cmd
	m.cmd = nil
	_ = cmd.Process.Signal(signal) // fails if it has ended, which is seen below

	select {
	case err := <-m.exited:
		if err != nil && signal != os.Kill {
			ts.Fatalf("the cluster ended badly: %v", err)
		}
	case <-time.After(stopLimit):
		_ = cmd.Process.Kill()
		<-m.exited
		ts.Fatalf("the cluster had not stopped after %s and was killed", stopLimit)
	}
}

// exits STATUS COMMAND ARGUMENT…: the command ends with this exit status. Like exec it leaves
// stdout and stderr to be looked at.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)

	var failed *exec.ExitError
	err, got := ts.Exec(args[1], args[2:]...), 0
	if errors.As(err, &failed) {
		err, got = nil, failed.ExitCode()
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// take NAME FILE PATTERN: sets a variable to what the pattern's group finds in a file, stdout
// or stderr.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: take NAME FILE|stdout|stderr PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[2]) // by line, as stdout and stderr look
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s has nothing for the one group of %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
	fmt.Fprintf(ts.Stdout(), "%s=%s\n", args[0], found[1])
}
