// Package command promises the master's commands: master, which runs a cluster, and
// report, which reads its ledger. They parse and start; package node does the work.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/exit"
	"quartet/bus/nodelog"
	"quartet/bus/server"
	"quartet/bus/tune"
	"quartet/master/ledger"
	"quartet/master/node"
)

// Signals are the two stages in which a master is asked to stop.
type Signals struct {
	Gently context.Context // ends at the first signal
	Now    <-chan struct{} // is closed at the second
}

// Master returns the command that runs a cluster. inside makes what runs replicas within
// this process, with logs as it is told.
func Master(stdout, stderr io.Writer, version string, signals func() Signals, inside func(nodelog.Options) node.Runner) *cobra.Command {
	o := node.Options{Stdout: stdout, Version: version}
	var level, format string
	var inProcess bool
	var connection *dial.Flags
	cmd := &cobra.Command{
		Use:   "master",
		Short: "Run a cluster: the NATS server, the master and its replicas",
		Long: `Run a cluster: start the embedded NATS server, spawn the replicas, and serve
requests on quartet.request until Ctrl-C. When every replica works, or enough of
them after 10 s, one line that begins with "ready" and names the URL goes to
stdout. A replica that ends is started again.

The same command again, after whatever end, goes on where the last one stopped: it
takes over the replicas that still run and starts the others. With --dir all data
are there again, with --memory those of the replicas that still run.

With --in-process the replicas are goroutines of the master's process: nothing is
spawned, it starts faster and needs less, for development, tests and embedding. The
price is that the one process is all there is: when it dies every replica dies with it.
With --memory all is lost then, however many replicas there are. With --dir the same
command, with --in-process or without, has everything back, and until then nothing is
served. While replicas of an earlier master still run as processes it does not start.

With --nats or --context it embeds no server and uses that one, with the connection
settings that the nats command takes too (NATS_CREDS, NATS_USER, …); its replicas connect
with the same. A NATS_URL in the environment alone changes nothing.

Ctrl-C (or SIGTERM) finishes the requests under way, stops the replicas and
writes the reports; a second one stops at once.

Exit status: 0 stopped when asked to, 2 wrong usage, 1 anything else.`,
		Example: `  quartet master --memory
  quartet master --listen 127.0.0.1:-1 --replicas 5 --memory
  quartet master --dir quartet-data --sync always --log-level debug
  quartet master --in-process --memory
  quartet master --nats nats://127.0.0.1:4222 --memory
  quartet master --context prod --prefix team.quartet --dir quartet-data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Memory && (cmd.Flags().Changed("dir") || cmd.Flags().Changed("sync")) {
				return exit.Usage(errors.New("--memory excludes --dir and --sync"))
			}
			if err := external(&o, connection); err != nil {
				return exit.Usage(err)
			}
			o.Args = []string{"--log-level", level, "--log-format", format}
			logs := nodelog.Options{Dir: o.LogDir, Node: "m1", Level: level, Format: format, Stderr: stderr}
			if inProcess {
				o.InProcess = inside(logs)
			}
			return run(signals(), o, logs)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Listen, "listen", server.DefaultListen, "`HOST:PORT` of the embedded NATS server; port -1 picks a free one")
	f.BoolVar(&o.AllowInsecure, "allow-insecure-bind", false, "let it listen beyond this machine without credentials and TLS")
	connection = dial.Add(f)
	connection.Selected = false // a master that is told nothing has a server of its own
	f.StringVar(&o.Prefix, "prefix", bus.DefaultPrefix, "of all subjects")
	f.IntVar(&o.Replicas, "replicas", 3, "replicas, 1 to 9")
	f.BoolVar(&inProcess, "in-process", false, "replicas are goroutines of this process: one process, whose end is the end of all")
	f.IntVar(&o.Missing, "missing", -1, "how many replicas may be missing (default: so that a majority remains)")
	f.StringVar(&o.Dir, "dir", "quartet-data", "`DIR` of what outlives the process")
	f.BoolVar(&o.Memory, "memory", false, "keep nothing on disk but logs")
	f.StringVar(&o.Sync, "sync", node.SyncInterval, "with --dir, what survives: interval (kill -9 of every process) or always (a power cut)")
	f.StringVar(&o.Gets, "linearizable-gets", node.GetsFenced, "fenced (a replica reads, others confirm that they work in its view) or ordered (broadcast as sets are)")
	f.DurationVar(&o.Timeout, "timeout", 5*time.Second, "a request without an outcome after this is answered 504")
	f.DurationVar(&o.CausalWait, "causal-wait", 50*time.Millisecond, "how long a replica waits for a request's minimum timestamp or position")
	f.DurationVar(&o.OrphanTimeout, "orphan-timeout", 10*time.Second, "how long a replica waits for a master to come back")
	f.DurationVar(&o.Suspect, "suspect", time.Second, "silence after which a replica is left out of the view")
	f.StringVar(&o.LogDir, "log-dir", "log", "`DIR` of process logs and reports")
	nodelog.Flags(f, &level, &format)
	return cmd
}

// external settles whether the master uses servers that are there, and how it reaches them:
// where --nats or --context says so. The environment alone does not, since clients on the
// same machine have theirs there.
func external(o *node.Options, connection *dial.Flags) error {
	if !connection.Asked() {
		if given := connection.Given(); len(given) > 0 {
			return fmt.Errorf("--%s says how to reach a NATS server: say which with --nats or --context", given[0])
		}
		return nil
	}
	s, err := connection.Resolve(os.Getenv)
	if err != nil {
		return err
	}
	o.Connection, o.NATS = s, s.Redacted()
	return nil
}

func run(s Signals, o node.Options, logs nodelog.Options) (err error) {
	if o.InProcess != nil {
		tune.Cluster()
	} else {
		tune.Master()
	}
	if o.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("master: cannot find its own program: %w", err)
	}
	log, closer, err := nodelog.Open(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	o.Log = log
	if o.Ledger, err = ledger.Open(ledger.Options{Dir: o.LogDir, Logger: log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Ledger.Close()) }()
	err = node.Run(s.Gently, s.Now, o)
	switch {
	case errors.Is(err, node.ErrOptions):
		return exit.Usage(err)
	case errors.Is(err, server.ErrListen), errors.Is(err, server.ErrInsecure):
		return exit.Usage(err)
	}
	return err
}
