package console

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

// Connection is how to reach a cluster, as flags.
type Connection struct {
	Settings     *dial.Flags
	getenv       func(string) string
	Own          string // URL of a cluster that the command itself has started; "": as the settings say
	URL          string // that the settings came to; set by resolve
	Prefix, Name string
	Timeout      time.Duration
	retries      int
}

// Flags adds the flags of a connection.
func (c *Connection) Flags(f *pflag.FlagSet, env Env) {
	c.Settings, c.getenv = dial.Add(f), env.Getenv
	config.NotEmpty(f, &c.Prefix, "prefix", bus.DefaultPrefix, "first part of the cluster's subjects")
	config.Duration(f, &c.Timeout, "timeout", client.DefaultTimeout, config.Moment, config.Forever,
		"how long one sending of a request waits for its reply")
	config.Int(f, &c.retries, "retries", client.DefaultRetries, 0, mostRetries, "how often a request is sent again, with the same id")
}

// NameFlag adds --name.
func (c *Connection) NameFlag(f *pflag.FlagSet) {
	config.NotEmpty(f, &c.Name, "name", DefaultName, "role `NAME` of this client, for logs and reports")
}

// Resolve puts the settings together; an error is wrong usage.
func (c *Connection) Resolve() (*dial.Settings, error) {
	if c.Own != "" {
		c.URL = c.Own
		return dial.To(c.Own), nil
	}
	s, err := c.Settings.Resolve(c.getenv)
	if err != nil {
		return nil, exit.Usage(err)
	}
	c.URL = s.URL()
	return s, nil
}

// Options are the client's own settings.
func (c *Connection) Options() []client.Option {
	return []client.Option{
		client.WithPrefix(c.Prefix), client.WithName(c.Name), client.WithTimeout(c.Timeout),
		client.WithRetries(c.retries),
	}
}

// Connect resolves the settings and connects. Its error carries an exit status, and says what to
// do next.
func (c *Connection) Connect(ctx context.Context) (*client.Client, error) {
	s, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	return c.reach(ctx, s)
}

// reach connects with settings that have been resolved.
func (c *Connection) reach(ctx context.Context, s *dial.Settings) (*client.Client, error) {
	conn, err := client.ConnectWith(ctx, s.Options(c.Name, nil), c.Options()...)
	switch {
	case errors.Is(err, client.ErrNoCluster):
		return nil, exit.NoCluster(fmt.Errorf("%w\nstart a cluster with: quartet master --memory\nor see where it "+
			"was looked for: quartet doctor", err))
	case errors.Is(err, client.ErrPermission):
		return nil, exit.With(exit.StatusRefused, err)
	case errors.Is(err, client.ErrRefused), errors.Is(err, bus.ErrPrefix), errors.Is(err, dial.ErrSetting):
		return nil, exit.Usage(err)
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("%w\nsee which credentials were taken from where: quartet doctor", err)
	}
	return conn, err
}

// Dial makes a bare connection, called called.
func (c *Connection) Dial(ctx context.Context, called string) (*nats.Conn, error) {
	s, err := c.Resolve()
	if err != nil {
		return nil, err
	}
	return bus.Dial(ctx, s.Options(called, nil))
}
