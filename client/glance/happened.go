package glance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"quartet/bus"
	"quartet/bus/trouble"
)

// Grave says how much a happening matters.
type Grave uint8

// The degrees.
const (
	Plain Grave = iota
	Good        // something is well again
	Bad         // something is not as it should be
)

// Happening is one thing that has happened to a cluster.
type Happening struct {
	At    time.Time
	Text  string
	Grave Grave
}

// Settled reports whether a status is not of the moment between two views, in which nobody is a
// member.
func Settled(s *bus.Status) bool {
	between := []*trouble.Kind{trouble.FirstView, trouble.Changing, trouble.Installing}
	kind := trouble.Of(s.Reason)
	return kind == nil || !slices.Contains(between, kind)
}

// adder gathers what has happened.
type adder struct {
	at   time.Time
	list []Happening
}

func (a *adder) add(grave Grave, format string, args ...any) {
	a.list = append(a.list, Happening{At: a.at, Text: fmt.Sprintf(format, args...), Grave: grave})
}

// Ended says which processes of replicas have ended between two looks, of which none came between.
func Ended(before, now *Look) []Happening {
	a := adder{at: now.At}
	for i := range now.Status.Replicas {
		r := &now.Status.Replicas[i]
		was := replica(&before.Status, r.ID)
		hasEnded := was != nil && r.Restarts > was.Restarts
		switch {
		case hasEnded && r.LastError != "":
			a.add(Bad, "the process of %s has ended: %s", r.ID, r.LastError)
		case hasEnded:
			a.add(Bad, "the process of %s has ended", r.ID)
		}
	}
	return a.list
}

// Happened says what has happened between two looks that are both [Settled]: changes of the view,
// replicas that left it or came back, and whether the cluster serves. What came and went between
// them is not seen, but for a member that is another process now: it has left, and is back.
func Happened(before, now *Look) []Happening {
	was, is := &before.Status, &now.Status
	a := adder{at: now.At}

	if was.Master.Incarnation != is.Master.Incarnation {
		a.add(Plain, "another master leads: %s, pid %d", cmp.Or(is.Master.Name, is.Master.ID), is.Master.PID)
	}
	for i := range is.Replicas {
		a.member(was, &is.Replicas[i])
	}
	for i := range was.Replicas {
		if id := was.Replicas[i].ID; replica(is, id) == nil {
			a.add(Plain, "%s has been removed from the cluster", id)
		}
	}

	if was.Epoch != is.Epoch {
		a.add(Plain, "view %d: %s", is.Epoch, strings.Join(members(is), ", "))
	}
	switch {
	case was.Ready && !is.Ready:
		a.add(Bad, "not ready: %s", is.Reason)
	case !was.Ready && is.Ready:
		a.add(Good, "ready: all four models are served")
	}
	return a.list
}

// member says whether a replica has left the view or come back to it.
func (a *adder) member(before *bus.Status, r *bus.ReplicaStatus) {
	was := replica(before, r.ID)
	if was == nil {
		a.add(Plain, "%s has come to the cluster", r.ID)
		was = &bus.ReplicaStatus{ID: r.ID}
	}

	switch {
	case was.Member && !r.Member && r.Reason != "":
		a.add(Bad, "%s is out of the view: %s", r.ID, r.Reason)
	case was.Member && !r.Member:
		a.add(Bad, "%s is out of the view", r.ID)
	case !was.Member && r.Member:
		a.add(Good, "%s is a member", r.ID)
	case r.Member && isAnother(was, r):
		a.add(Good, "%s is a member again", r.ID)
	}
}

// isAnother reports whether a member's process is not the one that it was. One that is started
// again may be a member within a tenth of a second.
func isAnother(was, is *bus.ReplicaStatus) bool {
	return was.PID != is.PID || was.Incarnation != is.Incarnation
}

// replica returns a replica of a status by its id; nil: there is none.
func replica(s *bus.Status, id string) *bus.ReplicaStatus {
	i := slices.IndexFunc(s.Replicas, func(r bus.ReplicaStatus) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Replicas[i]
}

// members are the ids of the replicas in the view.
func members(s *bus.Status) []string {
	var ids []string
	for _, r := range s.Replicas {
		if r.Member {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
