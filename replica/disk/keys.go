package disk

import (
	"encoding/binary"

	"quartet/bus/lamport"
	"quartet/replica/durable"
)

// The first byte of a key says what stands there. The codes are written to disk and never
// reused. Numbers in keys are big-endian, so that their order is the keys'.
const (
	prefixWrite    = 'c' // + number: a causal write
	prefixData     = 'd' // + sender, seq: a DATA
	prefixExecuted = 'e' // + number of the last: entries of the table of executed requests, those of one turn
	prefixChange   = 'g' // which piece of the order the log of changes holds; + revision of the last: changes of one turn
	prefixKey      = 'k' // + key: a record of the committed layer
	prefixLog      = 'l' // + number: the marker that a log of the engine has left
	prefixPast     = 'p' // what the state says that few turns change: whose disk it is, its processes, the record
	prefixState    = 's' // the rest of the state, and what the disk counts
	prefixDeadline = 't' // + when, key: the record of the key has this deadline
	prefixWeak     = 'w' // + rID, version: a tentative eventual write
)

var (
	stateKey = []byte{prefixState}
	pastKey  = []byte{prefixPast}
)

// Sizes of keys, in bytes.
const (
	sizeOfNumberKey = 1 + 8     // prefix, number
	sizeOfDataKey   = 1 + 4 + 8 // prefix, sender, seq
)

// numberKey returns the key of what a prefix numbers.
func numberKey(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, n)
}

// dataKey returns the key of a DATA, by its sender and its number.
func dataKey(from lamport.Node, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{prefixData}, uint32(from)), seq)
}

// dataOf returns the sender and the number in a key that dataKey made.
func dataOf(key []byte) (from lamport.Node, seq uint64, ok bool) {
	if len(key) != sizeOfDataKey {
		return 0, 0, false
	}
	return lamport.Node(binary.BigEndian.Uint32(key[1:])), binary.BigEndian.Uint64(key[5:]), true
}

// weakKey returns the key of a tentative eventual write.
func weakKey(id durable.WeakID) []byte {
	k := binary.BigEndian.AppendUint64([]byte{prefixWeak}, id.RID)
	k = binary.BigEndian.AppendUint64(k, id.Version.Epoch)
	k = binary.BigEndian.AppendUint64(k, id.Version.Time)
	return binary.BigEndian.AppendUint32(k, uint32(id.Version.Node))
}

// deadlineKey appends the key that says that the record of a key ends at a time.
func deadlineKey(b []byte, end ending) []byte {
	return append(binary.BigEndian.AppendUint64(append(b, prefixDeadline), end.expires), end.key...)
}

// deadlineOf returns what deadlineKey was given.
func deadlineOf(key []byte) (ending, bool) {
	if len(key) < 1+8 { // prefix, deadline
		return ending{}, false
	}
	return ending{expires: binary.BigEndian.Uint64(key[1:]), key: string(key[9:])}, true
}

// numberOf returns the number at the end of a key that numberKey made.
func numberOf(key []byte) (uint64, bool) {
	if len(key) != sizeOfNumberKey {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[1:]), true
}
