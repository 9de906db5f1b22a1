package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

// leadWait is longer than any master takes to hand over.
const leadWait = 20 * time.Second

// Lead returns the command lead.
func Lead(env console.Env) *cobra.Command {
	o := operation{env: env}
	cmd := &cobra.Command{
		Use:   "lead [flags] MASTER",
		Short: "Have another master lead, without a failed request",
		Long: `Have the master that leads hand over to another one that stands by: that one gets
ready, takes what clients send from then on, and leads once the other has answered what is
under way. If it does not get ready, the one that leads goes on.

quartet status names the masters. Each was started with --standby, or as a node.

-o json, jsonl and raw print one object, also where it was refused: master, leads, begun,
error.

Exit status: 0 it leads, 1 not in time, 2 wrong usage, 4 refused, 6 no cluster.`,
		Example: `  quartet lead m2
  quartet lead -o json m2 | jq .leads`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return exit.Usage(errors.New("which master? see quartet status"))
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client) (effect, error) {
				said, err := c.Lead(ctx, args[0])
				return &leading{Master: args[0], Begun: said.Begun, Error: said.Error}, err
			})
		},
	}
	o.flags(cmd, leadWait, "until it leads")
	return cmd
}

// leading is what came of having another master lead.
type leading struct {
	Master string `json:"master"`
	Leads  bool   `json:"leads"`           // the status names it, and is ready
	Begun  bool   `json:"begun"`           // the one that led was told to hand over
	Error  string `json:"error,omitempty"` // why it does not lead
}

func (l *leading) end(err error) { l.Error = reasonOf(err) }

// goOn waits until the master leads, if the cluster has not refused.
func (l *leading) goOn(ctx context.Context, w io.Writer, c *client.Client, limit time.Duration) error {
	if l.Error != "" {
		return refused(l.Error)
	}
	_, err := await(ctx, c, limit, func(s *bus.Status) (bool, string) {
		if s.Master.Name != l.Master {
			return false, fmt.Sprintf("master %s still leads", s.Master.Name)
		}
		return s.Ready, "the cluster is not ready: " + s.Reason
	})
	if err != nil {
		return err
	}
	l.Leads = true
	_, err = fmt.Fprintf(w, "%s leads\n", l.Master)
	return err
}
