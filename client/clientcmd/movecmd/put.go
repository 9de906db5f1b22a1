package movecmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/dump"
)

// What is under way at a time, at the most.
const (
	mostRequests = 512
	mostBytes    = 8 << 20
)

// putter writes entries into a cluster, many at a time.
type putter struct {
	c     *client.Client
	model model.Consistency
	below string // what keys get in front
	keep  bool   // what is there already stays
	show  *progress

	pending []sending
	bytes   int

	written, kept, over uint64 // keys: that were written, that were there, that had ended
}

// sending is a set that is under way.
type sending struct {
	key     string
	size    int
	pending *client.Pending
}

// put writes an entry. Its error may be one of those before it; nothing is begun after one.
func (p *putter) put(ctx context.Context, e dump.Entry) error {
	ttl, isOver := remaining(&e, time.Now())
	if isOver {
		p.over++
		return nil
	}
	r := client.Request{Request: model.NewSet(p.model, p.below+e.Key, e.Value)}
	r.HasIf = p.keep
	if ttl > 0 {
		client.WithTTL(ttl)(&r)
	}

	size := len(r.Key) + len(r.Value)
	for len(p.pending) > 0 {
		isTooMuch := len(p.pending) >= mostRequests || p.bytes+size > mostBytes
		if !isTooMuch {
			break
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	pending, err := p.c.Begin(ctx, r)
	if err != nil {
		return fmt.Errorf("key %q: %w", r.Key, err)
	}
	p.pending = append(p.pending, sending{r.Key, size, pending})
	p.bytes += size
	return nil
}

// wait takes the oldest answer.
func (p *putter) wait(ctx context.Context) error {
	f := p.pending[0]
	p.pending = p.pending[1:]
	p.bytes -= f.size
	_, err := f.pending.Wait(ctx)
	isThere := p.keep && errors.Is(err, client.ErrConditionFailed)
	switch {
	case isThere:
		p.kept++
	case err != nil:
		return fmt.Errorf("key %q: %w", f.key, err)
	default:
		p.written++
	}
	p.show.keys(p.written + p.kept)
	return nil
}

// end waits for all answers, and returns the first error of them.
func (p *putter) end(ctx context.Context) error {
	var first error
	for len(p.pending) > 0 {
		if err := p.wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// tally says what was done.
func (p *putter) tally() string {
	said := fmt.Sprintf("%d keys written", p.written)
	if p.kept > 0 {
		said += fmt.Sprintf(", %d were there and stay as they are", p.kept)
	}
	if p.over > 0 {
		said += fmt.Sprintf(", %d had ended by now", p.over)
	}
	return said
}
