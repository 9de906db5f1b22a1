package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
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

	data     string // where the cluster's are: memory or disk
	replicas int
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
key-value bucket (one replica, in a file, no fsync per write unless the server is set
to) of the same NATS server, and prints medians with minimum and maximum:

  kv      as its users drive it: nats.go's KeyValue.Put and Get, a goroutine for each
          request outstanding
  kv raw  the same bytes driven as quartet's requests are here, by callbacks

The ratios are taken round by round. Processor time for each answer is shown of the
bench itself and, on the cluster's machine, of the master and the replicas (Linux).

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
	if err := b.look(ctx, lines); err != nil {
		return err
	}
	fmt.Fprintf(b.env.Stderr, "setting %d keys\n", b.load.Keys)
	if err := load.Fill(ctx, b.load, load.Quartet{Client: lines.clients[0], Consistency: model.Linearizable}); err != nil {
		return b.explain(ctx, lines, err)
	}
	if !b.compare {
		return b.measure(ctx, rows, lines, [2][]load.Sender{})
	}
	bucket, err := load.MakeBucket(ctx, lines.conns[0])
	if err != nil {
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
	theirs, err := b.theirs(ctx, lines, bucket)
	if err != nil {
		return err
	}
	if err := load.Fill(ctx, b.load, theirs[1][0]); err != nil {
		return err
	}
	return b.measure(ctx, rows, lines, theirs)
}

// look learns from the cluster where its data are and which processes it has.
func (b *bench) look(ctx context.Context, lines lines) error {
	body, err := lines.clients[0].Status(ctx)
	if err != nil {
		return b.explain(ctx, lines, err)
	}
	var s bus.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("the cluster's status is no JSON object that this version can read: %w", err)
	}
	b.data, b.replicas = s.Data, len(s.Replicas)
	add := func(name, arg string, pid int) {
		if load.Local(pid, arg) {
			b.load.Processes = append(b.load.Processes, load.Process{Name: name, PID: pid})
		}
	}
	add("master", "master", s.Master.PID)
	for _, r := range s.Replicas {
		add(r.ID, "replica", r.PID)
	}
	b.load.Processes = append(b.load.Processes, load.Process{Name: "bench", PID: os.Getpid()})
	return nil
}

// theirs returns the bucket's sides: kv and kv raw.
func (b *bench) theirs(ctx context.Context, lines lines, bucket *load.Bucket) ([2][]load.Sender, error) {
	var sides [2][]load.Sender
	for i, nc := range lines.conns {
		caller, err := bucket.API(ctx, nc, b.conn.timeout)
		if err != nil {
			return sides, err
		}
		sides[0] = append(sides[0], caller)
		sides[1] = append(sides[1], bucket.Sender(lines.inboxes[i], b.conn.timeout))
	}
	return sides, nil
}

// explain says that there is no cluster where that is why nothing could be set.
func (b *bench) explain(ctx context.Context, lines lines, err error) error {
	if _, asked := lines.clients[0].Status(ctx); errors.Is(asked, client.ErrNoCluster) {
		return exit.NoCluster(asked)
	}
	return err
}

func (b *bench) measure(ctx context.Context, rows []row, lines lines, theirs [2][]load.Sender) error {
	failed := false
	for i, row := range rows {
		fmt.Fprintf(b.env.Stderr, "measuring %s %s\n", row.model.Word(), row.kind)
		ours := make([]load.Sender, len(lines.clients))
		for j, c := range lines.clients {
			ours[j] = load.Quartet{Client: c, Consistency: row.model}
		}
		o, rounds, sides := b.load, 1, [][]load.Sender{ours}
		o.Gets = row.gets
		if b.compare {
			rounds, sides = b.rounds, append(sides, theirs[:]...)
		}
		results, err := load.Compare(ctx, o, rounds, sides...)
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		m := measured{row: row, first: i == 0, sides: results}
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
	inboxes []*inbox.Inbox // on the same number of connections, for kv raw
	conns   []*nats.Conn   // under the inboxes, for kv
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
