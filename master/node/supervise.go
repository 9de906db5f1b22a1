package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"quartet/bus"
	"quartet/replica/lamport"
)

// child is a replica process of this cluster: spawned by this master, or adopted from
// one that is gone.
type child struct {
	node    lamport.Node
	process *os.Process
	done    chan struct{} // closed when it has ended
	err     error         // how, if it was spawned here; valid after done
}

// ended tells the loop that a replica's process has ended.
type ended struct {
	node lamport.Node
	err  error
}

// supervisor starts, finds and stops the replica processes.
type supervisor struct {
	opts     *Options
	dir      *runDir
	url      string
	user     string
	password string
	children map[lamport.Node]*child
	ended    *bus.Inbox[ended]
}

const (
	adoptWait = 3 * time.Second        // for a replica that lives to report
	alivePoll = 100 * time.Millisecond // of an adopted process
	stopWait  = 5 * time.Second        // after SIGTERM, before SIGKILL
)

// spawn starts a replica process. It has a process group of its own, so that a Ctrl-C
// at the terminal reaches the master alone, and its output goes to a file, so that it
// can outlive the master's terminal.
func (s *supervisor) spawn(n lamport.Node) error {
	out, err := os.OpenFile(filepath.Join(s.opts.LogDir, n.String()+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("master: cannot start replica %s: %w", n, err)
	}
	defer out.Close()
	args := []string{
		"replica", "--id", n.String(), "--nats", s.url, "--prefix", s.opts.Prefix, "--memory",
		"--causal-wait", s.opts.CausalWait.String(), "--orphan-timeout", s.opts.OrphanTimeout.String(),
		"--master-lock", filepath.Join(s.dir.path, lockFile), "--log-dir", s.opts.LogDir,
	}
	cmd := exec.Command(s.opts.Executable, append(args, s.opts.Args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), bus.EnvNodeUser+"="+s.user, bus.EnvNodePassword+"="+s.password)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("master: cannot start replica %s: %w", n, err)
	}
	c := &child{node: n, process: cmd.Process, done: make(chan struct{})}
	s.children[n] = c
	s.dir.record.Replicas[n.String()] = cmd.Process.Pid
	go func() {
		c.err = cmd.Wait()
		close(c.done)
		s.ended.Push(ended{node: n, err: c.err})
	}()
	return nil
}

// living returns the replicas of an earlier master whose processes still run.
func (s *supervisor) living() map[lamport.Node]int {
	found := map[lamport.Node]int{}
	for name, pid := range s.dir.record.Replicas {
		if n, err := lamport.ParseNode(name); err == nil && alive(pid) {
			found[n] = pid
		}
	}
	return found
}

// adopt takes over the process of a replica that has reported.
func (s *supervisor) adopt(n lamport.Node, pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("master: cannot adopt replica %s: %w", n, err)
	}
	c := &child{node: n, process: p, done: make(chan struct{})}
	s.children[n] = c
	s.dir.record.Replicas[n.String()] = pid
	go func() { // not our child: it can only be polled
		for alive(pid) {
			time.Sleep(alivePoll)
		}
		close(c.done)
		s.ended.Push(ended{node: n, err: errors.New("the adopted process has ended")})
	}()
	return nil
}

func alive(pid int) bool { return pid > 1 && syscall.Kill(pid, 0) == nil }

// stop ends all replicas: politely, then not.
func (s *supervisor) stop(now <-chan struct{}) {
	for _, c := range s.children {
		_ = c.process.Signal(syscall.SIGTERM) // it may have ended already
	}
	deadline := time.After(stopWait)
	for _, c := range s.children {
		select {
		case <-c.done:
		case <-now:
			s.kill()
			return
		case <-deadline:
			s.kill()
			return
		}
	}
}

// kill ends all replicas at once and waits for it.
func (s *supervisor) kill() {
	for _, c := range s.children {
		_ = c.process.Kill()
	}
	for _, c := range s.children {
		select {
		case <-c.done:
		case <-time.After(stopWait):
		}
	}
}
