package model

import (
	"fmt"

	"quartet/bus/lamport"
)

// EventKind is what an event of a watch tells. The codes are explicit and never reused.
type EventKind uint8

// The kinds of events.
const (
	EventValue     EventKind = 1 // what was there when the watch began, with From left out
	EventCaughtUp  EventKind = 2 // all that was there, or was to be made up for, has been told
	EventSet       EventKind = 3
	EventDelete    EventKind = 4
	EventExpire    EventKind = 5 // the end of a value that had a time to live
	EventHeartbeat EventKind = 6 // the stream is alive, and how far it is
	EventEnd       EventKind = 7 // the last event of the stream, with a code and a reason
)

var eventWords = [...]string{
	EventValue: "VALUE", EventCaughtUp: "CAUGHT-UP", EventSet: "SET", EventDelete: "DELETE",
	EventExpire: "EXPIRE", EventHeartbeat: "HEARTBEAT", EventEnd: "END",
}

// Valid reports whether k exists.
func (k EventKind) Valid() bool { return k >= EventValue && k <= EventEnd }

// Concerns reports whether events of kind k are of a key: what was there, and changes.
func (k EventKind) Concerns() bool { return k == EventValue || k.Changes() }

// Changes reports whether events of kind k are changes.
func (k EventKind) Changes() bool { return k >= EventSet && k <= EventExpire }

// String returns the word that stands in an event.
func (k EventKind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("EVENT(%d)", uint8(k))
	}
	return eventWords[k]
}

// ParseEventKind reads the word of a kind.
func ParseEventKind(word string) (EventKind, bool) {
	for k := EventValue; k <= EventEnd; k++ {
		if word == eventWords[k] {
			return k, true
		}
	}
	return 0, false
}

// Event is one thing that a watch tells: the one list of what passes through every form of an
// event, from the replica to the client's iterator.
type Event struct {
	Kind     EventKind
	Sequence uint64 // 1, 2, 3, … of all events of a stream: a gap is loss

	Key   string
	Value []byte // of a Value or Set; shared, never written to

	// Revision is that of the value or tombstone; 0: it is not committed yet (models 3 and 4). Of
	// CaughtUp and Heartbeat it is the place in the order up to which everything has been told; 0:
	// the watcher is behind.
	Revision uint64
	More     bool // the next change has this revision, too: it is of the same transaction
	Initial  bool // with EventValue
	Expires  uint64

	// Version orders the writes of a key in models 3 and 4, and Timestamp is the number of a
	// causal one. Zero in models 1 and 2.
	Version   lamport.Version
	Timestamp uint64

	Missed uint64 // Heartbeat: changes that wait until the watcher acknowledges what it was sent

	Code   Code   // End
	Reason string // End: one line
}

// Size is about how many bytes the event has on the bus.
func (e *Event) Size() int { return eventBytes + len(e.Key) + len(e.Value) }

// eventBytes is about what an event takes beside key and value: its headers.
const eventBytes = 160
