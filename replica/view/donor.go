package view

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
	"quartet/replica/layers"
	"quartet/replica/store"
)

// Bounds of a CHUNK: about so many bytes and one value more, and so many entries.
const (
	chunkBytes   = 256 << 10
	chunkEntries = 2048
	entryBytes   = 64 // of what is not key, value or identity, about
)

// room is how much space a CHUNK has, and has taken.
type room struct{ most, taken int }

// add reports whether n bytes more find room, and takes it. The first always do.
func (r *room) add(n int) bool {
	if r.taken > 0 && r.taken+n > r.most {
		return false
	}
	r.taken += n + entryBytes
	return true
}

// Donor is what a member gives to learners. It is made for each question: a donor remembers
// nothing of its learners.
type Donor struct {
	Layers *layers.Layers
	View   *message.View
	Rest   *abcast.Remains // what it holds and has not delivered; nil: it is not wedged
	Place  lamport.Timestamp
	Bytes  int // about how large a piece is; 0: 256 KiB

	Committed, Safe, Watermark uint64                              // of the causal numbers
	Write                      func(n uint64) *message.CausalWrite // that is held, else nil
}

// Chunk answers a learner with the next piece of this member's state, made from what the
// learner says it has; nil: it has nothing for this one. Its header, and LastRID, are the
// caller's to fill.
func (d *Donor) Chunk(p *message.Pull) *message.Chunk {
	wanted := p.Wedged && d.Rest == nil    // what a wedged member has, and this one is none
	behind := p.Entry > d.Layers.Entries() // the learner had a donor that was further
	rest := p.Wedged && p.Scanned          // … and needs nothing of the layers
	needsLayers := behind && !rest
	if wanted || needsLayers {
		return nil
	}

	c := &message.Chunk{
		Nonce: p.Nonce, Position: d.Layers.Position(), Cursor: p.Cursor, Scanned: p.Scanned,
		Last: d.Layers.Entries(), Order: d.Layers.Order(), Place: d.Place, Committed: d.Committed,
		Collection: d.Layers.Collection(),
	}
	c.Changes.Since = max(p.Changes, d.Layers.Changes().Since())
	c.Changes.To = c.Changes.Since
	space := &room{most: chunkBytes}
	if d.Bytes > 0 {
		space.most = d.Bytes
	}
	switch {
	case d.outOfReach(p):
		c.Restart = true
	// In this order, each once all of what is before it found room: what does not comes with the
	// next piece.
	case !d.addEntries(p, c, space):
	case !p.Scanned && !d.addKeys(c, space):
	case !d.addChanges(p, c, space):
	case p.Wedged: // it is to be a copy of this wedged member: what it has not delivered
		d.addRest(p, c, space)
	}
	return c
}

// outOfReach reports whether the table does not go on from where the learner is: the next
// entries are forgotten, or, if it needs the records of their keys, only their outcomes are
// here.
func (d *Donor) outOfReach(p *message.Pull) bool {
	if p.Cursor != "" || p.Scanned {
		return p.Entry+1 < d.Layers.FirstKeyed()
	}
	return p.Entry > 0 && p.Entry+1 < d.Layers.FirstEntry()
}

// addEntries adds the entries of the table that the learner lacks, and the records of their keys
// as they are now, or that there is none, and reports whether all found room. Before the learner
// has begun to read the keys it needs no records: it will read every key later. An entry goes
// with its key's record, so one that has a long result has no key: the keys of a transaction have
// entries of their own.
func (d *Donor) addEntries(p *message.Pull, c *message.Chunk, space *room) bool {
	c.First = max(p.Entry+1, d.Layers.FirstEntry())
	records := p.Cursor != "" || p.Scanned
	seen := map[string]bool{}
	all := true
	d.Layers.EachEntry(c.First, func(x message.Executed) bool {
		var rec store.Record
		has := false
		isNew := records && x.Key != "" && !seen[x.Key]
		n := len(x.Identity) + len(x.Key) + len(x.Result)
		if isNew {
			rec, has = d.Layers.Stored(x.Key)
			n += len(x.Key) + len(rec.Value)
		}
		if len(c.Entries) == chunkEntries || !space.add(n) {
			all = false
			return false
		}

		c.Entries = append(c.Entries, x)
		if isNew {
			seen[x.Key] = true
		}
		switch {
		case has:
			c.Records = append(c.Records, keyRecord(x.Key, rec))
		case isNew:
			c.Removed = append(c.Removed, x.Key)
		}
		return true
	})
	return all
}

func keyRecord(key string, rec store.Record) message.KeyRecord {
	return message.KeyRecord{
		Key: key, Kind: uint8(rec.Kind), Value: rec.Value, Version: rec.Version, Number: rec.Number, RID: rec.RID,
		Revision: rec.Revision, Expires: rec.Expires,
	}
}

// addKeys adds the next keys in order and reports whether that were the last.
func (d *Donor) addKeys(c *message.Chunk, space *room) bool {
	c.Scanned = true
	d.Layers.EachKey(c.Cursor, func(key string, rec store.Record) bool {
		if !space.add(len(key) + len(rec.Value)) {
			c.Cursor, c.Scanned = key, false
			return false
		}
		c.Records = append(c.Records, keyRecord(key, rec))
		return true
	})
	return c.Scanned
}

// addChanges adds the changes that the learner's log lacks, and reports whether all found room. A
// position is told whole, or not at all: the last of them is a transaction's too.
func (d *Donor) addChanges(p *message.Pull, c *message.Chunk, space *room) bool {
	log := d.Layers.Changes()
	first, _ := log.Seek(c.Changes.Since)

	whole := 0
	for i := first; i < log.Next(); i++ {
		change := log.At(i)
		isBegun := whole < len(c.Changes.List) // its position is to be told whole
		if !space.add(change.Size()) && !isBegun {
			return false
		}
		c.Changes.List = append(c.Changes.List, change)
		if !log.More(i) {
			whole, c.Changes.To = len(c.Changes.List), change.Revision
		}
	}
	c.Changes.To = max(c.Changes.To, c.Position)
	return true
}

// addRest adds what this wedged member holds and has not delivered.
func (d *Donor) addRest(p *message.Pull, c *message.Chunk, space *room) {
	c.Wedged, c.Done = true, true
	c.Contiguous, c.Watermark, c.Safe = d.Rest.Contiguous, d.Watermark, d.Safe
	for _, data := range d.Rest.Queue {
		i := d.View.Index(data.From)
		if i < len(p.Held) && data.Seq <= p.Held[i] {
			continue
		}
		n := 0
		for k := range data.Ops {
			op := &data.Ops[k]
			n += entryBytes + op.Request.Size() + 20*len(op.Reads)
		}
		if !space.add(n) {
			c.Done = false
			return
		}
		c.Data = append(c.Data, data)
	}

	for n := max(d.Committed, p.Number) + 1; n <= d.Watermark; n++ {
		w := d.Write(n)
		if w == nil || !space.add(w.Request.Size()) {
			c.Done = false
			return
		}
		c.Writes = append(c.Writes, *w)
	}
}
