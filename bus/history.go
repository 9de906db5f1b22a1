package bus

import (
	"encoding/base64"
	"hash/crc32"

	"quartet/bus/codec"
	"quartet/bus/message"
)

// HeaderHistory is on a request the point of the cluster's history from which it goes on
// (what an earlier reply's header said), or [NewSession] to be told it; on the reply to
// such a request the point at which it was answered. A session's token holds it already.
const HeaderHistory = "Quartet-History"

// History names a point of a cluster's history. As a word it is one of up to [MaxSession]
// letters, digits, "-" and "_" that never begins with "-".
type History = message.History

// A history's word is base64url, without padding, of: the version, the history as package codec
// has it in words, and the CRC-32 (IEEE) of all that.
const historyVersion = 1

// HistoryWord returns h as a word; "" for one that names nothing.
func HistoryWord(h History) string {
	if h == (History{}) {
		return ""
	}
	var scratch [1 + codec.HistoryBytes + crc32.Size]byte
	return codec.Seal(codec.AppendHistory(append(scratch[:0], historyVersion), h))
}

// ParseHistory reads what [HistoryWord] returns, and only that, or [NewSession], which is
// the zero value. An error is an [*Error] with code 400.
func ParseHistory(word string) (History, error) {
	if word == NewSession {
		return History{}, nil
	}
	if len(word) <= MaxSession {
		if b, err := base64.RawURLEncoding.DecodeString(word); err == nil && len(b) > crc32.Size && b[0] == historyVersion {
			h, rest, ok := codec.ReadHistory(b[1 : len(b)-crc32.Size])
			if ok && len(rest) == 0 && HistoryWord(h) == word {
				return h, nil
			}
		}
	}
	return History{}, malformed("header %s is neither what a reply's said nor %q: %s", HeaderHistory, NewSession, quote(word))
}
