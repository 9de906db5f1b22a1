package masternode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/host/loop"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/secure"
	"quartet/master"
	"quartet/master/ledger"
	"quartet/master/masternode/supervise"
)

const bootWait = 10 * time.Second // for all replicas; after it, f+1 working members are enough

// boot finds or starts the replicas, and waits until all work in one view, or, after
// bootWait, as many as are needed. Requests are taken meanwhile: those that can be served
// are.
func (n *node) boot(ctx context.Context) error {
	if err := n.subscribe(); err != nil {
		return err
	}
	n.sayLed()
	begun := time.Now()
	waiting := n.notStarted()
	elsewhere := n.elsewhere(waiting)
	unread := n.views.unread
	done, err := n.loop.Run(ctx, func(loop.Turn) (bool, error) {
		passed := time.Since(begun)
		if unread && !n.views.unread { // now it is known which replicas are this master's to start
			unread = false
			if _, err := n.replicaSet(); err != nil {
				return false, err
			}
			waiting = n.notStarted()
			begun, elsewhere = time.Now(), n.elsewhere(waiting)
			return false, nil
		}

		if len(waiting) > 0 {
			var err error
			waiting, err = n.populate(waiting, elsewhere, passed > adoptWait)
			return false, err
		}
		if err := n.differs(); err != nil {
			return false, err
		}
		isEnough := n.machine.Ready() && passed > bootWait
		return n.machine.Complete() || isEnough, nil
	})
	if err == nil && !done {
		err = ErrStopped
	}
	return err
}

// elsewhere returns the replicas of this master whose subjects are listened on by processes that
// do not belong to its directory: replicas that were started by hand, or by the master of
// another directory of which this one is a copy.
func (n *node) elsewhere(own []lamport.Node) map[lamport.Node]bool {
	found := map[lamport.Node]bool{}
	for _, r := range own {
		if n.super.holder(r) == 0 && n.listens(r) {
			found[r] = true
		}
	}
	return found
}

// listensWait is for a server's word that nobody listens, which it says at once.
const listensWait = 300 * time.Millisecond

// listens reports whether somebody listens on a replica's subject: a server says at once if
// nobody does. What is said there is a heartbeat of no master, which a replica drops. On an
// embedded server nobody can be before this master has asked them.
func (n *node) listens(r lamport.Node) bool {
	if !n.isOneOfSeveral() {
		return false
	}
	body, err := codec.NewEncoder().Encode(&message.Probe{Header: message.Header{From: lamport.Master(1)}})
	if err != nil {
		return false
	}
	_, err = n.nodes.Request(n.subjects.Node(r), body, listensWait)
	return !errors.Is(err, nats.ErrNoResponders)
}

// populate starts the processes of our own replicas, but for those that still run, which it
// adopts. Where somebody else may be that replica it waits for that one to report, and
// leaves it alone. It returns those that it waits for.
func (n *node) populate(waiting []lamport.Node, elsewhere map[lamport.Node]bool, late bool) ([]lamport.Node, error) {
	reported := map[lamport.Node]int{}
	for _, r := range n.machine.Snapshot().Replicas {
		reported[r.Node] = r.PID
	}
	var left []lamport.Node
	for _, own := range waiting {
		pid := n.super.holder(own)
		adopted, err := n.super.adopt(own, pid)
		switch {
		case err != nil:
		case adopted:
			n.opts.Log.Info("adopting a replica that still runs", "replica", own, "pid", pid)
		case reported[own] != 0 && pid == 0:
			n.opts.Log.Warn("a replica was started by somebody else; it is left alone", "replica", own, "pid", reported[own])
		case elsewhere[own] && !late: // its process may still say that it is there
			left = append(left, own)
		default:
			err = n.super.spawn(own)
		}
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// why says why the cluster is not ready, or what else is missing.
func (n *node) why() string {
	s := n.machine.Snapshot()
	if s.Why != "" {
		return s.Why
	}
	var missing []string
	for _, r := range s.Replicas {
		if !r.Member {
			missing = append(missing, fmt.Sprintf("%s: %s", r.Node, r.Reason))
		}
	}
	return strings.Join(missing, "; ")
}

// banner prints the ready line and what a user needs to begin.
func (n *node) banner() {
	s := n.machine.Snapshot()
	fmt.Fprintf(n.opts.Stdout, "ready %s\n  data      %s\n  logs      %s\n", n.url(), n.where(&s), n.opts.LogDir)
	if n.opts.Metrics != "" {
		fmt.Fprintf(n.opts.Stdout, "  metrics   %s\n", n.opts.Metrics)
	}
	n.sayConsole()
	if n.opts.InProcess != nil {
		fmt.Fprintf(n.opts.Stdout, "  process   one, pid %d: master and replicas end together (in-process)\n", os.Getpid())
	}
	for i, r := range s.Replicas {
		label, where, missing := "", fmt.Sprintf("pid %d", n.pid(&r)), ""
		if i == 0 {
			label = "replicas"
		}
		_, own := n.super.restarts()[r.Node]
		if n.pid(&r) == os.Getpid() {
			where = "in-process"
		}
		if n.opts.Node != nil && !own {
			where = fmt.Sprintf("of node n%d", int(r.Node))
		} else if !own {
			where += ", started elsewhere: this master does not start it again"
		}
		if !r.Member {
			missing = "  missing: " + n.reason(&r)
		}
		fmt.Fprintf(n.opts.Stdout, "  %-9s %s  %s%s\n", label, r.Node, where, missing)
	}
	for _, warning := range n.warnings(&s) {
		fmt.Fprintf(n.opts.Stdout, "  WARNING   %s\n", warning)
	}
	certificate := ""
	if n.opts.Secure != nil {
		certificate = fmt.Sprintf(" --tlsca %s --tlscert %s --tlskey %s", secure.AuthorityFile, secure.CertificateFile, secure.KeyFile)
	}
	fmt.Fprintf(n.opts.Stdout, "  try       nats -s %s%s req %s '1, 1, key ::: value'\n", n.url(), certificate, n.subjects.Request())
	if n.opts.Secure != nil {
		fmt.Fprintln(n.opts.Stdout, "            in the directory of a client's certificate (quartet secure client makes one)")
	}

	n.opts.Log.Info("ready", "url", n.url(), "pid", os.Getpid(), "epoch", s.Epoch,
		"replicas", len(s.Replicas), "in_process", n.opts.InProcess != nil, "missing", n.why())
	n.opts.Ledger.Describe(n.described(&s))
	n.tellReady()
}

// sayConsole prints where the console in the browser is, if there is one.
func (n *node) sayConsole() {
	if n.opts.Console != "" {
		fmt.Fprintf(n.opts.Stdout, "  console   %s\n", n.opts.Console)
	}
}

// tellReady tells those who began this process that it serves, or stands by.
func (n *node) tellReady() {
	if n.opts.Ready != nil {
		n.opts.Ready(n.url())
	}
	if n.opts.Guests != nil && n.server != nil {
		n.opts.Guests(n.server.Guests())
	}
}

// where says where the data are, and what they survive: as the members say themselves.
func (n *node) where(s *master.Status) string {
	k := n.keeping(s)
	if data, _ := k.data(); data == bus.DataMemory {
		return fmt.Sprintf("in memory (%s; run files in %s)", n.survives(&k), n.dir.path)
	}
	if len(n.super.own()) == 0 {
		return fmt.Sprintf("%s, each replica's its own (%s)", &k, n.survives(&k))
	}
	_, sync := k.data()
	return fmt.Sprintf("%s, sync %s (%s)", n.opts.Dir, sync, n.survives(&k))
}

// survives says what the data survive.
func (n *node) survives(k *keeping) string {
	if data, _ := k.data(); data == bus.DataMemory && n.opts.InProcess != nil {
		return "nothing survives the end of this process"
	}
	return k.survives(n.views.newest.Faults, n.spare())
}

// described is the cluster for the page of the run.
func (n *node) described(s *master.Status) ledger.Cluster {
	k := n.keeping(s)
	data := k.String()
	if d, sync := k.data(); d == bus.DataDisk {
		data = "on disk, sync " + sync
	}
	c := ledger.Cluster{Prefix: n.subjects.Prefix(), URL: n.url(), Version: n.opts.Version, Data: data + "; " + n.survives(&k)}
	if n.herald != nil {
		c.Masters = n.herald.names()
	}
	return c
}

// spare says how many replicas may die at once.
func (n *node) spare() string {
	switch f := n.views.newest.Faults; f {
	case 0:
		return "no replica"
	case 1:
		return "any one replica"
	default:
		return fmt.Sprintf("any %d replicas", f)
	}
}

// pid is that of a replica's process: as it has reported, or as it was started or adopted,
// since a member that a new master finds at work need not report.
func (n *node) pid(r *master.ReplicaStatus) int {
	own, isOwn := n.super.restarts()[r.Node]
	isInside := r.PID >= supervise.FirstInside
	switch {
	case isInside && !isOwn: // another node's, within its process
		return n.herald.pidOf(fmt.Sprintf("n%d", int(r.Node)))
	case r.PID != 0:
		return shown(r.PID)
	}
	return shown(own.PID)
}

// logs says where a replica of our own has said why it ended.
func (n *node) logs(r lamport.Node) string {
	log := filepath.Join(n.opts.LogDir, r.String()+".log")
	if n.opts.InProcess != nil {
		return log
	}
	if n.opts.Inherit {
		return "its lines on standard error"
	}
	return filepath.Join(n.opts.LogDir, r.String()+".out") + " and " + log
}

// reason says why a replica is no member: as the machine has it, and what is known of its
// process.
func (n *node) reason(r *master.ReplicaStatus) string {
	if r.Member {
		return ""
	}
	p, ok := n.super.restarts()[r.Node]
	comes := n.phases[r.Node] == message.PhaseLearning || n.phases[r.Node] == message.PhaseCaught
	switch {
	case !ok && comes:
		return r.Reason
	case !ok:
		return r.Reason + " (its process was started elsewhere, and this master does not start it again)"
	case !p.Yields.IsZero(): // it is due, and another process of its name is at work
		return r.Reason + " (its process is another than the master's own, which gave way)"
	case p.PID != 0 || p.Err == nil:
		return r.Reason
	}
	what := "its process"
	if n.opts.InProcess != nil {
		what = "it"
	}
	if p.InARow <= 1 {
		return fmt.Sprintf("%s has ended: %s", what, oneLine(p.Err))
	}
	return fmt.Sprintf("%s has ended %d times in a row, last: %s", what, p.InARow, oneLine(p.Err))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
