// Package bench is the command bench: a load in a closed or an open loop on a cluster, or on
// one that it starts, measured, printed and drawn. It promises that what is printed was
// measured in this run, and that a failed request is never counted as answered.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/measure/load"
)

// bench is the load generator's command.
type bench struct {
	Workload // as the flags say; a sweep changes one of its quantities

	env         console.Env
	conn        console.Connection
	out         Format
	rec         console.Recording
	models      []string
	kinds       []string
	connections string
	driver      string
	sweep       string
	plot        string
	compare     bool
	rounds      int
	round       time.Duration
	ttl         uint64 // of values that are set, in milliseconds; 0: they have no end

	// Which flags were given.
	given func(name string) bool

	data     string // where the cluster's are: memory or disk
	replicas int

	// observe is shown each request to the cluster and its end; nil: nobody.
	observe load.Observer
}

// Workload is a load as flags describe it.
type Workload struct {
	Load      load.Options
	gets      int // percent, in a mix
	keyChoice string
	spacing   string
}

// Flags are those of a load. What w.load holds are the defaults.
func (w *Workload) Flags(f *pflag.FlagSet) {
	l := &w.Load
	config.Int(f, &w.gets, "gets", 50, 0, 100, "percentage of gets in a mix")
	f.Float64Var(&l.Rate, "rate", 0, "an open loop of so many requests a second; 0: a closed loop")
	f.StringVar(&w.spacing, "spacing", "poisson", "of the requests of an open loop: poisson (at random) or fixed")
	config.Duration(f, &l.Warmup, "warmup", l.Warmup, 0, config.Forever, "time before anything counts; in rounds at most a quarter of one")
	config.Duration(f, &l.Duration, "duration", l.Duration, time.Millisecond, config.Forever, "time that counts")
	config.Int(f, &l.Keys, "keys", l.Keys, 1, load.MaxKeys, "how many keys are used")
	f.StringVar(&w.keyChoice, "keys-distribution", "uniform", "how often each key is used: uniform or zipf")
	f.Float64Var(&l.Skew, "skew", 1.1, "of zipf, above 1: key number n is used in proportion to (1+n)^-skew")
	config.Int(f, &l.KeySize, "key-size", 16, 1, model.MaxKey, "bytes of a key")
	config.Int(f, &l.ValueSize, "value-size", 100, 0, model.MaxKeyValue, "bytes of a value")
	f.Uint64Var(&l.Seed, "seed", 1, "of the choice of keys and of an open loop's times")
}

// Words reads the flags that are words.
func (w *Workload) Words() (err error) {
	if w.Load.KeyChoice, err = load.ParseDistribution(w.keyChoice); err != nil {
		return err
	}
	w.Load.Spacing, err = load.ParseSpacing(w.spacing)
	return err
}

// GetsOf returns the percentage of gets of a kind of load: set, get or mix.
func (w *Workload) GetsOf(kind string) (int, error) {
	if w.gets < 0 || w.gets > 100 {
		return 0, fmt.Errorf("%d %% of --gets (want 0 to 100)", w.gets)
	}
	share, known := map[string]int{"set": 0, "get": 100, "mix": w.gets}[kind]
	if !known {
		return 0, fmt.Errorf("unknown kind of load %q (want set, get or mix)", kind)
	}
	return share, nil
}

const long = `Put a load on a cluster and measure how many requests are answered and how fast, for
each model and type of request. Keys are set once before anything counts.

A closed loop (the default) keeps --concurrency requests outstanding. An open loop
(--rate) sends at that rate whatever becomes of the requests before; latency then counts
from when a request was due, so that a stall shows in every request that it held up.
What is due while --concurrency requests are outstanding is not sent, and is reported;
so is how late the bench itself was (LATE), which is a part of the latency.

--driver callback sends and takes replies without a goroutine for each request: as little
as a load generator can cost. --driver goroutine does what programs do that use package
client: Client.Do in a goroutine for each request outstanding, with retries and ids.

--sweep runs the load for each value of a quantity (concurrency, rate, keys, key-size,
value-size) and shows how throughput and latency change with it. --plot draws the result.
--sweep replicas=… starts a cluster of its own in memory for each number, and stops it.

--compare-kv measures, in short rounds that alternate, the same load on a JetStream
key-value bucket (one replica, in a file, no fsync per write unless the server is set
to) of the same NATS server, and prints medians with minimum and maximum. The server must
give clients JetStream; the one within quartet master does with --client-jetstream.

  kv      as its users drive it: nats.go's KeyValue.Put and Get, a goroutine for each
          request outstanding
  kv raw  the same bytes driven as quartet's requests are by callbacks

--record keeps every request to the cluster, those of the warm-up too, and gives each set a
value of its own, so that "quartet check" can judge what was answered. As requests end it
writes the value and some 200 bytes of each to disk, at 50,000 a second of 100 bytes about
1 GB a minute, and uses 3 to 6 µs of processor time for each: the figures are then lower.

The ratios are taken round by round. Processor time for each answer is shown of the
bench itself and, on the cluster's machine, of the master and the replicas (Linux).
Ctrl-C ends it early and prints what it has; once more ends it at once.

Exit status: 0 all answered, 1 it was ended early, or a request to the bucket failed,
2 wrong usage, 4 a request was refused, 5 an outcome is unknown, 6 no cluster.`

// Command returns the command bench.
func Command(env console.Env) *cobra.Command {
	b := bench{env: env, Workload: Workload{Load: load.Options{Warmup: time.Second, Duration: 5 * time.Second, Keys: 1000}}}
	cmd := &cobra.Command{
		Use:   "bench [flags]",
		Short: "Measure a cluster under load",
		Long:  long,
		Example: `  quartet bench
  quartet bench --consistency all --request set,get --duration 10s --plot models.svg
  quartet bench --concurrency 64 --connections separate --request mix --gets 90
  quartet bench --rate 5000 --spacing poisson --keys-distribution zipf --skew 1.1
  quartet bench --driver goroutine --request mix --gets 95 -o jsonl
  quartet bench --sweep concurrency=1,4,16,64,256,1024 --duration 3s --plot growth.png
  quartet bench --sweep value-size=16,1024,65536 -o csv
  quartet bench --sweep replicas=1,3,5,7 --plot replicas.svg
  quartet bench --compare-kv --rounds 5 -o json
  quartet bench --duration 2s --request mix --record auto && quartet check runs/latest`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			context.AfterFunc(ctx, cancel) // the next signal ends the process
			b.given = cmd.Flags().Changed
			return b.run(ctx)
		},
	}

	f := cmd.Flags()
	b.conn.Flags(f, env)
	b.loadFlags(f)
	b.rec.Flag(f)
	b.out.Flag(f)
	console.CompleteFlags(cmd, map[string][]cobra.Completion{
		"consistency": {"linearizable", "sequential", "causal", "eventual", "all"}, "request": {"set", "get", "mix"},
		"connections": {"shared", "separate"}, "driver": {"callback", "goroutine"}, "spacing": {"poisson", "fixed"},
		"keys-distribution": {"uniform", "zipf"}, "output": {"table", "json", "jsonl", "csv", "raw"},
	})

	return cmd
}

func (b *bench) loadFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&b.models, "consistency", []string{"linearizable"}, "`MODELS` to measure, joined by commas; or all")
	f.StringSliceVar(&b.kinds, "request", []string{"set", "get"}, "`KINDS` of load, joined by commas: set, get, mix")
	b.Workload.Flags(f)
	console.TTLFlag(f, &b.ttl, "end each value that is set after this `TIME`, up to 10 years: 30s, 5m, 1h30m")
	config.Int(f, &b.Load.Concurrency, "concurrency", 64, 1, load.MaxConcurrency,
		"requests outstanding at once; with --rate at most, and by default 4096")
	f.StringVar(&b.driver, "driver", "callback", "callback, or goroutine: as programs use package client")
	f.StringVar(&b.connections, "connections", "shared", "`NUMBER` of connections; shared: 1; separate: one for each request outstanding")
	config.NotEmpty(f, &b.sweep, "sweep", "", "`QUANTITY=VALUES`, joined by commas: run the load for each, as in concurrency=1,16,256")
	config.NotEmpty(f, &b.plot, "plot", "", "draw the result into `FILE`, .svg or .png")
	f.BoolVar(&b.compare, "compare-kv", false, "measure a JetStream key-value bucket beside it")
	config.Int(f, &b.rounds, "rounds", 1, 1, maxRounds, "measure each model and kind so often, in turn; with --compare-kv by default 5")
	config.Duration(f, &b.round, "round", 2*time.Second, time.Millisecond, config.Forever,
		"time that counts of one round, with --rounds and --compare-kv")
}

func (b *bench) run(ctx context.Context) error {
	plan, err := b.plan()
	if err != nil {
		return exit.Usage(err)
	}
	run := run{bench: b, plan: plan, progress: NewProgress(b.env.Stderr), printer: b.newPrinter(plan)}
	defer run.close()
	err = run.all(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("bench: ended early: %w", context.Cause(ctx))
	}
	console.AtRest(ctx, run.recorder, run.first(), b.env.Stderr)
	// What there is, is worth having.
	return console.Recorded(run.recorder, b.env.Stderr, errors.Join(err, run.finish()))
}

// finish prints and draws what was kept for the end, and says whether it is a measure.
func (r *run) finish() error {
	r.progress.Clear()
	if err := r.printer.finish(r.results); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if r.plot != "" && len(r.results) > 0 {
		if err := r.draw(); err != nil {
			return err
		}
		fmt.Fprintln(r.env.Stderr, "drawn into", r.plot)
	}
	var beyond, refused, unknown, peers uint64
	for _, m := range r.results {
		beyond += m.beyond()
		a, b, c := m.failures()
		refused, unknown, peers = refused+a, unknown+b, peers+c
	}
	if beyond > 0 {
		fmt.Fprintf(r.env.Stderr,
			"%d requests were due while as many as --concurrency allows were outstanding, and were not sent: the "+
				"cluster did not keep up with the rate\n", beyond)
	}
	return measure(refused, unknown, peers)
}

// measure says that figures are no measure where requests were not answered, with the exit
// status that every command has then.
func measure(refused, unknown, peers uint64) error {
	status := exit.StatusFailed
	switch {
	case unknown > 0:
		status = exit.StatusUnknown
	case refused > 0:
		status = exit.StatusRefused
	case peers == 0:
		return nil
	}
	var what []string
	for _, of := range []struct {
		n    uint64
		text string
	}{{refused, "refused"}, {unknown, "of unknown outcome"}, {peers, "of the peer's not answered"}} {
		if of.n > 0 {
			what = append(what, fmt.Sprintf("%d %s", of.n, of.text))
		}
	}
	return exit.With(status, fmt.Errorf("bench: not every request was answered (%s); the figures are no measure", strings.Join(what, ", ")))
}

// look learns from the cluster where its data are and which processes it has.
func (b *bench) look(ctx context.Context, c *client.Client) error {
	s, err := StatusOf(ctx, c)
	if err != nil {
		return err
	}
	b.data, b.replicas = s.Data, len(s.Replicas)
	add := func(name, arg string, pid int) {
		if load.Local(pid, arg) {
			b.Load.Processes = append(b.Load.Processes, load.Process{Name: name, PID: pid})
		}
	}
	add("master", "master", s.Master.PID)
	for _, r := range s.Replicas {
		add(r.ID, "replica", r.PID)
	}
	b.Load.Processes = append(b.Load.Processes, load.Process{Name: "bench", PID: os.Getpid()})
	return nil
}

// StatusOf asks the cluster how it is.
func StatusOf(ctx context.Context, c *client.Client) (s bus.Status, err error) {
	if s, err = c.Status(ctx); err != nil {
		err = Explain(ctx, c, err)
	}
	return s, err
}

// Explain gives a failure the exit status that fits: of no cluster, where that is why nothing could
// be set; and of keys that were not set that of the worst of those requests.
func Explain(ctx context.Context, c *client.Client, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, client.ErrPermission):
		return err
	}
	if _, asked := c.Status(ctx); errors.Is(asked, client.ErrNoCluster) {
		return exit.NoCluster(asked)
	}
	var unset *load.FillError
	switch isFill := errors.As(err, &unset); {
	case isFill && unset.Unknown > 0:
		return exit.With(exit.StatusUnknown, err)
	case isFill:
		return exit.With(exit.StatusRefused, err)
	}
	return err
}
