package masternode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// ErrLed is returned by Run: another master leads the cluster, and this one has changed
// nothing.
var ErrLed = errors.New("master: another master leads this cluster")

const (
	leaderWait  = 5 * time.Second // for a master that listens to answer
	leaderAgain = time.Second     // between two questions
	portWait    = 500 * time.Millisecond
)

// alone refuses to begin while another master leads the cluster: of two that are each kept
// running by somebody, each would depose the other for ever. A master that listens and does
// not answer leads no more: it is paused, or its machine is gone.
func (n *node) alone(ctx context.Context) error {
	wait := leaderWait
	if n.opts.TakeOver || n.opts.Standby {
		wait = leaderAgain
	}
	s, err := leader(ctx, n.clients, n.subjects, wait)
	switch {
	case err != nil:
		return fmt.Errorf("master: cannot ask whether another master leads: %w", err)
	case s == nil:
		return nil
	case n.opts.TakeOver, n.opts.Standby:
		return n.opts.differsFrom(s)
	}
	return fmt.Errorf("%w: %s; stop that one first, or say --takeover: it then ends, and its replicas go on with "+
		"this one", ErrLed, describe(s))
}

// describe names a master by its status.
func describe(s *bus.Status) string {
	where := ""
	if s.Master.Host != "" {
		where = " on " + s.Master.Host
	}
	return fmt.Sprintf("%s, pid %d%s, epoch %d", s.Master.ID, s.Master.PID, where, s.Epoch)
}

// leader returns the status of the master that answers on the bus; nil: none does. Who
// answers something else, such as a stream that keeps all subjects, is no master.
func leader(ctx context.Context, nc *nats.Conn, subjects bus.Subjects, wait time.Duration) (*bus.Status, error) {
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for ctx.Err() == nil {
		if err := nc.PublishRequest(subjects.Status(), sub.Subject, nil); err != nil {
			return nil, err
		}
		s, err := answer(ctx, sub)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return nil, nil
		case s != nil:
			return s, nil
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, fmt.Errorf("%w: %w", ErrStopped, ctx.Err())
	}
	return nil, nil
}

// answer waits a moment for a master's status.
func answer(ctx context.Context, sub *nats.Subscription) (*bus.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderAgain)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		s, err := bus.ParseStatus(m.Data)
		isMasters := err == nil && s.Master.ID != "" && s.Master.Incarnation != 0
		if isMasters {
			return &s, nil
		}
	}
}

// named adds to the error of a port that is taken, if it is a cluster of quartet that has it,
// which.
func named(ctx context.Context, o *Options, taken error) error {
	subjects, err := bus.NewSubjects(o.Prefix)
	if err != nil {
		return taken
	}
	url := "nats://" + o.Listen
	nc, err := nats.Connect(url, nats.Timeout(portWait), nats.NoReconnect())
	if err != nil {
		return taken
	}
	defer nc.Close()
	s, err := leader(ctx, nc, subjects, portWait)
	if err != nil || s == nil {
		return taken
	}
	return fmt.Errorf("%w; a master runs there already: %s, at %s", taken, strings.TrimSpace(describe(s)), url)
}
