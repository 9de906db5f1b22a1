package master

import "quartet/replica/dedup"

// window remembers the last identities, at most size of them.
type window[T any] struct {
	retire func(id string, entry T) (stays bool) // nil: no entry stays
	names  dedup.Names                           // identity → its place in the ring, of clients that number theirs
	others map[string]uint32                     // … of others
	stay   map[string]T                          // entries without a place
	ring   []slot[T]                             // oldest at next once it is full
	next   int
	size   int
}

// slot is where an identity stands in the ring, or free.
type slot[T any] struct {
	id    string // "" of one that has a name
	name  dedup.Name
	entry T
}

func newWindow[T any](size int) window[T] {
	return window[T]{others: map[string]uint32{}, stay: map[string]T{}, size: size}
}

// find returns an identity's place in the ring.
func (w *window[T]) find(id string) (at uint32, ok bool) {
	if at, ok = w.names.Find(id); ok {
		return at, true
	}
	at, ok = w.others[id]
	return at, ok
}

func (w *window[T]) lookup(id string) (entry T, ok bool) {
	if at, ok := w.find(id); ok {
		return w.ring[at].entry, true
	}
	entry, ok = w.stay[id]
	return entry, ok
}

// add remembers id, and retires the oldest where there is no room.
func (w *window[T]) add(id string, entry T) {
	w.remove(id)
	at := uint32(len(w.ring))
	if len(w.ring) < w.size {
		w.ring = append(w.ring, slot[T]{})
	} else {
		at = uint32(w.next)
		w.next = (w.next + 1) % w.size
		w.makeRoom(at)
	}

	s := slot[T]{name: w.names.Enter(id, at), entry: entry}
	if s.name.IsZero() {
		s.id = id
		w.others[id] = at
	}
	w.ring[at] = s
}

// makeRoom retires what stands at a place of the ring.
func (w *window[T]) makeRoom(at uint32) {
	s := w.ring[at]
	isFree := s.id == "" && s.name.IsZero()
	if isFree {
		return
	}
	if s.id == "" {
		s.id = w.names.ID(s.name)
	}
	w.leave(at)
	if w.retire != nil && w.retire(s.id, s.entry) {
		w.stay[s.id] = s.entry
	}
}

// remove forgets id.
func (w *window[T]) remove(id string) {
	if at, ok := w.find(id); ok {
		w.leave(at)
		return
	}
	delete(w.stay, id)
}

// leave frees a place of the ring.
func (w *window[T]) leave(at uint32) {
	s := &w.ring[at]
	if s.name.IsZero() {
		delete(w.others, s.id)
	} else {
		w.names.Leave(s.name, at)
	}
	*s = slot[T]{}
}
