package mastercmd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/host/nodelog"
	"quartet/bus/server"
	"quartet/master/masternode"
)

// leastNodes is how many nodes make sense: of two, neither may be missing.
const leastNodes = 2

// Node returns the command that runs one of several machines of a cluster. inside and beside are
// as in [Master].
func Node(stdout, stderr io.Writer, version string, signals func() Signals,
	inside func(nodelog.Options) masternode.Runner, beside func(ConsoleOptions) (Console, error)) *cobra.Command {
	o := settings{Options: masternode.Options{Stdout: stdout, Version: version, Standby: true}, beside: beside}
	o.log.Stderr = stderr
	var node nodeSettings
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run one of several machines of a cluster: a server, a replica, a master",
		Long: `Run one of three (or 2 to 9) machines of a cluster that has no single point of failure:
one process with an embedded NATS server, which forms a cluster with those of the other nodes,
one replica, and a master that leads or stands by.

A node is called n1, n2, … and runs the replica of its number. --join names the others, all of
them: as many as these and itself are the replicas of a cluster that begins. They are found at
HOST:6222, or at the port that is given; --routes is where this one is found.

While no majority of the nodes is there nothing but reads of model 3 and requests of model 4 is
served. Clients may name any or all of the nodes: their servers tell them of the others.

Ctrl-C (or SIGTERM) hands over, if this node's master leads, finishes the requests under way,
and stops the node; the others go on.

Exit status: 0 stopped when asked to, 2 wrong usage, 8 a master is at work in this
directory, 1 anything else.`,
		Example: `  quartet node --name n1 --listen 10.0.0.1:4222 --join 10.0.0.2,10.0.0.3 --dir /var/lib/quartet
  quartet node --name n1 --listen 127.0.0.1:4001 --routes 127.0.0.1:6001 --join 127.0.0.1:6002,127.0.0.1:6003 --dir n1`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := node.settle(&o.Options)
			if err == nil {
				o.log.Node = o.Name
				err = o.settle(cmd.Flags(), inside)
			}
			if err != nil {
				return exit.Usage(err)
			}
			return o.run(signals())
		},
	}
	node.flags(cmd.Flags(), &o.Options)
	o.shared(cmd.Flags(), masternode.RecordReplicas)
	o.inProcess, o.OrphanTimeout = true, masternode.LeastOrphanTimeout
	return cmd
}

// nodeSettings are what the command line says of the other nodes.
type nodeSettings struct {
	join, routes string
}

func (s *nodeSettings) flags(f *pflag.FlagSet, o *masternode.Options) {
	config.NotEmpty(f, &o.Name, "name", "n1", "`NAME` of this node: n1 to n9")
	config.NotEmpty(f, &s.join, "join", "none", "`HOST[:PORT],…` of the other nodes, as they listen for routes")
	config.NotEmpty(f, &s.routes, "routes", "same",
		"`HOST:PORT` on which the servers of other nodes find this one; same: the host of --listen, port 6222")
}

// settle makes options of what was said, or finds what is wrong with it.
func (s *nodeSettings) settle(o *masternode.Options) error {
	number, err := masternode.ReplicaOfNode(o.Name)
	if err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	if s.join == "none" {
		return errors.New("--join names the other nodes, as in --join 10.0.0.2,10.0.0.3 (one machine alone runs quartet master)")
	}
	node := &masternode.Node{Number: number, Routes: s.routes}
	for _, one := range strings.Split(s.join, ",") {
		address, err := routeOf(strings.TrimSpace(one))
		if err != nil {
			return fmt.Errorf("--join: %w", err)
		}
		if slices.Contains(node.Join, address) {
			return fmt.Errorf("--join names %s twice", address)
		}
		node.Join = append(node.Join, address)
	}

	if s.routes == "same" {
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return fmt.Errorf("--listen %q: want HOST:PORT: %w", o.Listen, err)
		}
		node.Routes = net.JoinHostPort(host, strconv.Itoa(server.DefaultRoutePort))
	}
	if slices.Contains(node.Join, node.Routes) {
		return fmt.Errorf("--join names this node itself (%s): it names the others", node.Routes)
	}

	all := len(node.Join) + 1
	switch {
	case all < leastNodes || all > masternode.MaxReplicas:
		return fmt.Errorf("--join makes %d nodes: want %d to %d", all, leastNodes, masternode.MaxReplicas)
	case number > all:
		return fmt.Errorf("--name %s and --join of %d others do not go together: the nodes are n1 to n%d", o.Name, all-1, all)
	}
	o.Node, o.Replicas = node, all
	return nil
}

// routeOf is HOST:PORT of what may lack the port.
func routeOf(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), strconv.Itoa(server.DefaultRoutePort)
	}
	n, err := strconv.Atoi(port)
	isPort := err == nil && n > 0 && n < 1<<16
	if host == "" || !isPort {
		return "", fmt.Errorf("%q is no HOST or HOST:PORT", s)
	}
	return net.JoinHostPort(host, port), nil
}
