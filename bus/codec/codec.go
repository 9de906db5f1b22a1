package codec

import (
	"errors"

	"quartet/replica/message"
	"quartet/replica/model"
)

// Version is the first field of every message. Another layout is another version.
const Version = 1

// ErrMessage is wrapped by every error: the message cannot be encoded or decoded.
var ErrMessage = errors.New("codec: bad message")

// Limits beyond those of the public contract. Both sides keep to them, so that what a
// node can send its peers can read.
const (
	MaxMembers = 64    // members of a view, entries of a Received vector
	MaxReason  = 4096  // bytes of an answer's reason
	MaxList    = 65536 // requests, writes, answers, operations or reads in one message
)

// headFields is how many fields stand before a message's own.
const headFields = 6

// bodyFields is how many fields each kind has of its own; -1: no such kind.
var bodyFields = [...]int{
	0:                     -1,
	message.KindHello:     7,
	message.KindInstall:   2,
	message.KindInstalled: 0,
	message.KindForward:   3,
	message.KindAnswers:   3,
	message.KindData:      4,
	message.KindAck:       3,
	message.KindGap:       3,
	message.KindFill:      1,
	message.KindProbe:     2,
	message.KindReport:    8,
}

// Fields of the arrays inside messages. Since every field takes at least one byte, one
// more than these is also the least that such an array can take.
const (
	marksFields     = 3
	viewFields      = 3
	memberFields    = 2
	requestFields   = 11
	writeFields     = 2
	answerFields    = 8
	operationFields = 2
)

func knownKind(k message.Kind) bool { return int(k) < len(bodyFields) && bodyFields[k] >= 0 }

func validOp(op message.Op) bool { return op >= message.OpStrong && op <= message.OpCommit }

// requestFault says what is wrong with a request that was read or is to be sent; "" if
// nothing is. Values are bounded together with their key, as at the door.
func requestFault(r *message.Request) string {
	switch {
	case !r.Model.Valid():
		return "unknown consistency in a request"
	case !r.Type.Valid():
		return "unknown type in a request"
	case len(r.Key) == 0 || len(r.Key) > model.MaxKey:
		return "key of a bad length"
	case len(r.Key)+len(r.Value) > model.MaxKeyValue:
		return "key and value too long"
	case len(r.Identity) > model.MaxIdentity:
		return "identity too long"
	}
	return ""
}
