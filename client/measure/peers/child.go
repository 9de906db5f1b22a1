package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	startLimit = 30 * time.Second // until a system serves
	stopLimit  = 20 * time.Second // until a process that was asked to end has ended
	tryLimit   = 2 * time.Second  // for one try whether it serves
	pollEvery  = 20 * time.Millisecond
	tailLimit  = 1024 // bytes at the end of its output, for an error
)

// child is a process that was started for the run, in a process group of its own: Ctrl-C reaches
// this process alone, and we stop the child. Its output goes to a file.
type child struct {
	name   string
	cmd    *exec.Cmd
	said   string        // the file with its output
	exited chan struct{} // closed once it is gone
	parent bool          // it has processes of its own, which it stops when it is asked to end
}

func startChild(name, program, dir string, args ...string) (*child, error) {
	said := filepath.Join(dir, name+".out")
	out, err := os.Create(said)
	if err != nil {
		return nil, fmt.Errorf("peers: start %s: %w", name, err)
	}
	defer out.Close()

	c := &child{name: name, cmd: exec.Command(program, args...), said: said, exited: make(chan struct{})}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	// The user's own settings are of other systems: these are measured as the labels say.
	c.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "QUARTET_") || strings.HasPrefix(v, "ETCD_")
	})

	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("peers: start %s: %w", name, err)
	}

	go func() {
		_ = c.cmd.Wait() // only that it ended matters
		close(c.exited)
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// tail returns the end of its output.
func (c *child) tail() string {
	b, err := os.ReadFile(c.said)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-tailLimit):]))
}

// end asks the child to end; [child.stop] follows. A child without processes of its own is killed:
// its files are thrown away, and etcd's last node would wait seven seconds for its peers.
func (c *child) end() {
	signal := syscall.SIGKILL
	if c.parent {
		signal = syscall.SIGTERM
	}
	_ = c.cmd.Process.Signal(signal) // gone already: stop returns at once
}

// stop waits for the child's end, and kills it if that takes too long.
func (c *child) stop() error {
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-c.exited:
		return nil
	case <-limit.C:
		err := c.cmd.Process.Kill()
		<-c.exited
		return errors.Join(fmt.Errorf("peers: %s had not stopped after %s and was killed", c.name, stopLimit), err)
	}
}

func stopAll(children []*child) error {
	for _, c := range children {
		c.end()
	}

	var errs []error
	for _, c := range children {
		errs = append(errs, c.stop())
	}
	return errors.Join(errs...)
}

// serving polls try until it succeeds. It gives up when ctx ends, a child has ended or 30 s have
// passed; the error's first line says so, and the children's output stands below.
func serving(ctx context.Context, children []*child, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready after %s", startLimit))
	defer cancel()
	again := time.NewTicker(pollEvery)
	defer again.Stop()

	for {
		once, done := context.WithTimeout(ctx, tryLimit)
		err := try(once)
		done()

		if err == nil {
			return nil
		}

		for _, c := range children {
			if c.gone() {
				return fmt.Errorf("peers: %s ended by itself\n%s", c.name, c.tail())
			}
		}

		select {
		case <-again.C:
		case <-ctx.Done():
			said := ""
			for _, c := range children {
				said += "\n" + c.name + ": " + c.tail()
			}
			return fmt.Errorf("peers: %w: %w%s", context.Cause(ctx), err, said)
		}
	}
}

// freePorts returns n ports of 127.0.0.1 that are free at this moment.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("peers: find a free port: %w", err)
		}
		defer l.Close() // all at the end, so that they differ
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
