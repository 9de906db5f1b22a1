package bus

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/nats-io/nats.go"

	"quartet/replica/model"
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

// Session is what a session has seen, as its token passes it on. It grows with what the
// session sees, never with how long the session is. The zero value has seen nothing.
type Session struct {
	Position  uint64 // the highest, of the total order
	Timestamp uint64 // the highest causal one, read or written
}

// A token is base64url, without padding, of: the version, position and timestamp as
// unsigned varints, and the CRC-32 (IEEE) of all that, big endian. The sum guards against
// a token that was cut short or mistyped, not against one that was made up. The version
// comes first, and makes no token begin with a dash.
const (
	sessionVersion = 1
	sessionBytes   = 1 + 2*binary.MaxVarintLen64 + crc32.Size
)

// Token returns s as a token, of at most [MaxSession] letters, digits, "-" and "_". Of
// equal sessions it is equal.
func (s Session) Token() string {
	var scratch [sessionBytes]byte
	b := append(scratch[:0], sessionVersion)
	b = binary.AppendUvarint(b, s.Position)
	b = binary.AppendUvarint(b, s.Timestamp)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
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
	case b[0] != sessionVersion:
		return s, fmt.Sprintf("is none, or of a version that is not known here (%d, not %d): %s", b[0], sessionVersion, quote(token))
	}
	var n, m int
	b = b[1 : len(b)-crc32.Size]
	if s.Position, n = binary.Uvarint(b); n > 0 {
		s.Timestamp, m = binary.Uvarint(b[n:])
	}
	// One session has one token: this finds a wrong sum, and a line end or bits that the
	// decoders pass over.
	if m <= 0 || s.Token() != token {
		return Session{}, "is damaged: " + quote(token)
	}
	return s, ""
}

// Join returns what two sessions have seen.
func (s Session) Join(other Session) Session {
	return Session{Position: max(s.Position, other.Position), Timestamp: max(s.Timestamp, other.Timestamp)}
}

// Seen returns s after a reply, a FAIL too: what it carries has been seen.
func (s Session) Seen(r *Reply) Session {
	seen := Session{Timestamp: r.Timestamp}
	if r.HasPosition {
		seen.Position = r.Position
	}
	return s.Join(seen)
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
