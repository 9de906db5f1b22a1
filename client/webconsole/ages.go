package webconsole

import (
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"quartet/bus/model"
	"quartet/client/webconsole/pane"
)

const (
	agedKeys   = 64  // of which the console knows what it has written
	agedWrites = 512 // of each, the newest
)

// ages are the writes that this console has made: what was read is old if a later write had been
// answered before the get was sent.
type ages struct {
	mu    sync.Mutex
	keys  map[string][]written
	order []string // of keys, the one that was written first at the front
}

type written struct {
	value        [sha256.Size]byte
	strong       bool // of model 1 or 2: committed once it is answered
	began, acked time.Time
}

func newAges() *ages { return &ages{keys: map[string][]written{}} }

// wrote notes a write that was answered.
func (a *ages) wrote(m model.Consistency, key string, value []byte, began, acked time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys[key] == nil {
		if a.order = append(a.order, key); len(a.order) > agedKeys {
			delete(a.keys, a.order[0])
			a.order = slices.Delete(a.order, 0, 1)
		}
	}
	list := append(a.keys[key], written{sha256.Sum256(value), m.Strong(), began, acked})
	a.keys[key] = list[max(0, len(list)-agedWrites):]
}

// of says how old the value that was read is. A write that was under way together with that of the
// value may have been before it. Models 1 and 2 read what is committed, which a write of model 3 or
// 4 is only some time after its answer: such writes make nothing old. Of a key without a value
// nothing can be said: others may have deleted it, or its time may have come.
func (a *ages) of(m model.Consistency, key string, value []byte, began, now time.Time) pane.Age {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.keys[key]
	sum := sha256.Sum256(value)

	var age pane.Age
	var from time.Time
	for i := range list {
		if list[i].value == sum {
			age = pane.Age{Known: true, Old: now.Sub(list[i].acked)}
			from = list[i].acked
		}
	}
	if !age.Known {
		return age
	}

	for _, w := range list {
		isLater := w.began.After(from) && w.acked.Before(began)
		concerns := w.strong || !m.Strong()
		if isLater && concerns && !age.Stale {
			age.Stale, age.Replaced = true, began.Sub(w.acked)
		}
	}
	return age
}
