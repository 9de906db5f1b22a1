// Package operate is the commands of an operator: status, recover and remove. It promises that
// nothing is given up without a yes, and that what may be lost is said before.
package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

const (
	operateWait = time.Minute            // for what an operator has asked for to be done
	lookEvery   = 100 * time.Millisecond // at the status meanwhile
)

// Recover returns the command recover.
func Recover(env console.Env) *cobra.Command {
	o := operation{env: env}
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover [flags]",
		Short: "Let the cluster go on without replicas that will not come back",
		Long: `Let the cluster go on with the replicas that are there, though they are fewer than
its rules ask for: too many members of the view have died for good, or their data.

Without --yes it only says what may be lost: an acknowledged write that none of the
replicas that are there holds. First try to bring one of the missing back: a replica
that comes back with its disk has lost nothing.

-o json, jsonl and raw print one object, also where nothing was done: ready and done (the
cluster goes on without the missing, and is ready), reason (why it was not ready), missing,
present, base and position (where no member is left with all that it had acknowledged: who
has come furthest, and how far), begun, epoch once it is done, error.

Exit status: 0 the cluster is ready, 1 nothing was done for want of --yes, or it did not
become ready, 4 refused, 6 no cluster.`,
		Example: `  quartet recover
  quartet recover -o json | jq .missing
  quartet recover --yes`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client) (effect, error) {
				said, err := c.Recover(ctx, bus.RecoverRequest{})
				return recoveryOf(&said, yes), err
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it, and lose what may be lost")
	o.flags(cmd, operateWait, "for the cluster to be ready")
	return cmd
}

// refused is the end of a command that the cluster has refused, and says why: as of any request.
func refused(why string) error { return exit.With(exit.StatusRefused, errors.New(why)) }

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// recovery is what the cluster said that may be lost, and what came of it.
type recovery struct {
	Ready    bool     `json:"ready"`
	Done     bool     `json:"done"`             // it goes on without the missing, and is ready
	Reason   string   `json:"reason,omitempty"` // why it was not ready
	Missing  []string `json:"missing"`
	Present  []string `json:"present"`
	Base     string   `json:"base,omitempty"` // with Position: see [bus.RecoverReply]
	Position uint64   `json:"position,omitempty"`
	Begun    bool     `json:"begun"`           // the cluster was told to go on, and does
	Epoch    uint64   `json:"epoch,omitempty"` // once it is done
	Error    string   `json:"error,omitempty"` // why it is not done

	yes bool // it is to be done
}

func recoveryOf(said *bus.RecoverReply, yes bool) *recovery {
	return &recovery{
		Ready: said.Ready, Reason: said.Reason, Missing: append([]string{}, said.Absent...), Present: append([]string{}, said.Present...),
		Base: said.Base, Position: said.Position, Error: said.Error, yes: yes,
	}
}

func (r *recovery) end(err error) { r.Error = reasonOf(err) }

// goOn tells an operator what may be lost, and has the cluster go on if it is to.
func (r *recovery) goOn(ctx context.Context, w io.Writer, c *client.Client, limit time.Duration) error {
	switch {
	case r.Error != "":
		return refused(r.Error)
	case r.Ready:
		_, err := fmt.Fprintln(w, "the cluster is ready: there is nothing to recover")
		return err
	}
	r.tell(w)
	if !r.yes {
		return errors.New("nothing was done; say --yes to go on without the missing replicas")
	}
	a, err := c.Recover(ctx, bus.RecoverRequest{Yes: true, Absent: r.Missing})
	if err != nil {
		return exit.With(console.ExitStatus(err), err)
	}
	if a.Error != "" {
		return refused(a.Error)
	}
	r.Begun = a.Begun
	s, err := await(ctx, c, limit, func(s *bus.Status) (bool, string) {
		return s.Ready, "the cluster is not ready: " + s.Reason
	})
	if err != nil {
		return err
	}
	r.Ready, r.Done, r.Epoch = true, true, s.Epoch
	_, err = fmt.Fprintf(w, "ready, epoch %d\n", s.Epoch)
	return err
}

// tell says what may be lost.
func (r *recovery) tell(w io.Writer) {
	fmt.Fprintf(w, "not ready: %s\n", console.Printable([]byte(r.Reason)))
	missing, present := strings.Join(r.Missing, ", "), strings.Join(r.Present, ", ")
	switch {
	case missing != "" && present != "":
		fmt.Fprintf(w, "missing: %s\nthere:   %s\n"+
			"Acknowledged writes that only %s hold are lost if the cluster goes on without them.\n",
			missing, present, missing)
	case r.Base != "":
		fmt.Fprintf(w, "no member of the view is left with all that it had acknowledged (after a power cut with "+
			"--sync interval the last moments are missing).\n"+
			"%s has come furthest: %d ordered operations. What was acknowledged after them is lost if the cluster "+
			"goes on with it.\n", r.Base, r.Position)
	case missing != "":
		fmt.Fprintf(w, "missing: %s\nno member of the view is there: bring one of them back\n", missing)
	}
}

// Remove returns the command remove.
func Remove(env console.Env) *cobra.Command {
	o := operation{env: env}
	cmd := &cobra.Command{
		Use:   "remove [flags] REPLICA",
		Short: "Take a replica out of the cluster",
		Long: `Take a replica out of the cluster for good, whether it runs or not. It hands over
what only it holds, leaves with the next view, and its process ends. The others are
then the cluster: how many of them may be missing is counted anew.

-o json, jsonl and raw print one object, also where it was refused: replica, removed,
begun (it leaves with the next view), epoch in which it is out, error.

Exit status: 0 it is out, 1 not out in time, 2 wrong usage, 4 refused, 6 no cluster.`,
		Example: `  quartet remove r4
  quartet remove -o json r4 | jq .removed`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return exit.Usage(errors.New("which replica? they are r1, r2, …; see quartet status"))
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client) (effect, error) {
				said, err := c.Remove(ctx, args[0])
				return &removal{Replica: args[0], Begun: said.Begun, Error: said.Error}, err
			})
		},
	}
	o.flags(cmd, operateWait, "until it is out")
	return cmd
}

// removal is what came of taking a replica out of the cluster.
type removal struct {
	Replica string `json:"replica"`
	Removed bool   `json:"removed"`         // it has gone from the status
	Begun   bool   `json:"begun"`           // it leaves with the next view
	Epoch   uint64 `json:"epoch,omitempty"` // in which it is out
	Error   string `json:"error,omitempty"` // why it is not
}

func (r *removal) end(err error) { r.Error = reasonOf(err) }

// goOn waits until the replica is out, if the cluster has not refused.
func (r *removal) goOn(ctx context.Context, w io.Writer, c *client.Client, limit time.Duration) error {
	if r.Error != "" {
		return refused(r.Error)
	}
	s, err := await(ctx, c, limit, func(s *bus.Status) (bool, string) {
		there := slices.ContainsFunc(s.Replicas, func(o bus.ReplicaStatus) bool { return o.ID == r.Replica })
		return !there, strings.TrimSuffix(fmt.Sprintf("replica %s is still there: %s", r.Replica, s.Reason), ": ")
	})
	if err != nil {
		return err
	}
	r.Removed, r.Epoch = true, s.Epoch
	_, err = fmt.Fprintf(w, "%s is out, epoch %d\n", r.Replica, s.Epoch)
	return err
}

// unanswered gives a failure the exit status that fits, and says who may ask where not everybody
// may.
func unanswered(err error) error {
	if errors.Is(err, client.ErrPermission) {
		err = fmt.Errorf("%w. An operator is, of a server with --secure, who has a certificate of the role operate "+
			"(quartet secure client); of one that listens beyond its machine without, the user quartet-operator, with the "+
			"password in master.json in its --dir (NATS_USER, NATS_PASSWORD)", err)
	}
	return exit.With(console.ExitStatus(err), err)
}

// await looks at the status until it is as wanted, and returns it; while it is not, done
// says why.
func await(ctx context.Context, c *client.Client, limit time.Duration, done func(*bus.Status) (bool, string)) (*bus.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	why := "the cluster has not said how it is"
	for {
		s, err := c.Status(ctx)
		if errors.Is(err, client.ErrPermission) {
			return nil, exit.With(console.ExitStatus(err), err)
		}
		if err == nil {
			var ok bool
			if ok, why = done(&s); ok {
				return &s, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("after %s: %s", limit, why)
		}
	}
}
