// Package mastercmd is the master's commands: master, which runs a cluster, and report, which reads
// its ledger. It promises to parse, to refuse what cannot work, and to start; package masternode
// does the work.
package mastercmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/host/nodelog"
	"quartet/bus/host/tune"
	"quartet/bus/lamport"
	"quartet/bus/server"
	"quartet/master/ledger"
	"quartet/master/ledger/page"
	"quartet/master/masternode"
)

// Signals are the two stages in which a master is asked to stop.
type Signals struct {
	Gently context.Context // ends at the first signal
	Now    <-chan struct{} // is closed at the second
}

// Master returns the command that runs a cluster. inside makes what runs replicas within
// this process, with logs as it is told; beside begins the console in the browser.
func Master(stdout, stderr io.Writer, version string, signals func() Signals,
	inside func(nodelog.Options) masternode.Runner, beside func(ConsoleOptions) (Console, error)) *cobra.Command {
	o := settings{beside: beside, Options: masternode.Options{Stdout: stdout, Version: version}}
	o.log.Node, o.log.Stderr = lamport.Master(1).String(), stderr
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

While another master leads the cluster of those servers this one refuses to start;
--takeover deposes that one, which then ends. With --standby any number of masters wait,
on other machines, each in a directory of its own: one of them takes over when the one that
leads is silent for the suspicion time, and at once when it stops: then that one first hands
over, and leaves its replicas to run. One that is deposed stands by again. quartet lead NAME
hands over to another, quartet status shows them.

Exit status: 0 stopped when asked to, 2 wrong usage, 8 another master is at work (it was
there first, or was told to take over), 1 anything else.`,
		Example: `  quartet master --memory
  quartet master --listen 127.0.0.1:-1 --replicas 5 --memory
  quartet master --dir quartet-data --sync always --log-level debug
  quartet master --in-process --memory
  quartet master --memory --console 127.0.0.1:8222
  quartet master --memory --metrics 127.0.0.1:9420 --replica-metrics 127.0.0.1:9421
  quartet master --nats nats://127.0.0.1:4222 --memory
  quartet master --nats nats://10.0.0.1:4222 --standby --name m2 --dir quartet-data
  quartet master --context prod --prefix team.quartet --dir quartet-data`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.settle(cmd.Flags(), inside); err != nil {
				return exit.Usage(err)
			}
			return o.run(signals())
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

// run runs the cluster until it is asked to stop.
func (o *settings) run(s Signals) (err error) {
	if o.stopAtEOF {
		ctx, cancel := context.WithCancelCause(s.Gently)
		defer cancel(nil)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // one that cannot be read has ended, too
			cancel(errAtEOF)
		}()
		s.Gently = ctx
	}

	if o.InProcess != nil {
		tune.Cluster()
	} else {
		o.Awake = tune.Master()
		defer o.Awake.Close()
	}
	if o.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("master: cannot find its own program: %w", err)
	}
	dir, err := masternode.Hold(s.Gently, &o.Options) // before logs are opened: a start that is refused leaves nothing behind
	if err != nil {
		return status(unfinished(s.Gently, err))
	}
	held := true
	defer func() {
		if held {
			dir.Release()
		}
	}()
	if _, there := os.Stat(o.LogDir); errors.Is(there, fs.ErrNotExist) {
		defer func() {
			isRefused := errors.Is(err, masternode.ErrLed) || exit.Status(err) == exit.StatusUsage
			if isRefused { // the log says no more than the error
				err = errors.Join(err, os.RemoveAll(o.LogDir))
			}
		}()
	}

	logs, err := ledger.Hold(o.LogDir) // before anything is written there: another master's logs are left alone
	if err != nil {
		return status(err)
	}
	defer logs.Release()
	log, closer, err := nodelog.Open(o.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	o.Log = log
	o.Secure.Tell(log)
	if o.Ledger, err = ledger.Open(ledger.Options{Dir: o.LogDir, Lock: logs, Logger: log, Page: page.Write}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Ledger.Close()) }()

	if o.log.To == nodelog.ToStderr || o.stopAtEOF {
		signal.Ignore(syscall.SIGPIPE) // whoever read what we say has gone: that is no end without a report
	}
	over, err := o.observe(s.Gently)
	if err != nil {
		return exit.Usage(err)
	}
	defer over()

	held = false
	return status(unfinished(s.Gently, dir.Run(s.Gently, s.Now, o.Options)))
}

var (
	errAsked = errors.New("it was asked to")
	errAtEOF = errors.New("its standard input is at its end, and --stop-at-eof says to stop then")
)

// unfinished says of a start that was broken off by the end of ctx why that was. An error of any
// other kind stays what it is.
func unfinished(ctx context.Context, err error) error {
	why := context.Cause(ctx)
	isBrokenOff := errors.Is(err, context.Canceled) || errors.Is(err, masternode.ErrStopped) || errors.Is(err, errAtEOF)
	if why == nil || !isBrokenOff {
		return err
	}

	if errors.Is(why, context.Canceled) {
		why = errAsked
	}
	return fmt.Errorf("%w: %w", masternode.ErrStopped, why)
}

// status gives the error of a master its exit status.
func status(err error) error {
	switch {
	case errors.Is(err, masternode.ErrOptions), errors.Is(err, masternode.ErrDiffers), errors.Is(err, server.ErrListen),
		errors.Is(err, server.ErrInsecure), errors.Is(err, server.ErrConfig):
		return exit.Usage(err)
	case errors.Is(err, masternode.ErrLocked), errors.Is(err, ledger.ErrInUse), errors.Is(err, masternode.ErrLed),
		errors.Is(err, masternode.ErrSuperseded):
		return exit.With(exit.StatusLed, err)
	}
	return err
}
