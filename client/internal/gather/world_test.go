package gather

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// world is a client and its cluster from one seed, in one thread: the goroutines of a shell,
// which take the lock in any order; a timer, whose call may come after it was stopped; messages
// that are answered in parts, late, as a whole or never; and a clock.
type world struct {
	random *rand.Rand
	core   *Core[*request]
	now    int64
	most   int // bytes of a message

	requests int // added first, ever
	open     int // not ended
	redo     []*request
	leaveAt  int // of the next request that leaves: they leave in the order of the adds
	addedAt  int

	callers []*sender // goroutines that are to send, or do
	flusher *sender   // nil: it waits
	token   bool      // that wakes it
	timer   int64     // when it fires; 0: it is stopped
	calls   int       // of the timer, that wait for the lock
	onBus   []*message
	train   *train

	single   bool // what is being sent began after nobody had listened for a batch
	closing  bool // the flusher is gone
	swept    bool // whoever closed has taken what waited
	keptFor  int64
	lastCame int64 // the last request, or the flusher after it
}

type request struct {
	size   int
	lone   bool
	waited bool
	place  int // in the order of the adds, this time
	away   bool
	ended  bool
}

type sender struct {
	begun  bool
	closes bool // takes what waits when the core is closed
}

type message struct {
	Message
	requests []*request // nil: answered
	batch    bool
}

// train is a message of replies that is being handed out.
type train struct {
	of     *message
	left   []int // the indexes that it answers
	waited int
}

const most = 4000

func newWorld(seed uint64, rules *[states][events]rule) *world {
	random := rand.New(rand.NewPCG(seed, 11))
	core := New[*request](Limits{Count: 2 + random.IntN(30)})
	core.rules = rules
	return &world{random: random, core: core, most: 200 + random.IntN(most)}
}

func (w *world) chance(percent int) bool { return w.random.IntN(100) < percent }

// run makes so many steps, then lets all come to rest. The error is a broken promise.
func (w *world) run(steps int) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%v", broken)
		}
	}()
	closeAt := -1
	if w.chance(30) {
		closeAt = w.random.IntN(steps)
	}
	for i := range steps {
		if i == closeAt {
			w.close()
		}
		w.step(true)
		w.check()
	}
	for range 100 * (steps + w.open) {
		if w.open == 0 && w.atRest() {
			return nil
		}
		w.step(false)
		w.check()
	}
	return fmt.Errorf("%d requests have no end: %s, %d wait, %d away", w.open, w.core.state, w.core.waiting, w.core.away)
}

func (w *world) atRest() bool {
	return len(w.callers) == 0 && w.flusher == nil && !w.token && w.calls == 0 && w.train == nil && len(w.redo) == 0
}

// step makes one of the steps that can be made now. Only where the shell has nothing to do
// does time pass: what is promised of time is promised of a shell that has the processor.
func (w *world) step(adding bool) {
	var able []func()
	for i := range w.callers {
		able = append(able, func() { w.send(w.callers[i], i) })
	}
	ordered := w.token && !w.closing
	if w.flusher != nil || ordered {
		able = append(able, w.flush)
	}

	if w.calls > 0 {
		able = append(able, func() { w.calls--; w.do(w.core.Late()) })
	}
	if len(w.redo) > 0 {
		able = append(able, func() {
			r := w.redo[0]
			w.redo = w.redo[1:]
			w.add(r)
		})
	}
	if w.train != nil {
		able = append(able, w.hand)
	}

	busy := len(able) > 0
	if adding {
		able = append(able, w.comes, w.comes)
	}
	if w.train == nil && len(w.onBus) > 0 {
		if !busy || w.chance(20) {
			able = append(able, w.hear)
		}
	}
	if !busy {
		able = append(able, w.pass)
	}

	able[w.random.IntN(len(able))]()
}

// comes adds a new request.
func (w *world) comes() {
	w.requests++
	w.open++
	w.add(&request{size: 1 + w.random.IntN(w.most/3), lone: w.chance(3), waited: w.chance(70)})
	if w.chance(2) {
		w.comes()
	}
}

func (w *world) add(r *request) {
	if r.ended {
		panic("a request that has ended is added")
	}
	free := w.core.state == idle && w.core.away == 0 && w.core.due <= 1 && !w.core.handing
	r.place, r.away = w.addedAt, false
	w.addedAt++
	w.lastCame = w.now
	effect := w.core.Add(r, r.size, r.lone)
	if free && !effect.Flush {
		panic("a request that nothing keeps does not leave at once")
	}
	w.do(effect)
}

// do does what an effect says, as a shell does.
func (w *world) do(e Effect) {
	switch {
	case e.Stop:
		w.timer = 0
	case e.Arm > 0:
		w.timer = w.now + e.Arm
	}
	switch {
	case e.Flush:
		w.callers = append(w.callers, &sender{})
	case e.Wake:
		w.token = true
	}
}

// flush is a step of the flusher.
func (w *world) flush() {
	if w.flusher == nil {
		w.token, w.flusher = false, &sender{}
		w.lastCame = w.now // or before: it waits for those that come now
	}
	if w.flusher.begun {
		w.send(w.flusher, -1)
		return
	}
	if !w.core.Gathered(w.now) {
		w.now += 1 + w.random.Int64N(Linger/2) // it gives up the processor
		if w.chance(50) {
			w.comes()
		}
		return
	}
	if w.core.state == ordered && w.now-w.lastCame > 2*Linger {
		panic(fmt.Sprintf("the flusher lingers for %d ns after the last request", w.now-w.lastCame))
	}
	w.send(w.flusher, -1)
}

// send is a step of a goroutine that sends; at is its place among the callers.
func (w *world) send(s *sender, at int) {
	if !s.begun {
		alone := w.now < w.core.alone
		first, effect := w.core.Begin(w.now, w.most)
		if first {
			w.single = alone
		}
		w.do(effect)
		if s.begun = first; !first {
			w.leaves(at)
		}
		return
	}
	requests, m, effect := w.core.Next(w.now)
	if requests == nil {
		if effect.Flush { // the same goroutine goes on
			s.begun = false
		} else {
			w.do(effect)
			w.leaves(at)
		}
		return
	}
	w.carry(requests, m)
}

// leaves ends a goroutine's sending.
func (w *world) leaves(at int) {
	if at < 0 {
		w.flusher = nil
		return
	}
	w.swept = w.swept || w.callers[at].closes
	w.callers = slices.Delete(w.callers, at, at+1)
}

// carry takes a message to the bus, unless that fails.
func (w *world) carry(requests []*request, m Message) {
	bytes := 0
	for _, r := range requests {
		bytes += r.size
		if r.away || r.ended {
			panic("a request leaves twice")
		}
		if r.place != w.leaveAt {
			panic(fmt.Sprintf("request %d leaves, and %d is the next", r.place, w.leaveAt))
		}
		w.leaveAt++
		r.away = true
		if r.lone && len(requests) > 1 {
			panic("a lone request stands in a batch")
		}
	}
	tooMuch := bytes > w.most || len(requests) > w.core.limits.Count || w.single
	if len(requests) > 1 && tooMuch {
		panic(fmt.Sprintf("a batch of %d requests and %d bytes; %d and %d are the most, one by one: %t",
			len(requests), bytes, w.core.limits.Count, w.most, w.single))
	}

	sent := &message{Message: m, requests: slices.Clone(requests), batch: len(requests) > 1}
	if w.chance(3) {
		w.do(w.core.Unsent(&sent.Message))
		w.end(sent)
		return
	}
	w.onBus = append(w.onBus, sent)
}

// end ends the open requests of a message.
func (w *world) end(m *message) {
	for i := range m.requests {
		w.answer(m, i)
	}
}

func (w *world) answer(m *message, i int) {
	if r := m.requests[i]; r != nil {
		m.requests[i], r.ended = nil, true
		w.open--
	}
}

// hear is a step of the goroutine that hears replies: a message's answer, some of a batch's
// answers, or an end without one.
func (w *world) hear() {
	at := w.random.IntN(len(w.onBus))
	m := w.onBus[at]
	forget := func() { w.onBus = slices.Delete(w.onBus, at, at+1) }

	switch {
	case m.batch && !m.heard && w.chance(5): // nobody listens for batches
		forget()
		w.do(w.core.Answered(&m.Message, w.now))
		w.core.Alone(w.now)
		for i, r := range m.requests {
			w.redo = append(w.redo, r)
			m.requests[i] = nil
		}
	case !m.batch || w.chance(5):
		forget()
		w.do(w.core.Answered(&m.Message, w.now))
		w.end(m)
	default:
		t := &train{of: m}
		for i, r := range m.requests {
			if r == nil {
				continue
			}
			if r.waited {
				t.waited++
			}
			if w.chance(80) {
				t.left = append(t.left, i)
			}
		}

		w.train = t
		w.do(w.core.Handing(&m.Message, t.waited, w.now))
	}
}

// hand hands one reply out; who gets it may add the next request.
func (w *world) hand() {
	t := w.train
	if len(t.left) > 0 {
		i := t.left[0]
		t.left = t.left[1:]
		r := t.of.requests[i]
		w.answer(t.of, i)
		if r.waited {
			t.waited--
		} else if w.chance(30) {
			w.comes()
		}
		return
	}
	w.train = nil
	w.do(w.core.Handed(t.waited))
	answered := func(r *request) bool { return r == nil }
	if !slices.ContainsFunc(t.of.requests, func(r *request) bool { return !answered(r) }) {
		w.onBus = slices.DeleteFunc(w.onBus, func(m *message) bool { return m == t.of })
	}
}

// pass lets time pass, until the timer fires at the latest.
func (w *world) pass() {
	d := 1 + w.random.Int64N(3*LeastPatience)
	if w.chance(1) {
		d = AloneFor
	}
	if w.timer > 0 {
		d = min(d, w.timer-w.now)
	}
	if w.core.state == kept && !w.core.handing {
		w.keptFor += d
	}
	w.now += d
	if w.timer > 0 && w.now >= w.timer {
		w.timer, w.calls = 0, w.calls+1
	}
}

func (w *world) close() {
	if !w.core.Close() {
		panic("it was closed before")
	}
	w.closing = true
	w.token = false
	w.callers = append(w.callers, &sender{closes: true})
}

// check checks what holds between any two steps.
func (w *world) check() {
	c := w.core
	unheard := 0
	for _, m := range w.onBus {
		if !m.heard {
			unheard++
		}
	}

	sends := 0
	waking := w.flusher != nil && !w.flusher.begun
	comes := w.token || waking
	for _, s := range append(slices.Clone(w.callers), w.flusher) {
		switch {
		case s == nil:
		case s.begun:
			sends++
		default:
			comes = true
		}
	}

	if c.state != kept {
		w.keptFor = 0
	}

	for broken, is := range map[string]bool{
		"the count of messages that nothing was heard of": c.away != unheard,
		"two goroutines send":                             sends > 1,
		"the state does not say who sends":                (sends == 1) != (c.state == sending),
		"requests wait, and nothing keeps them":           c.state == idle && c.waiting > 0,
		"a flush was ordered, and nobody comes":           c.state == ordered && !comes,
		"requests are kept for nothing":                   c.state == kept && !c.handing && c.away == 0 && !w.closing,
		"requests are kept, and no timer ends it": c.state == kept && !c.handing && w.timer == 0 &&
			w.calls == 0 && !w.closing,
		"requests are kept for longer than patience":             w.keptFor > MostPatience,
		"requests are kept after the close":                      c.state == kept && w.swept,
		"the count of those that are due is not one":             c.due < 0,
		"the count of requests that wait is not that of a queue": c.waiting != len(c.queue),
	} {
		if is {
			panic(fmt.Sprintf("%s (%s, %d wait, %d away, %d due, handing %t, armed %t)", broken, c.state, c.waiting,
				c.away, c.due, c.handing, c.armed))
		}
	}
}
