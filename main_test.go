package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quartet/bus/secure"
	"quartet/bus/testkit"
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
			env.Values[masterKey{}] = &master{t: env.T().(testing.TB)}
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"cluster": cluster, "stop": stop, "exits": exits, "take": take, "page": page,
		},
	})
}

const (
	startLimit = time.Minute // until a cluster is ready, on a machine that is busy
	stopLimit  = time.Minute // until it has written its reports and ended
)

// master is the cluster of a script.
type master struct {
	t       testing.TB
	process *testkit.Child // nil: none runs
}

type masterKey struct{}

var (
	readyLine   = regexp.MustCompile(`(?m)^ready ((?:nats|tls)://\S+)$`)
	consoleLine = regexp.MustCompile(`(?m)^  console +(https?://\S+)\n`)
)

// cluster FLAG…: quartet master on a free port, with these flags, until the script ends.
// NATS_URL says from then on where it is.
func cluster(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(masterKey{}).(*master)
	if neg || m.process != nil {
		ts.Fatalf("usage: cluster [FLAG...], once until it is stopped")
	}
	program, err := exec.LookPath("quartet")
	ts.Check(err)

	// It ends when the test does, however: its standard input is at its end then.
	cmd := exec.Command(program, append([]string{"master", "--stop-at-eof", "--listen", "127.0.0.1:-1"}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR")}
	_, err = cmd.StdinPipe()
	ts.Check(err)

	m.process = testkit.Launch(m.t, cmd)
	ts.Defer(func() { m.end() })
	m.process.AwaitStdout(m.t, startLimit, "its ready line", func(said string) bool {
		found := readyLine.FindStringSubmatch(said)
		if found != nil {
			ts.Setenv("NATS_URL", found[1])
		}
		return found != nil
	})
}

// stop: Ctrl-C, and the cluster ends with exit status 0. stop -9: its master is killed.
func stop(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(masterKey{}).(*master)
	if neg || m.process == nil {
		ts.Fatalf("usage: stop [-9], after cluster")
	}
	if len(args) == 1 && args[0] == "-9" {
		m.process.Kill()
		m.process = nil
		return
	}
	m.end()
}

// end is Ctrl-C to the master, which must end well.
func (m *master) end() {
	if m.process == nil {
		return // a script may have stopped it
	}
	process := m.process
	m.process = nil
	if status := process.Stop(m.t, os.Interrupt, stopLimit); status != 0 {
		m.t.Errorf("the cluster ended with status %d\n%s", status, &process.Stderr)
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

// page [-as DIR] PATTERN: the console of the cluster shows, on its first page, what matches: to
// whoever comes, or to the holder of the certificate in DIR.
func page(ts *testscript.TestScript, neg bool, args []string) {
	m := ts.Value(masterKey{}).(*master)
	browser := http.DefaultClient
	if len(args) == 3 && args[0] == "-as" {
		visitor, err := secure.Open(ts.MkAbs(args[1]), nil)
		ts.Check(err)
		by := &http.Transport{TLSClientConfig: visitor.Client()}
		defer by.CloseIdleConnections()
		browser, args = &http.Client{Transport: by}, args[2:]
	}
	if neg || len(args) != 1 || m.process == nil {
		ts.Fatalf("usage: page [-as DIR] PATTERN, after cluster --console ADDRESS")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	var url string
	m.process.AwaitStdout(m.t, startLimit, "the line that names its console", func(said string) bool {
		found := consoleLine.FindStringSubmatch(said)
		if found != nil {
			url = found[1]
		}
		return found != nil
	})

	testkit.Eventually(m.t, startLimit, "the page shows it", func() error {
		reply, err := browser.Get(url)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		body, err := io.ReadAll(reply.Body)
		if err == nil && !pattern.Match(body) {
			err = fmt.Errorf("no %s in %s", pattern, body)
		}
		return err
	})
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
