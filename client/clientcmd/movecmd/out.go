package movecmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/atomicfile"
	"quartet/bus/host/config"
	"quartet/bus/model"
	"quartet/client/clientcmd/console"
	"quartet/client/dump"
)

// out is what export and backup are told.
type out struct {
	env       console.Env
	conn      console.Connection
	prefix    string // of keys
	path      string // "-": standard output
	overwrite bool
}

// Export returns the command export.
func Export(env console.Env) *cobra.Command {
	o := out{env: env, path: "-"}
	cmd := &cobra.Command{
		Use:   "export [flags] [PREFIX]",
		Short: "Write the keys below a prefix as lines of JSON",
		Long: `Write the keys that begin with PREFIX (without it: all), with their values, to standard output
or with --file into a file: an object a line, which "quartet import" reads. All of it is of one
cut. (It is what "quartet list --values -o jsonl" prints; an export into a file is begun anew where
the cut could not be read to its end, and the file is whole or is not there.)

  {"key":"orders/17","value":"paid","revision":42,"expires":"2026-12-01T08:00:00.000Z"}

A value that is no text stands as value_base64. The revision, and the timestamp of a value that was
written causally, are for the reader: a cluster gives what is imported its own.

Exit status: 0 all is written, 1 interrupted or the file cannot be written, 2 malformed, 4 refused
(410: the cut is not kept any more), 5 no answer, 6 no cluster.`,
		Example: `  quartet export orders/ >orders.jsonl
  quartet export --file all.jsonl`,
		Args: config.UsageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.prefix = args[0]
			}
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return ended(ctx, "export", o.run(ctx, "export", o.export))
		},
	}
	f := cmd.Flags()
	o.conn.Flags(f, env)
	o.conn.NameFlag(f)
	config.NotEmpty(f, &o.path, "file", "-", "write into `FILE`")
	f.BoolVar(&o.overwrite, "overwrite", false, "replace the file if there is one")
	return cmd
}

// Backup returns the command backup.
func Backup(env console.Env) *cobra.Command {
	o := out{env: env}
	cmd := &cobra.Command{
		Use:   "backup [flags] FILE",
		Short: "Write all that a cluster holds into a file, while it serves",
		Long: `Write all keys and values into FILE, of one cut: what was committed at one moment after the
command began, buckets of NATS key-value and ends of values included. The cluster serves meanwhile.
FILE is whole or is not there; "-" is standard output. It is for "quartet restore", which refuses
it if a byte is missing or changed: lines of JSON, an export between a line that says what it is and
one with its number of keys, the position of the cut and a SHA-256.

Beside its value each key has its revision, when it ends, and a causal timestamp if it was written
causally. The history of a bucket and what watches may go on from are not in it.

Exit status: 0 all is written, 1 interrupted or FILE cannot be written, 2 malformed, or FILE is
there, 4 refused (410: the cut is not kept any more: too much has changed meanwhile), 5 no answer,
6 no cluster.`,
		Example: `  quartet backup monday.quartet
  quartet backup - | gzip >monday.quartet.gz`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return ended(ctx, "backup", o.run(ctx, "backup", o.backup))
		},
	}
	f := cmd.Flags()
	o.conn.Flags(f, env)
	o.conn.NameFlag(f)
	f.BoolVar(&o.overwrite, "overwrite", false, "replace FILE if there is one")
	return cmd
}

// writing is a file, or standard output, that takes a cut.
type writing struct {
	ctx  context.Context
	out  *out
	to   *bufio.Writer
	file *atomicfile.File // nil: standard output
	show *progress
	keys uint64
}

// run writes what write writes: into a file that is whole or not there.
func (o *out) run(ctx context.Context, what string, write func(*writing) error) error {
	w := &writing{ctx: ctx, out: o, show: newProgress(o.env.Stderr, what)}
	var to io.Writer = o.env.Stdout
	if o.path != "-" {
		f, err := create(o.path, o.overwrite)
		if err != nil {
			return err
		}
		defer f.Drop()
		w.file, to = f, f
	}
	w.to = bufio.NewWriterSize(to, 256<<10)

	err := write(w)
	w.show.clear()
	if err != nil {
		return err
	}
	if err := w.to.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if w.file != nil {
		return w.file.Commit()
	}
	return nil
}

// cut has each called for the keys of a cut, from its beginning.
func (w *writing) cut(begin func() error, each func(*model.Item) error) (position uint64, err error) {
	c, err := w.out.conn.Connect(w.ctx)
	if err != nil {
		return 0, err
	}
	defer c.Close()

	isBegun := false
	again := func() error {
		w.keys = 0
		if isBegun {
			if err := w.restart(); err != nil {
				return err
			}
		}
		isBegun = true
		return begin()
	}
	return cut(w.ctx, c, w.out.prefix, again, func(x *model.Item) error {
		w.keys++
		w.show.keys(w.keys)
		return each(x)
	})
}

// restart forgets what was written. What has gone to standard output has gone.
func (w *writing) restart() error {
	if w.file == nil {
		return fmt.Errorf("what was written is of a cut that is not kept any more: begin again, or name a file")
	}
	w.to.Reset(w.file)
	return w.file.Restart()
}

// export writes a line of JSON for each key.
func (o *out) export(w *writing) error {
	var line []byte
	_, err := w.cut(func() error { return nil }, func(x *model.Item) (err error) {
		if line, err = dump.AppendItem(line[:0], x); err != nil {
			return err
		}
		_, err = w.to.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	if w.file != nil {
		fmt.Fprintf(o.env.Stderr, "export: %d keys in %s\n", w.keys, o.path)
	}
	return nil
}

// backup writes the keys in the form that restore reads, with the position of the cut and a
// checksum.
func (o *out) backup(w *writing) error {
	var b *dump.Writer
	position, err := w.cut(func() (err error) {
		b, err = dump.NewWriter(w.to, time.Now())
		return err
	}, func(x *model.Item) error { return b.Add(x) })
	if err != nil {
		return err
	}

	if err := b.End(position); err != nil {
		return err
	}

	where := o.path
	if w.file == nil {
		where = "standard output"
	}
	fmt.Fprintf(o.env.Stderr, "backup: %d keys, as at position %d, in %s (%d bytes)\n", b.Entries(), position, where, b.Bytes())
	return nil
}
