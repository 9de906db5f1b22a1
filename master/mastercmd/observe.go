package mastercmd

import (
	"context"
	"os"

	"quartet/bus"
	"quartet/master/masternode"
	"quartet/master/masternode/mastermetrics"
	"quartet/master/masternode/spans"
)

// observe begins what lets others see how the cluster is: its metrics, its traces, its console, and
// what the service manager is told. over ends that, when the cluster has ended. An error is wrong
// usage, and then nothing runs.
func (o *settings) observe(stopping context.Context) (over func(), err error) {
	log := o.Log
	var ends []func() error
	over = func() {
		for i := len(ends) - 1; i >= 0; i-- {
			if err := ends[i](); err != nil { // nothing of the cluster depends on it
				log.Warn("the last figures or traces may not have reached who asked for them", "error", err)
			}
		}
	}

	o.Probe = bus.NewProbe[masternode.Figures]()
	if o.Metrics != "" {
		m, err := mastermetrics.Listen(o.Metrics, o.Probe, o.Ledger, log)
		if err != nil {
			return nil, err
		}
		ends = append(ends, m.Close)
		o.Metrics = m.URL()
	}

	if spans.Wanted(o.spans.Endpoint, os.Getenv) {
		o.spans.Version, o.spans.Getenv, o.spans.Log = o.Version, os.Getenv, log
		t, err := spans.Open(stopping, o.spans)
		if err != nil {
			over()
			return nil, err
		}
		ends = append(ends, t.Close)
		o.Tracer = t
	}

	manager, ended, done := service{log}, make(chan struct{}), make(chan struct{})
	o.Ready = manager.ready
	if o.console.Listen != "" {
		c, err := o.show()
		if err != nil {
			over()
			return nil, err
		}
		ends = append(ends, c.Close)
	}
	go func() {
		defer close(done)
		manager.watch(stopping, o.Probe, ended)
	}()
	ends = append(ends, func() error {
		close(ended)
		<-done
		return nil
	})
	return over, nil
}
