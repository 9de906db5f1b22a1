package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/master/supervise"
	"quartet/replica/lamport"
)

const (
	adoptWait = 3 * time.Second    // for a replica that lives to report
	stopWait  = supervise.StopWait // after SIGTERM, before SIGKILL
	saveAgain = time.Second        // after the pids could not be kept
	replicas  = "replicas"         // directory of the replicas' own directories
)

// supervisor says with what the replicas' processes are started, and keeps their pids in
// the master's record, so that the next master waits for those that still run.
type supervisor struct {
	opts      *Options
	dir       *runDir
	url       string // of the bus; with the credentials, to be set before the first spawn
	user      string
	password  string
	connect   func(...nats.Option) (*nats.Conn, error) // of replicas within this process; nil: to url
	processes *supervise.Supervisor
	unsaved   bool      // the record holds pids that are not on disk
	saveAt    time.Time // not before
}

func newSupervisor(o *Options, dir *runDir) *supervisor {
	s := &supervisor{opts: o, dir: dir, url: o.NATS}
	how := supervise.Options{
		Command: s.command,
		Output:  func(n lamport.Node) string { return s.output(n) },
		Log:     o.Log,
	}
	if o.InProcess != nil {
		how.Inside = s.within
	}
	s.processes = supervise.New(how)
	return s
}

// command runs a replica. Credentials go by the environment: every user of the machine
// can read arguments.
func (s *supervisor) command(n lamport.Node) *exec.Cmd {
	o := s.opts
	args := []string{
		"replica", "--id", n.String(), "--prefix", o.Prefix,
		"--causal-wait", o.CausalWait.String(), "--orphan-timeout", o.OrphanTimeout.String(),
		"--master-lock", s.lock(), "--log-dir", o.LogDir,
	}
	if o.Connection == nil {
		args = append(args, "--nats", s.url)
	} else {
		args = append(args, o.Connection.Args()...)
	}
	if o.Memory {
		args = append(args, "--memory")
	} else {
		sync := o.Sync
		if sync == "" {
			sync = SyncInterval
		}
		args = append(args, "--dir", s.home(n), "--sync", sync)
	}
	if o.ReplicaMetrics != nil {
		args = append(args, "--metrics", o.ReplicaMetrics(n))
	}
	cmd := exec.Command(o.Executable, append(args, o.Args...)...)
	// Of our own environment no connection setting may reach a replica that connects to an
	// embedded server, and all of them those that connect as we do.
	cmd.Env = append(o.Connection.Environment(os.Environ()), bus.EnvNodeUser+"="+s.user, bus.EnvNodePassword+"="+s.password)
	return cmd
}

// output is the file that gets what a replica writes besides its log; "": our own standard error.
func (s *supervisor) output(n lamport.Node) string {
	if s.opts.Inherit {
		return ""
	}
	return filepath.Join(s.opts.LogDir, n.String()+".out")
}

// home is where a replica's data are.
func (s *supervisor) home(n lamport.Node) string {
	return filepath.Join(s.dir.path, replicas, n.String())
}

func (s *supervisor) lock() string { return filepath.Join(s.dir.path, lockFile) }

// living returns the replicas of an earlier master whose processes still run.
func (s *supervisor) living() map[lamport.Node]int {
	found := map[lamport.Node]int{}
	for name, pid := range s.dir.record.Replicas {
		if n, err := lamport.ParseNode(name); err == nil && s.ours(n, pid) {
			found[n] = pid
		}
	}
	return found
}

func alive(pid int) bool { return supervise.Alive(pid) }

// recognised reports whether the system says what the process is that living has found,
// so that it is certain to be the replica.
func recognised(pid int) bool { return pid != 0 && supervise.Arguments(pid) != nil }

// spawn starts a replica's process and keeps it running from now on.
func (s *supervisor) spawn(n lamport.Node) error {
	pid, err := s.processes.Start(n, time.Now())
	if err != nil {
		return fmt.Errorf("master: cannot start replica %s: %w", n, err)
	}
	if pid != 0 {
		s.note(n, pid)
	}
	return nil
}

// adopt takes over the process of a replica that has reported, and keeps it running from
// now on. It reports false for one that was started by hand, perhaps on another machine,
// where a process of ours may have its pid: that is left alone.
func (s *supervisor) adopt(n lamport.Node, pid int) (bool, error) {
	if !s.ours(n, pid) {
		return false, nil
	}
	if err := s.processes.Adopt(n, pid, time.Now()); err != nil {
		return false, fmt.Errorf("master: cannot adopt replica %s: %w", n, err)
	}
	s.note(n, pid)
	return true, nil
}

// ours reports whether a process on this machine is the replica of an earlier master of
// this directory. That one may have been killed before it could note the pid, but the
// process was told whose lock to watch.
func (s *supervisor) ours(n lamport.Node, pid int) bool {
	if !alive(pid) {
		return false
	}
	noted := s.dir.record.Replicas[n.String()] == pid
	args := supervise.Arguments(pid)
	if args == nil { // a system that does not say
		return noted
	}
	return follows(args, "--id", n.String()) && (noted || follows(args, "--master-lock", s.lock()))
}

// follows reports whether value stands behind flag.
func follows(args []string, flag, value string) bool {
	i := slices.Index(args, flag)
	return i >= 0 && i+1 < len(args) && args[i+1] == value
}

// own are the replicas whose processes are this master's to run, in rising order.
func (s *supervisor) own() []lamport.Node {
	var list []lamport.Node
	for _, name := range s.dir.record.Own {
		if n, err := lamport.ParseNode(name); err == nil {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

// disown ends the process of a replica that was removed from the cluster, for good.
func (s *supervisor) disown(n lamport.Node) {
	s.dir.record.Own = slices.DeleteFunc(s.dir.record.Own, func(name string) bool { return name == n.String() })
	s.unsaved = true
	s.dismiss(n)
}

// dismiss ends the process of a replica that was removed from the cluster; it is not
// started again.
func (s *supervisor) dismiss(n lamport.Node) { s.processes.Dismiss(n, time.Now()) }

// ready yields a token when a process has ended.
func (s *supervisor) ready() <-chan struct{} { return s.processes.Ready() }

// step takes note of processes that have ended and starts those that are due: at each
// token of ready, and at each tick.
func (s *supervisor) step(now time.Time) []supervise.Event {
	events := s.processes.Step(now)
	for _, e := range events {
		switch name := e.Node.String(); {
		case e.Kind == supervise.Started:
			s.note(e.Node, e.PID)
		case s.dir.record.Replicas[name] == e.PID:
			delete(s.dir.record.Replicas, name)
			s.unsaved = true
		}
	}
	s.save(now)
	return events
}

// note keeps the pid of a process; a goroutine ends with this process, and no later
// master need look for it.
func (s *supervisor) note(n lamport.Node, pid int) {
	if pid >= supervise.FirstInside {
		return
	}
	s.dir.record.Replicas[n.String()] = pid
	s.unsaved = true
}

// save keeps the pids. A disk that is full is no reason to stop: it is tried again, and a
// master that dies meanwhile leaves processes that the next one knows by their arguments.
func (s *supervisor) save(now time.Time) {
	if !s.unsaved || now.Before(s.saveAt) {
		return
	}
	if err := s.dir.save(); err != nil {
		s.saveAt = now.Add(saveAgain)
		s.opts.Log.Warn("the replicas' pids are not on disk", "error", err)
		return
	}
	s.unsaved = false
}

// restarts returns what is known of each replica's process.
func (s *supervisor) restarts() map[lamport.Node]supervise.Restart {
	return s.processes.Restarts(time.Now())
}

// stop ends all replicas: politely, then, or when now is closed, not. Nothing is started
// any more.
func (s *supervisor) stop(now <-chan struct{}) { s.processes.Stop(now) }
