// Package store is where a replica keeps its committed layer. It promises for each key the one
// record that the delivered prefix of the total order has left there, and the keys in byte order.
// It decides nothing: which write wins is the machine's question, answered before [Store.Put].
//
// The package is pure: no I/O, no goroutine, no lock, no clock. Package storetest
// holds the suite that every implementation passes.
package store

import "quartet/bus/lamport"

// Kind says what a record is. The codes are explicit, are written to disk and are
// never reused.
type Kind uint8

// The kinds of record.
const (
	KindValue     Kind = 1 // the key has this value
	KindTombstone Kind = 2 // the key was deleted, or its value has ended: there is no value
)

// Record is what stands at a key.
type Record struct {
	Kind     Kind
	Value    []byte          // immutable from the moment it is handed in, for everybody
	Version  lamport.Version // of the write
	Number   uint64          // causal number of the write, 0 if it was not causal
	RID      uint64          // the request that wrote it
	Revision uint64          // the position in the order of the operation that put it there
	Expires  uint64          // when the value ends, in milliseconds since 1970; 0: never
}

// Store holds one record a key. It has one owner: no method may run at the same time
// as another.
//
// Put hands key and value over: the store may keep both without copying, and the caller changes
// neither afterwards. A value or key cut out of a large message may keep the whole message in
// memory; callers that decode such messages copy first. What Get and Ascend hand out is shared too,
// and must not be changed; whoever keeps a value for long copies it, for it may stand among others.
//
// Keys may be any strings and values may be of any length; the limits of the public
// contract are kept at the door, not here. An empty value may come back as nil.
//
// An implementation on a medium that can fail keeps its first error and reports it
// where it makes a turn's changes durable, before anything of that turn is sent. It
// does not panic.
type Store interface {
	// Get returns the record at key, of whatever kind, and whether there is one.
	Get(key string) (Record, bool)

	// Put sets the record at key, whatever stood there. What the other methods say from then on
	// is true of it, Due included.
	Put(key string, r Record)

	// Remove removes the record at key, of whatever kind, if there is one: as if none had ever
	// been put there.
	Remove(key string)

	// Len returns the number of keys that have a record, of whatever kind.
	Len() int

	// Live returns the number of keys that have a value: records of [KindValue].
	Live() int

	// Clear removes all records.
	Clear()

	// Ascend calls fn for every key that is not below from, in the byte order of
	// keys, until fn returns false; from "" begins at the first key. fn must not change the
	// store. A caller that must not stop the world for long stops after a chunk and
	// goes on later from the last key + "\x00": finding a place again is cheap.
	Ascend(from string, fn func(key string, r Record) bool)

	// Due calls fn for every record with 0 < Expires <= by, in the order of Expires and, where
	// that is the same, of keys, until fn returns false. fn must not change the store. With
	// nothing due it is cheap enough to be called every few milliseconds.
	Due(by uint64, fn func(key string, r Record) bool)
}
