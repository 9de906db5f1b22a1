package masternode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quartet/bus"
	"quartet/bus/host/loop"
	"quartet/master/membership/register"
	"quartet/master/succession"
)

// Why a term of a master ends that goes on as a process.
var (
	errHandOver    = errors.New("it hands over to another master")
	errSteppedBack = errors.New("another master leads")
)

// seat is a master's process: it stands by, leads for a term, and stands by again. Each term has a
// node of its own; what outlives it is shared: server, connections, directory, and the processes of
// its replicas, which run whoever leads.
type seat struct {
	n         *node // of this term, or of the next
	ctx       context.Context
	now       <-chan struct{}
	prepared  bool // n's doors are open: it is to lead next
	succeeded bool // the process ends, and another master leads
	said      bool // that it stands by
}

// standBy runs a master that may wait, until it is asked to stop (nil) or cannot go on.
func (s *seat) standBy() error {
	stop, now := s.ctx.Done(), s.now
	if err := s.n.populateWaiting(); err != nil {
		return err
	}
	tick := time.NewTicker(loop.Tick)
	defer tick.Stop()

	for {
		n := s.n

		select {
		case a := <-n.herald.acts:
			over, err := s.act(a)
			if over || err != nil {
				return err
			}
			if s.ctx.Err() == nil {
				s.announce()
			}
		case <-n.super.ready():
			n.superviseWaiting(time.Now())
		case <-tick.C:
			n.lookFiles(time.Now())
			n.superviseWaiting(time.Now())
			s.announce()
		case reply := <-n.opts.Probe.Asked():
			reply <- n.waitingFigures()
		case <-stop:
			stop = nil
			n.herald.do((*succession.Machine).Stop)
		case <-now:
			now = nil
			n.herald.do((*succession.Machine).Hurry)
		}
	}
}

// act does what the herald wants done while this master does not lead.
func (s *seat) act(a succession.Act) (over bool, err error) {
	switch a {
	case succession.Take:
		return s.term()
	case succession.Prepare:
		return false, s.prepare()
	case succession.Abandon:
		s.endTerm()
	case succession.End:
		s.succeeded = s.n.herald.leader() != ""
		return true, nil
	default: // the term that it is of has ended
	}
	return false, nil
}

// announce says once that this master stands by, and for whom.
func (s *seat) announce() {
	n := s.n
	leader := n.herald.leader()
	if s.said || leader == "" || n.herald.role() != succession.Waiting {
		return
	}
	s.said, n.hasFollowed = true, true
	fmt.Fprintf(n.opts.Stdout, "stands by %s\n  master    %s; %s leads\n  logs      %s\n", n.url(), n.opts.Name, leader, n.opts.LogDir)
	n.sayConsole()
	n.tellReady()
}

// prepare opens the doors before the master that leads has closed its own, and finds the record: so
// what clients send is lost in no moment.
func (s *seat) prepare() error {
	n := s.n
	if err := n.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.n.commands, prepareWait)
	defer cancel()
	n.views.options = n.storeOptions()
	if err := n.tryViews(ctx, prepareWait); err != nil {
		n.opts.Log.Warn("this master cannot lead yet: the record of the views cannot be read", "error", err)
		n.herald.do((*succession.Machine).Failed)
		s.endTerm()
		return nil
	}
	s.prepared = true
	n.herald.do((*succession.Machine).Prepared)
	return nil
}

// prepareWait is for the record's store, for a master that is to lead next.
const prepareWait = 2 * time.Second

// term leads, until another master is to, or the process ends.
func (s *seat) term() (over bool, err error) {
	n := s.n
	ctx, cancel := context.WithCancelCause(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchTerm(ctx, cancel)
	}()

	err = s.lead(ctx)
	why := context.Cause(ctx)
	cancel(nil)
	<-watched

	hasNotServed := errors.Is(err, ErrStopped)
	hasEndedWell := err == nil || hasNotServed
	isDrained := hasEndedWell && errors.Is(why, errHandOver)
	switch {
	case isDrained: // it has handed over, and nothing is left to answer
		s.endTerm()
		n.herald.do((*succession.Machine).Released)
		return false, nil
	case errors.Is(err, ErrSuperseded): // the replicas obey another master
		n.herald.do((*succession.Machine).Superseded)
	case errors.Is(why, errSteppedBack): // the herald has seen it by itself
	case errors.Is(err, register.ErrUnavailable), errors.Is(err, ErrStopped):
		n.opts.Log.Warn("this master could not begin to lead, and stands by again", "error", err)
		n.herald.do((*succession.Machine).Failed)
	default:
		return true, err
	}
	n.opts.Log.Warn("another master leads: this one answers nothing any more, and stands by", "leader", n.herald.leader())
	s.said = false
	s.endTerm()
	return false, nil
}

// lead is a term: the record, the view, requests, and at its end what is left of them.
func (s *seat) lead(ctx context.Context) error {
	n := s.n
	s.said = false
	n.handedOver, s.prepared = s.prepared, false
	if err := n.found(ctx); err != nil {
		return err
	}
	n.opts.Probe.Begin()
	n.hearEnds()
	err := n.boot(ctx)
	isOrdered := errors.Is(context.Cause(ctx), errHandOver)
	if err == nil {
		n.banner()
		err = n.serve(ctx)
	} else if errors.Is(err, ErrStopped) && isOrdered {
		err = nil
	}
	if err != nil || !errors.Is(context.Cause(ctx), errHandOver) {
		return err
	}
	return n.drain(s.now)
}

// watchTerm ends a term when the herald says so, and tells the herald when the process is to stop.
func (s *seat) watchTerm(ctx context.Context, cancel context.CancelCauseFunc) {
	stop, now := s.ctx.Done(), s.now
	for {
		select {
		case a := <-s.n.herald.acts:
			switch a {
			case succession.Release:
				cancel(errHandOver)
				return
			case succession.StepBack:
				cancel(errSteppedBack)
				return
			default: // of before the term
			}
		case <-stop:
			stop = nil
			s.n.herald.do((*succession.Machine).Stop)
		case <-now:
			now = nil
			s.n.herald.do((*succession.Machine).Hurry)
		case <-ctx.Done():
			return
		}
	}
}

// endTerm closes what was of a term, and makes the node of the next one.
func (s *seat) endTerm() {
	s.n.leave()
	s.n, s.prepared = s.n.again(), false
}

// leave closes what a node has opened for its term.
func (n *node) leave() {
	n.cancel()
	n.herald.onEnded(nil, nil)
	for _, sub := range n.subs {
		_ = sub.Close() // the connection may be gone: then nothing comes in either
	}
	n.subs = nil
	if n.link != nil {
		_ = n.link.Close()
	}
}

// again returns a node for another term of the same process.
func (n *node) again() *node {
	next := newNode(n.dir, n.opts)
	next.server, next.clients, next.nodes, next.subjects = n.server, n.clients, n.nodes, n.subjects
	next.super, next.herald, next.tracing = n.super, n.herald, n.tracing
	next.hasFollowed = n.hasFollowed
	next.views.newest = nil
	n.super.other = next.another
	return next
}

// waitingFigures answers a probe while this master stands by.
func (n *node) waitingFigures() Figures {
	s := bus.Status{Version: n.opts.Version, Masters: n.herald.masters()}
	s.Reason = "this master stands by"
	if leader := n.herald.leader(); leader != "" {
		s.Reason += "; " + leader + " leads"
	}
	s.Master.Name = n.opts.Name
	return Figures{Status: s}
}
