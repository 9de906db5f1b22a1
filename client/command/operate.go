package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/exit"
	"quartet/client"
)

const (
	operateWait = time.Minute            // for what an operator has asked for to be done
	lookEvery   = 100 * time.Millisecond // at the status meanwhile
)

func recoverCommand(env Env) *cobra.Command {
	var conn connection
	var yes bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "recover [flags]",
		Short: "Let the cluster go on without replicas that will not come back",
		Long: `Let the cluster go on with the replicas that are there, though they are fewer than
its rules ask for: too many members of the view have died for good, or their data.

Without --yes it only says what may be lost: an acknowledged write that none of the
replicas that are there holds. First try to bring one of the missing back: a replica
that comes back with its disk has lost nothing.

Exit status: 0 the cluster is ready, 1 nothing was done or it did not become ready,
6 no cluster.`,
		Example: `  quartet recover
  quartet recover --yes`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := interruptible(cmd)
			defer cancel()
			c, err := conn.connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return recoverCluster(ctx, env, c, yes, wait)
		},
	}
	conn.flags(cmd.Flags(), env)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it, and lose what may be lost")
	cmd.Flags().DurationVar(&wait, "wait", operateWait, "how long to wait for the cluster to be ready")
	return cmd
}

func recoverCluster(ctx context.Context, env Env, c *client.Client, yes bool, wait time.Duration) error {
	a, err := c.Recover(ctx, bus.RecoverRequest{})
	switch {
	case err != nil:
		return exit.With(status(err), err)
	case a.Error != "":
		return errors.New(a.Error)
	case a.Ready:
		_, err := fmt.Fprintln(env.Stdout, "the cluster is ready: there is nothing to recover")
		return err
	}
	fmt.Fprintf(env.Stdout, "not ready: %s\n", printable([]byte(a.Reason)))
	switch {
	case len(a.Absent) > 0 && len(a.Present) > 0:
		fmt.Fprintf(env.Stdout, "missing: %s\nthere:   %s\n"+
			"Acknowledged writes that only %s hold are lost if the cluster goes on without them.\n",
			list(a.Absent), list(a.Present), list(a.Absent))
	case a.Base != "":
		fmt.Fprintf(env.Stdout, "no member of the view is left with all that it had acknowledged (after a power cut with --sync interval the last moments are missing).\n"+
			"%s has come furthest: %d ordered operations. What was acknowledged after them is lost if the cluster goes on with it.\n", a.Base, a.Position)
	case len(a.Absent) > 0:
		fmt.Fprintf(env.Stdout, "missing: %s\nno member of the view is there: bring one of them back\n", list(a.Absent))
	}
	if !yes {
		return errors.New("nothing was done; say --yes to go on without the missing replicas")
	}
	if a, err = c.Recover(ctx, bus.RecoverRequest{Yes: true, Absent: a.Absent}); err != nil {
		return exit.With(status(err), err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return await(ctx, c, wait, func(s *bus.Status) (bool, string) {
		if s.Ready {
			fmt.Fprintf(env.Stdout, "ready, epoch %d\n", s.Epoch)
		}
		return s.Ready, "the cluster is not ready: " + s.Reason
	})
}

func list(names []string) string { return strings.Join(names, ", ") }

func removeCommand(env Env) *cobra.Command {
	var conn connection
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "remove [flags] REPLICA",
		Short: "Take a replica out of the cluster",
		Long: `Take a replica out of the cluster for good, whether it runs or not. It hands over
what only it holds, leaves with the next view, and its process ends. The others are
then the cluster: how many of them may be missing is counted anew.

Exit status: 0 it is out, 1 refused, or not out in time, 6 no cluster.`,
		Example: `  quartet remove r4`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := interruptible(cmd)
			defer cancel()
			c, err := conn.connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			a, err := c.Remove(ctx, args[0])
			switch {
			case err != nil:
				return exit.With(status(err), err)
			case a.Error != "":
				return errors.New(a.Error)
			}
			return await(ctx, c, wait, func(s *bus.Status) (bool, string) {
				there := slices.ContainsFunc(s.Replicas, func(r bus.ReplicaStatus) bool { return r.ID == args[0] })
				return !there, strings.TrimSuffix(fmt.Sprintf("replica %s is still there: %s", args[0], s.Reason), ": ")
			})
		},
	}
	conn.flags(cmd.Flags(), env)
	cmd.Flags().DurationVar(&wait, "wait", operateWait, "how long to wait until it is out")
	return cmd
}

// await looks at the status until it is as wanted; while it is not, done says why.
func await(ctx context.Context, c *client.Client, limit time.Duration, done func(*bus.Status) (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	why := "the cluster has not said how it is"
	for {
		var s bus.Status
		if body, err := c.Status(ctx); err == nil && json.Unmarshal(body, &s) == nil {
			var ok bool
			if ok, why = done(&s); ok {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("after %s: %s", limit, why)
		}
	}
}
