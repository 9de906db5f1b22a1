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
//	Transactions  txns in that order: all or nothing, of one cut
//	Lists         lists against the cut that their position names
//	Watches       watches against the order: complete, once, in order
//	Ends          values with a TTL end in time
//	Revisions     one revision is one change; a key's revisions rise
//	Causal        causal convergence of model 3, with timestamps as arbitration
//	CausalByValues  the same without timestamps, where values are unique
//	Sessions      the four session guarantees, where a model promises them
//	Steady        no replica shows one value, another, and the first again
//	OnlyOnce      no write takes effect twice
//	Eventual, Converged  what is left when everything is at rest
//
// What the four models promise to each other on one key is in the public contract: to
// models 1 and 2 a weak write (causal, eventual) takes effect at most once, at some
// moment after it was requested, or is overwritten unseen.
package history

import (
	"bytes"
	"fmt"
	"strings"

	"quartet/bus/codec"
	"quartet/bus/model"
)

// Outcome is what a client knows of its request.
type Outcome uint8

// The outcomes.
const (
	OK      Outcome = 1 // answered: a get of a key without a value (404) and a condition that did not hold (412), too
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
// A write that was sent more than once under one Identity may be recorded once, from its
// first call to its last return, or once for each sending: the checkers join them.
//
// A list has an operation for each page, a watch one for each time that it was asked for: from
// when it was asked for until it was heard no more.
type Operation struct {
	ID        uint64 // the rID that the reply named; 0 if there was none
	Client    string
	Session   string
	Model     model.Consistency
	Type      model.Type
	Key       string // of a list or a watch: the prefix; of a txn ""
	Value     string // of a set; of an add what is added, in decimal
	Output    string // of a get; of an add that was done the sum
	Found     bool   // of a get that was answered
	Call      int64
	Return    int64
	Replica   string // that answered
	Position  uint64 // models 1 and 2: Quartet-Position of the reply; of a page of a list the cut that it shows
	Timestamp uint64 // model 3: Quartet-Timestamp of the reply
	Outcome   Outcome
	Code      uint16 // of the reply: 200, or why it failed; 0 if none came or it is not known
	Identity  string // Nats-Msg-Id

	HasIf bool   // If is given, even if it is 0
	If    uint64 // the revision that the key must have for the write to take effect; 0: no value
	TTL   uint64 // of a set: milliseconds after which the value ends; 0: it does not

	// Ends is, by the clock of Call, the earliest moment at which a value that this operation set
	// with a TTL may end by itself. 0: a TTL after its call, in nanoseconds.
	Ends int64

	// Revision is what the reply says: of what was written or read; with code 412 that of the key
	// as it is, 0: no value. HasRevision: the reply says it, even if it is 0.
	HasRevision bool
	Revision    uint64
	Expires     uint64 // of a get: when the value ends, in milliseconds since 1970; 0: never

	Range   *model.Range       // of a list or a watch: what it says beside its prefix
	Txn     *model.Transaction // of a txn
	Results *model.Results     // of a txn that was answered
	Items   []model.Item       // of a page of a list that was answered
	Next    string             // the same: where the next page begins; "": there is none
	Events  []Event            // of a watch: what it showed, in that order

	// Rest marks a get that was made, of one certain replica, after all writes had ended and the
	// replicas had had time to agree: see [Agreed]. A watch at rest was heard until then: it has
	// shown all that it ever will.
	Rest bool
}

// Event is one message of a watch.
type Event struct {
	Kind     EventKind
	Key      string
	Value    string // of a value that was there, and of a set
	Revision uint64 // 0: none was told
	Sequence uint64 // Quartet-Sequence
	More     bool   // the change has further events, with this revision
	At       int64  // when it came, by the clock of Call and Return; 0: not known
}

// EventKind is what a message of a watch tells.
type EventKind string

// The kinds of events that a history has. (Heartbeats and ends are not recorded.)
const (
	EventValue    EventKind = "value"     // what was there when the watch began
	EventCaughtUp EventKind = "caught-up" // that was all which was there
	EventSet      EventKind = "set"
	EventDelete   EventKind = "delete"
	EventExpire   EventKind = "expire"
)

var eventKinds = [...]EventKind{EventValue, EventCaughtUp, EventSet, EventDelete, EventExpire}

// Change reports whether the event tells a change.
func (k EventKind) Change() bool { return k == EventSet || k == EventDelete || k == EventExpire }

// Writes reports whether the operation may change what a key holds. (A txn of gets alone does
// not.)
func (o *Operation) Writes() bool {
	if o.Type == model.Txn {
		return o.Txn != nil && o.Txn.Writes()
	}
	return o.Type.Writes()
}

// Ordered reports whether the operation has a position of its own in the total order, as all
// writes of models 1 and 2 have, those whose condition did not hold, too. A linearizable get has
// one only in clusters that order gets.
func (o *Operation) Ordered() bool { return o.Model.Strong() && o.Writes() }

// Refused reports whether a condition of the operation did not hold at its place in the order, so
// that nothing was done (412).
func (o *Operation) Refused() bool {
	return o.Outcome == OK && model.Code(o.Code) == model.Failed
}

// Asked notes what a request asks for.
func (o *Operation) Asked(r *model.Request) {
	o.Model, o.Type, o.Key, o.Value = r.Model, r.Type, r.Key, string(r.Value)
	o.HasIf, o.If, o.TTL, o.Range = r.HasIf, r.If, r.TTL, r.Range
	if r.Type == model.Txn {
		// What is no transaction is refused: it is recorded as one that does nothing.
		t, _ := codec.ParseTransaction(bytes.Clone(r.Value))
		o.Value, o.Txn = "", &t
	}
}

// Answered notes what an answer says of the operation; of its Outcome, which others may know
// better, it says nothing.
func (o *Operation) Answered(a *model.Answer) {
	o.ID, o.Timestamp, o.Code = a.RID, a.Timestamp, uint16(a.Code)
	o.HasRevision, o.Revision, o.Expires = a.HasRevision, a.Revision, a.Expires
	if o.Type == model.Txn && a.Code == model.Failed { // that of one step's key, which its results have
		o.HasRevision, o.Revision = false, 0
	}
	if a.HasPosition {
		o.Position = a.Position
	}
	if a.Replica != 0 {
		o.Replica = a.Replica.String()
	}
	if o.Type == model.Txn { // of one that could not be done, too
		if r, err := codec.ParseResults(bytes.Clone(a.Value)); err == nil {
			o.Results = &r
		}
	}
	if a.Code != model.OK {
		return
	}

	switch o.Type {
	case model.Get:
		o.Output, o.Found = string(a.Value), true
	case model.Add:
		o.Output = string(a.Value)
	case model.List:
		if p, err := codec.ParsePage(bytes.Clone(a.Value)); err == nil {
			o.Items, o.Next = p.Items, p.Next
		}
	}
}

// String describes the operation in one line of words.
func (o Operation) String() string {
	var b strings.Builder
	if o.ID != 0 {
		fmt.Fprintf(&b, "#%d ", o.ID)
	}
	fmt.Fprintf(&b, "%s %s %s", o.who(), o.Model.Word(), o.sentence())

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
	if o.HasRevision {
		fmt.Fprintf(&b, ", revision %d", o.Revision)
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
