package masternode

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/master/succession"
)

// recoverView answers an operator who wants the cluster to go on with fewer replicas than
// the rules ask for: with what that may lose, and, if the operator has agreed to that, by
// doing it. While the cluster works, or its view can be changed by the rules, nothing is
// done: an agreement is for what is missing now.
func (n *node) recoverView(m *nats.Msg) {
	var q bus.RecoverRequest
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &q); err != nil {
			n.respond(m.Reply, bus.RecoverReply{
				Error:  fmt.Sprintf("the request is no JSON object as it should be: %v", err),
				Absent: []string{}, Present: []string{},
			})
			return
		}
	}
	absent, present := n.machine.AtRisk()
	s := n.machine.Snapshot()
	a := bus.RecoverReply{Ready: s.Ready, Reason: s.Why, Absent: names(absent), Present: names(present)}
	if base, position := n.machine.Base(); len(present) == 0 && base != 0 {
		a.Base, a.Position = base.String(), position
	}

	switch {
	case s.Ready || !q.Yes: // nothing is missing, or it was only asked what may be lost
	case n.views.newest == nil && !n.machine.LostRecord():
		a.Error = "there is no view yet, so nothing can be lost: " + s.Why
	case len(present) == 0 && a.Base == "":
		a.Error = "no member of the newest view is there, and no replica with a state to go on with"
	case len(absent) == 0 && !n.machine.LostRecord():
		a.Error = "no member of the newest view is missing: " + s.Why
	default:
		for _, name := range a.Absent {
			if q.Absent != nil && !slices.Contains(q.Absent, name) {
				a.Error = fmt.Sprintf("%s is missing, too, by now: ask again what may be lost", name)
			}
		}

		if a.Error == "" {
			n.opts.Log.Warn("an operator lets the cluster go on without some members of its view",
				"absent", strings.Join(a.Absent, " "), "present", strings.Join(a.Present, " "),
				"base", a.Base, "position", a.Position)
			n.machine.Recover()
			a.Begun = true
		}
	}
	n.respond(m.Reply, a)
}

// removeReplica answers an operator who wants a replica out of the cluster. It leaves
// with the next view; then its process ends.
func (n *node) removeReplica(m *nats.Msg) {
	var q bus.RemoveRequest
	if err := json.Unmarshal(m.Data, &q); err != nil {
		n.respond(m.Reply, bus.RemoveReply{Error: fmt.Sprintf("the request is no JSON object as it should be: %v", err)})
		return
	}
	var a bus.RemoveReply
	r, err := lamport.ParseNode(q.Replica)
	switch {
	case err != nil || !r.IsReplica():
		a.Error = fmt.Sprintf("no replica is called %q: they are r1, r2, …; see quartet status", q.Replica)
	case n.views.newest == nil:
		a.Error = "there is no view yet that a replica could be removed from"
	case !n.views.newest.Configures(r):
		a.Error = fmt.Sprintf("replica %s is not one of this cluster's (%s)", r, strings.Join(names(n.views.newest.Configured), ", "))
	case !n.machine.Remove(r):
		a.Error = fmt.Sprintf("replica %s is the last one of this cluster", r)
	default:
		n.opts.Log.Info("an operator removes a replica", "replica", r)
		a.Begun = true
	}
	n.respond(m.Reply, a)
}

// handOver answers an operator who wants another master to lead. It does once it is ready, and this
// one has answered what is under way.
func (n *node) handOver(m *nats.Msg) {
	var q bus.LeadRequest
	var a bus.LeadReply
	err := json.Unmarshal(m.Data, &q)
	switch {
	case err != nil:
		a.Error = fmt.Sprintf("the request is no JSON object as it should be: %v", err)
	case n.herald == nil:
		a.Error = "this cluster has one master, with a NATS server of its own: masters that stand by need servers of " +
			"their own (quartet master --nats URL --standby)"
	case !n.opts.Standby:
		a.Error = fmt.Sprintf("the master that leads (%s) was started without --standby: it does not hand over", n.opts.Name)
	default:
		err := n.herald.lead(q.Master)
		switch {
		case errors.Is(err, succession.ErrUnknown):
			a.Error = fmt.Sprintf("no master called %q stands by; %s", q.Master, n.herald.names())
		case err != nil:
			a.Error = err.Error()
		default:
			n.opts.Log.Info("an operator has another master lead", "master", q.Master)
			a.Begun = true
		}
	}
	n.respond(m.Reply, a)
}
