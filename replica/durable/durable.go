// Package durable is what of a replica must outlive its process. It promises to say that field by
// field: [Turn] is what one turn changed, [Saved] is all of it as a disk gives it back. The machine
// (package replica) fills the one and begins with the other; package disk keeps them, and the
// simulation keeps them in a disk of its own that it can crash between any two steps.
package durable

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/dedup"
)

// Saved is a replica's state beside its committed layer, as a disk gives it back. A
// replica that begins with it begins wedged: it has lost nothing, it is merely late.
type Saved struct {
	State    State
	Data     []*message.Data       // held and not delivered, each once, in any order
	Writes   []message.CausalWrite // numbers State.Committed+1 to State.Watermark, rising
	Weak     []message.Request     // tentative eventual writes that no Data holds
	Earlier  *dedup.Memory         // the table up to those, without their keys; nil: nothing
	Executed []message.Executed    // the newest entries of the table, oldest first
	Changes  []message.Change      // those that State.Changes spans, oldest first
}

// State is the small part of what is saved; it is written whole.
type State struct {
	Node        lamport.Node // whose disk it is; 0: an earlier version did not say
	Incarnation uint64
	Lives       []uint64       // processes that have used it since Record; the last is the present one
	Back        string         // why what it held when it came back counts for nothing; "": it does
	Aside       string         // why it cannot follow the cluster; "": it can
	Record      message.Record // installed; Epoch 0: none yet
	Learning    bool           // outside of Record's view: removed from it, or never in it
	Scratch     bool           // the committed layer is being loaded and is no prefix of the order yet
	Clock       uint64
	LastRID     uint64
	Position    uint64
	Place       lamport.Timestamp // of the last delivered operation in the epoch
	Entries     uint64            // number of the newest entry of the table of executed requests
	Contiguous  []uint64          // by index in the view; of a learner: it is the copy of a member that held so much
	// by index in the view: what that member had told this one that it holds, by the time of
	// Position or later
	Told      [][]uint64
	Order     message.OrderTime  // as of Position
	Changes   Span               // what the log of changes holds, as of Position; of a learner: as far as it is loaded
	Collected message.Collection // of tombstones, as of Position
	Shut      lamport.Version    // the door refuses weak writes up to it
	Committed uint64
	Watermark uint64
	Safe      uint64
	Votes     Votes // on the records of views
}

// Votes is what a replica has said of the record that is to follow on the newest one that it
// knows to be decided (rule D3).
type Votes struct {
	Base     message.Record // the newest that it knows to be decided; Epoch 0: none
	Whole    bool           // all that this replica has ever promised of what follows Base is here: it has a vote
	Promised message.Ballot // it takes part in no lower one
	Accepted message.Ballot // in which it has accepted Value; Round 0: it has accepted nothing
	Value    message.Record
}

// Turn is what a turn changed. In durable mode it is on disk, together with what the
// turn put into the [store.Store], before anything of the turn is sent. The lists are
// applied in the order of the fields.
type Turn struct {
	// Partial: what was delivered since the last turn that was not partial is not in it, and
	// neither are the records that were put into the store. State is as of that turn in all
	// that depends on them.
	Partial bool

	Changed bool  // State is new
	State   State // its slices are not changed afterwards

	DropData    bool // all DATA are forgotten: the epoch has ended
	Void        bool // causal writes above VoidAbove are forgotten
	VoidAbove   uint64
	Data        []*message.Data        // now held
	Delivered   []DataID               // no longer needed
	Writes      []*message.CausalWrite // now held; those up to State.Committed are no longer needed
	Weak        []*message.Request     // tentative eventual writes that are not in a DATA
	WeakGone    []WeakID               // no longer tentative
	Executed    []message.Executed     // new entries of the table; those before State.Order.Oldest are no longer needed
	DropChanges bool                   // the log of changes begins anew
	Changes     []message.Change       // of the committed layer, new; those up to State.Changes.Since are no longer needed
}

// Span is a piece of the order: the changes after the revision Since, up to To.
type Span struct{ Since, To uint64 }

// DataID names a DATA of an epoch.
type DataID struct {
	From lamport.Node
	Seq  uint64
}

// WeakID names a tentative write.
type WeakID struct {
	RID     uint64
	Version lamport.Version
}

// Empty reports whether nothing changed.
func (p *Turn) Empty() bool {
	return !p.Changed && !p.DropData && !p.Void && !p.DropChanges &&
		len(p.Data)+len(p.Delivered)+len(p.Writes)+len(p.Weak)+len(p.WeakGone)+len(p.Executed)+len(p.Changes) == 0
}

// Urgent reports whether anything that leaves with this turn may rest on what it changed.
// Deliveries alone are not urgent: their DATA are on every member's disk, and a member that comes
// back without them delivers them again.
func (p *Turn) Urgent() bool {
	return p.Changed || p.DropData || p.Void || len(p.Data)+len(p.Writes)+len(p.Weak) > 0
}

// Split returns the urgent part of p, and leaves in p what is only delivered.
func (p *Turn) Split() Turn {
	urgent := *p
	urgent.Partial, urgent.Delivered, urgent.WeakGone, urgent.Executed = true, nil, nil, nil
	urgent.DropChanges, urgent.Changes = false, nil
	*p = Turn{
		Delivered: p.Delivered, WeakGone: p.WeakGone, Executed: p.Executed, DropChanges: p.DropChanges, Changes: p.Changes,
	}
	return urgent
}

// Reset empties p for the next turn and keeps its memory.
func (p *Turn) Reset() {
	clear(p.Data)
	clear(p.Writes)
	clear(p.Weak)
	clear(p.Executed)
	clear(p.Changes)
	*p = Turn{
		Data: p.Data[:0], Delivered: p.Delivered[:0], Writes: p.Writes[:0], Weak: p.Weak[:0], WeakGone: p.WeakGone[:0],
		Executed: p.Executed[:0], Changes: p.Changes[:0],
	}
}
