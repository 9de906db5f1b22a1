package layers

import (
	"cmp"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// tentative is the layer of weak writes that were received and are not delivered yet
// (Terry et al. 1995, "Managing Update Conflicts in Bayou", section 4.3: committed and
// tentative). It is a list by identity and version, not one value a key: a retry that a
// restarted master stamped anew is a second version of one identity, and which of them
// counts is known only when one is delivered.
//
// Nearly always there is one write a key and one an identity, so both lists are threaded
// through the writes themselves, and a write costs no memory of its own once the layer
// has had its greatest size.
type tentative struct {
	byKey map[string]*held
	byRID map[uint64]*held // of sets without a client's id
	byID  map[string]*held
	held  []*held // all, in no order
	own   int     // accepted by this replica
	spare *held   // left the layer; threaded by nextOfKey
}

// held is a tentative write.
type held struct {
	key     string
	id      string // the client's; "": the identity is rid
	value   []byte
	version lamport.Version
	number  uint64 // causal; 0: eventual
	rid     uint64
	digest  uint64
	deletes bool
	ttl     uint64 // as in the request
	wall    uint64

	accepted bool // by this replica, from a client
	kept     bool // on disk as a write of its own
	at       int  // its place among all

	nextOfKey, nextOfIdentity *held
}

// left reports whether the write has left the layer since it was found there.
func (h *held) left() bool { return h.key == "" }

func newTentative() tentative {
	return tentative{byKey: map[string]*held{}, byRID: map[uint64]*held{}, byID: map[string]*held{}}
}

// find returns a write with r's identity, or nil.
func (t *tentative) find(r *message.Request) *held {
	if r.Identity != "" {
		return t.byID[r.Identity]
	}
	return t.byRID[r.RID]
}

// add holds r unless the same version of it is held already.
func (t *tentative) add(r *message.Request, number uint64) {
	first := t.find(r)
	for h := first; h != nil; h = h.nextOfIdentity {
		if h.version == r.Version {
			return
		}
	}
	h := t.spare
	if h != nil {
		t.spare = h.nextOfKey
	} else {
		h = new(held)
	}
	*h = held{
		key: r.Key, id: r.Identity, value: r.Value, version: r.Version, number: number, rid: r.RID, digest: r.Digest,
		deletes: r.Type == model.Delete, ttl: r.TTL, wall: r.Wall,
		at:        len(t.held),
		nextOfKey: t.byKey[r.Key], nextOfIdentity: first,
	}
	t.held = append(t.held, h)
	t.byKey[r.Key] = h
	if h.id != "" {
		t.byID[h.id] = h
	} else {
		t.byRID[h.rid] = h
	}
}

// newest returns the write to key with the greatest version, or nil.
func (t *tentative) newest(key string) *held {
	best := t.byKey[key]
	for h := best; h != nil; h = h.nextOfKey {
		if best.version.Less(h.version) {
			best = h
		}
	}
	return best
}

// version returns the write with r's identity and version, or nil.
func (t *tentative) version(r *message.Request) *held {
	h := t.find(r)
	for h != nil && h.version != r.Version {
		h = h.nextOfIdentity
	}
	return h
}

// accept notes that the write was accepted here.
func (t *tentative) accept(r *message.Request) {
	if h := t.version(r); h != nil && !h.accepted {
		h.accepted = true
		t.own++
	}
}

// request is the write as a request.
func (h *held) request() *message.Request {
	r := &message.Request{
		RID: h.rid, Identity: h.id, Digest: h.digest, Version: h.version, Wall: h.wall,
		Request: model.NewSet(model.Eventual, h.key, h.value),
	}
	r.TTL = h.ttl
	if h.deletes {
		r.Type = model.Delete
	}
	if h.number > 0 {
		r.Model = model.Causal
	}
	return r
}

// record is what the write leaves if it is committed; it has no revision before that.
func (h *held) record() store.Record {
	rec := store.Record{
		Kind: store.KindValue, Value: h.value, Version: h.version, Number: h.number, RID: h.rid,
		Expires: expiry(h.wall, h.ttl),
	}
	if h.deletes {
		rec.Kind = store.KindTombstone
	}
	return rec
}

// all returns the writes that fit, in the order of their versions.
func (t *tentative) all(fits func(*held) bool) []*held {
	var list []*held
	for _, first := range t.byKey { // sorted below
		for h := first; h != nil; h = h.nextOfKey {
			if fits(h) {
				list = append(list, h)
			}
		}
	}
	slices.SortFunc(list, func(a, b *held) int {
		if c := a.version.Compare(b.version); c != 0 {
			return c
		}
		return cmp.Compare(a.rid, b.rid)
	})
	return list
}

func (t *tentative) eventual() []*held {
	return t.all(func(h *held) bool { return h.number == 0 })
}

func (t *tentative) causal() []*held {
	return t.all(func(h *held) bool { return h.number > 0 })
}

// remove drops every version of r's identity; gone sees each.
func (t *tentative) remove(r *message.Request, gone func(*held)) {
	h := t.find(r)
	if h == nil {
		return
	}
	if h.id != "" {
		delete(t.byID, h.id)
	} else {
		delete(t.byRID, h.rid)
	}
	for h != nil {
		next := h.nextOfIdentity
		gone(h)
		if h.accepted {
			t.own--
		}
		t.unlink(h)
		t.vacate(h.at)
		*h = held{nextOfKey: t.spare}
		t.spare = h
		h = next
	}
}

// vacate takes the write at a place out of those of all: the last one takes the place. So who goes
// through them from the last to the first misses none that stays.
func (t *tentative) vacate(at int) {
	last := len(t.held) - 1
	t.held[at] = t.held[last]
	t.held[at].at = at
	t.held[last] = nil
	t.held = t.held[:last]
}

// unlink takes h out of its key's list.
func (t *tentative) unlink(h *held) {
	first := t.byKey[h.key]
	switch {
	case first == h && h.nextOfKey == nil:
		delete(t.byKey, h.key)
	case first == h:
		t.byKey[h.key] = h.nextOfKey
	default:
		for first.nextOfKey != h {
			first = first.nextOfKey
		}
		first.nextOfKey = h.nextOfKey
	}
}
