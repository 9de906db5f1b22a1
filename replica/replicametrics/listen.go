package replicametrics

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/host/monitor"
	"quartet/bus/lamport"
	"quartet/replica/replicanode"
)

// Listen serves the figures of the replica behind the probe: see [monitor.Listen].
func Listen(address string, self lamport.Node, probe *bus.Probe[replicanode.Figures], log *slog.Logger) (*monitor.Monitor, error) {
	return monitor.Listen(monitor.Options{
		Listen: address, Node: self.String(), Collectors: []prometheus.Collector{New(probe, self)},
		Alive: monitor.Alive(probe), Ready: monitor.Ready(probe, Ready, nil), Log: log,
	})
}
