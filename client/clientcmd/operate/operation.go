package operate

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

// operation is a command that has the cluster do something, and waits until its status shows that
// it is done.
type operation struct {
	env  console.Env
	conn console.Connection
	out  console.Format
	wait time.Duration // until it is done
}

// effect is what came of an operation, as it is printed in JSON.
type effect interface {
	// goOn has the operation go on from what the cluster said first, tells people on w, and waits
	// until it is done, limit at the most. What the cluster has refused it returns as an error.
	goOn(ctx context.Context, w io.Writer, c *client.Client, limit time.Duration) error
	// end keeps why it is not done, for those who read JSON; nil: it is.
	end(err error)
}

// flags adds the flags that all operations have. done says what --wait waits for.
func (o *operation) flags(cmd *cobra.Command, wait time.Duration, done string) {
	o.conn.Flags(cmd.Flags(), o.env)
	config.Duration(cmd.Flags(), &o.wait, "wait", wait, 0, config.Forever, "how long to wait "+done)
	o.out.Flag(cmd.Flags())
}

// run connects, has ask begin the operation, and ends when it is done or is not to be.
func (o *operation) run(cmd *cobra.Command, ask func(context.Context, *client.Client) (effect, error)) error {
	ctx, cancel := console.Interruptible(cmd)
	defer cancel()
	c, err := o.conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()

	e, err := ask(ctx, c)
	if err != nil {
		return unanswered(err)
	}
	err = e.goOn(ctx, o.out.Table(o.env.Stdout), c, o.wait)
	e.end(err)
	return errors.Join(err, o.out.Operated(o.env.Stdout, e))
}
