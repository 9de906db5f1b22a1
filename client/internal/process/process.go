// Package process is a cluster of the quartet program as a child process: demo's, bench's, and that
// of tests with real processes. It promises that the cluster stops with its starter, however that
// ends: even by a signal that cannot be caught.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"quartet/bus/host/exit"
)

const (
	startLimit = 30 * time.Second // until the cluster says that it is ready
	stopLimit  = 20 * time.Second // until it has stopped and written its reports
	tailLimit  = 4096             // bytes of what it said that are kept for an error
)

// Cluster is a master in memory, with its replicas. Make it with [Start].
type Cluster struct {
	URL    string
	cmd    *exec.Cmd
	said   *tail
	exited chan struct{} // is closed once the process is gone and err is set
	err    error
}

var urlPattern = regexp.MustCompile(`nats://[^\s,;]+`)

// Start runs program as a master in memory on a free port, with more flags if there are
// any, and waits for its ready line.
// When ctx ends first, or it is not ready in 30 s, it is stopped. The error of a master
// that ended by itself carries its exit status.
func Start(ctx context.Context, program, logDir, prefix string, more ...string) (*Cluster, error) {
	args := append([]string{"master", "--memory", "--stop-at-eof", "--listen", "127.0.0.1:-1", "--log-dir", logDir, "--prefix", prefix},
		more...)
	c := &Cluster{
		cmd:  exec.Command(program, args...),
		said: &tail{}, exited: make(chan struct{}),
	}

	// Ctrl-C reaches a whole process group. The master must hear it from us alone and
	// once: a second signal would have it stop without its reports.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The user's own settings are of another cluster: this one is in memory, on a free port.
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "QUARTET_") })
	c.cmd.Stderr = c.said
	// Nothing is written to it. It ends with this process: when the reader of what we print
	// has gone (SIGPIPE) or we are killed, no code of ours runs that could stop the master.
	if _, err := c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}

	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}

	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(io.TeeReader(out, c.said))
		for lines.Scan() {
			if line := lines.Text(); strings.Contains(line, "ready") && len(ready) == 0 {
				if url := urlPattern.FindString(line); url != "" {
					select {
					case ready <- url:
					default: // a later line that looks like it
					}
				}
			}
		}
		_, _ = io.Copy(io.Discard, out) // a line too long for the scanner must not block the master
		c.err = c.cmd.Wait()
		close(c.exited)
	}()

	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case c.URL = <-ready:
		return c, nil
	case <-c.exited:
		status := exit.StatusFailed
		if c.cmd.ProcessState != nil {
			status = max(status, c.cmd.ProcessState.ExitCode())
		}
		return nil, exit.With(status, fmt.Errorf("the cluster did not start: %w\n%s", c.err, c.said))
	case <-limit.C:
		return nil, errors.Join(fmt.Errorf("the cluster was not ready after %s\n%s", startLimit, c.said), c.Stop())
	case <-ctx.Done():
		return nil, errors.Join(errors.New("interrupted while the cluster started"), c.Stop())
	}
}

// Stop asks the master to stop and waits; one that does not in 20 s is killed.
func (c *Cluster) Stop() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the cluster: %w", err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-c.exited:
		if c.err != nil {
			return fmt.Errorf("the cluster stopped badly: %w\n%s", c.err, c.said)
		}
		return nil
	case <-limit.C:
		err := c.cmd.Process.Kill()
		<-c.exited
		return errors.Join(fmt.Errorf("the cluster had not stopped after %s and was killed\n%s", stopLimit, c.said), err)
	}
}

// tail keeps the last that was written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailLimit; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
