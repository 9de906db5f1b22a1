package monitor

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/link"
)

// Family is a metric of which a collector makes one sample for each set of labels, when it
// is asked: nothing is counted twice, and no request pays for it.
type Family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Gauge returns the family of a figure that rises and falls, named quartet_NAME.
func Gauge(name, help string, labels ...string) Family {
	return Family{Describe(name, help, labels...), prometheus.GaugeValue}
}

// Counter is [Gauge] for figures that only rise while the node's process lives.
func Counter(name, help string, labels ...string) Family {
	return Family{Describe(name, help, labels...), prometheus.CounterValue}
}

// Describe returns the description of a metric of another kind, named quartet_NAME.
func Describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("quartet_"+name, help, labels, nil)
}

// Send makes a sample.
func (f Family) Send(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// Truth returns the figure of a condition: 1 if it is so, else 0.
func Truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// traffic is the families of every node's messages.
type traffic struct {
	up, sent, received, lost, waiting, refused, again Family
}

func newTraffic() traffic {
	return traffic{
		up: Gauge("up", "1 if the node's loop has answered; without it there are no figures of the node's own"),
		sent: Counter("messages_sent_total", "messages to other nodes, by kind"+
			" (replica/DESIGN.md has the list), one for each destination", "kind"),
		received: Counter("messages_received_total", "messages of other nodes, by kind", "kind"),
		lost: Counter("messages_lost_total", "messages that were not sent (unsent), not decodable (bad),"+
			" or dropped since this node could not keep up (dropped); the protocol repairs that", "how"),
		waiting: Gauge("inbox_length", "messages that wait for the node's loop"),
		refused: Counter("messages_refused_total", "messages of another epoch or incarnation, or against a rule"),
		again: Counter("resends_total", "of the master, requests that were forwarded once more;"+
			" of a replica, DATA that were sent once more"),
	}
}

// send makes the samples of what f counts.
func (t *traffic) send(to chan<- prometheus.Metric, f *link.Traffic) {
	for _, k := range f.Kinds {
		if k.Sent > 0 {
			t.sent.Send(to, float64(k.Sent), k.Kind.String())
		}
		if k.Received > 0 {
			t.received.Send(to, float64(k.Received), k.Kind.String())
		}
	}

	t.lost.Send(to, float64(f.Counters.Unsent), "unsent")
	t.lost.Send(to, float64(f.Counters.Bad), "bad")
	t.lost.Send(to, float64(f.Counters.Dropped+f.Dropped), "dropped")
	t.waiting.Send(to, float64(f.Waiting))
	t.refused.Send(to, float64(f.Refused))
	t.again.Send(to, float64(f.Again))
}

// Collector makes samples of what a node's loop answers to a probe.
type Collector[T any] struct {
	Probe   *bus.Probe[T]
	Traffic func(*T) *link.Traffic                     // of the answer
	Samples func(to chan<- prometheus.Metric, from *T) // the node's own
	Others  func(to chan<- prometheus.Metric)          // what is known without the loop; may be nil
}

// Describe implements [prometheus.Collector]. It names nothing: which families there are
// depends on what the node can say.
func (c *Collector[T]) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *Collector[T]) Collect(to chan<- prometheus.Metric) {
	t := newTraffic()
	ctx, cancel := context.WithTimeout(context.Background(), answerWait)
	defer cancel()

	answer, err := c.Probe.Ask(ctx)
	if err == nil {
		t.send(to, c.Traffic(&answer))
		c.Samples(to, &answer)
	}
	t.up.Send(to, Truth(err == nil))

	if c.Others != nil {
		c.Others(to)
	}
}
