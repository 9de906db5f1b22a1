package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// The headers of the public contract. On a request:
const (
	HeaderMsgID        = "Nats-Msg-Id" // the client's own id of its request
	HeaderClient       = "Quartet-Client"
	HeaderMinTimestamp = "Quartet-Min-Timestamp"
	HeaderMinPosition  = "Quartet-Min-Position"
	HeaderAge          = "Quartet-Age"         // of a request that is sent again: milliseconds since it was sent first
	HeaderIfRevision   = "Quartet-If-Revision" // set, delete, add: the revision that the key must have; 0: no value
	HeaderTTL          = "Quartet-TTL"         // set: after how long the value ends: see [ParseTTL]
	HeaderLimit        = "Quartet-Limit"       // list: how many keys at most
	HeaderValues       = "Quartet-Values"      // list: true: values, too
	HeaderFrom         = "Quartet-From"        // list: the HeaderNext of the page before; watch: a revision

	// HeaderAnswerFields, on a batch, says how many fields of an answer its sender reads.
	HeaderAnswerFields = "Quartet-Answer-Fields"
)

// On a reply; HeaderReplica also on a request, HeaderRequestID also between nodes.
const (
	HeaderRequestID   = "Quartet-Request-Id"
	HeaderAck         = "Quartet-Ack"
	HeaderConsistency = "Quartet-Consistency"
	HeaderRequest     = "Quartet-Request"
	HeaderClock       = "Quartet-Clock"
	HeaderReplica     = "Quartet-Replica"
	HeaderTimestamp   = "Quartet-Timestamp"
	HeaderPosition    = "Quartet-Position"
	HeaderRevision    = "Quartet-Revision" // of what was written or read; of a key whose condition did not hold
	HeaderExpires     = "Quartet-Expires"  // when the value ends, as ExpiresForm has it
	HeaderNext        = "Quartet-Next"     // of a list: where the next page begins
	HeaderErrorCode   = "Nats-Service-Error-Code"
	HeaderError       = "Nats-Service-Error"
)

// The values of [HeaderAck].
const (
	AckOK   = "OK"
	AckFail = "FAIL"
)

// ExpiresForm is how a reply says when a value ends, always in UTC: RFC 3339 with milliseconds.
const ExpiresForm = "2006-01-02T15:04:05.000Z07:00"

// RetryWindow is for how long, from its first sending on, a set may be sent again under its
// [HeaderMsgID] and is recognised, whatever else is set meanwhile and whoever sends it.
const RetryWindow = 2 * time.Minute

// ErrRIDs is wrapped by [ParseRIDs] for a text that is no list of request ids.
var ErrRIDs = errors.New("bus: bad list of request ids")

// AppendRIDs appends request ids as they stand in [HeaderRequestID] between nodes:
// decimals joined by commas. All are kept, in one value; who batches bounds their
// number (an id takes at most 21 bytes of a message's max_payload).
func AppendRIDs(dst []byte, rids []uint64) []byte {
	for i, rid := range rids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, rid, 10)
	}
	return dst
}

// ParseRIDs reads what [AppendRIDs] writes, and only that. "" is no ids. The error
// wraps [ErrRIDs].
func ParseRIDs(s string) ([]uint64, error) {
	if s == "" {
		return nil, nil
	}
	rids := make([]uint64, 0, strings.Count(s, ",")+1)
	for s != "" {
		id, rest, more := strings.Cut(s, ",")
		rid, err := strconv.ParseUint(id, 10, 64)
		zeroBefore := len(id) > 1 && id[0] == '0'
		nothingFollows := more && rest == ""
		if err != nil || zeroBefore || nothingFollows {
			return nil, fmt.Errorf("%w: %s", ErrRIDs, quote(s))
		}
		rids, s = append(rids, rid), rest
	}
	return rids, nil
}

// Lookup returns the first value of a header. NATS header names are case-sensitive,
// clients are not careful: the exact name counts before one in other letter case, and
// of several such the first in byte order, so that the answer never depends on the
// order of a map.
func Lookup(h nats.Header, name string) (value string, found bool) {
	if values := h[name]; len(values) > 0 {
		return values[0], true
	}
	best := ""
	for k, values := range h {
		if len(k) != len(name) || len(values) == 0 || !strings.EqualFold(k, name) {
			continue
		}
		if !found || k < best {
			best, value, found = k, values[0], true
		}
	}
	return value, found
}
