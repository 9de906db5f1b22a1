package layers

import (
	"math"
	"strconv"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// What an operation on one key does, decided from what stands there and from nothing else: so
// every replica decides the same at the same place of the order (rule O3).

// origin is what the records that a request leaves have in common.
type origin struct {
	rid      uint64
	version  lamport.Version
	number   uint64 // causal; 0: none
	revision uint64
	wall     uint64 // of the request: from when its values' time counts, in milliseconds
}

func originOf(r *message.Request, version lamport.Version, number, revision uint64) origin {
	return origin{rid: r.RID, version: version, number: number, revision: revision, wall: r.Wall}
}

// dependsOn reports whether what a step does depends on what stands at its key.
func dependsOn(s *model.Step) bool { return s.HasIf || s.Type == model.Add }

// alter returns what a set, a delete or an add leaves at a key where old stands, and an add's
// sum. done is false where it cannot be done: the condition does not hold, or there is no sum.
func alter(s *model.Step, old store.Record, by *origin) (left store.Record, sum []byte, done bool) {
	if s.HasIf && !holds(s.If, old) {
		return store.Record{}, nil, false
	}

	left = store.Record{
		Kind: store.KindValue, Version: by.version, Number: by.number, RID: by.rid, Revision: by.revision,
	}
	switch s.Type {
	case model.Set:
		left.Value, left.Expires = s.Value, expiry(by.wall, s.TTL)
	case model.Delete:
		left.Kind = store.KindTombstone
	case model.Add:
		sum, done = plus(old, s.Value)
		if !done {
			return store.Record{}, nil, false
		}
		left.Value, left.Expires = sum, old.Expires
	default:
		return store.Record{}, nil, false
	}
	return left, sum, true
}

// holds reports whether a key at which rec stands has the revision: 0 asks that it has no value.
func holds(revision uint64, rec store.Record) bool {
	if revision == 0 {
		return rec.Kind != store.KindValue
	}
	return rec.Revision == revision
}

// revisionOf is the revision of the value at a key where rec stands; 0: there is none.
func revisionOf(rec store.Record) uint64 {
	if rec.Kind != store.KindValue {
		return 0
	}
	return rec.Revision
}

// expiry is when a value ends that was set at a time, and is to last for ttl; 0: never.
func expiry(wall, ttl uint64) uint64 {
	if ttl == 0 {
		return 0
	}
	return wall + ttl
}

// plus is what stands at a key, or 0, plus a number: both of 64 bits with a sign, in decimal. ok
// is false where one is none, or the sum is none.
func plus(old store.Record, number []byte) (sum []byte, ok bool) {
	var a int64
	if old.Kind == store.KindValue {
		n, err := strconv.ParseInt(string(old.Value), 10, 64)
		if err != nil {
			return nil, false
		}
		a = n
	}
	b, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return nil, false
	}

	tooGreat := b > 0 && a > math.MaxInt64-b
	tooSmall := b < 0 && a < math.MinInt64-b
	if tooGreat || tooSmall {
		return nil, false
	}
	return strconv.AppendInt(nil, a+b, 10), true
}
