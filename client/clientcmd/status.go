package clientcmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/exit"
)

func statusCommand(env Env) *cobra.Command {
	var conn connection
	var out format
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show how the cluster is",
		Long: `Show the master and the replicas: which are members, how far each has come.
-o json and jsonl print the JSON object with which the cluster answers, -o raw as it came.

"ready, but …" says what is served now and will not be after the next fault.

Exit status: 0 ready, 4 not ready, 6 no cluster.`,
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
			if out != formatTable {
				err = out.answer(env.Stdout, body)
			} else {
				err = printStatus(env.Stdout, &s)
			}
			if err == nil && !s.Ready {
				err = exit.Silent(exit.StatusRefused) // stdout says why
			}
			return err
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
	}
	if s.Reason != "" {
		ready += ": " + printable([]byte(s.Reason))
	}
	if len(s.Warnings) > 0 {
		but := "; and "
		if s.Ready {
			but = ", but "
		}
		ready += but + printable([]byte(strings.Join(s.Warnings, "; ")))
	}
	data := orDash(s.Data)
	if s.Sync != "" {
		data += ", sync " + s.Sync
	}
	if s.InProcess {
		data += ", in-process: one process for master and replicas"
	}
	cluster := ""
	if s.Cluster != "" {
		cluster = "cluster " + printable([]byte(s.Cluster)) + ", "
	}
	if _, err := fmt.Fprintf(w, "%s\n%sepoch %d, data: %s, version %s\n\n", ready, cluster, s.Epoch, data, orDash(s.Version)); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tPID\tMEMBER\tCLOCK\tPOSITION\tTIMESTAMP\tKEYS\tPENDING\t")
	m := s.Master
	fmt.Fprintf(t, "%s\t%d\tmaster\t%d\t-\t%d\t-\t%d\t\n", m.ID, m.PID, m.Clock, m.Last, m.Pending)
	for _, r := range s.Replicas {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n",
			r.ID, r.PID, membership(&r), r.Clock, r.Position, r.Timestamp, r.Keys, r.Pending, remark(&r))
	}
	return t.Flush()
}

// membership is yes, or no and what the replica is doing.
func membership(r *bus.ReplicaStatus) string {
	switch {
	case r.Member:
		return "yes"
	case r.Phase == "" || r.Phase == "member":
		return "no"
	}
	return "no, " + printable([]byte(r.Phase))
}

// remark is why a replica is no member, and how its process ended last.
func remark(r *bus.ReplicaStatus) string {
	var parts []string
	if r.Reason != "" {
		parts = append(parts, printable([]byte(r.Reason)))
	}
	if r.Restarts > 0 {
		ended := fmt.Sprintf("ended %d times in a row", r.Restarts)
		if r.Restarts == 1 {
			ended = "ended lately"
		}
		if r.LastError != "" && !strings.Contains(r.Reason, r.LastError) {
			ended += ": " + printable([]byte(r.LastError))
		}
		parts = append(parts, ended)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, "; ")
}
