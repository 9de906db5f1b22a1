package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	clientv3 "go.etcd.io/etcd/client/v3"

	"quartet/bus"
	"quartet/client"
)

// machines are the processes of a trio, on free ports of this machine, each in a folder of its own.
type machines struct {
	program string
	args    [machinesOfAll][]string
	folders [machinesOfAll]string
	names   [machinesOfAll]string
	urls    [machinesOfAll]string // for clients
	all     [machinesOfAll]*child
	says    string // the version
}

func newTrio(system string, programs *Programs, dir string) (trio, error) {
	var program string
	switch system {
	case quartetNodes:
		program = programs.Quartet
	case failNATS:
		program = programs.NATSServer
	default:
		program = programs.Etcd
	}
	path, err := executable(program)
	if err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	ports, err := freePorts(2 * machinesOfAll)
	if err != nil {
		return nil, err
	}

	m := machines{program: path}
	for i := range machinesOfAll {
		m.names[i] = fmt.Sprintf("n%d", i+1)
		m.folders[i] = filepath.Join(dir, m.names[i])
		if err := os.MkdirAll(m.folders[i], 0o700); err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
	}
	inner := ports[machinesOfAll:]
	switch system {
	case quartetNodes:
		return newQuartetTrio(m, ports, inner), nil
	case failNATS:
		return newNATSTrio(m, ports, inner)
	default:
		return newEtcdTrio(m, ports, inner), nil
	}
}

func (m *machines) start(_ context.Context, i int) (err error) {
	m.all[i], err = startChild(m.names[i], m.program, m.folders[i], m.args[i]...)
	return err
}

func (m *machines) kill(i int) error {
	if err := m.all[i].cmd.Process.Kill(); err != nil {
		return fmt.Errorf("peers: kill %s: %w", m.names[i], err)
	}
	<-m.all[i].exited
	return nil
}

func (m *machines) processes() []*child {
	return slices.DeleteFunc(m.all[:], func(c *child) bool { return c == nil })
}

func (m *machines) version() string { return m.says }

// from are the URLs of all machines, beginning with one.
func (m *machines) from(machine int) []string {
	return slices.Concat(m.urls[machine:], m.urls[:machine])
}

// others are those of a list that are not of a machine, which has the same index.
func others(list []string, machine int) []string {
	return slices.Delete(slices.Clone(list), machine, machine+1)
}

// quartetTrio is three nodes.
type quartetTrio struct{ machines }

func newQuartetTrio(m machines, clients, routes []int) *quartetTrio {
	var joins []string
	for _, p := range routes {
		joins = append(joins, fmt.Sprintf("127.0.0.1:%d", p))
	}
	for i := range machinesOfAll {
		m.urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", clients[i])
		m.args[i] = []string{
			"node", "--name", m.names[i], "--listen", fmt.Sprintf("127.0.0.1:%d", clients[i]), "--routes", joins[i],
			"--join", strings.Join(others(joins, i), ","), "--dir", "data", "--log-dir", "log",
		}
	}
	return &quartetTrio{m}
}

func (q *quartetTrio) open(ctx context.Context, machine int) (putter, func(), error) {
	c, err := client.Connect(ctx, strings.Join(q.from(machine), ","))
	if err != nil {
		return nil, nil, err
	}
	put := func(ctx context.Context, key string, value []byte) error {
		_, err := c.Set(ctx, key, value)
		return err
	}
	return put, func() { _ = c.Close() }, nil
}

func (q *quartetTrio) whole(ctx context.Context) (leader int, err error) {
	c, err := client.Connect(ctx, strings.Join(q.from(0), ","), client.WithTimeout(tryTimeout))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return 0, err
	}
	members := slices.DeleteFunc(slices.Clone(s.Replicas), func(r bus.ReplicaStatus) bool { return !r.Member })
	leader = slices.Index(q.names[:], s.Master.Name)
	if !s.Ready || len(members) != machinesOfAll || len(s.Masters) != machinesOfAll || leader < 0 {
		return 0, fmt.Errorf("%d members, %d masters, %q leads: %s", len(members), len(s.Masters), s.Master.Name, s.Reason)
	}
	q.says = s.Version
	return leader, nil
}

// natsTrio is three servers with JetStream, and a bucket with three replicas.
type natsTrio struct {
	machines
	isMade bool
}

const failBucket = "failover"

func newNATSTrio(m machines, clients, routes []int) (*natsTrio, error) {
	var list []string
	for _, p := range routes {
		list = append(list, fmt.Sprintf("nats-route://127.0.0.1:%d", p))
	}
	for i := range machinesOfAll {
		m.urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", clients[i])
		text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nserver_name: %s\njetstream { store_dir: \"js\" }\n"+
			"cluster { name: peers, listen: \"127.0.0.1:%d\", routes: [%s] }\n", clients[i], m.names[i], routes[i], strings.Join(list, ", "))
		if err := os.WriteFile(filepath.Join(m.folders[i], "nats.conf"), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
		m.args[i] = []string{"-c", "nats.conf"}
	}
	return &natsTrio{machines: m}, nil
}

func (n *natsTrio) dial(machine int) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect(strings.Join(n.from(machine), ","), nats.DontRandomize(), nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, nil, fmt.Errorf("peers: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("peers: JetStream: %w", err)
	}
	return nc, js, nil
}

func (n *natsTrio) open(ctx context.Context, machine int) (putter, func(), error) {
	nc, js, err := n.dial(machine)
	if err != nil {
		return nil, nil, err
	}
	kv, err := js.KeyValue(ctx, failBucket)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("peers: %w", err)
	}
	put := func(ctx context.Context, key string, value []byte) error {
		_, err := kv.Put(ctx, key, value)
		return err
	}
	return put, nc.Close, nil
}

func (n *natsTrio) whole(ctx context.Context) (leader int, err error) {
	nc, js, err := n.dial(0)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	if !n.isMade {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: failBucket, Replicas: machinesOfAll})
		if err != nil {
			return 0, err
		}
		n.isMade = true
	}

	stream, err := js.Stream(ctx, "KV_"+failBucket)
	if err != nil {
		return 0, err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil || len(cluster.Replicas) != machinesOfAll-1 {
		return 0, errors.New("the stream has no replicas yet")
	}
	for _, r := range cluster.Replicas {
		if !r.Current || r.Offline {
			return 0, fmt.Errorf("%s is not in step", r.Name)
		}
	}
	n.says = nc.ConnectedServerVersion()
	if leader = slices.Index(n.names[:], cluster.Leader); leader < 0 {
		return 0, errors.New("the stream has no leader")
	}
	return leader, nil
}

// etcdTrio is three nodes of etcd with default settings.
type etcdTrio struct{ machines }

func newEtcdTrio(m machines, clients, peers []int) *etcdTrio {
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	var members []string
	for i := range machinesOfAll {
		members = append(members, m.names[i]+"="+url(peers[i]))
	}
	for i := range machinesOfAll {
		m.urls[i] = url(clients[i])
		m.args[i] = []string{
			"--name", m.names[i], "--data-dir", "store", "--listen-client-urls", m.urls[i], "--advertise-client-urls", m.urls[i],
			"--listen-peer-urls", url(peers[i]), "--initial-advertise-peer-urls", url(peers[i]),
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new",
		}
	}
	return &etcdTrio{m}
}

func (e *etcdTrio) open(_ context.Context, machine int) (putter, func(), error) {
	c, err := newEtcdClient(e.from(machine)...)
	if err != nil {
		return nil, nil, err
	}
	put := func(ctx context.Context, key string, value []byte) error {
		_, err := c.Put(ctx, key, string(value))
		return err
	}
	return put, func() { _ = c.Close() }, nil
}

func (e *etcdTrio) whole(ctx context.Context) (leader int, err error) {
	c, err := newEtcdClient(e.urls[:]...)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	leader = -1
	var index [machinesOfAll]uint64
	for i, url := range e.urls {
		var s *clientv3.StatusResponse
		if s, err = c.Status(ctx, url); err != nil {
			return 0, err
		}
		if s.Leader == s.Header.MemberId {
			leader = i
		}
		index[i], e.says = s.RaftIndex, s.Version
	}
	if behind := slices.Max(index[:]) - slices.Min(index[:]); leader < 0 || behind > 100 {
		return 0, fmt.Errorf("no leader, or a node is %d entries behind", behind)
	}
	return leader, nil
}
