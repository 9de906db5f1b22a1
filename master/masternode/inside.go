package masternode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/master/masternode/supervise"
)

// ErrProcesses is returned by Run when its replicas are to be goroutines, and those of an
// earlier master of the directory still run as processes: nobody can make one of the other,
// and to end them might lose what they have in memory.
var ErrProcesses = errors.New("master: replicas of an earlier master still run as processes of their own")

// within runs a replica as a goroutine. It needs no lock to watch: it ends with its master.
func (s *supervisor) within(ctx context.Context, n lamport.Node, number int) error {
	o := s.opts
	r := Replica{
		ID: n, Number: number, URL: s.url, User: s.user, Password: s.password, Prefix: o.Prefix, CausalWait: o.CausalWait,
		Connect: s.connect, PublishChanges: o.PublishChanges,
	}
	if o.Connection != nil {
		r.URL, r.Connect = o.Connection.URL(), o.Connection.Options("", nil).Connect
	}
	if !o.Memory {
		r.Dir, r.Sync, r.Cache = s.home(n), o.Sync, o.Cache
	}
	if o.ReplicaMetrics != nil {
		r.Metrics = o.ReplicaMetrics(n)
	}
	return o.InProcess(ctx, r)
}

// pipe has the master reach the embedded server without sockets where that pays. A pipe
// costs no system call, but hands messages over in smaller pieces. So the nodes' connection
// is one: what master and replicas say to each other is gathered already. Clients' requests
// come one by one, and a socket gathers them while the loop works; it is a pipe only in a
// process that holds the replicas too, which then all have pipes. Measured:
// client/measure/load/FIGURES.md.
func (n *node) pipe(clients, nodes *bus.DialOptions) {
	server := n.server.InProcess()
	nodes.InProcess = server
	nodes.URL = "nats://" + n.server.Address() // what logs say: a pipe has no TLS
	if n.opts.InProcess == nil {
		return
	}
	clients.InProcess, clients.TLS = server, nil
	clients.URL, n.super.url = nodes.URL, nodes.URL
	url := nodes.URL
	n.super.connect = func(opts ...nats.Option) (*nats.Conn, error) {
		return nats.Connect(url, append(opts, nats.InProcessServer(server))...)
	}
}

// apart refuses to begin with replicas within this process while there are others.
func (s *supervisor) apart() error {
	living := s.living()
	if s.opts.InProcess == nil || len(living) == 0 {
		return nil
	}
	var list []string
	for _, n := range slices.Sorted(maps.Keys(living)) {
		list = append(list, fmt.Sprintf("%s pid %d", n, living[n]))
	}
	return fmt.Errorf("%w (%s): without --in-process this master adopts them; or wait until they end, %s after their master did",
		ErrProcesses, strings.Join(list, ", "), s.opts.OrphanTimeout)
}

// shown is the pid that people see for a replica: of one within this process, its own.
func shown(pid int) int {
	if pid >= supervise.FirstInside {
		return os.Getpid()
	}
	return pid
}
