// Package kvrecord is a recorder of what clients of a NATS key-value bucket see. It promises real
// clients (nats.go as it is, with no more than an API prefix) at work on a bucket, and a history of
// it that package history judges: of quartet's facade, whatever its consistency model, and of a
// JetStream bucket, by the same checkers.
//
// A client is told no more than a value and its revision. So an operation has no replica, no
// request id and no timestamp. Its position in models 1 and 2 is the revision that it was told
// ([Place]): in one bucket revisions rise in the order of writes.
package kvrecord

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/client/judge/history"
)

// Options say who works on which bucket.
type Options struct {
	URLs   []string // of servers; sessions are spread over them
	Prefix string   // of the API; "": JetStream's own
	Bucket string   // which must be there
	Model  model.Consistency

	Sessions int  // each a goroutine
	Shared   bool // all on one connection; else each session has one of its own
	Keys     int
	Gets     int  // of 100 operations
	Updates  bool // some writes are conditional: an update from the revision that was read last, or a create
	Deletes  bool // the revision of a delete is not told: such a history has no positions
	Seed     uint64

	Timeout time.Duration // of one operation
	Pace    time.Duration // of a session's pauses: up to this, by chance; 0: none
}

// Load is sessions at work. Make it with [Start].
type Load struct {
	o      Options
	began  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	conns  []*nats.Conn

	mu      sync.Mutex
	ops     []history.Operation
	answers []int // by session
}

// Start lets the sessions work until [Load.Stop].
func Start(ctx context.Context, o Options) (*Load, error) {
	l := &Load{o: o, began: time.Now(), answers: make([]int, o.Sessions)}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))

	var buckets []jetstream.KeyValue
	for i := range o.Sessions {
		if i > 0 && o.Shared {
			buckets = append(buckets, buckets[0])
			continue
		}
		kv, err := l.open(ctx, o.URLs[i%len(o.URLs)])
		if err != nil {
			l.cancel()
			l.close()
			return nil, err
		}
		buckets = append(buckets, kv)
	}

	for i, kv := range buckets {
		s := &session{
			load: l, kv: kv, index: i, name: fmt.Sprintf("s%d", i+1), read: make(map[string]uint64),
			random: rand.New(rand.NewPCG(o.Seed, uint64(i))),
		}
		l.group.Go(s.work)
	}
	return l, nil
}

// open returns the bucket over a connection of its own to a server.
func (l *Load) open(ctx context.Context, url string) (jetstream.KeyValue, error) {
	nc, err := nats.Connect(url, nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("kvrecord: %w", err)
	}
	l.conns = append(l.conns, nc)

	js, err := Stream(nc, l.o.Prefix)
	if err != nil {
		return nil, err
	}

	kv, err := js.KeyValue(ctx, l.o.Bucket)
	if err != nil {
		return nil, fmt.Errorf("kvrecord: bucket %s: %w", l.o.Bucket, err)
	}
	return kv, nil
}

// Stream is JetStream's API below a prefix; "": its own.
func Stream(nc *nats.Conn, prefix string) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc)
	if prefix != "" {
		js, err = jetstream.NewWithAPIPrefix(nc, prefix)
	}
	if err != nil {
		return nil, fmt.Errorf("kvrecord: JetStream below %q: %w", prefix, err)
	}
	return js, nil
}

// Answers returns how many answers each session has had.
func (l *Load) Answers() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int(nil), l.answers...)
}

// Stop has the sessions end what they are at, and returns the history, with positions where all
// writes have revisions.
func (l *Load) Stop() []history.Operation {
	l.cancel()
	l.group.Wait()
	l.close()
	if l.o.Model.Strong() && !l.o.Deletes {
		Place(l.ops)
	}
	return l.ops
}

// close ends the connections.
func (l *Load) close() {
	for _, nc := range l.conns {
		nc.Close()
	}
}

// session is one client, which asks for one thing after the other.
type session struct {
	*load
	kv     jetstream.KeyValue
	index  int
	name   string
	random *rand.Rand
	read   map[string]uint64 // by key: the revision that it saw last
	count  int
}

// load is [Load] under a name that a session embeds without exporting it.
type load = Load

// work does one operation after the other until the load is stopped.
func (s *session) work() {
	for s.ctx.Err() == nil {
		s.step()
		if s.o.Pace == 0 {
			continue
		}

		pause := time.NewTimer(time.Duration(s.random.Int64N(int64(s.o.Pace))))
		select {
		case <-pause.C:
		case <-s.ctx.Done():
			pause.Stop()
		}
	}
}

// step does one operation and records it. What is under way at the end is waited for.
func (s *session) step() {
	o := history.Operation{
		Client: "kv", Session: s.name, Model: s.o.Model, Key: fmt.Sprintf("k%d", s.random.IntN(s.o.Keys)),
		Call: time.Since(s.began).Nanoseconds(),
	}

	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	err := s.do(ctx, &o)
	o.Return = time.Since(s.began).Nanoseconds()
	o.Outcome, o.Code = outcomeOf(&o, err)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, o)
	if o.Outcome == history.OK {
		s.answers[s.index]++
	}
}

// do makes up an operation and asks for it.
func (s *session) do(ctx context.Context, o *history.Operation) error {
	if s.random.IntN(100) < s.o.Gets {
		o.Type = model.Get
		e, err := s.kv.Get(ctx, o.Key)
		if err == nil {
			o.Found, o.Output, o.HasRevision, o.Revision = true, string(e.Value()), e.Revision() > 0, e.Revision()
			s.read[o.Key] = e.Revision()
		}
		return err
	}

	s.count++
	dice := s.random.IntN(10)
	o.Type, o.Value = model.Set, fmt.Sprintf("%s-%d", s.name, s.count)

	var err error
	switch last := s.read[o.Key]; {
	case s.o.Deletes && dice == 0:
		o.Type, o.Value = model.Delete, ""
		err = s.kv.Delete(ctx, o.Key)
	case s.o.Updates && dice < 4 && last > 0:
		o.HasIf, o.If = true, last
		o.Revision, err = s.kv.Update(ctx, o.Key, []byte(o.Value), last)
	case s.o.Updates && dice < 5:
		o.HasIf = true
		o.Revision, err = s.kv.Create(ctx, o.Key, []byte(o.Value))
	default:
		o.Revision, err = s.kv.Put(ctx, o.Key, []byte(o.Value))
	}

	if o.HasRevision = o.Revision > 0; o.HasRevision {
		s.read[o.Key] = o.Revision
	}
	return err
}

// Codes of JetStream's errors.
const (
	wrongLastSequence         = 10071
	wrongLastSequenceConstant = 10164
)

// outcomeOf is what a client knows by the error that it was given.
func outcomeOf(o *history.Operation, err error) (history.Outcome, uint16) {
	var refused *jetstream.APIError
	switch {
	case err == nil:
		return history.OK, uint16(model.OK)
	case o.Type == model.Get && errors.Is(err, jetstream.ErrKeyNotFound):
		return history.OK, uint16(model.NotFound)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse): // nobody has heard it
		return history.Fail, 0
	case !errors.As(err, &refused):
		return history.Unknown, 0
	case refused.ErrorCode == wrongLastSequence, refused.ErrorCode == wrongLastSequenceConstant:
		return history.OK, uint16(model.Failed)
	case refused.Code == 408, refused.Code == 504: // it may have been done
		return history.Unknown, uint16(refused.Code)
	}
	return history.Fail, uint16(refused.Code)
}

// Place gives the operations of models 1 and 2 positions: a write has its revision, and a get
// stands as early as it can, at the revision that it was told or, if that is before, at the last
// position that it must not be before: of its session, and in model 1 of all that had returned. If
// the gets fit the order of the writes at all they do so there. (A write of unknown outcome has no
// position; neither has one that was refused.)
func Place(ops []history.Operation) {
	byCall, byReturn := make([]int, len(ops)), make([]int, len(ops))
	for i := range ops {
		byCall[i], byReturn[i] = i, i
	}
	slices.SortStableFunc(byCall, func(a, b int) int { return cmp.Compare(ops[a].Call, ops[b].Call) })
	slices.SortStableFunc(byReturn, func(a, b int) int { return cmp.Compare(ops[a].Return, ops[b].Return) })

	var returned uint64 // the greatest position of what has returned
	seen := make(map[string]uint64)
	for _, i := range byCall {
		o := &ops[i]
		for len(byReturn) > 0 && ops[byReturn[0]].Return < o.Call {
			returned = max(returned, ops[byReturn[0]].Position)
			byReturn = byReturn[1:]
		}

		done := o.Outcome == history.OK && !o.Refused()
		if !done {
			continue
		}

		o.Position = o.Revision
		if o.Type == model.Get {
			o.Position = max(seen[o.Session], o.Revision)
			if o.Model == model.Linearizable {
				o.Position = max(returned, o.Position)
			}
		}
		seen[o.Session] = max(seen[o.Session], o.Position)
	}
}

// Stale counts the gets that were answered, and of them the stale ones, which returned less than a
// write of their key that had ended before they were asked: what linearizability rules out, seen by
// revisions.
func Stale(ops []history.Operation) (gets, stale int) {
	type end struct {
		at       int64
		revision uint64
	}

	ends := make(map[string][]end) // by key, by time: the greatest revision that was acknowledged until then
	done := slices.Clone(ops)
	slices.SortStableFunc(done, func(a, b history.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, o := range done {
		if o.Type != model.Set || o.Outcome != history.OK || o.Revision == 0 {
			continue
		}
		list := ends[o.Key]
		if len(list) == 0 || list[len(list)-1].revision < o.Revision {
			ends[o.Key] = append(list, end{o.Return, o.Revision})
		}
	}

	for i := range ops {
		o := &ops[i]
		if o.Type != model.Get || o.Outcome != history.OK {
			continue
		}

		gets++
		list := ends[o.Key]
		before, _ := slices.BinarySearchFunc(list, o.Call, func(e end, at int64) int { return cmp.Compare(e.at, at) })
		if before > 0 && list[before-1].revision > o.Revision {
			stale++
		}
	}
	return gets, stale
}
