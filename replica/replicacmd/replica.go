// Package replicacmd is the replica's command. It promises to parse, to refuse what cannot work,
// and to start; package replicanode does the work.
package replicacmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/host/monitor"
	"quartet/bus/host/nodelog"
	"quartet/bus/host/tune"
	"quartet/bus/lamport"
	"quartet/replica/disk"
	"quartet/replica/replicametrics"
	"quartet/replica/replicanode"
)

// Replica returns the command that runs one replica; stop returns a context that ends
// at the first signal.
func Replica(stderr io.Writer, stop func() context.Context) *cobra.Command {
	var o replicanode.Options
	var id, sync, listen string
	var cache int
	logs := nodelog.Options{Stderr: stderr}
	var memory bool
	var connection *dial.Flags
	cmd := &cobra.Command{
		Use:   "replica",
		Short: "Run one replica (the master does this for its own)",
		Long: `Run one replica of a cluster whose master and NATS server are there already. The
master starts and restarts its own replicas itself. By hand, on this machine or
another, this adds a replica to a running cluster: it is loaded while the others
work, and becomes a member. "quartet remove ID" takes it out again.

A replica speaks to the others in the account of the nodes. Its credentials are
taken from the environment, QUARTET_NODE_USER and QUARTET_NODE_PASSWORD; without
them, from the connection settings that the nats command takes too. Of the server that a master embeds the user is "quartet-node", and the
password stands in master.json in the master's --dir (with --memory, in the
directory that the master's banner names):

  export QUARTET_NODE_USER=quartet-node
  export QUARTET_NODE_PASSWORD=$(jq -r .password quartet-data/master.json)

--dir keeps the data on disk, one directory for each replica; else they are in
memory. --sync interval survives kill -9 of every process, --sync always a power
cut, too: it syncs before anything is acknowledged.

Exit status: 0 stopped, or removed from the cluster; 7 the data in --dir are
damaged and are not served; 9 another process of this name was started later, and
speaks as it; 2 wrong usage; 1 anything else.`,
		Example: `  quartet replica --nats nats://127.0.0.1:4222 --id r4 --memory
  quartet replica --nats nats://127.0.0.1:4222 --id r5 --memory --metrics 127.0.0.1:9425
  quartet replica --nats nats://10.0.0.7:4222 --id r4 --dir r4-data --sync always`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.ID, err = lamport.ParseNode(id); err != nil || !o.ID.IsReplica() {
				return exit.Usage(errors.New("--id must be r1, r2, …"))
			}
			if err := onDisk(cmd.Flags(), o.Dir, memory); err != nil {
				return exit.Usage(err)
			}
			o.Cache = int64(cache) << 20
			if o.Sync, err = parseSync(sync); err != nil {
				return exit.Usage(err)
			}
			if err := reach(&o, connection); err != nil {
				return exit.Usage(err)
			}
			logs.Node = id
			return run(stop, o, logs, listen)
		},
	}
	f := cmd.Flags()
	connection = dial.Add(f)
	f.StringVar(&id, "id", "", "the replica's name: r1, r2, …")
	config.NotEmpty(f, &o.Prefix, "prefix", bus.DefaultPrefix, "of all subjects")
	f.BoolVar(&memory, "memory", false, "keep the data in memory (as without --dir)")
	config.NotEmpty(f, &o.Dir, "dir", "", "keep the data in `DIR`, which is of this replica alone")
	config.Excludes(f, "memory", "dir")
	config.OneOf(f, &sync, "sync", disk.Interval.String(), []string{disk.Interval.String(), disk.Always.String()},
		"with --dir, what survives: interval (kill -9) or always (a power cut)")
	config.Int(f, &cache, "cache", disk.DefaultCache>>20, disk.LeastCache>>20, disk.MostCache>>20,
		"with --dir, how many `MiB` of the data are kept in memory")
	config.Duration(f, &o.CausalWait, "causal-wait", 50*time.Millisecond, 0, config.Forever,
		"how long a get or set waits for its minimum timestamp or position")
	f.BoolVar(&o.PublishChanges, "publish-changes", false,
		"as the first member, publish each committed change on PREFIX.changes.KEY; give it to all replicas, or to none")
	config.NotEmpty(f, &o.MasterLock, "master-lock", "",
		"`FILE` that a living master keeps locked; without one the replica never counts as orphaned")
	config.Alone(f, "master-lock") // a master has started it, and all its own settings are in the arguments
	config.Duration(f, &o.OrphanTimeout, "orphan-timeout", 10*time.Second, config.Moment, config.Forever,
		"how long to wait for a master to come back")
	config.NotEmpty(f, &logs.Dir, "log-dir", "log", "`DIR` of process logs")
	nodelog.Flags(f, &logs)
	monitor.Flag(f, &listen)
	_ = cmd.MarkFlagRequired("id")
	return cmd
}

// onDisk refuses what is said of data on disk where they are to be in memory.
func onDisk(f *pflag.FlagSet, dir string, memory bool) error {
	switch {
	case dir != "" && memory:
		return errors.New("--dir and --memory exclude each other")
	case dir != "":
		return nil
	case f.Changed("sync"):
		return errors.New("--sync says what data in a --dir survive, and none is given: the data would be in memory")
	case f.Changed("cache"):
		return errors.New("--cache says how much of the data in a --dir is in memory, and none is given: all of them would be")
	}
	return nil
}

// run runs the replica until it is to end.
func run(stop func() context.Context, o replicanode.Options, logs nodelog.Options, listen string) (err error) {
	log, closer, err := nodelog.Open(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	o.Awake = tune.Replica()
	defer o.Awake.Close()
	if logs.To == nodelog.ToStderr {
		signal.Ignore(syscall.SIGPIPE) // whoever collected the lines has gone: that ends no replica
	}
	o.Log = log
	stopped, err := watch(&o, listen)
	if err != nil {
		return exit.Usage(err)
	}
	defer stopped()
	err = replicanode.Run(stop(), o)
	switch {
	case errors.Is(err, replicanode.ErrOrphaned):
		return nil // it has been told to end this way
	case errors.Is(err, disk.ErrDamaged):
		return exit.Damaged(err)
	case errors.Is(err, replicanode.ErrReplaced):
		return exit.Replaced(err)
	}
	return err
}

// watch serves the replica's figures, if an address is named. One that a master keeps
// running goes on without where the port is taken: it is not there for its figures.
func watch(o *replicanode.Options, listen string) (stop func(), err error) {
	if listen == "" {
		return func() {}, nil
	}
	o.Probe = bus.NewProbe[replicanode.Figures]()
	m, err := replicametrics.Listen(listen, o.ID, o.Probe, o.Log)
	switch {
	case errors.Is(err, monitor.ErrListen) && o.MasterLock != "":
		o.Log.Error("no metrics", "error", err)
		return func() {}, nil
	case err != nil:
		return nil, err
	}
	return func() { _ = m.Close() }, nil
}

// reach settles how the bus is reached: as the nodes' user where the environment names
// one, which a master does for its own replicas; else as the connection settings say.
func reach(o *replicanode.Options, connection *dial.Flags) error {
	s, err := connection.Resolve(os.Getenv)
	if err != nil {
		return err
	}
	if user := os.Getenv(bus.EnvNodeUser); user != "" {
		o.Front = s.As(bus.FrontUser, os.Getenv(bus.EnvNodePassword)).Options("", nil).Connect
		s = s.As(user, os.Getenv(bus.EnvNodePassword))
	}
	o.URL, o.Connect = s.URL(), s.Options("", nil).Connect
	return nil
}

func parseSync(s string) (disk.Sync, error) {
	for _, mode := range []disk.Sync{disk.Interval, disk.Always} {
		if s == mode.String() {
			return mode, nil
		}
	}
	return 0, fmt.Errorf("--sync %q: want interval or always", s)
}
