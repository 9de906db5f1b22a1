// Package watchcmd is the command watch: the changes below a prefix, as they come. It promises to
// go on over every fault that the Go package's watch goes on over, and to end cleanly.
package watchcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/send"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

// watching is what the command is told.
type watching struct {
	env     console.Env
	conn    console.Connection
	model   console.Consistency
	out     console.Format
	replica send.ReplicaName
	from    uint64
	rec     console.Recording
}

// Command returns the command watch.
func Command(env console.Env) *cobra.Command {
	w := watching{env: env}
	cmd := &cobra.Command{
		Use:   "watch [flags] [PREFIX]",
		Short: "Show changes as they come",
		Long: `Show what is there below PREFIX (without it: of all keys), and then each change as it
comes, until Ctrl-C. It goes on by itself when replicas die or the master restarts.

Of models 1 and 2 every committed change is shown, once, in the common order, with its
revision. Of models 3 and 4 each version is shown once, in the order in which it becomes
visible at the replica that serves the watch.

  VALUE      what was there when the watch began
  CAUGHT-UP  all of that has been shown
  SET, DELETE, EXPIRE

--from N shows the changes after revision N in place of what is there. The cluster keeps
the last 100,000 changes; where those are not enough the watch is refused (410).

-o jsonl prints one object a line, -o json an array that ends with the command, -o raw the
values alone, byte for byte.

Exit status: 0 ended by Ctrl-C, 2 malformed, 4 refused (410: what it is to go on from is
not kept any more), 6 no cluster.`,
		Example: `  quartet watch orders/
  quartet watch --consistency eventual -o jsonl
  quartet watch orders/ --from 4711`,
		Args: config.UsageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return w.run(ctx, console.Prefix(args), cmd.Flags().Changed("from"))
		},
	}

	f := cmd.Flags()
	w.conn.Flags(f, env)
	w.conn.NameFlag(f)
	w.model.Consistency = model.Linearizable
	f.Var(&w.model, "consistency", "`MODEL`: linearizable, sequential, causal or eventual (or 1 to 4)")
	f.Var(&w.replica, "replica", "have this replica serve it (`r1`, r2, …)")
	f.Uint64Var(&w.from, "from", 0, "show the changes after revision `N`, in place of what is there")
	w.rec.Flag(f)
	w.out.Flag(f)
	return cmd
}

func (w *watching) run(ctx context.Context, prefix string, goesOn bool) error {
	c, err := w.conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()

	r := client.Request{Request: model.Request{Model: w.model.Consistency, Key: prefix}}
	r.Replica = string(w.replica)
	if goesOn {
		client.FromRevision(w.from)(&r)
	}
	recorder, err := w.rec.Open(false)
	if err != nil {
		return err
	}
	shown := NewShower(w.env.Stdout, w.out)
	shown.Record(recorder, w.conn.Name)
	return console.Recorded(recorder, w.env.Stderr, Follow(ctx, c, &r, shown))
}

// Follow shows the watch that r asks for until ctx ends, which is no error, or the watch does.
func Follow(ctx context.Context, c *client.Client, r *client.Request, shown *Shower) error {
	as := func(asked *client.Request) { *asked = *r; asked.Type = model.Watch }
	began := time.Now()
	for event, err := range c.Watch(ctx, r.Key, as) {
		if err == nil {
			err = shown.show(&event)
		}
		if err != nil {
			err = ended(ctx, err)
			shown.record(r, began, err)
			return shown.end(err)
		}
	}
	return shown.end(nil)
}

// record notes what was shown, if it is to be recorded.
func (s *Shower) record(r *client.Request, began time.Time, failure error) {
	if s.recorder == nil {
		return
	}
	asked := *r
	asked.Type = model.Watch
	s.recorder.Watched(s.client, s.recorder.NewSession(), &asked, began, time.Now(), s.events, false, failure)
}

// ended is the error of a watch that has ended: none, if the user ended it.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return exit.With(console.ExitStatus(err), err)
}

// Shower prints events. Make it with [NewShower].
type Shower struct {
	to    io.Writer
	array console.Array

	recorder *record.Recorder // nil: nothing is recorded
	client   string
	events   []history.Event
}

// NewShower returns a printer of events.
func NewShower(to io.Writer, as console.Format) *Shower {
	return &Shower{to: to, array: console.Array{As: as}}
}

// Record has what is shown recorded, once it ends, as what a client of that name heard. r may be
// nil.
func (s *Shower) Record(r *record.Recorder, client string) { s.recorder, s.client = r, client }

func (s *Shower) show(e *client.Event) error {
	if s.recorder != nil {
		s.events = append(s.events, s.recorder.Event(e))
	}
	var line []byte
	var err error
	switch s.array.As {
	case console.JSON, console.JSONL:
		if line, err = s.array.Encode(bus.EventJSON(e)); err != nil {
			return err
		}
	case console.Raw:
		line = e.Value
	default:
		line = append(text(e), '\n')
	}
	if _, err := s.to.Write(line); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	return nil
}

// end ends the output, an array in JSON, and returns failure and the writer's error.
func (s *Shower) end(failure error) error {
	_, err := io.WriteString(s.to, s.array.End(failure))
	return errors.Join(failure, err)
}

// text is an event on one line.
func text(e *client.Event) []byte {
	b := fmt.Appendf(nil, "%-9s", e.Kind)
	if e.Kind.Concerns() {
		b = fmt.Appendf(b, "  %s", e.Key)
	}
	if e.Kind == client.EventValue || e.Kind == client.EventSet {
		b = fmt.Appendf(b, " ::: %s", console.Printable(e.Value))
	}
	if e.Revision > 0 {
		b = fmt.Appendf(b, "  @%d", e.Revision)
	}
	if e.More {
		b = append(b, " +"...)
	}
	return b
}
