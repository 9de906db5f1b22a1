package bus

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/nats-io/nats.go"

	"quartet/bus/codec"
	"quartet/bus/message"
	"quartet/bus/model"
)

// HeaderSession is on a request the token of the session that it belongs to, or
// [NewSession]; on its reply the token with which the session goes on.
const HeaderSession = "Quartet-Session"

const (
	// NewSession in place of a token begins a session that has seen nothing.
	NewSession = "new"
	// MaxSession is the most bytes that a token has, in this version and in later ones.
	MaxSession = 128
)

// Session is what a session has seen, as its token passes it on, and where it was told so.
// It grows with what the session sees, never with how long the session is. The zero value
// has seen nothing.
type Session struct {
	History          // of the last reply; the zero value: of none, or of a quartet that named none
	Position  uint64 // the highest, of the total order
	Timestamp uint64 // the highest causal one, read or written
}

// A token is base64url, without padding, of: the version, the history (see [HistoryWord]),
// position and timestamp as unsigned varints, and the CRC-32 (IEEE) of all that, big endian.
// Version 1 had no history: of a session without one it still is the token, so an older
// build can go on with it. The version comes first, and makes no token begin with a dash.
const (
	sessionVersion = 2
	withoutHistory = 1
	sessionBytes   = 1 + codec.HistoryBytes + 2*binary.MaxVarintLen64 + crc32.Size
)

// Token returns s as a token, of at most [MaxSession] letters, digits, "-" and "_". Of
// equal sessions it is equal.
func (s Session) Token() string {
	var scratch [sessionBytes]byte
	b := append(scratch[:0], withoutHistory)
	if s.History != (History{}) {
		b[0] = sessionVersion
		b = codec.AppendHistory(b, s.History)
	}
	b = binary.AppendUvarint(b, s.Position)
	return codec.Seal(binary.AppendUvarint(b, s.Timestamp))
}

// ParseSession reads what [Session.Token] returns, and only that, or [NewSession]. An error
// is an [*Error] with code 400: of a token that is damaged, or of a version that is not
// known here.
func ParseSession(token string) (Session, error) {
	s, fault := readSession(token)
	if fault != "" {
		return Session{}, malformed("the session's token %s", fault)
	}
	return s, nil
}

// readSession says what is wrong with a token; "" if nothing is.
func readSession(token string) (s Session, fault string) {
	switch {
	case token == NewSession:
		return s, ""
	case token == "":
		return s, `is empty (want a token that came with a reply, or "` + NewSession + `")`
	case len(token) > MaxSession:
		return s, fmt.Sprintf("is of %d bytes (at most %d)", len(token), MaxSession)
	}

	b, err := base64.RawURLEncoding.DecodeString(token)
	switch {
	case err != nil || len(b) <= crc32.Size:
		return s, "is none, or was cut short: " + quote(token)
	case b[0] != sessionVersion && b[0] != withoutHistory:
		return s, fmt.Sprintf("is none, or of a version that is not known here (%d, not up to %d): %s", b[0], sessionVersion, quote(token))
	}

	var n, m int
	ok := true
	version := b[0]
	b = b[1 : len(b)-crc32.Size]
	if version == sessionVersion {
		s.History, b, ok = codec.ReadHistory(b)
	}
	if s.Position, n = binary.Uvarint(b); n > 0 {
		s.Timestamp, m = binary.Uvarint(b[n:])
	}

	// One session has one token: this finds a wrong sum, and a line end or bits that the
	// decoders pass over.
	if !ok || m <= 0 || s.Token() != token {
		return Session{}, "is damaged: " + quote(token)
	}
	return s, ""
}

// Join returns what two sessions have seen. Of their histories the later point stands: they
// must be of one history.
func (s Session) Join(other Session) Session {
	j := Session{History: s.History, Position: max(s.Position, other.Position), Timestamp: max(s.Timestamp, other.Timestamp)}
	if other.Epoch > s.Epoch {
		j.History = other.History
	}
	return j
}

// Seen returns s after a reply, a FAIL too: what it carries has been seen. now is the point
// of the history at which it was answered. A session that names no history, of an older
// quartet's token, names one only once a reply has shown that this one has come as far as
// the session: it may be another's.
func (s Session) Seen(r *Reply, now History) Session {
	seen := Session{History: now, Timestamp: r.Timestamp}
	if r.HasPosition {
		seen.Position = r.Position
	}
	more := s.Position > seen.Position || s.Timestamp > seen.Timestamp
	if more && s.History == (History{}) {
		seen.History = History{}
	}
	return s.Join(seen)
}

// Told is what the session goes on from.
func (s Session) Told() message.Told {
	return message.Told{History: s.History, Position: s.Position, Timestamp: s.Timestamp}
}

// enter reads the header of a request of model c, and raises the minimum that concerns it.
func (o *Options) enter(h nats.Header, c model.Consistency) error {
	token, found := option(h, HeaderSession)
	if !found {
		return nil
	}
	s, fault := readSession(token)
	if fault != "" {
		return malformed("header %s %s", HeaderSession, fault)
	}
	o.Session, o.InSession = s, true
	switch c {
	case model.Causal:
		o.MinTimestamp = max(o.MinTimestamp, s.Timestamp)
	case model.Sequential:
		o.MinPosition = max(o.MinPosition, s.Position)
	}
	return nil
}
