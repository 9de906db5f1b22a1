package message

import (
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Watcher is whom a Watch is for: what the replica that serves it must know beside the request.
type Watcher struct {
	Reply  string // the subject on which it hears events
	Client string // its name, by which watches are counted; "": it has none
	JSON   bool   // it asked in JSON: each event's body is an object
	Fields uint64 // of an event, that it reads in a frame; 0: each event is a message of its own
}

// ChangeKind is what a change of the committed layer is. The codes are written to disk and never
// reused.
type ChangeKind uint8

// The kinds of changes.
const (
	ChangeSet    ChangeKind = 1
	ChangeDelete ChangeKind = 2
	ChangeExpire ChangeKind = 3
)

// Valid reports whether k exists.
func (k ChangeKind) Valid() bool { return k >= ChangeSet && k <= ChangeExpire }

// Event is the kind of event that tells of such a change.
func (k ChangeKind) Event() model.EventKind {
	switch k {
	case ChangeDelete:
		return model.EventDelete
	case ChangeExpire:
		return model.EventExpire
	}
	return model.EventSet
}

// Change is what a write did to a key of the committed layer: an entry of the log of changes.
type Change struct {
	Revision uint64 // the position of the write; the changes of a transaction share it
	Kind     ChangeKind
	Key      string
	Value    []byte // of a Set. Shared, never written to
	Version  lamport.Version
	Number   uint64 // causal, 0: none
	Expires  uint64 // when the value ends, in milliseconds since 1970; 0: never
}

// Changes is a piece of the log of changes, as a member gives it to a learner: all changes after
// the position Since, up to To. Both 0: the member does not say.
type Changes struct {
	Since, To uint64
	List      []Change // revisions do not fall
}

// Size is the bytes of the parts that have no fixed length.
func (c *Change) Size() int { return len(c.Key) + len(c.Value) }
