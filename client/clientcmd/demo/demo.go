// Package demo is the command demo: eight clients at once on a cluster of their own, then the
// report. It promises that no process of that cluster outlives the command.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/send"
	"quartet/client/internal/process"
	"quartet/client/judge/record"
	"quartet/client/requestfile"
	"quartet/master/ledger"
)

// cast is who takes part in the demo, and what each sends: the original's driver.
var cast = [...]struct{ name, file string }{
	{"Client1", "causal1"}, {"Client2", "linear1"}, {"Client3", "seq2"}, {"Client4", "linear2"},
	{"Client5", "event1"}, {"Client6", "causal2"}, {"Client7", "event2"}, {"Client8", "causal2"},
}

type demo struct {
	env      console.Env
	conn     console.Connection
	out      console.Format
	rec      console.Recording
	recorder *record.Recorder // nil: nothing is recorded
	logDir   string
	async    bool
	external bool // the cluster is not ours
}

// Command returns the command demo.
func Command(env console.Env) *cobra.Command {
	d := demo{env: env}
	cmd := &cobra.Command{
		Use:   "demo [flags]",
		Short: "Start a cluster, send eight clients' requests at once, show the report",
		Long: `Start a cluster in memory on a free port, run eight clients at once, each sending one
of the built-in request files in a session of its own, print every reply as it comes,
stop the cluster and print its report.

  Client1 causal1   Client2 linear1   Client3 seq2     Client4 linear2
  Client5 event1    Client6 causal2   Client7 event2   Client8 causal2

With --nats or --context the clients use the cluster that runs there, which is left running.

Exit status: that of the worst reply: 0 all answered, 4 one refused, 5 an outcome unknown,
6 no cluster.`,
		Example: `  quartet demo
  quartet demo --nats nats://127.0.0.1:4222
  quartet demo -o jsonl > replies.jsonl
  quartet demo --record auto && quartet check runs/latest`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := d.conn.Resolve(); err != nil {
				return err
			}
			d.external = d.conn.Settings.Asked()
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return d.recorded(ctx, cmd.Flags().Changed("log-dir"))
		},
	}
	f := cmd.Flags()
	d.conn.Flags(f, env)
	config.NotEmpty(f, &d.logDir, "log-dir", "log/demo", "`DIR` of the cluster's logs and reports (with --record: its log/)")
	f.BoolVar(&d.async, "async", false, "each client sends all its requests at once")
	d.rec.Flag(f)
	d.out.Flag(f)
	return cmd
}

func (d *demo) run(ctx context.Context) error {
	plays := make([][]requestfile.Request, len(cast))
	total := 0
	for i, role := range cast {
		// What every client sends first, then the role's own file: the built-in one,
		// whatever lies in the working directory.
		first, err := d.first()
		if err != nil {
			return exit.Usage(err)
		}
		own, err := builtin(d.env, role.file)
		if err != nil {
			return err
		}
		plays[i] = append(first, own...)
		total += len(plays[i])
	}

	if d.external {
		failed := d.play(ctx, plays, total)
		if ctx.Err() != nil || exit.Status(failed) == exit.StatusNoCluster {
			return failed // there is nobody to report
		}
		return errors.Join(failed, d.ask(ctx))
	}

	program, err := d.env.Executable()
	if err != nil {
		return err
	}
	cluster, err := process.Start(ctx, program, d.logDir, d.conn.Prefix)
	if err != nil {
		return err
	}
	d.conn.Own = cluster.URL
	fmt.Fprintf(d.env.Stderr, "a cluster is ready at %s; moving to the clients\n", cluster.URL)

	failed := d.play(ctx, plays, total)
	if err := cluster.Stop(); err != nil || ctx.Err() != nil {
		return errors.Join(failed, err)
	}

	report, err := ledger.ReadDir(d.logDir)
	return errors.Join(failed, writeReport(d.talk(), report, err))
}

// ask has a cluster that is not ours report.
func (d *demo) ask(ctx context.Context) error {
	c, err := d.conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	report, err := c.Report(ctx)
	return writeReport(d.talk(), report, err)
}

// talk is where the report goes: not between objects for a machine.
func (d *demo) talk() io.Writer {
	if d.out != console.Table {
		return d.env.Stderr
	}
	return d.env.Stdout
}

// first reads what every client sends first.
func (d *demo) first() ([]requestfile.Request, error) {
	if strings.TrimSpace(d.env.Getenv(console.EnvRequests)) == "" {
		return nil, nil
	}
	requests, err := console.Read(d.env, nil, nil, 0)
	if err != nil {
		return nil, err
	}
	return requests, console.Answered(requests)
}

func builtin(env console.Env, name string) ([]requestfile.Request, error) {
	f, err := env.Requests.Open(name)
	if err != nil {
		return nil, fmt.Errorf("built-in request file: %w", err)
	}
	defer f.Close()
	return requestfile.Parse(name, f)
}

// play runs all clients at once, each on a connection of its own, and waits for them.
func (d *demo) play(ctx context.Context, plays [][]requestfile.Request, total int) error {
	p := console.NewPrinter(d.env, d.out)
	bar := newProgress(d.env, total)
	p.Before = bar.clear
	var group sync.WaitGroup
	ends := make([]error, len(cast))
	for i, role := range cast {
		conn := d.conn
		conn.Name = role.name
		group.Go(func() {
			c, err := conn.Connect(ctx)
			if err != nil {
				ends[i] = fmt.Errorf("%s: %w", role.name, err)
				return
			}
			defer c.Close()
			r := send.Runner{Name: role.name, Printer: p, Sent: bar.step, Recorder: d.recorder}
			ends[i] = named(role.name, r.Send(ctx, c, plays[i], d.async))
		})
	}
	group.Wait()
	d.rest(ctx)
	return p.End(errors.Join(ends...))
}

// named says whose error it is; an error without text stays so.
func named(who string, err error) error {
	if err == nil || err.Error() == "" {
		return err
	}
	return fmt.Errorf("%s: %w", who, err)
}

// progress is one line on a terminal that says how far the clients are.
type progress struct {
	mu      sync.Mutex
	out     io.Writer // nil: no terminal
	done    int
	total   int
	began   time.Time
	painted bool
}

func newProgress(env console.Env, total int) *progress {
	p := &progress{total: total, began: time.Now()}
	if console.Terminal(env.Stderr) {
		p.out = env.Stderr
	}
	return p
}

const barWidth = 30

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.out == nil {
		return
	}
	full := barWidth * p.done / max(1, p.total)
	fmt.Fprintf(p.out, "\r\033[K[%s%s] %d/%d replies, %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full),
		p.done, p.total, time.Since(p.began).Round(time.Millisecond))
	p.painted = true
}

// clear takes the line away, for something else to be written.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.painted {
		fmt.Fprint(p.out, "\r\033[K")
		p.painted = false
	}
}

// recorded runs the demo with a recorder, if one was asked for. Its cluster logs into the
// record unless the user has said where.
func (d *demo) recorded(ctx context.Context, ownLogs bool) error {
	var err error
	if d.recorder, err = d.rec.Open(!d.external); err != nil {
		return err
	}
	if d.recorder != nil && !ownLogs {
		d.logDir = filepath.Join(d.recorder.Dir(), record.LogFolder)
	}
	failed := d.run(ctx)
	if !d.external {
		failed = errors.Join(failed, d.recorder.Logs(d.logDir))
	}
	return console.Recorded(d.recorder, d.env.Stderr, failed)
}

// rest records what the replicas hold in the end.
func (d *demo) rest(ctx context.Context) {
	if d.recorder == nil || ctx.Err() != nil {
		return
	}
	c, err := d.conn.Connect(ctx)
	if err != nil {
		fmt.Fprintf(d.env.Stderr, "what the replicas hold in the end was not recorded: %v\n", err)
		return
	}
	defer c.Close()
	console.AtRest(ctx, d.recorder, c, d.env.Stderr)
}
