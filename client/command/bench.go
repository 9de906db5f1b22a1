package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/exit"
	"quartet/client"
	"quartet/client/inbox"
	"quartet/client/load"
	"quartet/replica/model"
)

// bench is the load generator's command.
type bench struct {
	env         Env
	conn        connection
	out         format
	load        load.Options
	models      []string
	kinds       []string
	connections string
	gets        int
	compare     bool
	rounds      int
	round       time.Duration
}

// kindGets is the share of gets, in percent, of the kinds of load but mix.
var kindGets = map[string]int{"set": 0, "get": 100}

func benchCommand(env Env) *cobra.Command {
	b := bench{env: env}
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Measure a cluster under load",
		Long: `Keep a number of requests outstanding and measure how many are answered and how fast,
for each model and kind of request in turn. Keys are set once before anything counts.

--compare-kv measures, in short rounds that alternate, the same load on a JetStream
key-value bucket (one replica, in a file) of the same NATS server, and prints medians
with minimum and maximum. The ratio is taken round by round.

Exit status: 0 all answered, 1 a request failed or its outcome is unknown, 2 wrong usage,
6 no cluster.`,
		Example: `  quartet bench
  quartet bench --consistency linearizable,eventual --request set,get --duration 10s
  quartet bench --concurrency 64 --connections separate --request mix --gets 90
  quartet bench --compare-kv --rounds 5 -o json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := interruptible(cmd)
			defer cancel()
			return b.run(ctx)
		},
	}
	f := cmd.Flags()
	b.conn.flags(f, env)
	f.StringSliceVar(&b.models, "consistency", []string{"linearizable"}, "`MODELS` to measure, joined by commas; or all")
	f.StringSliceVar(&b.kinds, "request", []string{"set", "get"}, "`KINDS` of load, joined by commas: set, get, mix")
	f.IntVar(&b.gets, "gets", 50, "percentage of gets in a mix")
	f.IntVar(&b.load.Concurrency, "concurrency", 64, "requests outstanding at once")
	f.DurationVar(&b.load.Warmup, "warmup", time.Second, "time before anything counts")
	f.DurationVar(&b.load.Duration, "duration", 5*time.Second, "time that counts")
	f.IntVar(&b.load.Keys, "keys", 1000, "how many keys are used")
	f.IntVar(&b.load.KeySize, "key-size", 16, "bytes of a key")
	f.IntVar(&b.load.ValueSize, "value-size", 100, "bytes of a value")
	f.Uint64Var(&b.load.Seed, "seed", 1, "of the choice of keys")
	f.StringVar(&b.connections, "connections", "shared", "shared: one connection for all; separate: one for each request outstanding")
	f.BoolVar(&b.compare, "compare-kv", false, "measure a JetStream key-value bucket beside it")
	f.IntVar(&b.rounds, "rounds", 5, "rounds of each side, with --compare-kv")
	f.DurationVar(&b.round, "round", 2*time.Second, "time that counts of one side of a round, with --compare-kv")
	b.out.flag(f)
	return cmd
}

// row is one line of the result: one model under one kind of load.
type row struct {
	model model.Consistency
	kind  string
	gets  int
}

func (b *bench) rows() ([]row, error) {
	if b.connections != "shared" && b.connections != "separate" {
		return nil, fmt.Errorf("unknown --connections %q (want shared or separate)", b.connections)
	}
	if b.rounds < 1 || b.rounds > 1000 {
		return nil, fmt.Errorf("%d --rounds (want 1 to 1000)", b.rounds)
	}
	if len(b.models) == 1 && b.models[0] == "all" {
		b.models = []string{"1", "2", "3", "4"}
	}
	var rows []row
	for _, name := range b.models {
		m, err := model.ParseConsistency(name)
		if err != nil {
			return nil, err
		}
		for _, kind := range b.kinds {
			gets, known := kindGets[kind]
			if kind == "mix" {
				gets, known = b.gets, true
			}
			if !known {
				return nil, fmt.Errorf("unknown --request %q (want set, get or mix)", kind)
			}
			rows = append(rows, row{m, kind, gets})
		}
	}
	if b.compare {
		b.load.Duration = b.round
		b.load.Warmup = min(b.load.Warmup, b.round/4)
	}
	options := b.load
	options.Gets = b.gets
	if err := options.Check(); err != nil {
		return nil, err
	}
	return rows, nil
}

func (b *bench) run(ctx context.Context) error {
	rows, err := b.rows()
	if err != nil {
		return exit.Usage(err)
	}
	lines, err := b.connect(ctx)
	defer lines.close()
	if err != nil {
		return err
	}
	var bucket *load.Bucket
	if b.compare {
		if bucket, err = load.MakeBucket(ctx, lines.conns[0]); err != nil {
			return err
		}
		defer func() {
			// Also after Ctrl-C, so with a time of its own.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := bucket.Delete(ctx); err != nil {
				fmt.Fprintln(b.env.Stderr, err)
			}
		}()
	}
	if err := b.fill(ctx, lines, bucket); err != nil {
		return err
	}
	return b.measure(ctx, rows, lines, bucket)
}

// fill sets all keys, strongly, on both sides.
func (b *bench) fill(ctx context.Context, lines lines, bucket *load.Bucket) error {
	fmt.Fprintf(b.env.Stderr, "setting %d keys\n", b.load.Keys)
	if err := load.Fill(ctx, b.load, load.Quartet{Client: lines.clients[0], Consistency: model.Linearizable}); err != nil {
		return b.explain(ctx, lines, err)
	}
	if bucket != nil {
		return load.Fill(ctx, b.load, bucket.Sender(lines.inboxes[0], b.conn.timeout))
	}
	return nil
}

// explain says that there is no cluster where that is why nothing could be set.
func (b *bench) explain(ctx context.Context, lines lines, err error) error {
	if _, asked := lines.clients[0].Status(ctx); errors.Is(asked, client.ErrNoCluster) {
		return exit.NoCluster(asked)
	}
	return err
}

func (b *bench) measure(ctx context.Context, rows []row, lines lines, bucket *load.Bucket) error {
	failed := false
	for i, row := range rows {
		fmt.Fprintf(b.env.Stderr, "measuring %s %s\n", row.model.Word(), row.kind)
		ours := make([]load.Sender, len(lines.clients))
		for j, c := range lines.clients {
			ours[j] = load.Quartet{Client: c, Consistency: row.model}
		}
		o := b.load
		o.Gets = row.gets
		m := measured{row: row, first: i == 0}
		var err error
		if bucket == nil {
			var result load.Result
			result, err = load.Run(ctx, o, ours)
			m.ours = []load.Result{result}
		} else {
			theirs := make([]load.Sender, len(lines.inboxes))
			for j, in := range lines.inboxes {
				theirs[j] = bucket.Sender(in, b.conn.timeout)
			}
			var c load.Comparison
			c, err = load.Compare(ctx, o, b.rounds, ours, theirs)
			m.ours, m.theirs, m.ratio = c.Ours, c.Theirs, c.Ratios()
		}
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		if err := b.print(&m); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		failed = failed || m.failed()
	}
	if failed {
		return errors.New("bench: requests failed or came back unknown; the figures are no measure")
	}
	return nil
}

// lines are the connections: one, or one for each request outstanding.
type lines struct {
	clients []*client.Client
	inboxes []*inbox.Inbox // on the same number of connections, for the bucket
	conns   []*nats.Conn   // under the inboxes
	closers []func()
}

func (l *lines) close() {
	for _, c := range l.closers {
		c()
	}
}

func (b *bench) connect(ctx context.Context) (lines, error) {
	var l lines
	n := 1
	if b.connections == "separate" {
		n = b.load.Concurrency
	}
	for range n {
		c, err := b.conn.connect(ctx) // nameless: a name is one more header on each request
		if err != nil {
			return l, err
		}
		l.clients, l.closers = append(l.clients, c), append(l.closers, func() { _ = c.Close() })
		if !b.compare {
			continue
		}
		nc, err := bus.Dial(ctx, bus.DialOptions{URL: b.conn.url, Name: "quartet bench"})
		if err != nil {
			return l, fmt.Errorf("bench: %w", err)
		}
		in, err := inbox.New(nc)
		if err != nil {
			nc.Close()
			return l, fmt.Errorf("bench: %w", err)
		}
		l.inboxes, l.conns = append(l.inboxes, in), append(l.conns, nc)
		l.closers = append(l.closers, func() { _ = in.Close(); nc.Close() })
	}
	return l, nil
}
