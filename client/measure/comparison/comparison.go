// Package comparison is the same requests, sent under one model after the other. It promises that
// they can be compared: how long they took, how they ended, and how old was what gets returned.
//
// Several clients send at once, each in a session of its own, which keeps what the model promises
// to a session. All that one model's part sends is sent under that model, to keys that no other
// part uses: their names begin with a prefix of the caller's.
//
// How old a value was is judged afterwards, from the calls and returns of all requests of the part
// by one clock ([Stale]): it is never called stale where it may not be so.
package comparison

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/measure/load"
)

// ErrOptions is wrapped by errors about impossible [Options].
var ErrOptions = errors.New("comparison: impossible options")

// MaxClients is how many sessions there may be.
const MaxClients = 1024

// maxJudged is the number of requests of a part, the first ones, by which staleness is judged at
// most. Each takes about 300 bytes until it is judged.
const maxJudged = 1 << 20

// Options say what each model's part is. It is either a script or a load.
type Options struct {
	Clients int // sessions, each with one request at a time: 1 to 1,024

	Script []load.Op // each client sends all of it in this order; Type, Key and Value count
	Times  int       // how often it does, at least once

	// Distinct puts a blank and #CLIENT.TIME.LINE behind the value of each of a script's
	// sets, so that a get's value tells which set it saw.
	Distinct bool

	// Load is sent where there is no script. Its Concurrency and DistinctValues are of no
	// account: the clients are what is at once, and values differ.
	Load load.Options

	Prefix string // of all keys. No other part, and nobody else, may use it

	// Observe, if not nil, is shown every request and its end; see [load.Observer]. Key and
	// lane (which client) are in its Op.
	Observe load.Observer

	// Progress, if not nil, is told how far the part is; see [load.Options].
	Progress func(load.Progress)
}

// Check refuses impossible options.
func (o *Options) Check() error {
	if o.Clients < 1 || o.Clients > MaxClients {
		return fmt.Errorf("%w: %d clients (want 1 to %d)", ErrOptions, o.Clients, MaxClients)
	}

	if len(o.Script) == 0 {
		l := o.load()
		if err := l.Check(); err != nil {
			return err
		}
		key := l.KeySize + len(o.Prefix)
		if key > model.MaxKey || key+l.ValueSize > model.MaxKeyValue {
			return fmt.Errorf("%w: a key of %d bytes or its value is too long with the %d bytes that are put before it"+
				" (a key: %d bytes, key and value: %d)", ErrOptions, l.KeySize, len(o.Prefix), model.MaxKey, model.MaxKeyValue)
		}
		return nil
	}

	if o.Times < 1 {
		return fmt.Errorf("%w: %d times", ErrOptions, o.Times)
	}
	for _, op := range o.Script {
		value := len(op.Value)
		if o.Distinct {
			value += maxSuffix
		}
		if n := len(o.Prefix) + len(op.Key); n > model.MaxKey || n+value > model.MaxKeyValue {
			return fmt.Errorf("%w: the key %.40q or its value is too long with the %d bytes that are put before it"+
				" (a key: %d bytes, key and value: %d)", ErrOptions, op.Key, len(o.Prefix), model.MaxKey, model.MaxKeyValue)
		}
	}
	return nil
}

// load returns the load of a part. The values of the fill and of the run differ.
func (o *Options) load() load.Options {
	l := o.Load
	l.Concurrency, l.DistinctValues, l.Series = o.Clients, true, 1
	l.Progress = o.Progress
	return l
}

// Kind is how the requests of one type ended, of those that count.
type Kind struct {
	Counts  [4]uint64               // by load.Outcome
	Latency *hdrhistogram.Histogram // of those that were answered, in µs, as in [load.Result]
}

// Answered returns how many were answered.
func (k *Kind) Answered() uint64 { return k.Counts[load.OK] + k.Counts[load.Missing] }

// Result is one model's part.
type Result struct {
	Model  model.Consistency
	Window time.Duration // the time that counts: of a script all of it

	Sets, Gets Kind // that count, as in [load.Result]

	// Failed and Unknown are of all requests of the part, those of the warm-up and those
	// that set the keys of a load included.
	Failed, Unknown uint64
	Beyond          uint64 // of an open loop: due, and not sent; see [load.Result]

	// Staleness is of all gets of the part, those of the warm-up included. Its clock's unit
	// is the nanosecond. Unjudged gets were answered after so many requests that no more
	// were kept.
	Staleness Staleness
	Unjudged  uint64

	Early bool // it was ended before its time
}

// Kind returns the figures of one type of request.
func (r *Result) Kind(t model.Type) *Kind {
	if t == model.Get {
		return &r.Gets
	}
	return &r.Sets
}

// Rate returns how many requests of one kind were answered a second.
func (r *Result) Rate(k *Kind) float64 {
	if r.Window <= 0 {
		return 0
	}
	return float64(k.Answered()) / r.Window.Seconds()
}

// Run sends one model's part through the clients, which share the sessions evenly. When
// ctx ends it stops early, with what it has; the error then is ctx's cause. Requests that
// fail are counted and are no error, but for those that set a load's keys.
func Run(ctx context.Context, m model.Consistency, clients []*client.Client, o Options) (Result, error) {
	if err := o.Check(); err != nil {
		return Result{}, err
	}
	if len(clients) == 0 {
		return Result{}, fmt.Errorf("%w: no connection", ErrOptions)
	}

	t := newTally(&o)
	sender := prefixed{prefix: o.Prefix}
	sender.Consistency, sender.Observe = m, t.observe
	for i := range o.Clients {
		sender.All = append(sender.All, clients[i%len(clients)].Session())
	}

	var err error
	if len(o.Script) > 0 {
		err = play(ctx, &o, sender, t)
	} else {
		sender.Client = clients[0]
		err = drive(ctx, o.load(), sender, t)
	}
	return t.result(m, err), err
}

// prefixed gives each key the part's prefix.
type prefixed struct {
	load.Sessions
	prefix string
}

// Call implements [load.Caller].
func (p prefixed) Call(op load.Op) load.Outcome {
	op.Key = p.prefix + op.Key
	return p.Sessions.Call(op)
}

// Send implements [load.Sender]: of a request in a session.
func (p prefixed) Send(op load.Op, done func(load.Outcome)) error {
	op.Key = p.prefix + op.Key
	return p.Sessions.Send(op, done)
}

// filling sends without a session, many at once.
type filling struct{ prefixed }

// Send implements [load.Sender].
func (f filling) Send(op load.Op, done func(load.Outcome)) error {
	op.Key = f.prefix + op.Key
	return f.Quartet.Send(op, done)
}

// drive sets a load's keys and puts the load on them.
func drive(ctx context.Context, l load.Options, s prefixed, t *tally) error {
	if err := load.Fill(ctx, l, filling{s}); err != nil {
		return err
	}

	l.Series++
	l.Opens = t.opens
	result, err := load.Run(ctx, l, []load.Sender{s})
	t.ends(result.Window, result.Beyond)
	return err
}

// maxSuffix is the most that makes a value distinct: three numbers.
const maxSuffix = 64

// play has every client send the script.
func play(ctx context.Context, o *Options, s prefixed, t *tally) error {
	began := time.Now()
	t.opens(began, time.Time{})

	var group sync.WaitGroup
	for lane := range o.Clients {
		group.Go(func() {
			for n := range o.Times {
				for i, op := range o.Script {
					if ctx.Err() != nil {
						return
					}
					if op.Lane = lane; o.Distinct && op.Type == model.Set {
						op.Value = fmt.Appendf(slices.Clip(op.Value), " #%d.%d.%d", lane+1, n+1, i+1)
					}
					s.Call(op)
				}
			}
		})
	}

	group.Wait()
	t.ends(time.Since(began), 0)
	return context.Cause(ctx)
}
