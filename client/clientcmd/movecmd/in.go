package movecmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/dump"
)

// in is what restore and import are told.
type in struct {
	env   console.Env
	conn  console.Connection
	model console.Consistency
	path  string // "-": standard input
	from  string // a URL of another store; "": a file
	creds string
	below string
	keep  bool
	force bool
}

// Restore returns the command restore.
func Restore(env console.Env) *cobra.Command {
	i := in{env: env}
	i.model.Consistency = model.Linearizable
	cmd := &cobra.Command{
		Use:   "restore [flags] FILE",
		Short: "Write a backup into an empty cluster",
		Long: `Write all keys of a backup into a cluster that holds nothing. FILE ("-": standard input) is read
to its end before the first key is written: one that is cut or changed changes nothing. Values that
have ended meanwhile are left out, others end when they would have. Revisions and timestamps are
those that this cluster gives; a bucket of NATS key-value goes on with numbers above all that were
told, and without its history.

A restore that was interrupted, or into a cluster that holds something, goes on with --force: each
key of the backup then has its value of the backup, other keys stay.

Exit status: 0 all is written, 1 interrupted, or the cluster is not empty, 2 malformed, or FILE is
broken or cannot be read: nothing is written, 4 refused, 5 no answer (some keys are written: restore
--force), 6 no cluster.`,
		Example: `  quartet restore monday.quartet
  gunzip <monday.quartet.gz | quartet restore -`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.path = args[0]
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return ended(ctx, "restore", i.restore(ctx))
		},
	}
	f := cmd.Flags()
	i.conn.Flags(f, env)
	i.conn.NameFlag(f)
	f.BoolVar(&i.force, "force", false, "write into a cluster that is not empty, too")
	return cmd
}

// Import returns the command import.
func Import(env console.Env) *cobra.Command {
	i := in{env: env, path: "-"}
	i.model.Consistency = model.Linearizable
	cmd := &cobra.Command{
		Use:   "import [flags] [FILE]",
		Short: "Write the lines of an export, or what another store holds",
		Long: `Write the keys of an export ("quartet export"; without FILE or with "-": of standard input) into a
cluster. All lines are read before the first key is written: a wrong one, which is named, changes
nothing. A line has at least "key" and "value" or "value_base64".

Or what another store holds, with --from:

  nats://[USER:PASSWORD@]HOST:PORT/BUCKET   a key-value bucket: the newest value of each key
  etcd://[USER:PASSWORD@]HOST:PORT/PREFIX   all keys that begin with PREFIX, at one revision
                                            (etcds: with TLS), through etcd's gateway of JSON
  redis://[[USER]:PASSWORD@]HOST:PORT/DB    all strings (rediss: with TLS); what is none is left
                                            out, counted, and the status is 1

A key of those that cannot be one here ends the import, and is named. What ends there ends here.

Keys get what --below says in front. What is there already is written over, or stays with --keep.

Exit status: 0 all is written, 1 interrupted, or the other store cannot be read, 2 malformed, or a
line of FILE is: nothing is written, 4 refused, 5 no answer (some keys are written; import again), 6
no cluster.`,
		Example: `  quartet import orders.jsonl --below old/
  quartet import --from nats://127.0.0.1:4333/orders --below orders/
  quartet import --from etcd://127.0.0.1:2379/config/
  quartet import --from redis://127.0.0.1:6379/0 --consistency eventual`,
		Args: config.UsageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			isTwice := i.from != "" && len(args) > 0
			if isTwice {
				return exit.Usage(errors.New("import: a FILE or --from, not both"))
			}
			if i.keep && !i.model.Strong() {
				return exit.Usage(errors.New("import: --keep is a condition: it needs --consistency linearizable or sequential"))
			}
			if len(args) == 1 {
				i.path = args[0]
			}
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return ended(ctx, "import", i.run(ctx))
		},
	}
	f := cmd.Flags()
	i.conn.Flags(f, env)
	i.conn.NameFlag(f)
	f.Var(&i.model, "consistency", "write under this `MODEL`: linearizable, sequential, causal or eventual (or 1 to 4)")
	config.NotEmpty(f, &i.from, "from", "", "import from `URL`: nats, etcd or redis")
	config.NotEmpty(f, &i.creds, "from-creds", "", "credentials `FILE` of --from nats")
	config.NotEmpty(f, &i.below, "below", "", "put keys below `PREFIX`")
	f.BoolVar(&i.keep, "keep", false, "leave keys that are there as they are")
	return cmd
}

// errOccupied says that a cluster is not empty.
var errOccupied = errors.New("the cluster is not empty: restore into a new one, or say --force (keys of the backup are written over, others stay)")

// restore reads the backup to its end, so that one which is cut or wrong writes nothing, and then
// once more to write it.
func (i *in) restore(ctx context.Context) error {
	f, err := i.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()

	said, err := dump.ReadBackup(f, func(dump.Entry) error { return nil })
	if err != nil {
		return exit.Usage(fmt.Errorf("%s: %w; nothing was written", i.called(), err))
	}
	if err := f.again(); err != nil {
		return err
	}

	return i.write(ctx, "restore", func(p *putter) error {
		if !i.force {
			if err := empty(ctx, p.c); err != nil {
				return err
			}
		}
		_, err := dump.ReadBackup(f, func(e dump.Entry) error { return p.put(ctx, e) })
		return err
	}, fmt.Sprintf(", of the backup of %s", said.Taken.Format("2006-01-02 15:04:05 MST")))
}

// empty returns an error if a cluster holds something.
func empty(ctx context.Context, c *client.Client) error {
	for _, err := range c.List(ctx, "", client.With(model.Linearizable), client.WithPage(1)) {
		if err != nil {
			return err
		}
		return errOccupied
	}
	return nil
}

// run imports from another store, or from lines of JSON: those are read to their end first, so that
// what is wrong writes nothing.
func (i *in) run(ctx context.Context) error {
	if i.from != "" {
		from, err := i.source(ctx)
		if err != nil {
			return err
		}
		defer from.close()
		return i.write(ctx, "import", func(p *putter) error {
			return from.each(ctx, func(e dump.Entry) error { return p.put(ctx, e) })
		}, "")
	}

	f, err := i.open(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	if err := dump.ReadExport(f, i.fits); err != nil {
		return exit.Usage(fmt.Errorf("%s: %w; nothing was written", i.called(), err))
	}
	if err := f.again(); err != nil {
		return err
	}
	return i.write(ctx, "import", func(p *putter) error {
		return dump.ReadExport(f, func(e dump.Entry) error { return p.put(ctx, e) })
	}, "")
}

// fits returns an error if a key cannot be written below what keys get in front.
func (i *in) fits(e dump.Entry) error {
	if n := len(i.below) + len(e.Key); n > model.MaxKey {
		return fmt.Errorf("key %q: with --below it has %d bytes, %d at the most", e.Key, n, model.MaxKey)
	}
	return nil
}

// write connects, has all written, and says what was.
func (i *in) write(ctx context.Context, what string, all func(*putter) error, more string) error {
	c, err := i.conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	p := &putter{c: c, model: i.model.Consistency, below: i.below, keep: i.keep, show: newProgress(i.env.Stderr, what)}
	err = errors.Join(all(p), p.end(ctx))
	p.show.clear()
	isNothingDone := err != nil && p.written == 0 && p.kept == 0
	if isNothingDone {
		return err
	}
	fmt.Fprintf(i.env.Stderr, "%s: %s%s\n", what, p.tally(), more)
	return err
}

// input is a file that is read twice.
type input struct {
	*os.File
	spooled bool // it is a copy, of standard input
}

// called is what the file is called in errors.
func (i *in) called() string {
	if i.path == "-" {
		return "standard input"
	}
	return i.path
}

// open opens the file. Of standard input, or a pipe, which cannot be read twice, it makes a copy.
func (i *in) open(ctx context.Context) (*input, error) {
	if i.path == "-" {
		return spool(ctx, i.env.Stdin, i.called())
	}
	f, err := os.Open(i.path)
	if err != nil {
		return nil, exit.Usage(err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return &input{File: f}, nil
	}
	defer f.Close()
	if err != nil {
		return nil, err
	}
	return spool(ctx, f, i.path)
}

// spool copies what can be read once only. Ctrl-C ends the wait for it.
func spool(ctx context.Context, from io.Reader, called string) (*input, error) {
	f, err := os.CreateTemp("", "quartet-input-*")
	if err != nil {
		return nil, err
	}
	copied := &input{File: f, spooled: true}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(f, from)
		done <- err
	}()

	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		copied.close()
		return nil, fmt.Errorf("read %s: %w", called, err)
	}
	if err := copied.again(); err != nil {
		copied.close()
		return nil, err
	}
	return copied, nil
}

// again goes back to the beginning.
func (f *input) again() error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

func (f *input) close() {
	_ = f.Close() // it was read
	if f.spooled {
		_ = os.Remove(f.Name())
	}
}
