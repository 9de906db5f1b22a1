package disk

import "quartet/replica/store"

// entry is what is known of a key: its record, or that there is none.
type entry struct {
	key     string
	record  store.Record
	indexed uint64 // the deadline that the engine's index has; 0: none
	present bool
	dirty   bool // put or removed in this turn
	used    bool // since the hand passed last
	at      int  // in the ring
}

// entryCost is what an entry costs beside its key and value: itself, and what map and ring
// hold of it.
const entryCost = 192

func (e *entry) size() int { return entryCost + len(e.key) + len(e.record.Value) }

// cache keeps the records of the turn, all of them, and beside them the records of keys that were
// asked for lately, as long as all together is below a limit. The clock algorithm chooses what
// leaves: a record that was not used since the hand passed last.
type cache struct {
	byKey map[string]*entry
	ring  []*entry
	hand  int
	size  int
	limit int
}

func newCache(limit int) *cache { return &cache{byKey: map[string]*entry{}, limit: limit} }

// get returns the entry of key, or nil.
func (c *cache) get(key string) *entry {
	e := c.byKey[key]
	if e != nil {
		e.used = true
	}
	return e
}

// add makes an entry for a key that has none, of what the engine has.
func (c *cache) add(key string, r store.Record, present bool) *entry {
	e := &entry{key: key, record: r, indexed: r.Expires, present: present, at: len(c.ring)}
	c.byKey[key] = e
	c.ring = append(c.ring, e)
	c.size += e.size()
	c.shrink(e, stepsOfAdd)
	return e
}

// set changes what an entry knows.
func (c *cache) set(e *entry, r store.Record, present bool) {
	c.size -= e.size()
	e.record, e.present = r, present
	c.size += e.size()
}

// stepsOfAdd is how far the hand goes for a new entry at the most: in a turn that is
// larger than the limit it would go round for each. The end of the turn does the rest.
const stepsOfAdd = 16

// settle ends a turn: its records are on disk, so they may leave as all others.
func (c *cache) settle(turn []*entry) {
	for _, e := range turn {
		e.dirty, e.indexed = false, e.record.Expires
	}
	c.shrink(nil, 2*len(c.ring))
}

// shrink lets entries go until the limit is kept, but never keep or one of the turn.
func (c *cache) shrink(keep *entry, steps int) {
	for ; c.size > c.limit && steps > 0; steps-- {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		if len(c.ring) == 0 {
			return
		}
		switch e := c.ring[c.hand]; {
		case e == keep || e.dirty:
			c.hand++
		case e.used:
			e.used = false
			c.hand++
		default:
			c.remove(e)
			c.hand++ // or the newest, which has taken this place, would be the next to go
		}
	}
}

// remove puts the last of the ring into the place of e.
func (c *cache) remove(e *entry) {
	delete(c.byKey, e.key)
	c.size -= e.size()
	last := len(c.ring) - 1
	c.ring[e.at] = c.ring[last]
	c.ring[e.at].at = e.at
	c.ring[last] = nil
	c.ring = c.ring[:last]
}
