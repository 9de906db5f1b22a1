package operate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/console"
	"quartet/client/glance"
)

// Status returns the command status.
func Status(env console.Env) *cobra.Command {
	var conn console.Connection
	var out console.Format
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show how the cluster is",
		Long: `Show the master and the replicas: which are members, how far each has come.
-o json and jsonl print the JSON object with which the cluster answers, -o raw as it came.

Where several masters lead or stand by, the last line says which.

"ready, but …" says what is served now and will not be after the next fault.

Exit status: 0 ready, 4 not ready, 6 no cluster.`,
		Example: `  quartet status
  quartet status -o json | jq .ready`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			c, err := conn.Connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			body, err := c.StatusJSON(ctx)
			if err != nil {
				return exit.With(console.ExitStatus(err), err)
			}
			s, err := bus.ParseStatus(body)
			if err != nil {
				return err
			}
			if out != console.Table {
				err = out.Answer(env.Stdout, body)
			} else {
				err = PrintStatus(env.Stdout, &s)
			}
			if err == nil && !s.Ready {
				err = exit.Silent(exit.StatusRefused) // stdout says why
			}
			return err
		},
	}
	conn.Flags(cmd.Flags(), env)
	out.Flag(cmd.Flags())
	return cmd
}

// PrintStatus writes a status for people.
func PrintStatus(w io.Writer, s *bus.Status) error {
	ready := "ready"
	if !s.Ready {
		ready = "not ready"
	}
	if s.Reason != "" {
		ready += ": " + console.Printable([]byte(s.Reason))
	}
	if len(s.Warnings) > 0 {
		but := "; and "
		if s.Ready {
			but = ", but "
		}
		ready += but + console.Printable([]byte(strings.Join(s.Warnings, "; ")))
	}

	data := console.OrDash(s.Data)
	if s.Sync != "" {
		data += ", sync " + s.Sync
	}
	switch {
	case s.InProcess && len(s.Masters) > 1:
		data += ", in-process: one process for each node"
	case s.InProcess:
		data += ", in-process: one process for master and replicas"
	}

	cluster := ""
	if s.Cluster != "" {
		cluster = "cluster " + console.Printable([]byte(s.Cluster)) + ", "
	}

	if _, err := fmt.Fprintf(w, "%s\n%sepoch %d, data: %s, version %s\n\n", ready, cluster, s.Epoch, data,
		console.OrDash(s.Version)); err != nil {
		return err
	}

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tPID\tMEMBER\tCLOCK\tPOSITION\tTIMESTAMP\tKEYS\tPENDING\t")
	m := s.Master
	fmt.Fprintf(t, "%s\t%d\tmaster\t%d\t-\t%d\t-\t%d\t\n", m.ID, m.PID, m.Clock, m.Last, m.Pending)
	for _, r := range s.Replicas {
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n",
			r.ID, r.PID, Membership(&r), r.Clock, r.Position, r.Timestamp, r.Keys, r.Pending, Remark(&r))
	}

	if err := t.Flush(); err != nil || len(s.Masters) < 2 {
		return err
	}
	_, err := fmt.Fprintf(w, "\nmasters: %s\n", console.Printable([]byte(Masters(s.Masters))))
	return err
}

// Masters says in one line what each master does: "m1 leads, m2 stands by".
func Masters(all []bus.MasterPeer) string {
	list := make([]string, len(all))
	for i, m := range all {
		list[i] = m.Name + " " + m.Role
		if m.Silent > 0 {
			list[i] += fmt.Sprintf(" (silent for %s)", time.Duration(m.Silent)*time.Millisecond)
		}
	}
	return strings.Join(list, ", ")
}

// Membership is yes, or no and what the replica is doing.
func Membership(r *bus.ReplicaStatus) string {
	switch {
	case r.Member:
		return "yes"
	case r.Phase == "" || r.Phase == "member":
		return "no"
	}
	return "no, " + console.Printable([]byte(r.Phase))
}

// Remark is what [glance.Remark] says, behind two blanks.
func Remark(r *bus.ReplicaStatus) string {
	remark := glance.Remark(r)
	if remark == "" {
		return ""
	}
	return "  " + console.Printable([]byte(remark))
}
