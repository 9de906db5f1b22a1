package layers

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/store"
)

// put is the one way into the committed layer: everything that changes it, by the order or by a
// load, goes through here.
func (l *Layers) put(key string, rec store.Record) {
	l.noteBefore(key)
	l.touch(key)
	l.store.Put(key, rec)
}

// commit is put by the order: a change, of which watches are told (rule O20).
func (l *Layers) commit(kind message.ChangeKind, key string, rec store.Record) {
	l.put(key, rec)
	if rec.Revision != l.position { // of an epoch without revisions: nobody can go on from there
		l.RestartChanges(l.position)
		return
	}
	l.append(changeOf(kind, key, &rec))
}

// CommitStrong lets a write of models 1 and 2 take effect at its place, the present position, and
// returns its first outcome. revision is what it leaves have. A weak version is below the place of
// the broadcast that carried it, so a strong write is greater than all that its key holds and
// needs no comparison.
func (l *Layers) CommitStrong(r *message.Request, version lamport.Version, revision uint64) Outcome {
	by := originOf(r, version, 0, revision)
	if r.Type == model.Txn && l.cfg.Forms != nil {
		return l.commitTransaction(r, &by)
	}
	step := r.Step()
	var old store.Record
	if dependsOn(&step) {
		old, _ = l.at(r.Key)
	}

	o := Outcome{Position: l.position}
	left, sum, done := alter(&step, old, &by)
	if done {
		l.commit(kindOf(&left), r.Key, left)
		o.Result = sum
	} else {
		o.Code, o.Revision = model.Failed, revisionOf(old)
	}
	l.remember(r, r.Key, o)
	l.tell()
	return o
}

// CommitWeak lets a weak write (causal, if number is not 0) take effect at its place, where
// nothing greater stands; revision is what it leaves has. Of two writes with one identity the
// first that is delivered counts, and both leave the tentative layer.
func (l *Layers) CommitWeak(r *message.Request, number, revision uint64) {
	defer l.tell()
	l.forget(r)
	if first, again := l.executed.lookup(r); again {
		l.Again(r, r.Version, &first)
		return
	}
	l.putWeak(r, number, revision)
	l.remember(r, r.Key, Outcome{Timestamp: number})
}

// putWeak is what of a weak write depends on what stands at its key. Where nothing does, a
// tombstone up to the floor may have stood (rule O43).
func (l *Layers) putWeak(r *message.Request, number, revision uint64) {
	old, ok := l.at(r.Key)
	if above := l.above(&old, ok); !above.Less(r.Version) {
		return
	}
	by := originOf(r, r.Version, number, revision)
	step := r.Step()
	if left, _, done := alter(&step, old, &by); done {
		l.commit(kindOf(&left), r.Key, left)
	}
}

// End ends the value of a key, if it has the revision that is named, and has an end: a tombstone
// takes its place, with the value's own version, so that a weak write that was stamped later than
// the value still wins, and one that was stamped earlier still loses. revision is the tombstone's.
func (l *Layers) End(key string, named, revision uint64) {
	rec, _ := l.store.Get(key)
	if wasLoaded := rec.Kind == store.KindTombstone && rec.Revision == l.position; wasLoaded && l.lacksChanges() {
		l.append(changeOf(message.ChangeExpire, key, &rec))
		return
	}
	ends := rec.Kind == store.KindValue && rec.Revision == named && rec.Expires > 0
	if !ends {
		return
	}
	l.commit(message.ChangeExpire, key, store.Record{
		Kind: store.KindTombstone, Version: rec.Version, Number: rec.Number, Revision: revision,
	})
	l.note(key)
	l.tellEnd()
}

// Due calls f for the keys whose value is to have ended by a time on the wall, in milliseconds
// since 1970, the earliest first, with its revision, until it returns false.
func (l *Layers) Due(by uint64, f func(key string, revision uint64) bool) {
	l.store.Due(by, func(key string, rec store.Record) bool { return f(key, rec.Revision) })
}

// remember notes the first outcome of a write that was decided at its place, and the key that it
// has changed.
func (l *Layers) remember(r *message.Request, key string, o Outcome) {
	o.RID, o.Digest, o.time = r.RID, r.Digest, l.executed.order.Now
	l.enter(done{id: r.Identity, key: key, Outcome: o})
	l.unsaved += len(r.Value)
}

// note enters a key into the table that has changed by nobody's request, or by one that stands
// there under another key: a learner needs its record again.
func (l *Layers) note(key string) {
	l.enter(done{key: key, Outcome: Outcome{time: l.executed.order.Now}})
}

// longResult is the length of a result, in bytes, from which on its key has an entry of its own:
// a CHUNK has room for the result or for the key's record.
const longResult = 64 << 10

func (l *Layers) enter(d done) {
	if key := d.key; key != "" && len(d.Result) > longResult {
		d.key = ""
		l.enter(d)
		l.note(key)
		return
	}

	l.unsaved += len(d.Result)
	l.executed.add(d)
	if j := l.cfg.Journal; j != nil {
		if j.Executed == nil {
			j.Executed = make([]message.Executed, 0, l.usual.executed)
		}
		j.Executed = append(j.Executed, exported(&d))
	}
}
