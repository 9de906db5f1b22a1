package masternode

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/lock"
	"quartet/bus/lamport"
	"quartet/master/masternode/supervise"
)

const (
	adoptWait = 3 * time.Second    // for a replica that lives elsewhere to report
	stopWait  = supervise.StopWait // after SIGTERM, before SIGKILL
	saveAgain = time.Second        // after the record could not be kept
	replicas  = "replicas"         // directory of the replicas' own directories
)

// supervisor says with what the replicas' processes are started, and which of them still run
// when a master comes back. A process is known by the lock that it holds in the master's
// directory (package lock): not by its pid, which another process may have by then, or in
// another container; and not by what a copy of the directory says.
type supervisor struct {
	opts      *Options
	dir       *runDir
	url       string // of the bus; with the credentials, to be set before the first spawn
	user      string
	password  string
	connect   func(...nats.Option) (*nats.Conn, error) // of replicas within this process; nil: to url
	processes *supervise.Supervisor
	other     func(lamport.Node, int) bool // as in [supervise.Options]; of the node whose term it is
	unsaved   bool                         // the record says of our own replicas what is not on disk
	saveAt    time.Time                    // not before
}

// newSupervisor returns the supervisor of a directory's replicas; other as in [supervise.Options].
func newSupervisor(o *Options, dir *runDir, other func(lamport.Node, int) bool) *supervisor {
	s := &supervisor{opts: o, dir: dir, url: o.NATS, other: other}
	how := supervise.Options{
		Command: s.command,
		Output:  func(n lamport.Node) string { return s.output(n) },
		Other:   func(n lamport.Node, pid int) bool { return s.other != nil && s.other(n, pid) },
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

	if o.PublishChanges {
		args = append(args, "--publish-changes")
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
		if o.Cache > 0 {
			args = append(args, "--cache", strconv.Itoa(o.Cache))
		}
	}
	if o.ReplicaMetrics != nil {
		args = append(args, "--metrics", o.ReplicaMetrics(n))
	}
	cmd := exec.Command(o.Executable, append(args, o.Args...)...)
	// Of our own environment no connection setting may reach a replica that connects to an
	// embedded server, and all of them those that connect as we do.
	cmd.Env = append(o.Connection.Environment(os.Environ()), bus.EnvNodeUser+"="+s.user, bus.EnvNodePassword+"="+s.password)
	if o.Secure != nil {
		cmd.Env = append(cmd.Env, o.Secure.Environment()...)
	}
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

// replicaLock is the file that a replica of this directory holds locked while it lives.
func (s *supervisor) replicaLock(n lamport.Node) string {
	return filepath.Join(s.dir.path, lock.OfReplica(n.String()))
}

// replicaOfLock returns the replica whose lock has this name.
func replicaOfLock(name string) (lamport.Node, bool) {
	id, ok := lock.Replica(name)
	n, err := lamport.ParseNode(id)
	return n, ok && err == nil && n.IsReplica()
}

func isReplica(name string) bool {
	n, err := lamport.ParseNode(name)
	return err == nil && n.IsReplica()
}

// living returns the replicas of an earlier master of this directory whose processes still
// run.
func (s *supervisor) living() map[lamport.Node]int {
	found := map[lamport.Node]int{}
	list, err := os.ReadDir(s.dir.path)
	if err != nil {
		s.opts.Log.Warn("cannot see which replicas of an earlier master still run", "error", err)
	}
	for _, e := range list {
		if n, ok := replicaOfLock(e.Name()); ok {
			if pid := s.holder(n); pid != 0 {
				found[n] = pid
			}
		}
	}
	return found
}

// holder returns the pid of the process that is a replica of this directory; 0: none, or one
// in another container.
func (s *supervisor) holder(n lamport.Node) int {
	h, held := s.look(n)
	if !held {
		return 0
	}
	return h.PID
}

// runs reports whether a process is a replica of this directory, be it in another container.
// Where that cannot be seen, one may be.
func (s *supervisor) runs(n lamport.Node) bool {
	_, held := s.look(n)
	return held
}

func (s *supervisor) look(n lamport.Node) (h lock.Holder, held bool) {
	h, held, err := lock.Look(s.replicaLock(n))
	if err != nil {
		s.opts.Log.Warn("cannot see whether a replica of an earlier master still runs", "replica", n, "error", err)
		return lock.Holder{}, true
	}
	return h, held
}

// spawn starts a replica's process and keeps it running from now on.
func (s *supervisor) spawn(n lamport.Node) error {
	if _, err := s.processes.Start(n, time.Now()); err != nil {
		return fmt.Errorf("master: cannot start replica %s: %w", n, err)
	}
	return nil
}

// adopt takes over the process of a replica of this directory, and keeps it running from now
// on. It reports false for any other process, which is left alone.
func (s *supervisor) adopt(n lamport.Node, pid int) (bool, error) {
	if pid == 0 || s.holder(n) != pid {
		return false, nil
	}
	if err := s.processes.Adopt(n, pid, time.Now()); err != nil {
		return false, fmt.Errorf("master: cannot adopt replica %s: %w", n, err)
	}
	return true, nil
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

// retire lets the process of a replica that was removed from the cluster end by itself, and starts
// it no more.
func (s *supervisor) retire(n lamport.Node) {
	s.dir.record.Own = slices.DeleteFunc(s.dir.record.Own, func(name string) bool { return name == n.String() })
	s.unsaved = true
	s.processes.Retire(n)
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
	s.save(now)
	return events
}

// save keeps which replicas are our own. A disk that is full is no reason to stop: it is
// tried again.
func (s *supervisor) save(now time.Time) {
	if !s.unsaved || now.Before(s.saveAt) {
		return
	}
	if err := s.dir.save(); err != nil {
		s.saveAt = now.Add(saveAgain)
		s.opts.Log.Warn("which replicas are this master's own is not on disk", "error", err)
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
