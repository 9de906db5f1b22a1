package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
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

	// routeTLS is how long the other end may take to prove who it is.
	routeTLS = 2 * time.Second
)

// serverName begins the names of embedded servers of a cluster, before [Cluster.Name].
const serverName = "quartet-"

// configure makes n one of a cluster.
func (c *Cluster) configure(n *nats.Options) error {
	host, port, err := splitRoute(c.Listen)
	if err != nil {
		return err
	}
	n.ServerName = serverName + c.Name
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

// probe finds out whether the port for routes can be had.
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

// Remotes is with how many other servers of the cluster this one is connected.
func (s *Server) Remotes() int { return s.nats.NumRemotes() }

// Errors of [NameAt].
var (
	// ErrNobody says that the machine answers, and that no process listens there: a process that
	// did has ended.
	ErrNobody  = errors.New("bus/server: nobody listens there")
	errNoRoute = errors.New("bus/server: what listens there is no server of nodes")
)

// mostInfo bounds what a server says of itself first, in bytes.
const mostInfo = 32 << 10

// NameAt is the [Cluster.Name] of the server that listens for routes at an address, HOST:PORT. The
// error wraps [ErrNobody] where the connection is refused; any other error says nothing of whether
// a server is there.
func NameAt(ctx context.Context, address string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("%w: %w", ErrNobody, err)
	case err != nil:
		return "", fmt.Errorf("bus/server: %w", err)
	}
	defer conn.Close()

	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return "", fmt.Errorf("bus/server: %w", err)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(conn, mostInfo)).ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("bus/server: %w", err)
	}
	return nameIn(line)
}

// nameIn reads a server's first line, "INFO {…}".
func nameIn(line []byte) (string, error) {
	var info struct {
		Name string `json:"server_name"`
	}
	body, isInfo := bytes.CutPrefix(line, []byte("INFO "))
	if !isInfo || json.Unmarshal(body, &info) != nil {
		return "", errNoRoute
	}
	name, isNode := strings.CutPrefix(info.Name, serverName)
	if !isNode {
		return "", fmt.Errorf("%w: it is called %q", errNoRoute, info.Name)
	}
	return name, nil
}
