package bus

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"quartet/bus/message"
)

// HeaderHistory is on a request the point of the cluster's history from which it goes on
// (what an earlier reply's header said), or [NewSession] to be told it; on the reply to
// such a request the point at which it was answered. A session's token holds it already.
const HeaderHistory = "Quartet-History"

// History names a point of a cluster's history. As a word it is one of up to [MaxSession]
// letters, digits, "-" and "_" that never begins with "-".
type History = message.History

// A history's word is base64url, without padding, of: the version, the cluster and the
// nonce, 8 bytes each, the epoch as an unsigned varint, and the CRC-32 (IEEE) of all that.
// Numbers of a fixed length are big endian. Tokens of later kinds hold the same bytes.
const (
	historyVersion = 1
	historyBytes   = 2*8 + binary.MaxVarintLen64
)

func appendHistory(b []byte, h History) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Cluster)
	b = binary.BigEndian.AppendUint64(b, h.Nonce)
	return binary.AppendUvarint(b, h.Epoch)
}

// readHistory reads what appendHistory wrote, and returns what follows it.
func readHistory(b []byte) (h History, rest []byte, ok bool) {
	if len(b) < 16 {
		return h, nil, false
	}
	h.Cluster, h.Nonce = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	epoch, n := binary.Uvarint(b[16:])
	if n <= 0 {
		return History{}, nil, false
	}
	h.Epoch = epoch
	return h, b[16+n:], true
}

// HistoryWord returns h as a word; "" for one that names nothing.
func HistoryWord(h History) string {
	if h == (History{}) {
		return ""
	}
	var scratch [1 + historyBytes + crc32.Size]byte
	return sealed(appendHistory(append(scratch[:0], historyVersion), h))
}

// ParseHistory reads what [HistoryWord] returns, and only that, or [NewSession], which is
// the zero value. An error is an [*Error] with code 400.
func ParseHistory(word string) (History, error) {
	if word == NewSession {
		return History{}, nil
	}
	if len(word) <= MaxSession {
		if b, err := base64.RawURLEncoding.DecodeString(word); err == nil && len(b) > crc32.Size && b[0] == historyVersion {
			h, rest, ok := readHistory(b[1 : len(b)-crc32.Size])
			if ok && len(rest) == 0 && HistoryWord(h) == word {
				return h, nil
			}
		}
	}
	return History{}, malformed("header %s is neither what a reply's said nor %q: %s", HeaderHistory, NewSession, quote(word))
}

// sealed returns b as a word, with a sum that guards against one that was cut short or
// mistyped, not against one that was made up.
func sealed(b []byte) string {
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}
