package mastermetrics

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/host/monitor"
	"quartet/bus/lamport"
	"quartet/master/ledger"
	"quartet/master/masternode"
)

// Listen serves the figures of the master behind the probe: see [monitor.Listen].
func Listen(address string, probe *bus.Probe[masternode.Figures], l *ledger.Ledger, log *slog.Logger) (*monitor.Monitor, error) {
	return monitor.Listen(monitor.Options{
		Listen: address, Node: lamport.Master(1).String(), Collectors: []prometheus.Collector{New(probe, l)},
		Alive: monitor.Alive(probe), Ready: monitor.Ready(probe, Ready, Warned), Log: log,
	})
}

// OfReplicas says where the master's own replicas serve theirs: r1 at the address, r2 at
// the next port, and so on; with port 0 or -1 each at a free one. most is the highest
// number of a replica. The error wraps [monitor.ErrAddress].
func OfReplicas(address string, most int) (func(lamport.Node) string, error) {
	address, _, err := monitor.Parse(address)
	if err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", monitor.ErrAddress, err)
	}
	first, err := strconv.ParseUint(text, 10, 16)
	if err != nil || first+uint64(most) > 1<<16 {
		return nil, fmt.Errorf("%w %q: the last replica's port would be above 65535", monitor.ErrAddress, address)
	}
	return func(n lamport.Node) string {
		port := first
		if port > 0 {
			port += uint64(n) - uint64(lamport.Replica(1))
		}
		return net.JoinHostPort(host, strconv.FormatUint(port, 10))
	}, nil
}
