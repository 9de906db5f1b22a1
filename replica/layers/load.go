package layers

import (
	"quartet/bus/message"
	"quartet/replica/store"
)

// What a member gives to a learner of its committed layer and its table, and what a learner
// takes (rule F6). Entries of the table are numbered over the whole order, the same on every
// replica.

// Entries is the number of the newest entry of the table.
func (l *Layers) Entries() uint64 { return l.executed.number }

// FirstEntry is the number of the oldest entry of the table; Entries()+1 if there is none.
func (l *Layers) FirstEntry() uint64 { return l.executed.first() }

// FirstKeyed is the number of the oldest entry of which the table knows the key, too;
// Entries()+1 if there is none.
func (l *Layers) FirstKeyed() uint64 { return l.executed.oldest() }

// Order is the order's time, with the oldest entry that is needed.
func (l *Layers) Order() message.OrderTime { return l.executed.state() }

// EachEntry calls f for the entries of the table from a number on, until it returns false.
func (l *Layers) EachEntry(number uint64, f func(message.Executed) bool) {
	l.executed.each(number, func(d *done) bool { return f(exported(d)) })
}

// Stored returns the record that the store holds at a key, be it a tombstone that is collected.
func (l *Layers) Stored(key string) (store.Record, bool) { return l.store.Get(key) }

// EachKey calls f for the records that the store holds from a key on, in the order of keys, until
// it returns false: tombstones that are collected, too. Who takes them has the floor beside them.
func (l *Layers) EachKey(from string, f func(key string, rec store.Record) bool) {
	l.store.Ascend(from, f)
}

// Empty reports whether nothing was delivered or loaded.
func (l *Layers) Empty() bool { return l.executed.number == 0 && l.store.Len() == 0 }

// Clear drops the committed layer's records.
func (l *Layers) Clear() {
	l.loseSnapshots()
	l.store.Clear()
}

// Restart empties the table, and begins the position anew. Records stay: they are written
// again, or removed, as the load goes on, which snapshots note as any change.
func (l *Layers) Restart() {
	l.executed.clear(0)
	l.RestartChanges(0)
	l.position = 0
	l.collection, l.sweep = message.Collection{}, sweep{}
}

// Load takes entries of a member's table, of which the first has a number, and reports whether
// they go on where the table here ends: else it takes none. An empty table begins with any.
// What they tell of is tentative here no more.
func (l *Layers) Load(first uint64, entries []message.Executed) bool {
	e := &l.executed
	if e.number == 0 && e.count == 0 {
		e.clear(first - 1)
	}
	if first != e.number+1 {
		return false
	}

	for i := range entries {
		x := &entries[i]
		e.add(imported(x))
		l.Forget(&message.Request{Identity: x.Identity, RID: x.RID})
		if l.cfg.Journal != nil {
			l.cfg.Journal.Executed = append(l.cfg.Journal.Executed, *x)
		}
	}
	return true
}

// LoadKey takes a record of a member's committed layer.
func (l *Layers) LoadKey(r *message.KeyRecord) {
	l.put(r.Key, store.Record{
		Kind: store.Kind(r.Kind), Value: r.Value, Version: r.Version, Number: r.Number, RID: r.RID,
		Revision: r.Revision, Expires: r.Expires,
	})
}

// removeMost bounds how many keys a piece of a load takes out of the store.
const removeMost = 2000

// LoadRange takes all records of a member's committed layer from a key on, up to another one that
// is not among them ("": up to the last), and removes what else stands between these here: an
// earlier load may have left it, of a member that was ahead of this one. It returns up to which key
// that is done; "": for all of them.
func (l *Layers) LoadRange(from, to string, records []message.KeyRecord) string {
	has := map[string]bool{}
	for i := range records {
		has[records[i].Key] = true
		l.LoadKey(&records[i])
	}

	var extra []string
	done := to
	l.store.Ascend(from, func(key string, _ store.Record) bool {
		if isBehind := to != "" && key >= to; isBehind {
			return false
		}
		if has[key] {
			return true
		}
		if len(extra) == removeMost {
			done = key
			return false
		}
		extra = append(extra, key)
		return true
	})

	for _, key := range extra {
		l.remove(key)
	}
	return done
}

// LoadRemoved removes keys that a member has no more.
func (l *Layers) LoadRemoved(keys []string) {
	for _, key := range keys {
		l.remove(key)
	}
}

// LoadFloor takes the floor of a member from which records were loaded.
func (l *Layers) LoadFloor(c *message.Collection) {
	if l.collection.Floor.Less(c.Floor) {
		l.collection.Floor, l.collection.Position = c.Floor, c.Position
		l.beginSweep()
	}
}

// Reached says that the layers have come as far as those of the member from which they are
// loaded.
func (l *Layers) Reached(position uint64, order message.OrderTime, c *message.Collection) {
	l.position = position
	l.executed.resume(order)
	l.LoadFloor(c)
	l.collection.Horizon, l.collection.Agreed = c.Horizon, c.Agreed
}
