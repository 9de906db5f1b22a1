// Package compare is the command compare: the same requests, or the same load, under each of
// the models in turn. It promises latency, failures and staleness of each from the same run.
package compare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/bench"
	"quartet/client/clientcmd/console"
	"quartet/client/judge/record"
	"quartet/client/measure/comparison"
	"quartet/client/measure/load"
)

// comparing is the command that sends the same requests under every model.
type comparing struct {
	env  console.Env
	conn console.Connection
	out  bench.Format
	rec  console.Recording
	bench.Workload
	kind    string // of the load
	clients int
	times   int
	tell    bool // the values of a script apart
	plot    string
	given   func(name string) bool // which flags were

	what     string // is compared, in words
	data     string // where the cluster's are: memory or disk
	replicas int
	script   []load.Op // of request files; nil: a load
	tag      string    // of this comparison's keys
}

const long = `Send the same requests under each of the four models, one model after the other, and show
what each costs and what it gives: latency, requests a second, failures, and how old was
what the gets returned.

With FILE (or a request, as "quartet client" takes them) every client sends all of it, in
order, --times times: sets and gets, whose values have no end and which have no condition, for
models 3 and 4 know none, and of nothing else is said how old it is. The model that a line
names is replaced. Without, a load as that of
"quartet bench" is sent: --workload set, get or mix (the default), for --duration each, in a
closed loop, or with --rate in an open loop, in which what is due while all clients are busy
is not sent.

--clients (default 8) send at once, each in a session of its own on a connection of its own;
their gets and sets are served by whichever replica the cluster draws. To see staleness it
takes several: a lone client sees its own writes under causal, as its session demands.

All models share one key space. So that none disturbs another, each has keys of its own,
which begin with "compare." and letters drawn for this run; they start without a value (a
load sets its keys first, under the same model) and stay in the cluster.

A get is STALE if a newer set of its key was acknowledged before the get was sent: newer is
one that was sent after the returned one had been acknowledged. So concurrent sets are not
newer than each other, one of unknown outcome is never newer, and where several sets wrote
the value the newest counts: it is never claimed where it may not be. Values of a load all
differ. Where those of a file repeat (all clients send the same), the value of a get does not
tell which set it saw, and its age may be unclear; with --distinct the values are told apart.
That no stale get was seen is no promise: only linearizable excludes them.

--record keeps all requests for "quartet check"; --plot draws the result. Ctrl-C ends it
early and prints what it has.

Exit status: 0 all answered, 1 it was ended early, or a linearizable get was stale, which
must not be, 2 wrong usage, 4 a request was refused, 5 an outcome is unknown, 6 no cluster.`

// Command returns the command compare.
func Command(env console.Env) *cobra.Command {
	c := comparing{
		env: env,
		Workload: bench.Workload{
			Load: load.Options{Warmup: 500 * time.Millisecond, Duration: 3 * time.Second, Keys: 10},
		},
	}
	cmd := &cobra.Command{
		Use:   "compare [flags] [REQUEST|FILE ...]",
		Short: "Send the same requests under all four models and compare",
		Long:  long,
		Example: `  quartet compare my-requests.txt
  quartet compare --clients 4 --times 100 seq1 seq2
  quartet compare --workload mix --gets 90 --plot models.svg
  quartet compare --rate 2000 --keys 100 --keys-distribution zipf -o json
  quartet compare --record auto && quartet check runs/latest`,
		ValidArgsFunction: console.RequestWords(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.given = cmd.Flags().Changed
			if err := c.plan(args); err != nil {
				return exit.Usage(err)
			}
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			context.AfterFunc(ctx, cancel) // the next signal ends the process
			return c.run(ctx)
		},
	}

	f := cmd.Flags()
	c.conn.Flags(f, env)
	c.compareFlags(f)
	c.rec.Flag(f)
	c.out.Flag(f)
	console.CompleteFlags(cmd, map[string][]cobra.Completion{
		"workload": {"set", "get", "mix"}, "spacing": {"poisson", "fixed"}, "keys-distribution": {"uniform", "zipf"},
		"output": {"table", "json", "jsonl", "csv", "raw"},
	})

	return cmd
}

func (c *comparing) compareFlags(f *pflag.FlagSet) {
	c.Workload.Flags(f)
	f.Lookup("warmup").Usage = "time of a load before anything counts"
	f.Lookup("duration").Usage = "time of a load that counts, of each model"
	f.StringVar(&c.kind, "workload", "mix", "the `KIND` of load where no requests are given: set, get or mix")
	config.Int(f, &c.clients, "clients", 8, 1, comparison.MaxClients,
		fmt.Sprintf("how many send at once, each in a session of its own; at most %d", comparison.MaxClients))
	config.Int(f, &c.times, "times", 10, 1, math.MaxInt32, "how often each client sends the requests that are given")
	f.BoolVar(&c.tell, "distinct", false,
		"put #CLIENT.TIME.LINE behind each value of the requests that are given, to tell repeated values apart")
	config.NotEmpty(f, &c.plot, "plot", "", "draw the result into `FILE`, .svg or .png")
}

// loadFlags are those that say something of a load only.
var loadFlags = [...]string{
	"workload", "gets", "rate", "spacing", "warmup", "duration", "keys", "keys-distribution", "skew", "key-size", "value-size", "seed",
}

// plan puts arguments and flags together; an error is wrong usage.
func (c *comparing) plan(args []string) error {
	c.tag = strings.ToLower(rand.Text()[:8])
	if err := c.Words(); err != nil {
		return err
	}
	var err error
	if c.Load.Gets, err = c.GetsOf(c.kind); err != nil {
		return fmt.Errorf("--workload: %w", err)
	}

	repeated := c.given("times") || c.given("distinct")
	switch {
	case len(args) == 0 && repeated:
		return errors.New("--times and --distinct are of requests that are given; " +
			"a load goes on for --duration, and its values differ")
	case len(args) == 0:
		c.what = c.loadWords()
	default:
		for _, name := range loadFlags {
			if c.given(name) {
				return fmt.Errorf("--%s describes a load, and requests were given to be sent instead", name)
			}
		}
		requests, err := console.Read(c.env, nil, args, 0)
		if err != nil {
			return err
		}
		if err := console.Refused(requests, comparable); err != nil {
			return err
		}
		for _, r := range requests {
			c.script = append(c.script, load.Op{Type: r.Type, Key: r.Key, Value: r.Value})
		}
		c.what = fmt.Sprintf("%d requests, sent %d times by each client", len(requests), c.times)
		if c.tell {
			c.what += ", values told apart"
		}
	}

	for _, m := range model.All {
		o := c.part(m)
		if err := o.Check(); err != nil {
			return err
		}
	}
	return bench.CheckPlot(c.plot)
}

// comparable says why a request cannot be compared under all four models.
func comparable(r *model.Request) error {
	isPlain := r.Type == model.Set || r.Type == model.Get
	switch {
	case !isPlain:
		return errors.New("only sets and gets are compared: of nothing else is known in every model how old it is")
	case r.HasIf:
		return errors.New("no condition can be compared: models 3 and 4 have none")
	case r.TTL > 0:
		return errors.New("no value that ends can be compared: a get that finds nothing any more would count as stale")
	}
	return nil
}

// loadWords say what the load is.
func (c *comparing) loadWords() string {
	o := &c.Load
	what := "closed loop"
	if o.Rate > 0 {
		what = fmt.Sprintf("open loop, %g requests a second (%s)", o.Rate, o.Spacing)
	}
	keys := fmt.Sprintf("%d keys of %d bytes", o.Keys, o.KeySize)
	if o.KeyChoice == load.Zipf {
		keys += fmt.Sprintf(" (zipf, skew %g)", o.Skew)
	}
	return fmt.Sprintf("%s, %d %% gets, %s, values of %d bytes, %s each", what, o.Gets, keys, o.ValueSize, o.Duration)
}

// part is what one model has to do.
func (c *comparing) part(m model.Consistency) comparison.Options {
	return comparison.Options{
		Clients: c.clients, Script: c.script, Times: c.times, Distinct: c.tell, Load: c.Load,
		Prefix: fmt.Sprintf("compare.%s.%s.", c.tag, m.Word()[:3]),
	}
}

// run is a comparison under way.
type run struct {
	*comparing
	progress *bench.Progress
	recorder *record.Recorder // nil: nothing is recorded
	lines    []*client.Client // one for each client
	results  []comparison.Result

	mu    sync.Mutex
	worst int   // exit status of a request
	why   error // it had it
}

func (c *comparing) run(ctx context.Context) error {
	r := run{comparing: c, progress: bench.NewProgress(c.env.Stderr)}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return err
	}
	var err error
	if r.recorder, err = c.rec.Open(false); err != nil {
		return err
	}
	failed := r.all(ctx)
	r.progress.Clear()
	console.AtRest(ctx, r.recorder, r.lines[0], c.env.Stderr)
	return console.Recorded(r.recorder, c.env.Stderr, errors.Join(failed, r.finish()))
}

// open makes a connection for each client, and learns of the cluster.
func (r *run) open(ctx context.Context) error {
	for range r.clients {
		c, err := r.conn.Connect(ctx)
		if err != nil {
			return err
		}
		r.lines = append(r.lines, c)
	}
	s, err := bench.StatusOf(ctx, r.lines[0])
	r.data, r.replicas = s.Data, len(s.Replicas)
	return err
}

func (r *run) close() {
	for _, c := range r.lines {
		_ = c.Close() // nothing is under way
	}
}

// all runs each model's part. On an error, results are those that there are.
func (r *run) all(ctx context.Context) error {
	for _, m := range model.All {
		o := r.part(m)
		o.Progress = r.progress.Of("comparing: " + m.Word())
		part, stop := context.WithCancelCause(ctx)
		o.Observe = r.observer(stop)
		result, err := comparison.Run(part, m, r.lines, o)
		stop(nil)
		if result.Window > 0 {
			r.results = append(r.results, result)
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("compare: ended early: %w", context.Cause(ctx))
		case errors.Is(err, client.ErrNoCluster):
			return exit.NoCluster(fmt.Errorf("compare: the cluster went away: %w", err))
		case err != nil:
			return fmt.Errorf("compare: %s: %w", m.Word(), bench.Explain(ctx, r.lines[0], err))
		}
	}
	return nil
}

// observer records requests, and keeps the worst end of one. With no cluster there any
// more it stops the part.
func (r *run) observer(stop context.CancelCauseFunc) load.Observer {
	note := console.Observer(r.recorder, "Client", r.recorder.NewSession()+".")
	return func(o load.Observation) {
		note(o)
		if o.Err == nil || errors.Is(o.Err, client.ErrNotFound) {
			return
		}
		if errors.Is(o.Err, client.ErrNoCluster) {
			stop(o.Err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if s := console.ExitStatus(o.Err); s > r.worst {
			r.worst, r.why = s, o.Err
		}
	}
}

// finish prints and draws what there is, and says with which status it ends.
func (r *run) finish() error {
	if len(r.results) == 0 {
		return exit.With(r.worst, r.why)
	}
	if err := r.print(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if r.plot != "" {
		if err := r.draw(); err != nil {
			return err
		}
		fmt.Fprintln(r.env.Stderr, "drawn into", r.plot)
	}
	var broken error
	if first := &r.results[0]; first.Model == model.Linearizable && first.Staleness.Stale > 0 {
		broken = fmt.Errorf("compare: %d linearizable gets were stale: the cluster broke its promise, or others "+
			"write to its keys; --record and \"quartet check\" show which", first.Staleness.Stale)
	}
	if r.why != nil {
		r.why = fmt.Errorf("compare: not every request was answered; the worst: %w", r.why)
	}
	return errors.Join(broken, exit.With(r.worst, r.why))
}
