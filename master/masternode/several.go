package masternode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quartet/bus"
	"quartet/bus/host/loop"
	"quartet/bus/lamport"
	"quartet/bus/server"
)

// isOneOfSeveral reports whether there may be other masters and replicas than this process's on its
// bus: on servers that are not its own, or are one of a cluster.
func (n *node) isOneOfSeveral() bool { return n.server == nil || n.server.Clustered() }

// beginHerald joins the other masters. One that does not stand by can do without them: a server's
// permissions of an earlier version may not let it hear them.
func (n *node) beginHerald(ctx context.Context) (err error) {
	n.herald, err = n.newHerald(ctx, !n.opts.Standby)
	if errors.Is(err, bus.ErrPermission) && !n.opts.Standby {
		n.opts.Log.Warn("masters that stand by will not know of this one", "error", err)
		return nil
	}
	return err
}

// cluster is how this node's server is one of several; nil: it stands alone.
func (o *Options) cluster() *server.Cluster {
	if o.Node == nil {
		return nil
	}
	return &server.Cluster{Name: o.Name, Listen: o.Node.Routes, Routes: o.Node.Join}
}

// first are the replicas of a cluster that begins.
func (o *Options) first() []lamport.Node {
	set := make([]lamport.Node, o.Replicas)
	for i := range set {
		set[i] = lamport.Replica(i + 1)
	}
	return set
}

// populateWaiting runs the replicas that are this process's own, whoever leads. Where somebody else
// may be that replica it is left alone until this master leads, which finds out.
func (n *node) populateWaiting() error {
	if n.opts.Node != nil && n.dir.fresh {
		n.dir.record.Own = names([]lamport.Node{lamport.Replica(n.opts.Node.Number)})
		if err := n.dir.save(); err != nil {
			return err
		}
	}

	for _, own := range n.notStarted() {
		pid := n.super.holder(own)
		adopted, err := n.super.adopt(own, pid)
		switch {
		case err != nil:
			return err
		case adopted:
			n.opts.Log.Info("adopting a replica that still runs", "replica", own, "pid", pid)
		case n.super.runs(own), n.listens(own):
			n.opts.Log.Warn("a replica of this directory runs elsewhere; it is left alone", "replica", own)
		default:
			if err := n.super.spawn(own); err != nil {
				return err
			}
		}
	}
	return nil
}

// superviseWaiting starts replicas again that have ended, and tells the master that leads of it.
func (n *node) superviseWaiting(now time.Time) {
	for _, e := range n.super.step(now) {
		if e.Err != nil {
			n.herald.ended(e.Node, e.PID)
		}
	}
}

// stopReplicas ends this process's replicas, and tells the master that leads of it.
func (n *node) stopReplicas(now <-chan struct{}) {
	running, epoch := n.super.restarts(), n.herald.epoch()
	n.super.stop(now)
	told := 0
	for r, p := range running {
		if p.PID != 0 {
			n.herald.ended(r, p.PID)
			told++
		}
	}

	// The others may need this node's server to decide on a view without it.
	for begun := time.Now(); n.opts.Node != nil && told > 0 && epoch > 0 && time.Since(begun) < leftOutWait; {
		if n.herald.epoch() > epoch {
			return
		}
		select {
		case <-now:
			return
		case <-time.After(loop.Tick):
		}
	}
}

// leftOutWait is for the others to go on without this node's replica.
const leftOutWait = time.Second

// hearEnds has the machine of this term be told of other masters' replicas that end, or do not
// answer any more: it waits for none of those.
func (n *node) hearEnds() {
	for _, r := range n.herald.silentNodes(n.opts.Suspect) {
		n.machine.Silent(r)
	}
	inbox, machine := n.inbox, n.machine
	push := func(call func()) { inbox.Push(event{source: fromJob, at: time.Now(), call: call}) }
	n.herald.onEnded(
		func(r lamport.Node, pid int) { push(func() { machine.Lost(r, pid) }) },
		func(r lamport.Node) { push(func() { machine.Silent(r) }) },
	)
}

// ReplicaOfNode is the number of the replica that the node of this name runs: 1 of n1.
func ReplicaOfNode(name string) (int, error) {
	for i := 1; i <= MaxReplicas; i++ {
		if name == fmt.Sprintf("n%d", i) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("a node is called n1 to n%d, and runs the replica of its number; not %q", MaxReplicas, name)
}
