// Package history is the format of recorded histories and the checkers that judge them. It
// promises that "correct" means the same everywhere: the simulation, the tests of real processes
// and `quartet check` all use the same checkers.
//
// A history is a list of [Operation], one for each request that a client sent, in any
// order. [Encode] and [Read] write and read it as JSON lines, a stable format that is
// described in client/judge/record/SCHEMA.md. Each checker returns a [Verdict]: OK,
// violated, or unknown, and unknown is never a pass.
//
//	Linearizable  operations of model 1, key by key (Porcupine)
//	Sequential    models 1 and 2 over all keys, in the order of the recorded positions
//	SequentialSearch  the same without positions, for small histories
//	Causal        causal convergence of model 3, with timestamps as arbitration
//	Sessions      the four session guarantees, where a model promises them
//	Steady        no replica shows one value, another, and the first again
//	OnlyOnce      no set takes effect twice
//	Eventual, Converged  what is left when everything is at rest
//
// What the four models promise to each other on one key is in the public contract: to
// models 1 and 2 a weak write (causal, eventual) takes effect at most once, at some
// moment after it was requested, or is overwritten unseen.
package history

import (
	"fmt"
	"strings"

	"quartet/bus/model"
)

// Outcome is what a client knows of its request.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = 1 // answered; a get of a key without a value is an answer
	Fail    Outcome = 2 // definitely not executed (400, 409, 410, 413, 421, 425, 503)
	Unknown Outcome = 3 // no answer, or 504: executed at most once, perhaps later
)

var outcomeWords = [...]string{OK: "ok", Fail: "fail", Unknown: "unknown"}

// String returns ok, fail or unknown.
func (o Outcome) String() string {
	if o < OK || o > Unknown {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomeWords[o]
}

// Operation is one request and what became of it.
//
// Call and Return are readings of one monotonic clock that all clients of the history
// share, in nanoseconds or in steps of a simulation. Return is the moment of the reply,
// or the moment when the client gave up.
//
// Requests of one session are ordered where one returned before the next was called;
// those that overlap are not. An operation without a session is a session of its own.
//
// A set that was sent more than once under one Identity may be recorded once, from its
// first call to its last return, or once for each sending: the checkers join them.
type Operation struct {
	ID        uint64 // the rID that the reply named; 0 if there was none
	Client    string
	Session   string
	Model     model.Consistency
	Type      model.Type
	Key       string
	Value     string // of a set
	Output    string // of a get
	Found     bool   // of a get that was answered
	Call      int64
	Return    int64
	Replica   string // that answered
	Position  uint64 // models 1 and 2: Quartet-Position of the reply
	Timestamp uint64 // model 3: Quartet-Timestamp of the reply
	Outcome   Outcome
	Code      uint16 // of the reply: 200, or why it failed; 0 if none came or it is not known
	Identity  string // Nats-Msg-Id

	// Rest marks a get that was made, of one certain replica, after all sets had ended and the
	// replicas had had time to agree: see [Agreed].
	Rest bool
}

// Ordered reports whether the operation has a position of its own in the total order, as all sets
// of models 1 and 2 have. A linearizable get has one only in clusters that order gets.
func (o *Operation) Ordered() bool { return o.Model.Strong() && o.Type == model.Set }

// Answered notes what an answer says of the operation; of its Outcome, which others may know
// better, it says nothing.
func (o *Operation) Answered(a *model.Answer) {
	o.ID, o.Timestamp, o.Code = a.RID, a.Timestamp, uint16(a.Code)
	if a.HasPosition {
		o.Position = a.Position
	}
	if a.Replica != 0 {
		o.Replica = a.Replica.String()
	}
	if o.Type == model.Get && a.Code == model.OK {
		o.Output, o.Found = string(a.Value), true
	}
}

// String describes the operation in one line of words.
func (o Operation) String() string {
	var b strings.Builder
	if o.ID != 0 {
		fmt.Fprintf(&b, "#%d ", o.ID)
	}
	fmt.Fprintf(&b, "%s %s %s", o.who(), o.Model.Word(), o.Type.Word())

	switch {
	case o.Type == model.Set:
		fmt.Fprintf(&b, " %s = %q", o.Key, o.Value)
	case o.Outcome == OK && o.Found:
		fmt.Fprintf(&b, " %s -> %q", o.Key, o.Output)
	case o.Outcome == OK:
		fmt.Fprintf(&b, " %s -> no value", o.Key)
	default:
		fmt.Fprintf(&b, " %s", o.Key)
	}

	fmt.Fprintf(&b, " from %d to %d", o.Call, o.Return)
	if o.Outcome != OK {
		fmt.Fprintf(&b, " (%s)", o.Outcome)
	}
	if o.Replica != "" {
		fmt.Fprintf(&b, " at %s", o.Replica)
	}
	if o.Position != 0 {
		fmt.Fprintf(&b, ", position %d", o.Position)
	}
	if o.Timestamp != 0 {
		fmt.Fprintf(&b, ", timestamp %d", o.Timestamp)
	}
	return b.String()
}

// who names the client and the session, with a colon.
func (o *Operation) who() string {
	switch {
	case o.Client == "" && o.Session == "":
		return "someone:"
	case o.Session == "" || o.Session == o.Client:
		return o.Client + ":"
	case o.Client == "":
		return o.Session + ":"
	}
	return o.Client + "/" + o.Session + ":"
}
