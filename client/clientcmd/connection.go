package clientcmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client"
)

// mostRetries is how often a request may be sent again: with the pauses between them the
// last of so many would be sent after a quarter of an hour.
const mostRetries = 1000

// connection is how to reach a cluster, as flags.
type connection struct {
	settings     *dial.Flags
	getenv       func(string) string
	own          string // URL of a cluster that the command itself has started; "": as the settings say
	url          string // that the settings came to; set by resolve
	prefix, name string
	timeout      time.Duration
	retries      int
}

func (c *connection) flags(f *pflag.FlagSet, env Env) {
	c.settings, c.getenv = dial.Add(f), env.Getenv
	config.NotEmpty(f, &c.prefix, "prefix", bus.DefaultPrefix, "first part of the cluster's subjects")
	config.Duration(f, &c.timeout, "timeout", client.DefaultTimeout, config.Moment, config.Forever, "how long one sending of a request waits for its reply")
	config.Int(f, &c.retries, "retries", client.DefaultRetries, 0, mostRetries, "how often a request is sent again, with the same id")
}

func (c *connection) nameFlag(f *pflag.FlagSet) {
	config.NotEmpty(f, &c.name, "name", DefaultName, "role `NAME` of this client, for logs and reports")
}

// resolve puts the settings together; an error is wrong usage.
func (c *connection) resolve() (*dial.Settings, error) {
	if c.own != "" {
		c.url = c.own
		return dial.To(c.own), nil
	}
	s, err := c.settings.Resolve(c.getenv)
	if err != nil {
		return nil, exit.Usage(err)
	}
	c.url = s.URL()
	return s, nil
}

// options are the client's own settings.
func (c *connection) options() []client.Option {
	return []client.Option{client.WithPrefix(c.prefix), client.WithName(c.name), client.WithTimeout(c.timeout), client.WithRetries(c.retries)}
}

func (c *connection) connect(ctx context.Context) (*client.Client, error) {
	s, err := c.resolve()
	if err != nil {
		return nil, err
	}
	return c.reach(ctx, s)
}

// reach connects with settings that have been resolved.
func (c *connection) reach(ctx context.Context, s *dial.Settings) (*client.Client, error) {
	conn, err := client.ConnectWith(ctx, s.Options(c.name, nil), c.options()...)
	switch {
	case errors.Is(err, client.ErrNoCluster):
		return nil, exit.NoCluster(fmt.Errorf("%w\nstart a cluster with: quartet master --memory\nor see where it was looked for: quartet doctor", err))
	case errors.Is(err, client.ErrPermission):
		return nil, exit.With(exit.StatusRefused, err)
	case errors.Is(err, client.ErrRefused), errors.Is(err, bus.ErrPrefix), errors.Is(err, dial.ErrSetting):
		return nil, exit.Usage(err)
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("%w\nsee which credentials were taken from where: quartet doctor", err)
	}
	return conn, err
}

// dial makes a bare connection, called called.
func (c *connection) dial(ctx context.Context, called string) (*nats.Conn, error) {
	s, err := c.resolve()
	if err != nil {
		return nil, err
	}
	return bus.Dial(ctx, s.Options(called, nil))
}
