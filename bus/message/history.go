package message

import (
	"slices"

	"quartet/bus/lamport"
)

// History names a point of a cluster's history: a record of the view, by what no other record
// shares with it. A client that goes on from something that the cluster said earlier (a session, a
// revision, a cursor) names the record under which it was said. The zero value names nothing.
type History struct {
	Cluster uint64
	Epoch   uint64
	Nonce   uint64
}

// Told is what a client goes on from: the point of the history at which it was told last, and the
// most that it had been told by then. 0 stands for nothing.
type Told struct {
	History
	Position  uint64 // of the total order
	Timestamp uint64 // causal
}

// Cursor is where a page of a list begins: at a replica's process, in the cut that it keeps for the
// list. A client carries it from one page to the next, as a word.
type Cursor struct {
	History
	Life     uint64 // of the process
	Position uint64 // of the cut
	Replica  lamport.Node
	List     uint64 // counted by the process; above 0
	Page     uint64
}

// Told is what who goes on from the cursor has been told.
func (c *Cursor) Told() Told { return Told{History: c.History, Position: c.Position} }

// Verdict says what a record knows of somebody's history.
type Verdict uint8

// The verdicts. Ahead is not final: there may be a newer record, which has to be read.
const (
	Ours         Verdict = iota // it is this history's, or too old or too vague to be told from it
	OtherCluster                // it is another cluster's
	Ended                       // it is one that this cluster has left: it will never come that far
	Ahead                       // it names a later epoch than the record's
)

// History returns the point of the history at which r stands; the zero value for a record of a
// build that drew no identities.
func (r *Record) History() History {
	if r.Cluster == 0 {
		return History{}
	}
	return History{Cluster: r.Cluster, Epoch: r.Epoch, Nonce: r.Nonce}
}

// Judge says whether told is of r's history (rule F13 of replica/DESIGN.md). began is the position
// with which r's epoch began; [Unknown]: not known. An epoch before r's lineage is judged only by
// what was told in it.
func (r *Record) Judge(told *Told, began uint64) Verdict {
	anonymous := r.Cluster == 0 && r.Epoch > 0 // r is of a build that drew no identities
	switch {
	case told.Cluster == 0 || anonymous:
		return Ours
	case r.Epoch > 0 && told.Cluster != r.Cluster:
		return OtherCluster
	case told.Epoch > r.Epoch:
		return Ahead
	case told.Epoch == r.Epoch:
		return judged(told.Nonce != r.Nonce)
	}

	// What was told in an epoch is no more than what the next one began with.
	for i := range r.Lineage {
		a := &r.Lineage[i]
		switch {
		case a.Epoch < told.Epoch: // what was told later says nothing of it
		case a.Epoch == told.Epoch && a.Nonce != told.Nonce:
			return Ended
		case a.Epoch > told.Epoch && told.beyond(a.High, a.Position):
			return Ended
		}
	}
	return judged(told.beyond(r.High, began))
}

// judged returns Ended where a history has ended, else Ours.
func judged(ended bool) Verdict {
	if ended {
		return Ended
	}
	return Ours
}

// beyond reports whether more was told than there was when an epoch began.
func (t *Told) beyond(high, position uint64) bool {
	return t.Timestamp > high || t.Position > position // Unknown is above all positions
}

// Foreign reports whether another record is one of another cluster.
func (r *Record) Foreign(other *Record) bool {
	return r.Cluster != 0 && other.Cluster != 0 && r.Cluster != other.Cluster
}

// Branched reports whether two records show that they are not of one history: they are of
// different clusters, or they, or their ancestors, name different records for one epoch. Records
// that are further apart than a lineage reaches show nothing.
func (r *Record) Branched(other *Record) bool {
	if r.Foreign(other) {
		return true
	}
	older, newer := r, other
	if older.Epoch > newer.Epoch {
		older, newer = newer, older
	}
	if older.Epoch == newer.Epoch {
		return older.Nonce != newer.Nonce
	}
	return slices.ContainsFunc(newer.Lineage, func(a Ancestor) bool {
		return a.Epoch == older.Epoch && a.Nonce != older.Nonce
	})
}
