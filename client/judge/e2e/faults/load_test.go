package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/judge/history"
)

const (
	patience    = 3 * time.Second // of a patient session's sending
	haste       = 300 * time.Millisecond
	retries     = 80 // of a patient session: more than a minute
	resendings  = 40 // of a hasty one, by hand
	paceLeast   = 5 * time.Millisecond
	paceMost    = 25 * time.Millisecond
	answerLimit = 45 * time.Second // once the cluster is whole, all that is under way is answered
)

// now reads a clock that nobody sets.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock is there or the machine is none
	}
	return ts.Nano()
}

// sent is one request as a session saw it.
type sent struct {
	history.Operation
	clock uint64 // Lamport time of the reply; 0: none
	again bool   // an earlier sending of this request is in the history
}

// recorder keeps what all sessions did and saw.
type recorder struct {
	mu        sync.Mutex
	ops       []sent
	acks      map[string]int // answered requests, by session
	surprises []string       // answers that no fault explains
}

func (r *recorder) add(op sent, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
	if op.Outcome == history.OK {
		r.acks[op.Session]++
	}
	var e *client.Error
	if !errors.As(err, &e) || e.Unknown {
		return
	}
	// No fault makes a request wrong.
	switch e.Code {
	case model.Malformed, model.Conflict, model.TooLarge:
		r.surprises = append(r.surprises, fmt.Sprintf("%s: %v", op.Operation, err))
	}
}

func (r *recorder) counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for name, n := range r.acks {
		counts[name] = n
	}
	return counts
}

// do sends a request in a session and records it.
func (r *recorder) do(ctx context.Context, s *client.Session, name string, req client.Request, again bool) (client.Result, error) {
	op := sent{again: again, Operation: history.Operation{
		Client: name, Session: name, Model: req.Model, Type: req.Type, Key: req.Key, Value: string(req.Value),
		Identity: req.Identity, Call: now(),
	}}
	result, err := s.Do(ctx, req)
	op.Return = now()
	op.Answered(&result.Answer)
	op.clock = result.Clock.Time
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound):
		op.Outcome = history.OK
	case errors.Is(err, client.ErrUnknownOutcome):
		op.Outcome = history.Unknown
	default:
		op.Outcome = history.Fail
	}
	r.add(op, err)
	return result, err
}

// worker is one session's habits.
type worker struct {
	name   string
	models []model.Consistency
	shared bool   // on the keys of all models rather than on the model's own
	hasty  bool   // gives a sending up soon, and sends again by hand
	pinned string // replica; "": whichever
}

// idle is the traffic in which nobody asks while the fault lasts.
const idle = "idle"

// cast lists the sessions of a kind of traffic: of one model alone, or of all.
func cast(traffic, target string) []worker {
	var list []worker
	if c, err := model.ParseConsistency(traffic); err == nil {
		for n := range 8 {
			list = append(list, worker{name: fmt.Sprintf("%s%d", c.Word(), n+1), models: []model.Consistency{c}, hasty: n%4 == 3})
		}
		return append(list, worker{name: "pinned", models: []model.Consistency{c}, pinned: target})
	}
	for i, c := range model.All {
		alone := []model.Consistency{c}
		list = append(list,
			worker{name: c.Word() + "1", models: alone, hasty: i%2 == 0},
			worker{name: c.Word() + "2", models: alone},
			worker{name: fmt.Sprintf("mixed%d", i+1), models: model.All[:], shared: true, hasty: i == 3})
	}
	return append(list, worker{name: "pinned", models: model.All[:], shared: true, pinned: target})
}

func (w *worker) keys(c model.Consistency) []string {
	if w.shared {
		return []string{"mixed-a", "mixed-b"}
	}
	return []string{c.Word() + "-a", c.Word() + "-b"}
}

// once is the beginning of keys that are written one time only: what is missing there at
// the end is lost.
const once = "once-"

// request makes up the n-th request of a session. Values are unique, and sets have ids.
func (w *worker) request(random *rand.Rand, n int) client.Request {
	c := w.models[random.IntN(len(w.models))]
	keys := w.keys(c)
	req := client.Request{Request: model.NewGet(c, keys[random.IntN(len(keys))]), Options: bus.Options{Replica: w.pinned}}
	dice := random.IntN(100)
	if dice < 45 {
		return req
	}
	req.Type, req.Identity = client.TypeSet, fmt.Sprintf("%s-%d", w.name, n)
	req.Value = []byte(req.Identity)
	if dice >= 85 {
		req.Key = once + req.Identity
	}
	return req
}

// load is sessions at work.
type load struct {
	rec     *recorder
	cast    []worker
	began   int64
	ctx     context.Context // ends when nobody waits for answers any more
	cancel  context.CancelFunc
	ending  chan struct{}
	workers sync.WaitGroup
	busy    atomic.Int64

	mu   sync.Mutex
	gate chan struct{} // closed: sessions may go on
}

// begin lets the sessions work.
func begin(t testing.TB, url string, workers []worker, seed uint64) *load {
	t.Helper()
	l := &load{rec: &recorder{acks: map[string]int{}}, cast: workers, began: now(), ending: make(chan struct{}), gate: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	close(l.gate)
	patient := connect(t, url, client.WithTimeout(patience), client.WithRetries(retries))
	hasty := connect(t, url, client.WithTimeout(haste), client.WithRetries(0))
	t.Cleanup(func() {
		l.cancel()
		l.close()
	})
	for i, w := range workers {
		c := patient
		if w.hasty {
			c = hasty
		}
		l.workers.Go(func() { l.work(c.Session(), &w, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	return l
}

func connect(t testing.TB, url string, opts ...client.Option) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	c, err := client.Connect(ctx, url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // what is outstanding is of no interest any more
	return c
}

func (l *load) work(s *client.Session, w *worker, random *rand.Rand) {
	for n := 1; l.proceed(); n++ {
		l.step(s, w, random, w.request(random, n))
		l.busy.Add(-1)
		timer := time.NewTimer(paceLeast + time.Duration(random.Int64N(int64(paceMost-paceLeast))))
		select {
		case <-timer.C:
		case <-l.ending:
			timer.Stop()
		}
	}
}

// step sends a request. A set of unknown outcome is sent again, under its id, until its
// outcome is known; a hasty session sometimes leaves it at that when it is refused.
func (l *load) step(s *client.Session, w *worker, random *rand.Rand, req client.Request) {
	_, err := l.rec.do(l.ctx, s, w.name, req, false)
	if req.Type == client.TypeGet || !errors.Is(err, client.ErrUnknownOutcome) {
		return
	}
	for range resendings {
		_, err = l.rec.do(l.ctx, s, w.name, req, true)
		switch {
		case err == nil, l.ctx.Err() != nil:
			return
		case !errors.Is(err, client.ErrUnknownOutcome):
			if w.hasty && random.IntN(2) == 0 {
				return
			}
			wait(l.ctx, paceMost*4) // it was refused at once
		}
	}
}

// wait lets some time pass between two sendings.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// proceed waits for the gate and reports whether there is more to do; then the session
// counts as busy.
func (l *load) proceed() bool {
	for {
		l.mu.Lock()
		gate := l.gate
		select {
		case <-l.ending:
			l.mu.Unlock()
			return false
		case <-gate:
			l.busy.Add(1)
			l.mu.Unlock()
			return true
		default:
		}
		l.mu.Unlock()
		select {
		case <-gate:
		case <-l.ending:
		}
	}
}

// rest closes the gate and waits until nothing is under way.
func (l *load) rest(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	l.gate = make(chan struct{})
	l.mu.Unlock()
	testkit.Eventually(t, answerLimit, "all requests are answered", func() error {
		if n := l.busy.Load(); n > 0 {
			return fmt.Errorf("%d sessions still wait", n)
		}
		return nil
	})
}

func (l *load) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.gate)
}

// more waits until each of some sessions has had n more answers; nil: all.
func (l *load) more(t testing.TB, n int, which func(*worker) bool) {
	t.Helper()
	before := l.rec.counts()
	testkit.Eventually(t, answerLimit, fmt.Sprintf("%d more answers for each session", n), func() error {
		counts := l.rec.counts()
		for i := range l.cast {
			w := &l.cast[i]
			asked := which == nil || which(w)
			if asked && counts[w.name]-before[w.name] < n {
				return fmt.Errorf("%s has had %d", w.name, counts[w.name]-before[w.name])
			}
		}
		return nil
	})
}

// end lets the sessions finish what they are at.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.close()
	done := make(chan struct{})
	go func() { l.workers.Wait(); close(done) }()
	timer := time.NewTimer(answerLimit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Errorf("%d sessions have no answer %s after the cluster was whole again", l.busy.Load(), answerLimit)
		l.cancel()
		<-done
	}
}

func (l *load) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ending:
	default:
		close(l.ending)
	}
}
