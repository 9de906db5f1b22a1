package layers

import (
	"bytes"
	"slices"

	"quartet/replica/store"
)

// past is what keys were before they changed, for the snapshots that are open. A snapshot costs a
// number: nothing is copied when it is taken. While one is open, the first change of a key after
// the newest of them notes what the key was, so a change costs one look, however many there are.
// What no snapshot needs any more goes a little at a time, the oldest first.
type past struct {
	open    []opened // the oldest first
	number  uint64   // of the newest snapshot that was ever taken
	least   uint64   // those below it are lost, or closed
	byKey   map[string]versions
	first   *noted // of all keys, in the order in which they were noted
	last    *noted
	bytes   int
	seed    uint64        // of removed's hashes
	removed *store.Memory // keys that are noted and have no record any more: the store does not tell of them
}

// opened is how many snapshots of one number are open.
type opened struct {
	number uint64
	users  int
}

// versions are what a key was, the oldest first.
type versions struct{ first, last *noted }

// noted is what a key was for the snapshots up to one, as far as nothing older says it.
type noted struct {
	key   string
	upTo  uint64
	rec   store.Record // Kind 0: there was none
	next  *noted       // of the key
	later *noted       // of all
}

const (
	// pastMost is about how many bytes may be noted: beyond it the oldest snapshots are lost.
	pastMost = 64 << 20
	// notedBytes is about what a note takes beside key and value.
	notedBytes = 250
	// dropMost is how many notes that nobody needs go with each new one.
	dropMost = 8
)

// take opens a snapshot of what there is now, and returns its number. Those that are taken without
// a change in between are one.
func (p *past) take() uint64 {
	if n := len(p.open); n > 0 {
		newest := &p.open[n-1]
		hasNotChanged := p.last == nil || p.last.upTo < newest.number
		if hasNotChanged {
			newest.users++
			return newest.number
		}
	}
	p.number++
	p.open = append(p.open, opened{number: p.number, users: 1})
	return p.number
}

// isLost reports whether a snapshot that was not closed had to be given up.
func (p *past) isLost(number uint64) bool { return number < p.least }

// close ends the use of a snapshot.
func (p *past) close(number uint64) {
	i, found := slices.BinarySearchFunc(p.open, number, func(o opened, n uint64) int { return int(int64(o.number - n)) })
	if !found {
		return
	}
	p.open[i].users--
	for len(p.open) > 0 && p.open[len(p.open)-1].users == 0 {
		p.open = p.open[:len(p.open)-1]
	}
	for len(p.open) > 0 && p.open[0].users == 0 {
		p.open = p.open[1:]
	}
	if len(p.open) == 0 {
		p.clear()
	}
}

// clear drops all that is noted: no snapshot is open.
func (p *past) clear() {
	p.open, p.least = nil, p.number+1
	p.byKey, p.first, p.last, p.bytes, p.removed = nil, nil, nil, 0, nil
}

// needs reports whether a change of a key has to be noted before it is made.
func (p *past) needs(key string) bool {
	if len(p.open) == 0 {
		return false
	}
	v := p.byKey[key]
	return v.last == nil || v.last.upTo < p.open[len(p.open)-1].number
}

// note keeps what a key is before a change that [past.needs] it.
func (p *past) note(key string, rec store.Record) {
	rec.Value = bytes.Clone(rec.Value) // the store's stands among others, and would keep them all
	n := &noted{key: key, upTo: p.open[len(p.open)-1].number, rec: rec}
	if p.byKey == nil {
		p.byKey = map[string]versions{}
	}
	v := p.byKey[key]
	if v.last == nil {
		v.first = n
	} else {
		v.last.next = n
	}
	v.last = n
	p.byKey[key] = v

	if p.last == nil {
		p.first = n
	} else {
		p.last.later = n
	}
	p.last = n
	p.bytes += n.size()
	p.bound()
}

func (n *noted) size() int { return notedBytes + len(n.key) + len(n.rec.Value) }

// bound drops some of what nobody needs, and gives the oldest snapshots up where there is too much
// of what somebody does.
func (p *past) bound() {
	for range dropMost {
		if p.isNeeded() {
			break
		}
		p.drop()
	}
	for p.bytes > pastMost && p.isNeeded() {
		p.least = p.open[0].number + 1
		p.open = p.open[1:]
		for len(p.open) > 0 && p.open[0].users == 0 {
			p.open = p.open[1:]
		}
		if len(p.open) == 0 {
			p.clear()
		}
	}
}

// isNeeded reports whether the oldest note is needed by a snapshot, or there is none.
func (p *past) isNeeded() bool { return p.first == nil || p.first.upTo >= p.open[0].number }

// drop drops the oldest note: it is also the oldest of its key.
func (p *past) drop() {
	n := p.first
	p.bytes -= n.size()
	if p.first = n.later; p.first == nil {
		p.last = nil
	}
	if n.next != nil {
		p.byKey[n.key] = versions{first: n.next, last: p.byKey[n.key].last}
		return
	}
	delete(p.byKey, n.key)
	if p.removed != nil {
		p.removed.Remove(n.key)
	}
}

// at returns what a key was for a snapshot, if it has changed since.
func (p *past) at(key string, number uint64) (store.Record, bool) {
	n := p.byKey[key].first
	for n != nil && n.upTo < number {
		n = n.next
	}
	if n == nil {
		return store.Record{}, false
	}
	return n.rec, true
}

// remove says that a key has no record any more, as if it had never had one.
func (p *past) remove(key string) {
	if p.byKey[key].last == nil {
		return
	}
	if p.removed == nil {
		p.removed = store.NewMemory(p.seed)
	}
	p.removed.Put(key, store.Record{})
}
