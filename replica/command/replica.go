// Package command promises the replica's command: it parses and starts; package node
// does the work.
package command

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/exit"
	"quartet/bus/nodelog"
	"quartet/bus/tune"
	"quartet/replica/lamport"
	"quartet/replica/node"
)

// Replica returns the command that runs one replica; stop returns a context that ends
// at the first signal.
func Replica(stderr io.Writer, stop func() context.Context) *cobra.Command {
	var o node.Options
	var id, dir, logDir, level, format string
	var memory bool
	cmd := &cobra.Command{
		Use:   "replica",
		Short: "Run one replica (the master does this for you)",
		Long: `Run one replica of a cluster whose master and NATS server are there already. The
master starts its replicas itself; by hand this is for a replica that the master
is configured for and did not start. QUARTET_NODE_USER and QUARTET_NODE_PASSWORD
hold the credentials of the nodes' account.`,
		Example: `  quartet replica --nats nats://127.0.0.1:4222 --id r2 --memory`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.ID, err = lamport.ParseNode(id); err != nil || !o.ID.IsReplica() {
				return exit.Usage(errors.New("--id must be r1, r2, …"))
			}
			if dir != "" {
				return exit.Usage(errors.New("--dir: this version keeps a replica's data in memory only; say --memory"))
			}
			log, closer, err := nodelog.Open(nodelog.Options{Dir: logDir, Node: id, Level: level, Format: format, Stderr: stderr})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closer.Close()) }()
			tune.Replica()
			o.Log, o.User, o.Password = log, os.Getenv(bus.EnvNodeUser), os.Getenv(bus.EnvNodePassword)
			err = node.Run(stop(), o)
			if errors.Is(err, node.ErrOrphaned) {
				return nil // it has been told to end this way
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.URL, "nats", "nats://127.0.0.1:4222", "`URL` of the NATS server")
	f.StringVar(&id, "id", "", "the replica's name: r1, r2, …")
	f.StringVar(&o.Prefix, "prefix", bus.DefaultPrefix, "of all subjects")
	f.BoolVar(&memory, "memory", true, "keep data in memory")
	f.StringVar(&dir, "dir", "", "keep data in `DIR` (not in this version)")
	f.DurationVar(&o.CausalWait, "causal-wait", 50*time.Millisecond, "how long a get or set waits for its minimum timestamp or position")
	f.StringVar(&o.MasterLock, "master-lock", "", "`FILE` that a living master keeps locked; without one the replica never counts as orphaned")
	f.DurationVar(&o.OrphanTimeout, "orphan-timeout", 10*time.Second, "how long to wait for a master to come back")
	f.StringVar(&logDir, "log-dir", "log", "`DIR` of process logs")
	nodelog.Flags(f, &level, &format)
	_ = cmd.MarkFlagRequired("id")
	return cmd
}
