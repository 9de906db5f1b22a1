package record

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

// Limits of [Recorder.Rest].
const (
	maxRest    = 1000 // keys that are looked at
	restPause  = 25 * time.Millisecond
	restWindow = 64 // gets at once
)

// restGet is one get of one key at one replica.
type restGet struct {
	op     history.Operation
	result client.Result
	err    error
}

// Rest records what every member holds, at rest, of the keys that the recorded sets wrote, at most
// 1,000 of them: a sequential and an eventual get of each key at each replica. It looks until all
// replicas agree, or until ctx or limit ends; the last look that was not cut off is what is
// recorded. It is to be called when nothing more is sent, before Close.
func (r *Recorder) Rest(ctx context.Context, c *client.Client, limit time.Duration) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	keys := slices.Sorted(maps.Keys(r.written))
	r.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}

	replicas, err := members(ctx, c)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last []restGet
	for {
		gets, agreed := r.look(ctx, c, replicas, keys)
		// A look that the limit cut off says less than the one before.
		if last == nil || agreed || ctx.Err() == nil {
			last = gets
		}

		if !agreed {
			pause := time.NewTimer(restPause)
			select {
			case <-pause.C:
				continue
			case <-ctx.Done():
				pause.Stop()
			}
		}

		for i := range last {
			g := &last[i]
			g.op.Rest = true
			learn(&g.op, &g.result, g.err)
			r.add(&g.op)
		}
		return nil
	}
}

// members returns the names of the replicas in the view.
func members(ctx context.Context, c *client.Client) ([]string, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: who holds what at rest: %w", ErrRecord, err)
	}

	var names []string
	for _, replica := range s.Replicas {
		if replica.Member {
			names = append(names, replica.ID)
		}
	}
	return names, nil
}

// look reads all keys at all replicas, and reports whether all answered alike.
func (r *Recorder) look(ctx context.Context, c *client.Client, replicas, keys []string) ([]restGet, bool) {
	models := []model.Consistency{model.Sequential, model.Eventual}
	gets := make([]restGet, 0, len(replicas)*len(keys)*len(models))
	for _, key := range keys {
		for _, m := range models {
			for _, replica := range replicas {
				gets = append(gets, restGet{op: history.Operation{Model: m, Type: model.Get, Key: key, Replica: replica}})
			}
		}
	}

	// Up to restWindow gets at once.
	for from := 0; from < len(gets); from += restWindow {
		part := gets[from:min(from+restWindow, len(gets))]
		pending := make([]*client.Pending, len(part))
		for i := range part {
			o := &part[i].op
			o.Call = r.now()
			pending[i], part[i].err = c.Begin(ctx, client.Request{
				Request: model.Request{Model: o.Model, Type: o.Type, Key: o.Key}, Options: bus.Options{Replica: o.Replica},
			})
		}

		for i, p := range pending {
			if p != nil {
				part[i].result, part[i].err = p.Wait(ctx)
			}
			part[i].op.Return = r.now()
		}
	}
	return gets, agree(gets, len(replicas)*len(models))
}

// agree reports whether the gets of each key, each in number, were answered, and alike.
func agree(gets []restGet, each int) bool {
	for i := range gets {
		first, g := &gets[i-i%each].result, &gets[i].result
		answered := g.Found || g.Code == model.NotFound
		same := first.Found == g.Found && string(first.Value) == string(g.Value)
		if !answered || !same {
			return false
		}
	}
	return true
}
