package quartettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"quartet/bus"
	"quartet/master/masternode"
)

// errKilled is how a replica ends that a test has killed.
var errKilled = errors.New("killed by the test")

// control stands between the master, which starts replicas again, and the replicas, so
// that a test can have one end and stay away.
type control struct {
	mu    sync.Mutex
	slots map[string]*slot // by id
}

// slot is where a replica runs, or is kept from running.
type slot struct {
	ran  chan struct{}           // closed when the last that was started has ended; nil: none was
	end  context.CancelCauseFunc // of the one that runs
	free chan struct{}           // closed while it may run
}

func newControl() *control { return &control{slots: map[string]*slot{}} }

// around has a replica start when it may, and end when it is to.
func (c *control) around(run masternode.Runner) masternode.Runner {
	return func(ctx context.Context, r masternode.Replica) error {
		ctx, end := context.WithCancelCause(ctx)
		defer end(nil)
		ran := make(chan struct{})
		defer close(ran)
		for {
			free := c.enter(r.ID.String(), ran, end)
			if free == nil {
				break
			}
			select {
			case <-free:
			case <-ctx.Done():
				return nil
			}
		}
		err := run(ctx, r)
		if errors.Is(context.Cause(ctx), errKilled) {
			return errors.Join(errKilled, err)
		}
		return err
	}
}

// enter notes a replica that begins to run, or returns what to wait for before it may.
func (c *control) enter(id string, ran chan struct{}, end context.CancelCauseFunc) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.slot(id)
	select {
	case <-p.free:
		p.ran, p.end = ran, end
		return nil
	default:
		return p.free
	}
}

// slot is called with the lock.
func (c *control) slot(id string) *slot {
	p := c.slots[id]
	if p == nil {
		p = &slot{free: make(chan struct{})}
		close(p.free)
		c.slots[id] = p
	}
	return p
}

// hold has a replica end and keeps it away; it returns what is closed when it has ended.
func (c *control) hold(id string) (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.slots[id]
	if p == nil || p.ran == nil {
		return nil, fmt.Errorf("replica %q does not run", id)
	}
	select {
	case <-p.free:
		p.free = make(chan struct{})
	default: // is away already
	}
	p.end(errKilled)
	return p.ran, nil
}

// let lets a replica run again.
func (c *control) let(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.slot(id).free:
	default:
		close(c.slot(id).free)
	}
}

// away returns how many replicas are kept from running.
func (c *control) away() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.slots {
		select {
		case <-p.free:
		default:
			n++
		}
	}
	return n
}

// KillReplica ends a replica ("r1", "r2", …) at once: what it has in memory is gone, and it
// tells nobody. It stays away until [Cluster.RestartReplica]. KillReplica returns when the
// others serve without it or, if they are no majority, when the cluster says that it is not
// ready.
func (c *Cluster) KillReplica(t testing.TB, id string) {
	t.Helper()
	ended, err := c.control.hold(id)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	<-ended
	c.await(t, id+" is out", func(s *bus.Status) bool {
		enough := c.control.away() <= (len(s.Replicas)-1)/2
		return !member(s, id) && s.Ready == enough
	})
}

// RestartReplica lets a replica that was killed run again, and returns when it is a member.
// In memory it comes with nothing and is loaded from the others; with [Dir] it has what it
// had. Of several that are away those that remain so may keep it from becoming one.
func (c *Cluster) RestartReplica(t testing.TB, id string) {
	t.Helper()
	c.control.let(id)
	c.await(t, id+" is back", func(s *bus.Status) bool { return member(s, id) && s.Ready })
}

func member(s *bus.Status, id string) bool {
	return slices.ContainsFunc(s.Replicas, func(r bus.ReplicaStatus) bool { return r.ID == id && r.Member })
}
