package layers

import (
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/changes"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// What watches are told of (rules O20 and O21): the changes of the committed layer, which every
// replica notes at the same positions, and, while somebody watches in models 3 or 4, those of
// what such gets see, which differ from replica to replica.

// seenMost bounds the log of what models 3 and 4 have seen to change.
const (
	seenMost  = 20_000
	seenBytes = 32 << 20
)

// seen is what models 3 and 4 see to change.
type seen struct {
	log     *changes.Log // nil: nobody watches
	touched []touched    // in the present operation
}

// touched is a key that an operation may change, as it was before.
type touched struct {
	key      string
	version  lamport.Version
	revision uint64 // 0: it was tentative
	kind     store.Kind
}

// isAs reports whether what a get sees is what it saw before. Writes of one broadcast have one
// version, and revisions of their own; a weak write that is committed gets one, and is the same.
func (t *touched) isAs(c *message.Change) bool {
	isSameVersion := c.Version == t.version && c.Kind == kindOf(&store.Record{Kind: t.kind})
	isCommitted := t.revision == 0 || c.Revision == t.revision
	return isSameVersion && isCommitted
}

// Changes is the log of the committed layer's changes.
func (l *Layers) Changes() *changes.Log { return l.changes }

// Visible is the log of what models 3 and 4 have seen to change since Follow(true).
func (l *Layers) Visible() *changes.Log { return l.seen.log }

// Follow begins and ends the filling of Visible.
func (l *Layers) Follow(on bool) {
	l.seen = seen{}
	if on {
		l.seen.log = changes.New(seenMost, seenBytes)
	}
}

// touch says that the present operation may change what a get of models 3 and 4 sees of a key.
func (l *Layers) touch(key string) {
	if len(l.newestPast.open) > 0 {
		l.noteNewest(key)
	}
	if l.seen.log == nil {
		return
	}
	for i := range l.seen.touched {
		if l.seen.touched[i].key == key {
			return
		}
	}
	rec, _ := l.Newest(key)
	l.seen.touched = append(l.seen.touched, touched{key: key, version: rec.Version, revision: rec.Revision, kind: rec.Kind})
}

// tell ends an operation: what it has changed for gets of models 3 and 4 is noted.
func (l *Layers) tell() { l.tellAs(0) }

// tellEnd is tell for the end of a value.
func (l *Layers) tellEnd() { l.tellAs(message.ChangeExpire) }

// tellAs is tell; kind is what a key without a value has become, 0: deleted.
func (l *Layers) tellAs(kind message.ChangeKind) {
	for _, t := range l.seen.touched {
		c, ok := l.NewestChange(t.key)
		if !ok || t.isAs(&c) {
			continue
		}
		if c.Kind == message.ChangeDelete && kind != 0 {
			c.Kind = kind
		}
		l.seen.log.Push(c)
	}
	l.seen.touched = l.seen.touched[:0]
}

// NewestChange returns what a get of models 3 and 4 sees of a key as the change that has left it,
// a tombstone too.
func (l *Layers) NewestChange(key string) (message.Change, bool) {
	rec, _ := l.Newest(key)
	if rec.Kind == 0 {
		return message.Change{}, false
	}
	return changeOf(kindOf(&rec), key, &rec), true
}

// kindOf is the kind of change that has left a record.
func kindOf(rec *store.Record) message.ChangeKind {
	if rec.Kind == store.KindValue {
		return message.ChangeSet
	}
	return message.ChangeDelete
}

func changeOf(kind message.ChangeKind, key string, rec *store.Record) message.Change {
	return message.Change{
		Revision: rec.Revision, Kind: kind, Key: key, Value: rec.Value, Version: rec.Version, Number: rec.Number, Expires: rec.Expires,
	}
}

// append notes a change at its place.
func (l *Layers) append(c message.Change) {
	l.changes.Append(c)
	if j := l.cfg.Journal; j != nil {
		if j.Changes == nil {
			j.Changes = make([]message.Change, 0, l.usual.changes)
		}
		j.Changes = append(j.Changes, c)
	}
}

// usual is how much the disk learned at once last: the next time there is room for as much at the
// beginning, so that a list of thousands is not copied over and over while it grows.
type usual struct{ executed, changes int }

// usualMost bounds what room is made for.
const usualMost = 8192

// learned notes how much the disk learns now.
func (u *usual) learned(t *durable.Turn) {
	u.executed = min(len(t.Executed), usualMost)
	u.changes = min(len(t.Changes), usualMost)
}

// lacksChanges reports whether the log has not come as far as the present position.
func (l *Layers) lacksChanges() bool { return l.changes.Last() < l.position }

// Again says that a write has its place at the present position and was executed before, with its
// first outcome. That may have been here, at this place: a learner that was loaded by one member,
// and lets itself in by another that is behind it, has what is delivered now in its table and in
// its records already. The log of changes may have been loaded less far: what it lacks is noted now
// (rule O20).
func (l *Layers) Again(r *message.Request, version lamport.Version, first *Outcome) {
	hadAnotherPlace := r.Model.Strong() && first.Position != l.position
	changedNothing := first.Code != 0 || hadAnotherPlace
	if changedNothing || !l.lacksChanges() {
		return
	}

	for _, key := range l.writtenBy(r) {
		rec, _ := l.store.Get(key)
		isPlain := r.Type == model.Set || r.Type == model.Delete
		switch {
		case rec.Revision < l.position: // that was at another place
		case rec.Revision == l.position:
			l.append(changeOf(kindOf(&rec), key, &rec))
		case r.Model.Strong() && isPlain:
			by := originOf(r, version, 0, l.position)
			step := r.Step()
			step.HasIf = false // it held
			left, _, _ := alter(&step, store.Record{}, &by)
			l.append(changeOf(kindOf(&left), key, &left))
		default: // what it left is not known any more
			l.RestartChanges(l.position)
			return
		}
	}
}

// writtenBy are the keys that a write may change.
func (l *Layers) writtenBy(r *message.Request) []string {
	if r.Type != model.Txn || l.cfg.Forms == nil {
		return []string{r.Key}
	}
	t, err := l.cfg.Forms.ParseTransaction(r.Value)
	if err != nil { // no door lets it in
		return nil
	}
	var keys []string
	for _, steps := range [...][]model.Step{t.Then, t.Else} {
		for i := range steps {
			if steps[i].Type.Writes() {
				keys = append(keys, steps[i].Key)
			}
		}
	}
	return keys
}

// LoadChanges takes changes of a member's log that go on where the log here ends.
func (l *Layers) LoadChanges(loaded []message.Change) {
	for i := range loaded {
		l.changes.Append(loaded[i])
	}
	if l.cfg.Journal != nil {
		l.cfg.Journal.Changes = append(l.cfg.Journal.Changes, loaded...)
	}
}

// RestartChanges empties the log of changes: it begins behind a position.
func (l *Layers) RestartChanges(since uint64) {
	l.changes.Reset(since)
	if l.cfg.Journal != nil {
		l.cfg.Journal.DropChanges, l.cfg.Journal.Changes = true, nil
	}
}

// restoreChanges makes the log what a disk says: one that has none of them begins here.
func (l *Layers) restoreChanges(s *durable.Saved) {
	span := s.State.Changes
	if span.To < s.State.Position {
		l.changes.Reset(s.State.Position)
		return
	}
	l.changes.Reset(span.Since)
	for i := range s.Changes {
		l.changes.Append(s.Changes[i])
	}
}
