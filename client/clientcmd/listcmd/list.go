// Package listcmd is the command list: the keys below a prefix, in byte order. It promises that all
// it prints is of one cut, that it prints as the pages come, and that it ends cleanly.
package listcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/send"
	"quartet/client/judge/record"
)

// listing is what the command is told.
type listing struct {
	env     console.Env
	conn    console.Connection
	model   console.Consistency
	out     console.Format
	replica send.ReplicaName
	values  bool
	limit   int
	page    int
	rec     console.Recording
}

// Command returns the command list.
func Command(env console.Env) *cobra.Command {
	l := listing{env: env}
	cmd := &cobra.Command{
		Use:     "list [flags] [PREFIX]",
		Aliases: []string{"ls"},
		Short:   "Show the keys below a prefix",
		Long: `Show the keys that begin with PREFIX (without it: all), in byte order, a key a line; with
--values "key ::: value", the value as a JSON string where it holds a line end.

All of it is of one cut: of models 1 and 2 what was committed at one moment after the list was
asked for (of model 2 perhaps a moment before), of models 3 and 4 what gets of one replica
would have seen. It is fetched page by page. If the replica that serves it dies, or too much
changes meanwhile, the list ends (410): begin again.

-o jsonl prints one object a line, -o json an array, -o raw the keys alone, or with --values
the values alone, byte for byte.

Exit status: 0 all is shown, 1 interrupted, 2 malformed, 4 refused (410: the rest is not kept
any more), 5 no answer, 6 no cluster.`,
		Example: `  quartet list orders/
  quartet list orders/ --values -o jsonl
  quartet list --consistency eventual --limit 10`,
		Args: config.UsageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return l.run(ctx, console.Prefix(args))
		},
	}

	f := cmd.Flags()
	l.conn.Flags(f, env)
	l.conn.NameFlag(f)
	l.model.Consistency = model.Linearizable
	f.Var(&l.model, "consistency", "`MODEL`: linearizable, sequential, causal or eventual (or 1 to 4)")
	f.Var(&l.replica, "replica", "have this replica serve it (`r1`, r2, …)")
	f.BoolVar(&l.values, "values", false, "show values, too")
	config.Int(f, &l.limit, "limit", 0, 0, 1<<30, "show `N` keys at the most; 0: all")
	config.Int(f, &l.page, "page", model.DefaultPage, 1, model.MaxPage, "fetch `N` keys at once, up to 10,000")
	l.rec.Flag(f)
	l.out.Flag(f)
	return cmd
}

func (l *listing) run(ctx context.Context, prefix string) error {
	c, err := l.conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()

	page := l.page
	if l.limit > 0 {
		page = min(page, l.limit)
	}
	opts := []client.RequestOption{
		client.With(l.model.Consistency), client.OnReplica(string(l.replica)), client.WithPage(page),
	}
	if l.values {
		opts = append(opts, client.WithValues())
	}
	recorder, err := l.rec.Open(false)
	if err != nil {
		return err
	}
	list := c.List(ctx, prefix, opts...)
	if recorder != nil {
		list = recorded(ctx, c, recorder, l.conn.Name, prefix, opts)
	}
	return console.Recorded(recorder, l.env.Stderr, l.show(ctx, list))
}

// recorded is a list of which each page is recorded. It is what [client.Client.List] is, but for
// the next page, which is not fetched before it is wanted.
func recorded(
	ctx context.Context, c *client.Client, r *record.Recorder, name, prefix string, opts []client.RequestOption,
) iter.Seq2[client.Item, error] {
	return func(yield func(client.Item, error) bool) {
		asked := client.Request{Request: model.Request{Model: model.Linearizable, Type: model.List, Key: prefix}}
		for _, opt := range opts {
			opt(&asked)
		}

		session := r.NewSession()
		do := func(page client.Request) (client.Result, error) {
			call := r.Begin(name, session, &page)
			result, err := c.Do(ctx, page)
			call.End(&result, err)
			return result, err
		}
		_, err := console.Pages(asked, do, func(x *model.Item) error {
			if !yield(*x, nil) {
				return errEnough
			}
			return nil
		})
		isFailed := err != nil && !errors.Is(err, errEnough)
		if isFailed {
			yield(client.Item{}, err)
		}
	}
}

// errEnough ends a list of which no more is wanted.
var errEnough = errors.New("no more is wanted")

// show prints a list, limit keys of it at the most (0: all).
func (l *listing) show(ctx context.Context, list iter.Seq2[client.Item, error]) error {
	p := NewPrinter(l.env.Stdout, l.out)
	for item, err := range list {
		if err != nil {
			return p.End(ended(ctx, err, p.shown))
		}
		if err := p.Show(&item); err != nil {
			return err
		}
		if p.shown == l.limit {
			break
		}
	}
	return p.End(nil)
}

// ended is why a list ended before its end.
func ended(ctx context.Context, err error, shown int) error {
	if ctx.Err() != nil {
		return exit.With(exit.StatusFailed, fmt.Errorf("list: interrupted after %d keys", shown))
	}
	return exit.With(console.ExitStatus(err), err)
}

// Printer prints the keys of a list. Make it with [NewPrinter].
type Printer struct {
	to    *bufio.Writer
	array console.Array
	shown int
}

// NewPrinter returns a printer that prints in a format.
func NewPrinter(to io.Writer, as console.Format) *Printer {
	return &Printer{to: bufio.NewWriterSize(to, 64<<10), array: console.Array{As: as}}
}

// flushEvery is after how many keys what was printed is shown.
const flushEvery = 1000

// Show prints a key.
func (p *Printer) Show(x *client.Item) error {
	p.shown++
	switch p.array.As {
	case console.JSON, console.JSONL:
		b, err := p.array.Encode(bus.ItemJSON(x))
		if err != nil {
			return err
		}
		_, _ = p.to.Write(b) // flush says what is wrong
	case console.Raw:
		line := x.Value
		if !x.HasValue {
			line = append([]byte(x.Key), '\n')
		}
		_, _ = p.to.Write(line) // flush says what is wrong
	default:
		_, _ = p.to.Write(append(bus.AppendItem(nil, x), '\n'))
	}
	if p.shown%flushEvery == 0 {
		return p.flush()
	}
	return nil
}

// End ends the output, an array in JSON, and returns failure, with which the list ended, and the
// writer's error.
func (p *Printer) End(failure error) error {
	_, _ = p.to.WriteString(p.array.End(failure)) // flush says what is wrong
	return errors.Join(failure, p.flush())
}

func (p *Printer) flush() error {
	if err := p.to.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}
