package masternode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/master/membership/register"
)

// What needs no view needs no record (rule W1 of replica/DESIGN.md). A master that starts while
// the record's store cannot be reached, and finds replicas at work, does not wait for the store:
// it serves gets of model 3 and requests of model 4, and opens the store with the machine's next
// command (execute). Until the record is read it takes no replica for its own that its directory
// does not name. Without replicas at work there is nothing to serve, and it waits, and then ends.

// openStore opens the store of the record.
func (n *node) openStore(ctx context.Context, wait time.Duration, o register.Options) (*register.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	// What the server refuses is told on the side: to us it would be silence.
	asking, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	defer bus.OnRefusal(n.nodes, func(p *bus.PermissionError) {
		if isJetStreams := strings.HasPrefix(p.Subject, "$"); isJetStreams {
			refused(p)
		}
	})()

	store, err := register.Open(asking, n.nodes, o)
	if cause := context.Cause(asking); err != nil && errors.Is(cause, bus.ErrPermission) {
		err = fmt.Errorf("%w: %w", register.ErrUnavailable, cause)
	}
	if err != nil {
		return nil, fmt.Errorf("master: %w", err)
	}
	return store, nil
}

// leaveUnread goes on without the record for now.
func (n *node) leaveUnread(why error) {
	n.noteStore(why)
	n.views.unread, n.views.newest = true, nil
	n.opts.Log.Warn("replicas are at work, and the record of the views cannot be read yet: " +
		"gets of model 3 and requests of model 4 are served, the others once it can be")
}

// anyListens reports whether somebody listens on some replica's subject.
func (n *node) anyListens() bool {
	return slices.ContainsFunc(possible(), n.listens)
}

// possible are all replicas that a cluster may have when it begins.
func possible() []lamport.Node {
	list := make([]lamport.Node, MaxReplicas)
	for i := range list {
		list[i] = lamport.Replica(i + 1)
	}
	return list
}

// replicas are those that the machine begins with.
func (n *node) replicas() ([]lamport.Node, error) {
	if n.views.unread {
		return n.supposed(), nil
	}
	return n.replicaSet()
}

// supposed are the replicas that this master asks how they are while the record is unread: the
// replicas that its directory names, or else as many as the options say, and all that listen.
// Others announce themselves.
func (n *node) supposed() []lamport.Node {
	set := n.super.own()
	if n.opts.Node != nil {
		set = n.opts.first()
	}
	for _, r := range possible() {
		if slices.Contains(set, r) {
			continue
		}
		first := len(n.dir.record.Own) == 0 && int(r-lamport.Replica(1)) < n.opts.Replicas
		if first || n.listens(r) {
			set = append(set, r)
		}
	}
	slices.Sort(set)
	return set
}

// notStarted are those of our own replicas whose processes this master does not run yet.
func (n *node) notStarted() []lamport.Node {
	running := n.super.restarts()
	return slices.DeleteFunc(n.super.own(), func(r lamport.Node) bool {
		_, ours := running[r]
		return ours
	})
}

// unmake removes the record's bucket after a start that has failed before it wrote a record.
func (n *node) unmake(why error) {
	if n.server != nil || n.opts.Standby || n.views.store == nil || !n.views.store.Made() || n.views.newest != nil {
		return // with an embedded server it goes with the directory, if it does
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeWait)
	defer cancel()
	if err := n.forgetViews(ctx); err != nil {
		n.opts.Log.Warn("the bucket that a start has made which then failed is left behind", "start", why, "error", err)
	}
}
