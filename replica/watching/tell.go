package watching

import (
	"strings"

	"quartet/bus/message"
	"quartet/bus/model"
)

// scan is how far a watch has come with telling what is there.
type scan struct {
	cursor string // the next key
	goesOn bool   // models 3 and 4: only what is newer than after, as changes
	after  uint64

	snapshot Snapshot // models 1 and 2

	// Of goesOn: the changes of the log, by index, that are still to be looked at for deletes whose
	// tombstones are gone. They are told first.
	deleted, deletedEnd uint64

	// Models 3 and 4: keys with tentative writes, which are told first, and those that the watch
	// has been told of since it began.
	tentative []string
	touched   map[string]bool
}

func (s *scan) close() {
	if s.snapshot != nil {
		s.snapshot.Close()
	}
}

// Why a stream ends.
const (
	tooSlow = "the changes after the last event are not kept any more: the watcher was too far behind; begin again"
	tooMany = "too much changed while what is there was being told: begin again"
)

// spread tells the live watches of a feed what is new in its log.
func (w *Watches) spread(f *feed) {
	if len(f.all) == 0 {
		return
	}

	end := f.log.Next()
	if f.seen < f.log.First() { // one turn has brought more than the log keeps
		for _, at := range f.all {
			if at.live {
				at.live, at.next = false, f.seen
				w.ready = append(w.ready, at)
			}
		}
		f.seen = f.log.First()
	}

	for i := f.seen; i < end; i++ {
		c := f.log.At(i)
		f.each(c.Key, func(at *watch) {
			told := at.live && w.change(at, i, &c)
			waits := !at.live && i >= at.next
			if !told && waits {
				at.missed++
			}
		})
	}
	f.seen = end
}

// change tells a watch of the change at an index, or reports that the watcher is to acknowledge
// first.
func (w *Watches) change(at *watch, i uint64, c *message.Change) bool {
	e := at.event(c)
	if !at.fits(e.Size()) {
		if at.live {
			at.live, at.next, at.counted, at.missed = false, i, i, 0
		}
		at.blocked = true
		return false
	}
	e.More = c.Revision > 0 && at.more(i)
	at.said = i + 1
	w.tell(at, e)
	return true
}

// more reports whether a further change of the revision at an index is below the watch's prefix.
// (Those elsewhere it is not told of: it would wait for them for ever.)
func (at *watch) more(i uint64) bool {
	for log := at.feed.log; log.More(i); i++ {
		if log.Below(i+1, at.prefix) {
			return true
		}
	}
	return false
}

// beats tells each watch that it lives, every 5 s, and how far it is if much has passed it by.
func (w *Watches) beats() {
	if w.beaten == w.ticks {
		return
	}
	w.beaten = w.ticks

	for i := 0; i < len(w.all); i++ {
		at := w.all[i]
		isDue := w.ticks >= at.beatAt
		isPassedBy := at.live && at.feed.seen-at.said >= progress
		if !isDue && !isPassedBy {
			continue
		}
		if isDue {
			at.beatAt = w.ticks + BeatTicks
		}
		if w.beat(at) {
			i-- // it has ended
		}
	}
}

// beat tells a watch that it lives, and how far it is; it reports whether that was its end.
func (w *Watches) beat(at *watch) (ended bool) {
	if !at.live && at.scan == nil && at.next < at.feed.log.First() {
		code, reason := at.lost()
		w.end(at, code, reason)
		return true
	}

	e := model.Event{Kind: model.EventHeartbeat}
	if at.live {
		e.Revision = w.source.Position()
	}
	if at.blocked {
		e.Missed = w.waiting(at)
	}
	at.said = at.feed.seen
	w.tell(at, e)
	return false
}

// waiting is how many changes wait for a watcher that is to acknowledge first.
func (w *Watches) waiting(at *watch) uint64 {
	log := at.feed.log
	for i := max(at.next, log.First()); i < at.counted; i++ {
		if log.Below(i, at.prefix) {
			at.missed++
		}
	}
	at.counted = min(at.counted, at.next)
	return at.missed
}

// catchUp lets the watches that are behind go on in turn, as far as one turn of the replica
// allows.
func (w *Watches) catchUp() {
	left := budget{bytes: turnBytes, looks: turnLooks}
	for !left.spent() && len(w.ready) > 0 {
		at := w.ready[0]
		w.ready = append(w.ready[:0], w.ready[1:]...)
		if at.over || at.live || at.blocked {
			continue
		}
		if w.goOn(at, &left) {
			w.ready = append(w.ready, at)
		}
	}
}

// budget is what a turn may still do for watches that are behind.
type budget struct{ bytes, looks int }

func (b *budget) spent() bool { return b.bytes <= 0 || b.looks <= 0 }

// goOn tells a watch that is behind its next slice, and reports whether there is more.
func (w *Watches) goOn(at *watch, left *budget) bool {
	slice := budget{bytes: min(sliceBytes, left.bytes), looks: left.looks}
	before := slice
	defer func() {
		left.bytes -= before.bytes - slice.bytes
		left.looks -= before.looks - slice.looks + 1
	}()

	// What models 3 and 4 see is told as it is at that moment, so all changes before come first.
	scansFirst := at.scan != nil && !at.weak
	if scansFirst && !w.scanCommitted(at, &slice) {
		return w.mayGoOn(at)
	}
	if !w.drain(at, &slice) {
		return w.mayGoOn(at)
	}
	if at.scan != nil && !w.scanVisible(at, &slice) {
		return w.mayGoOn(at)
	}

	w.caughtUp(at)
	at.live, at.said, at.missed = true, at.feed.seen, 0
	return false
}

// mayGoOn reports whether a watch that has more to be told waits for nothing but its turn.
func (w *Watches) mayGoOn(at *watch) bool { return !at.over && !at.blocked }

// drain tells a watch the changes that wait for it, and reports whether that were all.
func (w *Watches) drain(at *watch, left *budget) bool {
	log := at.feed.log
	if at.next < log.First() {
		code, reason := at.lost()
		w.end(at, code, reason)
		return false
	}

	for ; at.next < log.Next(); at.next++ {
		if at.next == at.caughtAt && at.scan == nil {
			w.caughtUp(at)
		}
		if left.spent() {
			return false
		}

		left.looks--
		if !log.Below(at.next, at.prefix) {
			continue
		}
		c := log.At(at.next)
		if !w.change(at, at.next, &c) {
			return false
		}
		left.bytes -= c.Size()
		if at.next >= at.counted && at.missed > 0 {
			at.missed--
		}
		if at.scan != nil && !w.touch(at, c.Key) {
			return false
		}
	}
	return true
}

// lost is why a stream ends of which the next change is not kept any more. Where there is nothing
// yet to go on from, or never is (models 3 and 4), it may simply be asked for again.
func (at *watch) lost() (model.Code, string) {
	switch {
	case !at.caught:
		return model.Unavailable, tooMany
	case at.weak:
		return model.Unavailable, tooSlow
	}
	return model.Gone, tooSlow
}

// touch notes that a watch of models 3 and 4 has been told of a key while what is there is told.
func (w *Watches) touch(at *watch, key string) bool {
	if !at.scan.touched[key] && len(at.scan.touched) >= mostTouched {
		w.end(at, model.Unavailable, tooMany)
		return false
	}
	at.scan.touched[key] = true
	return true
}

// caughtUp tells a watch, once, that it has caught up with the place at which it began.
func (w *Watches) caughtUp(at *watch) {
	if !at.caught {
		at.caught = true
		w.tell(at, model.Event{Kind: model.EventCaughtUp, Revision: at.began})
	}
}

// scanCommitted tells a watch of models 1 and 2 what was there when it began, and reports whether
// that was all.
func (w *Watches) scanCommitted(at *watch, left *budget) bool {
	s := at.scan
	isLost := s.snapshot.Lost() || at.next < at.feed.log.First()
	if isLost {
		w.end(at, model.Unavailable, tooMany)
		return false
	}

	done := true
	s.snapshot.Ascend(s.cursor, func(c *message.Change) bool {
		if !strings.HasPrefix(c.Key, at.prefix) {
			return false
		}
		if !w.there(at, c, left) {
			s.cursor, done = c.Key, false
			return false
		}
		return true
	})
	if !done {
		return false
	}
	s.close()
	at.scan = nil
	w.caughtUp(at)
	return true
}

// there tells a watch what stands at a key, and reports whether it could: there must be room, and
// the turn must not be over.
func (w *Watches) there(at *watch, c *message.Change, left *budget) bool {
	if left.spent() {
		return false
	}
	left.looks--
	isWanted := c.Kind == message.ChangeSet
	e := at.value(c)
	if at.scan.goesOn {
		isWanted = c.Revision == 0 || c.Revision > at.scan.after
		e = at.event(c)
	}
	if !isWanted {
		return true
	}
	if e.Kind == model.EventDelete && w.hasEnded(c) {
		e.Kind = model.EventExpire
	}

	if !at.fits(e.Size()) {
		at.blocked = true
		return false
	}
	left.bytes -= c.Size()
	w.tell(at, e)
	return true
}

// hasEnded reports whether what left a tombstone was the end of a value, as far as the log tells:
// the tombstone does not.
func (w *Watches) hasEnded(c *message.Change) bool {
	log := w.source.Changes()
	i, isKept := log.Seek(c.Revision - 1)
	if isTentative := c.Revision == 0; isTentative || !isKept {
		return false
	}
	for ; i < log.Next() && log.Revision(i) == c.Revision; i++ {
		if at := log.At(i); at.Key == c.Key {
			return at.Kind == message.ChangeExpire
		}
	}
	return false
}

// scanVisible tells a watch of models 3 and 4 what gets see, and reports whether that was all. It
// has been told of all changes so far, so what it was not told of has not changed since it began.
func (w *Watches) scanVisible(at *watch, left *budget) bool {
	s := at.scan
	if !w.tellDeleted(at, left) {
		return false
	}
	for len(s.tentative) > 0 {
		key := s.tentative[0]
		if !s.touched[key] {
			c, ok := w.source.Newest(key)
			if ok && !w.there(at, &c, left) {
				return false
			}
			if !w.touch(at, key) {
				return false
			}
		}
		s.tentative = s.tentative[1:]
	}

	done := true
	w.source.Ascend(s.cursor, func(key string) bool {
		if !strings.HasPrefix(key, at.prefix) {
			return false
		}
		if left.spent() {
			s.cursor, done = key, false
			return false
		}
		c, ok := w.source.Newest(key)
		if isNothing := !ok || s.touched[key]; isNothing {
			left.looks--
			return true
		}
		if !w.there(at, &c, left) {
			s.cursor, done = key, false
			return false
		}
		return true
	})
	if done {
		at.scan = nil
	}
	return done
}

// tellDeleted tells a watch of models 3 and 4 that goes on of the keys that were deleted since,
// and of which nothing stands any more that says so (rule O45). It reports whether that were all.
func (w *Watches) tellDeleted(at *watch, left *budget) bool {
	s, log := at.scan, w.source.Changes()
	if s.deleted < min(log.First(), s.deletedEnd) {
		if isToBeWhole := s.after > 0; isToBeWhole {
			w.end(at, model.Unavailable, tooMany)
			return false
		}
		s.deleted = log.First()
	}

	for ; s.deleted < s.deletedEnd; s.deleted++ {
		if left.spent() {
			return false
		}
		left.looks--
		if !log.Below(s.deleted, at.prefix) {
			continue
		}
		c := log.At(s.deleted)
		if c.Kind == message.ChangeSet || s.touched[c.Key] {
			continue
		}
		if _, stands := w.source.Newest(c.Key); stands {
			continue
		}
		if !w.there(at, &c, left) {
			return false
		}
	}
	return true
}
