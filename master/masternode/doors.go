package masternode

import "quartet/bus"

// open opens the doors for clients. Of several masters one hears each message, and only the one
// that leads, or is about to, is there to hear it.
func (n *node) open() error {
	for subject, from := range map[string]source{
		n.subjects.Request(): fromClient, n.subjects.Batch(): batchFromClient, n.subjects.Read(): readFromClient,
		n.subjects.Status(): askStatus, n.subjects.Report(): askReport,
		n.subjects.Recover(): askRecover, n.subjects.Remove(): askRemove, n.subjects.Lead(): askLead,
		n.subjects.Buckets() + ">": kvRequest,
	} {
		sub, err := bus.SubscribeQueue(n.clients, subject, n.subjects.Masters(), n.push(from))
		if err != nil {
			return err
		}
		n.subs = append(n.subs, sub)
	}
	return nil
}

// subscribe opens the doors, unless they are open, and makes what answers behind them.
func (n *node) subscribe() error {
	if len(n.subs) == 0 {
		if err := n.open(); err != nil {
			return err
		}
	}
	n.service = n.newService()
	subs, err := n.service.subscribe()
	n.subs = append(n.subs, subs...)
	if err != nil {
		return err
	}
	return n.newFacade()
}
