package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
)

// DefaultRoutePort is that of the routes between servers unless told otherwise.
const DefaultRoutePort = 6222

// clusterName is that of every cluster of embedded servers.
const clusterName = "quartet"

// A route on which nothing is heard is given up after routePing × (routePings + 1), and so is what
// the servers behind it listen for (NATS: 2 minutes, or when the system gives the connection up).
const (
	routePing  = 300 * time.Millisecond
	routePings = 2
)

// configure makes n one of a cluster.
func (c *Cluster) configure(n *nats.Options) error {
	host, port, err := splitRoute(c.Listen)
	if err != nil {
		return err
	}
	n.ServerName = "quartet-" + c.Name
	n.Cluster = nats.ClusterOpts{
		Name: clusterName, Host: host, Port: port, PingInterval: routePing, MaxPingsOut: routePings,
		WriteDeadline: writeDeadline,
	}
	if port == 0 {
		n.Cluster.Port = nats.RANDOM_PORT
	}
	if host == "" {
		n.Cluster.Host = "0.0.0.0"
	}
	for _, r := range c.Routes {
		host, port, err := splitRoute(r)
		if err != nil {
			return err
		}
		n.Routes = append(n.Routes, &url.URL{Scheme: "nats-route", Host: net.JoinHostPort(host, strconv.Itoa(port))})
	}
	return nil
}

// splitRoute splits HOST:PORT. Port 0 stands for any free port.
func splitRoute(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w %q of routes: want HOST:PORT: %w", ErrListen, address, err)
	}
	if port, err = strconv.Atoi(text); err != nil || port < -1 || port > 65535 {
		return "", 0, fmt.Errorf("%w %q of routes: want a port from 1 to 65535, or -1 for a free one", ErrListen, address)
	}
	return host, max(port, 0), nil
}

// loopback reports whether routes are listened for on this machine's own loop alone.
func (c *Cluster) loopback(ctx context.Context) (bool, error) {
	host, _, err := splitRoute(c.Listen)
	if err != nil {
		return false, err
	}
	own, err := isLoopback(ctx, host)
	if err != nil {
		return false, fmt.Errorf("%w %q of routes: %w", ErrListen, c.Listen, err)
	}
	return own, nil
}

// probeRoutes finds out whether the port for routes can be had.
func (c *Cluster) probe(ctx context.Context) error {
	host, port, err := splitRoute(c.Listen)
	if err != nil {
		return err
	}
	return probe(ctx, host, port)
}

// Routes is where the other servers of the cluster find this one, HOST:PORT; "": it stands alone.
func (s *Server) Routes() string {
	addr := s.nats.ClusterAddr()
	if addr == nil || s.options.Cluster == nil {
		return ""
	}
	host, _, _ := net.SplitHostPort(s.options.Cluster.Listen) // was checked
	return net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// Clustered reports whether the server is one of a cluster.
func (s *Server) Clustered() bool { return s.options.Cluster != nil }
