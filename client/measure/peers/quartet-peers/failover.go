package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
	"quartet/client/measure/peers"
)

// failover is the command that measures what clients see of a machine that dies.
func failover(stdout, stderr io.Writer) *cobra.Command {
	o := peers.FailoverDefaults()
	file := ""
	cmd := &cobra.Command{
		Use:   "failover [flags]",
		Short: "Kill each of three machines in turn, and measure the longest gap that a client sees",
		Long: `Start three nodes of quartet, three NATS servers with a key-value bucket of three replicas,
and three nodes of etcd, one system after the other, each on free ports and in temporary
folders. Six clients, two connected with each machine at first and told of all three, put
values one after the other by the system's usual client; a put that takes longer than 1 s is
given up, and the next one sent. Then the machine that leads is killed with SIGKILL and, once it
is started again and all are in step, each of the others.

A gap is a time between two acknowledgements to a client. NATS and etcd run with their default
settings, quartet with those of quartet node.

Exit status: 0 measured; 1 a system is missing, or its clients were not served again in 30 s; 2
wrong usage.`,
		Example:       "  quartet-peers failover --rounds 1 --seed 3 --append gaps.jsonl",
		Args:          func(cmd *cobra.Command, args []string) error { return exit.Usage(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Talk = stderr
			list, err := peers.Failover(cmd.Context(), o)
			if errors.Is(err, peers.ErrOptions) {
				return exit.Usage(err)
			}
			if file != "" {
				var kerr error
				if list, kerr = peers.KeepFailures(file, list); kerr != nil {
					return errors.Join(err, kerr)
				}
			}
			_, werr := fmt.Fprint(stdout, peers.FailureTable(list))
			return errors.Join(err, werr)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Systems, "systems", o.Systems, "`SYSTEMS` to measure, joined by commas")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "rounds, in each of which each machine of each system is killed once")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "of the order of systems within rounds")
	f.StringVar(&file, "append", "", "add what was measured to a `FILE` of JSON lines, and show all that it holds")
	f.StringVar(&o.DiskDir, "disk-dir", o.DiskDir, "a `DIR` for files (default the system's temporary folder)")
	f.StringVar(&o.Programs.Quartet, "quartet", o.Programs.Quartet, "`PROGRAM` to measure")
	f.StringVar(&o.Programs.NATSServer, "nats-server", o.Programs.NATSServer, "its `PROGRAM`")
	f.StringVar(&o.Programs.Etcd, "etcd", o.Programs.Etcd, "its `PROGRAM`")
	return cmd
}
