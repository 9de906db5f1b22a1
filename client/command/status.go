package command

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/exit"
)

func statusCommand(env Env) *cobra.Command {
	var conn connection
	var out format
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show how the cluster is",
		Long: `Show the master and the replicas: which are members, how far each has come.
-o json prints the JSON object with which the cluster answers.

Exit status: 0 answered (ready or not), 6 no cluster.`,
		Example: `  quartet status
  quartet status -o json | jq .ready`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := interruptible(cmd)
			defer cancel()
			c, err := conn.connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			body, err := c.Status(ctx)
			if err != nil {
				return exit.With(status(err), err)
			}
			var s bus.Status
			if err := json.Unmarshal(body, &s); err != nil {
				return fmt.Errorf("the cluster's status is no JSON object that this version can read: %w", err)
			}
			if out == formatJSON {
				_, err = fmt.Fprintf(env.Stdout, "%s\n", body)
				return err
			}
			return printStatus(env.Stdout, &s)
		},
	}
	conn.flags(cmd.Flags(), env)
	out.flag(cmd.Flags())
	return cmd
}

func printStatus(w io.Writer, s *bus.Status) error {
	ready := "ready"
	if !s.Ready {
		ready = "not ready"
		if s.Reason != "" {
			ready += ": " + printable([]byte(s.Reason))
		}
	}
	if _, err := fmt.Fprintf(w, "%s\nepoch %d, data: %s, version %s\n\n", ready, s.Epoch, orDash(s.Data), orDash(s.Version)); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tPID\tMEMBER\tCLOCK\tPOSITION\tTIMESTAMP\tKEYS\tPENDING\t")
	m := s.Master
	fmt.Fprintf(t, "%s\t%d\tmaster\t%d\t-\t%d\t-\t%d\t\n", m.ID, m.PID, m.Clock, m.Last, m.Pending)
	for _, r := range s.Replicas {
		member := "yes"
		if !r.Member {
			member = "no"
		}
		reason := ""
		if r.Reason != "" {
			reason = "  " + printable([]byte(r.Reason))
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", r.ID, r.PID, member, r.Clock, r.Position, r.Timestamp, r.Keys, r.Pending, reason)
	}
	return t.Flush()
}
