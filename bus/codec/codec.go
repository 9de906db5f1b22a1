package codec

import (
	"errors"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// Version is the first field of every message. Another layout is another version. In versions 2 and
// 3, which are still read, a record has no cluster and no lineage, its members have no lives,
// INSTALLED has no position, HELLO has no past and STATE no proof, HELLO and REPORT do not say who
// was heard, and there are none of the times by which the order forgets requests: FORWARD, DATA,
// requests and entries are a field shorter, a CHUNK four. In version 2 FORWARD and ANSWERS have no
// round either. Up to version 4 there are no revisions: requests, answers, entries, REPORT, CHUNK,
// and the records of keys and epochs are shorter, and nothing ends. Version 1, in which HELLO and
// INSTALL had other fields, is not read: it knows no view change, and nothing of it was ever on a
// disk.
const Version = 5

// Versions before.
const (
	withoutRevisions = 4 // the last without them, and without conditions, ends and outcomes
	withoutLineage   = 3 // the last without it, and without times
	withoutHeard     = 3 // the last without it
	withoutLives     = 3 // the last without them
	withoutRounds    = 2 // the last without them
)

// valueVersion is the first field of every value that stands alone. Those before it are still read:
// in version 3 there are no revisions, and in version 2 a record has no lineage, and there are no
// times.
const (
	valueVersion          = 4
	valueWithoutRevisions = 3
	valueWithoutLineage   = 2
	oldestValueVersion    = 2
)

// ErrMessage is wrapped by every error: the message cannot be encoded or decoded.
var ErrMessage = errors.New("codec: bad message")

// ErrNewer is wrapped, beside [ErrMessage], where what was to be decoded has a version above those
// that this build reads: it is not damaged.
var ErrNewer = errors.New("written by a newer version of quartet")

// Limits beyond those of the public contract. Both sides keep to them, so that what a
// node can send its peers can read.
const (
	MaxMembers = 64    // members of a view, configured replicas, entries of any vector by member
	MaxReason  = 4096  // bytes of an answer's reason
	MaxList    = 65536 // elements of any other list

	// MaxOutcome bounds what an answer holds and what an entry of the table of executed requests
	// repeats, in bytes: a page of a list and the results of a transaction have a form of their
	// own around keys and values.
	MaxOutcome = model.MaxKeyValue + 64<<10

	// MaxCursor bounds the cursor of a PULL or CHUNK, in bytes. Keys below a cursor are
	// held, and the least string above the longest key is one byte longer than it.
	MaxCursor = model.MaxKey + 1
)

// headFields is how many fields stand before a message's own.
const headFields = 6

// bodyFields is how many fields each kind has of its own; -1: no such kind.
var bodyFields = [...]int{
	0:                     -1,
	message.KindHello:     11,
	message.KindInstall:   1,
	message.KindInstalled: 4,
	message.KindForward:   5,
	message.KindAnswers:   4,
	message.KindData:      5,
	message.KindAck:       3,
	message.KindGap:       4,
	message.KindFill:      2,
	message.KindProbe:     2,
	message.KindReport:    12,
	message.KindPrepare:   4,
	message.KindState:     6,
	message.KindPull:      8,
	message.KindChunk:     27,
	message.KindBeat:      0,
	message.KindOutdated:  3,
	message.KindPoll:      6,
	message.KindVote:      8,
}

// Fields of the arrays inside messages. Since every field takes at least one byte, one
// more than these is also the least that such an array can take.
const (
	marksFields     = 3
	recordFields    = 14
	ancestorFields  = 4
	memberFields    = 3
	pastFields      = 3
	proofFields     = 4
	requestFields   = 13
	moreFields      = 5 // what few requests have
	rangeFields     = 3
	watcherFields   = 4 // the last one is left out if it is 0
	changesFields   = 3 // a piece of the log of changes
	changeFields    = 9
	writeFields     = 2
	answerFields    = 10
	operationFields = 2
	endFields       = 2 // of an operation that ends a value
	versionFields   = 3 // of an operation that collects tombstones
	collectFields   = 8 // how far tombstones are collected
	dataFields      = 9
	executedFields  = 8
	outcomeFields   = 3 // of an entry, where it is not OK alone
	keyRecordFields = 10
	heardFields     = 2
	valueFields     = 2 // of the array around a value that stands alone
)

// cameBit is set in the last field of a request that says when the request came to the master,
// and not when its client sent it first.
const cameBit = 1 << 63

// fieldsOf is how many fields a kind has of its own in a version that is read.
func fieldsOf(kind message.Kind, version uint64) int {
	n := bodyFields[kind]
	if version <= withoutRevisions {
		n -= laterFieldsOf(kind)
	}
	if version <= withoutLineage {
		n -= newFieldsOf(kind)
	}
	if version <= withoutRounds && hasRound(kind) {
		n--
	}
	return n
}

// laterFieldsOf is how many fields of a kind came after version withoutRevisions: of the log of
// changes, of the collection of tombstones, and of the DATA that wedged members bring each other.
func laterFieldsOf(kind message.Kind) int {
	switch kind {
	case message.KindPull, message.KindGap, message.KindFill, message.KindPrepare:
		return 1
	case message.KindReport:
		return 2
	case message.KindChunk:
		return 3
	}
	return 0
}

// newFieldsOf is how many fields of a kind came after version withoutLineage.
func newFieldsOf(kind message.Kind) int {
	switch kind {
	case message.KindForward, message.KindData, message.KindReport, message.KindState:
		return 1
	case message.KindHello:
		return 2
	case message.KindInstalled:
		return 4
	case message.KindChunk:
		return 4
	}
	return 0
}

func hasRound(kind message.Kind) bool {
	return kind == message.KindForward || kind == message.KindAnswers
}

func knownKind(k message.Kind) bool { return int(k) < len(bodyFields) && bodyFields[k] >= 0 }

func validOp(op message.Op) bool { return op >= message.OpStrong && op <= message.OpAgree }

func validPhase(p message.Phase) bool {
	return p >= message.PhaseBoot && p <= message.PhaseCaught
}

// validHolder: a PREPARE may name nobody.
func validHolder(n lamport.Node) bool { return n == 0 || n.IsReplica() }

// requestFault says what is wrong with a request that was read or is to be sent; "" if
// nothing is. Values are bounded together with their key, as at the door.
func requestFault(r *message.Request) string {
	switch {
	case !r.Model.Valid():
		return "unknown consistency in a request"
	case !r.Type.Valid():
		return "unknown type in a request"
	case !r.Type.In(r.Model):
		return "request that its model does not have"
	case len(r.Identity) > model.MaxIdentity:
		return "identity too long"
	}
	if fault := moreFault(r); fault != "" {
		return fault
	}

	switch {
	case r.Type.HasKey():
		return keyValueFault(r.Key, r.Value)
	case r.Type == model.Txn && r.Key != "":
		return "transaction with a key"
	case len(r.Key) > model.MaxKey: // a prefix
		return "key of a bad length"
	case len(r.Key)+len(r.Value) > model.MaxKeyValue:
		return "key and value too long"
	}
	return ""
}

// moreFault is for what few requests have.
func moreFault(r *message.Request) string {
	conditional := r.Type == model.Set || r.Type == model.Delete || r.Type == model.Add
	ranged := r.Type == model.List || r.Type == model.Watch
	switch {
	case r.If > 0 && !r.HasIf:
		return "revision without a condition"
	case r.HasIf && !(conditional && r.Model.Strong()):
		return "condition where there is none"
	case r.TTL > model.MaxTTL:
		return "value that lives too long"
	case r.TTL > 0 && r.Type != model.Set:
		return "end of what is no value"
	case r.Range != nil && !ranged:
		return "range of what is no list"
	}
	if fault := watcherFault(r); fault != "" {
		return fault
	}
	if r.Range == nil {
		return ""
	}
	return rangeFault(r.Range)
}

// watcherFault is for whom a watch is for.
func watcherFault(r *message.Request) string {
	w := r.Watcher
	switch {
	case w == nil:
		return ""
	case r.Type != model.Watch:
		return "watcher of what is no watch"
	case w.Reply == "" || len(w.Reply) > MaxReason:
		return "watcher without a subject, or with a long one"
	case len(w.Client) > model.MaxIdentity:
		return "client's name too long"
	}
	return ""
}

// changeFault says what is wrong with a change of the log; "" if nothing is.
func changeFault(c *message.Change) string {
	if !c.Kind.Valid() {
		return "unknown kind of a change"
	}
	return keyValueFault(c.Key, c.Value)
}

func rangeFault(r *model.Range) string {
	switch {
	case r.Limit < 0 || r.Limit > model.MaxPage:
		return "limit of a list out of its range"
	case len(r.From) > model.MaxNext:
		return "place in a list too long"
	}
	return ""
}

func keyFault(key string) string {
	if len(key) == 0 || len(key) > model.MaxKey {
		return "key of a bad length"
	}
	return ""
}

func keyValueFault(key string, value []byte) string {
	if fault := keyFault(key); fault != "" {
		return fault
	}
	if len(key)+len(value) > model.MaxKeyValue {
		return "key and value too long"
	}
	return ""
}

// keyRecordFault lets kinds pass that this package does not know: what they mean is
// between two stores.
func keyRecordFault(r *message.KeyRecord) string {
	if r.Kind == 0 {
		return "record without a kind"
	}
	return keyValueFault(r.Key, r.Value)
}

// executedFault lets an entry without a key pass: it is one that sets none.
func executedFault(x *message.Executed) string {
	switch {
	case len(x.Identity) > model.MaxIdentity:
		return "identity too long"
	case len(x.Key) > model.MaxKey:
		return "key of a bad length"
	case len(x.Result) > MaxOutcome:
		return "result of an entry too long"
	}
	return ""
}

func recordFault(r *message.Record) string {
	switch {
	case max(len(r.Members), len(r.Configured), len(r.Cut)) > MaxMembers:
		return "vector too long"
	case !r.Sound():
		return "impossible record of an epoch"
	}
	return ""
}
