package replica

import (
	"quartet/bus/message"
	"quartet/replica/store"
)

// Bounds of a CHUNK: about so many bytes and one value more, and so many entries.
const (
	chunkBytes   = 256 << 10
	chunkEntries = 2048
	entryBytes   = 64 // of what is not key, value or identity, about
)

// size is how much room a CHUNK has, and has taken.
type size struct{ most, taken int }

func (m *Machine) newRoom() size {
	if m.cfg.ChunkBytes > 0 {
		return size{most: m.cfg.ChunkBytes}
	}
	return size{most: chunkBytes}
}

// add reports whether n bytes more find room, and takes it. The first always do.
func (s *size) add(n int) bool {
	if s.taken > 0 && s.taken+n > s.most {
		return false
	}
	s.taken += n + entryBytes
	return true
}

// donate answers a learner with the next piece of this member's state. The piece is made
// from what the learner says it has, so a donor remembers nothing of its learners.
func (m *Machine) donate(p *message.Pull, out *Output) {
	behind := p.Entry > m.layers.Entries() // the learner had a donor that was further
	switch {
	case m.cast == nil && m.rest == nil, p.Wedged && m.rest == nil:
		return
	case behind && !(p.Wedged && p.Scanned):
		return
	}
	c := &message.Chunk{
		Header: m.header(), Nonce: p.Nonce, Position: m.layers.Position(), Cursor: p.Cursor, Scanned: p.Scanned,
		Last: m.layers.Entries(), Order: m.layers.Order(), LastRID: m.lastRID, Committed: m.causal.committed,
	}
	if m.rest != nil {
		c.Place = m.rest.Place
	} else {
		c.Place = m.cast.Place()
	}
	room := m.newRoom()
	switch {
	case m.outOfReach(p):
		c.Restart = true
	case !m.donateEntries(p, c, &room):
	case !p.Scanned && !m.donateKeys(c, &room):
	case p.Wedged:
		m.donateRest(p, c, &room)
	}
	out.send(c, p.From)
}

// outOfReach reports whether the table does not go on from where the learner is: the next
// entries are forgotten, or, if it needs the records of their keys, only their outcomes are
// here.
func (m *Machine) outOfReach(p *message.Pull) bool {
	if p.Cursor != "" || p.Scanned {
		return p.Entry+1 < m.layers.FirstKeyed()
	}
	return p.Entry > 0 && p.Entry+1 < m.layers.FirstEntry()
}

// donateEntries adds the entries of the table that the learner lacks, and the records of
// their keys as they are now, and reports whether all found room. Before the learner has
// begun to read the keys it needs no records: it will read every key later.
func (m *Machine) donateEntries(p *message.Pull, c *message.Chunk, room *size) bool {
	c.First = max(p.Entry+1, m.layers.FirstEntry())
	if m.cfg.Mutant.LoadForgets {
		c.First = max(c.First, m.layers.FirstKeyed())
	}
	records := p.Cursor != "" || p.Scanned
	seen := map[string]bool{}
	all := true
	m.layers.EachEntry(c.First, func(x message.Executed) bool {
		var rec store.Record
		ok := records && !seen[x.Key]
		if ok {
			rec, ok = m.layers.Committed(x.Key)
		}
		n := len(x.Identity) + len(x.Key)
		if ok {
			n += len(x.Key) + len(rec.Value)
		}
		if len(c.Entries) == chunkEntries || !room.add(n) {
			all = false
			return false
		}
		c.Entries = append(c.Entries, x)
		if ok {
			seen[x.Key] = true
			c.Records = append(c.Records, keyRecord(x.Key, rec))
		}
		return true
	})
	return all
}

func keyRecord(key string, rec store.Record) message.KeyRecord {
	return message.KeyRecord{
		Key: key, Kind: uint8(rec.Kind), Value: rec.Value, Version: rec.Version, Number: rec.Number, RID: rec.RID,
	}
}

// donateKeys adds the next keys in order and reports whether that were the last.
func (m *Machine) donateKeys(c *message.Chunk, room *size) bool {
	c.Scanned = true
	m.layers.EachKey(c.Cursor, func(key string, rec store.Record) bool {
		if !room.add(len(key) + len(rec.Value)) {
			c.Cursor, c.Scanned = key, false
			return false
		}
		c.Records = append(c.Records, keyRecord(key, rec))
		return true
	})
	return c.Scanned
}

// donateRest adds what this wedged member holds and has not delivered.
func (m *Machine) donateRest(p *message.Pull, c *message.Chunk, room *size) {
	c.Wedged, c.Done = true, true
	c.Contiguous, c.Watermark, c.Safe = m.rest.Contiguous, m.causal.watermark, m.causal.safe
	for _, d := range m.rest.Queue {
		i := m.record.Index(d.From)
		if i < len(p.Held) && d.Seq <= p.Held[i] {
			continue
		}
		n := 0
		for k := range d.Ops {
			op := &d.Ops[k]
			n += entryBytes + len(op.Request.Key) + len(op.Request.Value) + len(op.Request.Identity) + 20*len(op.Reads)
		}
		if !room.add(n) {
			c.Done = false
			return
		}
		c.Data = append(c.Data, d)
	}
	for n := max(m.causal.committed, p.Number) + 1; n <= m.causal.watermark; n++ {
		w := m.causal.log[n]
		if w == nil || !room.add(len(w.Request.Key)+len(w.Request.Value)+len(w.Request.Identity)) {
			c.Done = false
			return
		}
		c.Writes = append(c.Writes, *w)
	}
}
