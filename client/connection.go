package client

import (
	"context"
	"fmt"

	"quartet/bus"
)

// ConnectWith is [Connect] with all that a connection can be told: d says where to connect
// and as whom, see [bus.DialOptions]; package bus/dial makes them of what the nats command
// takes. A name or a logger that d lacks is the client's.
func ConnectWith(ctx context.Context, d bus.DialOptions, opts ...Option) (*Client, error) {
	o := collect(opts)
	if d.Name == "" {
		d.Name = o.name
	}
	if d.Log == nil {
		d.Log = o.log
	}
	if d.TLS == nil {
		d.TLS = o.tls
	}
	nc, err := bus.Dial(ctx, d)
	if err != nil {
		if unreachable(err) {
			return nil, fmt.Errorf("%w: %w", ErrNoCluster, err)
		}
		return nil, fmt.Errorf("client: %w", err)
	}
	c, err := newClient(nc, o)
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.owned = true
	return c, nil
}

// Status asks the cluster how it is. The error is [ErrNoCluster] when nobody answers.
func (c *Client) Status(ctx context.Context) (bus.Status, error) {
	body, err := c.StatusJSON(ctx)
	if err != nil {
		return bus.Status{}, err
	}
	return bus.ParseStatus(body)
}

// StatusJSON is [Client.Status] as the object came, with fields of later versions, too;
// [bus.ParseStatus] reads it.
func (c *Client) StatusJSON(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, c.subjects.Status(), nil, bus.StatusField)
}

// Report asks the cluster for the statistics of the requests that it has answered so far.
// The error is [ErrNoCluster] when nobody answers.
func (c *Client) Report(ctx context.Context) (bus.Report, error) {
	body, err := c.ReportJSON(ctx)
	if err != nil {
		return bus.Report{}, err
	}
	return bus.ParseReport(body)
}

// ReportJSON is [Client.Report] as the object came, with fields of later versions, too;
// [bus.ParseReport] reads it.
func (c *Client) ReportJSON(ctx context.Context) ([]byte, error) {
	return c.ask(ctx, c.subjects.Report(), nil, bus.ReportField)
}
