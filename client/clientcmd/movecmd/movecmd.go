// Package movecmd is the commands that take data out of a cluster and into one: export and import,
// backup and restore. It promises that what is taken out is of one cut, that a file which is cut or
// wrong changes nothing, and that what could not be written is said by its key.
package movecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"quartet/bus/host/atomicfile"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/dump"
)

// mostTries bounds how often a cut is begun anew: the replica that serves it may end, or too much
// may change while it is read.
const mostTries = 5

// cut reads what stands below a prefix at one moment, with values, and returns its position.
// begin is called before the first key, and again where it is begun anew.
func cut(ctx context.Context, c *client.Client, prefix string, begin func() error, each func(*model.Item) error) (position uint64, err error) {
	for try := 1; ; try++ {
		if err := begin(); err != nil {
			return 0, err
		}
		position, err = pages(ctx, c, prefix, each)
		if !errors.Is(err, client.ErrGone) || try == mostTries {
			return position, err
		}
	}
}

// pages reads the pages of one cut.
func pages(ctx context.Context, c *client.Client, prefix string, each func(*model.Item) error) (position uint64, err error) {
	asked := client.Request{Request: model.Request{
		Model: model.Linearizable, Type: model.List, Key: prefix, Range: &model.Range{Limit: model.MaxPage, Values: true},
	}}
	last, err := console.Pages(asked, func(r client.Request) (client.Result, error) { return c.Do(ctx, r) }, each)
	return last.Position, err
}

// ended gives the error with which a command ends its exit status.
func ended(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return exit.With(exit.StatusFailed, fmt.Errorf("%s: interrupted", what))
	}
	return exit.With(console.ExitStatus(err), fmt.Errorf("%s: %w", what, err))
}

// progress says on a terminal how far a command is, at most five times a second.
type progress struct {
	to    io.Writer
	what  string
	shown time.Time
	live  bool
}

func newProgress(to io.Writer, what string) *progress {
	return &progress{to: to, what: what, live: console.Terminal(to)}
}

// keys shows how many keys were taken.
func (p *progress) keys(n uint64) {
	isDue := p.live && time.Since(p.shown) > 200*time.Millisecond
	if isDue {
		p.shown = time.Now()
		fmt.Fprintf(p.to, "\r\x1b[K%s: %d keys", p.what, n)
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.live && !p.shown.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// create begins a file that only its owner may read, and that is whole or is not there. overwrite:
// there may be one of its name.
func create(path string, overwrite bool) (*atomicfile.File, error) {
	if _, err := os.Lstat(path); err == nil && !overwrite {
		return nil, exit.Usage(fmt.Errorf("%s is there already: name another file, or say --overwrite", path))
	}
	return atomicfile.Create(path, 0o600, atomicfile.Committed)
}

// remaining is the time after which a value ends, from now on. over: it has ended.
func remaining(e *dump.Entry, now time.Time) (ttl time.Duration, over bool) {
	if e.Expires.IsZero() {
		return 0, false
	}
	left := e.Expires.Sub(now)
	return max(left, model.MinTTL*time.Millisecond), left <= 0
}
