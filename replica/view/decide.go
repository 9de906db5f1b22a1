package view

import (
	"fmt"
	"slices"

	"quartet/bus/message"
)

// Step is what a replica has to do about the record of an epoch.
type Step uint8

// The steps.
const (
	Refuse      Step = iota // count it: it is no record that this replica may follow
	Acknowledge             // say INSTALLED again: that was lost
	Enter                   // begin the first view
	Survive                 // deliver up to the cut, and begin the next epoch (rule F5)
	Begin                   // begin the next epoch with what a learner has: an operator says so
	Leave                   // be outside, and a learner
	GoBack                  // the same, since its data are older than what it has told
	SetAside                // keep what it has, and wait for an operator
)

// Standing is where a replica stands when a record reaches it.
type Standing struct {
	Record *message.Record // of the epoch that it knows; Epoch 0: none
	Works  bool            // in that epoch
	Wedged bool            // in that epoch, or it is the copy of a wedged member
	Loads  bool            // it is outside of the view
	Worked bool            // it has delivered something in that epoch
}

// Decide says what the record of an epoch, of whatever master, means for a replica, and, where
// it cannot follow, why.
func (s *Self) Decide(r *message.Record, at Standing) (step Step, why string) {
	known := at.Record
	named := s.named(r)
	next := r.Epoch == known.Epoch+1
	forked := Forked(known, r)

	switch {
	// Its epoch was decided otherwise, and it has delivered something in it.
	case forked && at.Worked:
		return SetAside, fmt.Sprintf("epoch %d of the cluster is another than the one in which this replica has worked; "+
			"move its directory away to have it loaded anew", known.Epoch)

	// What it has installed came to nothing: the record was lost before anything was done by it.
	case forked:
		return Leave, ""

	case r.Epoch == known.Epoch && r.Nonce != known.Nonce:
		return Refuse, ""

	case r.Epoch == known.Epoch:
		return Acknowledge, ""

	// A process is named that its disk does not know (rule F8).
	case named != nil && !s.remembers(named):
		return GoBack, fmt.Sprintf("its data were put back to an older copy: epoch %d knows it by a process that has "+
			"never used them", r.Epoch)

	// No member was left with what it had acknowledged: an operator goes on with what this one has.
	case named != nil && at.Loads && next && len(r.Cut) == 0:
		return Begin, ""

	// A survivor, or a copy of one that is let in.
	case named != nil && at.Wedged && next:
		return Survive, ""

	case named != nil && known.Epoch == 0 && r.Epoch == 1:
		return Enter, ""

	// It is not named, or has missed an epoch.
	default:
		return Leave, ""
	}
}

// Forked reports whether a record shows that the epoch which this replica knows was decided
// otherwise than here: its record was lost, and nothing had been done by it.
func Forked(known, r *message.Record) bool {
	if known.Epoch == 0 {
		return false
	}
	if r.Epoch == known.Epoch {
		return r.Nonce != known.Nonce && r.Master > known.Master
	}
	return slices.ContainsFunc(r.Lineage, func(a message.Ancestor) bool {
		return a.Epoch == known.Epoch && a.Nonce != known.Nonce
	})
}
