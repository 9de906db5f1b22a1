package codec

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// Words are what clients carry from one reply to the next request and do not read: the token of a
// session and the point of a history (package bus), and the cursor of a list. Each is base64url,
// without padding, of a version, its fields, and the CRC-32 (IEEE) of all that. Numbers of a fixed
// length are big endian.

// HistoryBytes is the most that a history takes in a word: cluster and nonce, 8 bytes each, and
// the epoch as an unsigned varint.
const HistoryBytes = 2*8 + binary.MaxVarintLen64

// AppendHistory appends a history as it stands in a word.
func AppendHistory(b []byte, h message.History) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Cluster)
	b = binary.BigEndian.AppendUint64(b, h.Nonce)
	return binary.AppendUvarint(b, h.Epoch)
}

// ReadHistory reads what [AppendHistory] wrote, and returns what follows it.
func ReadHistory(b []byte) (h message.History, rest []byte, ok bool) {
	if len(b) < 16 {
		return h, nil, false
	}
	h.Cluster, h.Nonce = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	epoch, n := binary.Uvarint(b[16:])
	if n <= 0 {
		return message.History{}, nil, false
	}
	h.Epoch = epoch
	return h, b[16+n:], true
}

// Seal returns b as a word, with a sum that guards against one that was cut short or mistyped, not
// against one that was made up.
func Seal(b []byte) string {
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// A cursor has, after its version and its history, the life of the process that keeps the
// list in 8 bytes, and then as unsigned varints the position of its cut, the replica, the list and
// the page.
const nextVersion = 1

// NextWord returns a cursor as a word of at most [model.MaxNext] letters, digits, "-" and
// "_". It never begins with "-".
func NextWord(p *message.Cursor) string {
	b := make([]byte, 0, 1+HistoryBytes+8+4*binary.MaxVarintLen64+crc32.Size)
	b = AppendHistory(append(b, nextVersion), p.History)
	b = binary.BigEndian.AppendUint64(b, p.Life)
	for _, n := range [...]uint64{p.Position, uint64(p.Replica), p.List, p.Page} {
		b = binary.AppendUvarint(b, n)
	}
	return Seal(b)
}

// ParseNext reads what [NextWord] returns, and only that. The error wraps [ErrMessage].
func ParseNext(word string) (message.Cursor, error) {
	none := func(why string) (message.Cursor, error) {
		return message.Cursor{}, fmt.Errorf("%w: a cursor of a list that %s", ErrMessage, why)
	}
	if len(word) > model.MaxNext {
		return none("is too long")
	}
	b, err := base64.RawURLEncoding.DecodeString(word)
	switch {
	case err != nil || len(b) <= crc32.Size:
		return none("is none, or was cut short")
	case b[0] != nextVersion:
		return none(fmt.Sprintf("is none, or of a version that is not known here (%d)", b[0]))
	}

	var p message.Cursor
	var ok bool
	if p.History, b, ok = ReadHistory(b[1 : len(b)-crc32.Size]); !ok || len(b) < 8 {
		return none("is damaged")
	}
	p.Life, b = binary.BigEndian.Uint64(b), b[8:]
	var replica uint64
	for _, to := range [...]*uint64{&p.Position, &replica, &p.List, &p.Page} {
		n := 0
		if *to, n = binary.Uvarint(b); n <= 0 {
			return none("is damaged")
		}
		b = b[n:]
	}
	p.Replica = lamport.Node(min(replica, 1<<32-1))

	// One cursor has one word: this finds a wrong sum, and bits that the decoders pass over.
	if !p.Replica.IsReplica() || NextWord(&p) != word {
		return none("is damaged")
	}
	return p, nil
}
