// Command quartet-peers measures quartet beside NATS JetStream key-value, etcd and Redis:
// see package peers. It is no part of the quartet program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
	"quartet/client/measure/peers"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	err := command(os.Stdout, os.Stderr).ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "quartet-peers:", err)
	}
	os.Exit(exit.Status(err))
}

func command(stdout, stderr io.Writer) *cobra.Command {
	o := peers.Defaults()
	output := "text"
	cmd := &cobra.Command{
		Use:   "quartet-peers [flags]",
		Short: "Measure quartet beside NATS key-value, etcd and Redis",
		Long: `Start quartet and its peers as processes of their own, on free ports and in temporary
folders, put the same load on all of them in short rounds, and stop them. Each side is
measured once in every round, in random order; ratios are taken within a round.

Peers are driven by their usual Go client, which as many goroutines share as requests
are outstanding. Quartet is driven in the same way (go package: client.Do) and by
callbacks (client.Start). Beside every figure stands where a set is when it is answered.

  nats-r1      JetStream key-value, one server, file, no fsync
  nats-r3      the same with three servers and three replicas
  etcd-memory  three nodes on a tmpfs (--memory-dir)
  etcd-fsync   three nodes on a disk
  redis        one primary and two replicas, in memory: SET; SET and WAIT 2; GET

A peer that is not installed is reported as missing. Ctrl-C prints the rounds that were
complete and stops all that was started.

Exit status: 0 measured; 1 a request failed or its outcome is unknown, a peer that was
named is missing or did not start, or it was interrupted; 2 wrong usage.`,
		Example: `  quartet-peers
  quartet-peers --peers nats-r1,nats-r3 --loads set,get --rounds 9
  quartet-peers --peers etcd-fsync --loads set-durable --round 4s -o json`,
		Args:          func(cmd *cobra.Command, args []string) error { return exit.Usage(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return exit.Usage(fmt.Errorf("unknown format %q (want text or json)", output))
			}
			o.Talk = stderr
			return run(cmd.Context(), o, output, stdout, cmd.Flags().Changed("peers"))
		},
	}

	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Usage(err) })
	cmd.SetOut(stdout)

	cmd.AddCommand(failover(stdout, stderr))

	f := cmd.Flags()
	f.StringSliceVar(&o.Peers, "peers", o.Peers, "`PEERS` to measure, joined by commas")
	f.StringSliceVar(&o.Modes, "modes", o.Modes, "`MODES` of quartet, joined by commas: what it keeps")
	f.StringSliceVar(&o.Loads, "loads", o.Loads, "`LOADS` to run, joined by commas")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds of each load")
	f.DurationVar(&o.Round, "round", o.Round, "time that counts of one side of a round")
	f.DurationVar(&o.Warmup, "warmup", o.Warmup, "time before it")
	f.IntVar(&o.Keys, "keys", o.Keys, "how many keys are used")
	f.IntVar(&o.Key, "key-size", o.Key, "bytes of a key")
	f.IntVar(&o.Value, "value-size", o.Value, "bytes of a value")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "of the order within rounds and of the choice of keys")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long a request waits for its answer")
	f.StringVar(&o.MemoryDir, "memory-dir", o.MemoryDir, "a `DIR` on a tmpfs, for etcd-memory")
	f.StringVar(&o.DiskDir, "disk-dir", o.DiskDir, "a `DIR` on a disk, for all else (default the system's temporary folder)")
	f.StringVar(&o.Programs.Quartet, "quartet", o.Programs.Quartet, "`PROGRAM` to measure")
	f.StringVar(&o.Programs.NATSServer, "nats-server", o.Programs.NATSServer, "its `PROGRAM`")
	f.StringVar(&o.Programs.Etcd, "etcd", o.Programs.Etcd, "its `PROGRAM`")
	f.StringVar(&o.Programs.Redis, "redis-server", o.Programs.Redis, "its `PROGRAM`")
	f.StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}

func run(ctx context.Context, o peers.Options, output string, stdout io.Writer, named bool) error {
	report, err := peers.Run(ctx, o)
	if errors.Is(err, peers.ErrOptions) {
		return exit.Usage(err)
	}
	if report == nil {
		return err
	}
	write := report.WriteText
	if output == "json" {
		write = report.WriteJSON
	}
	return errors.Join(err, write(stdout), absent(report, named))
}

// absent returns an error that names the missing peers that were wanted: the peers that were
// named, and those that are installed.
func absent(report *peers.Report, named bool) error {
	var names []string
	for _, m := range report.Missing {
		if named || m.Installed {
			names = append(names, m.Peer)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("not measured: %s", strings.Join(names, ", "))
}
