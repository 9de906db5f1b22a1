package client

import (
	"context"
	"encoding/json"
	"fmt"

	"quartet/bus"
)

// Recover asks what may be lost if the cluster goes on with the replicas that are there,
// or has it do so: see [bus.RecoverRequest]. What the cluster refuses stands in the
// reply's Error. The error is [ErrNoCluster] when nobody answers.
func (c *Client) Recover(ctx context.Context, q bus.RecoverRequest) (bus.RecoverReply, error) {
	var a bus.RecoverReply
	err := c.operate(ctx, c.subjects.Recover(), q, &a)
	return a, err
}

// Remove has a replica taken out of the cluster: see [bus.RemoveRequest]. It is out once
// it has gone from the status. What the cluster refuses stands in the reply's Error. The
// error is [ErrNoCluster] when nobody answers.
func (c *Client) Remove(ctx context.Context, replica string) (bus.RemoveReply, error) {
	var a bus.RemoveReply
	err := c.operate(ctx, c.subjects.Remove(), bus.RemoveRequest{Replica: replica}, &a)
	return a, err
}

// Lead has the master that leads hand over to another: see [bus.LeadRequest]. The other one leads
// once the status names it. What the cluster refuses stands in the reply's Error. The error is
// [ErrNoCluster] when nobody answers.
func (c *Client) Lead(ctx context.Context, master string) (bus.LeadReply, error) {
	var a bus.LeadReply
	err := c.operate(ctx, c.subjects.Lead(), bus.LeadRequest{Master: master}, &a)
	return a, err
}

func (c *Client) operate(ctx context.Context, subject string, question, answer any) error {
	q, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	b, err := c.ask(ctx, subject, q, bus.OperateField)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("client: the cluster's answer is no JSON object that this version can read: %w", err)
	}
	return nil
}
