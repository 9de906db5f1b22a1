package peers

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"quartet/client/measure/load"
)

const etcdNodes = 3

// startEtcd runs three nodes with their default settings, except for a quota that a long run
// cannot reach. Where dir is on a tmpfs, their fsyncs cost nothing.
func (s *store) startEtcd(ctx context.Context, at site, dir string) error {
	ports, err := freePorts(2 * etcdNodes)
	if err != nil {
		return err
	}
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	var endpoints, members []string
	for i := range etcdNodes {
		endpoints = append(endpoints, url(ports[i]))
		members = append(members, fmt.Sprintf("e%d=%s", i+1, url(ports[etcdNodes+i])))
	}

	for i := range etcdNodes {
		name := fmt.Sprintf("e%d", i+1)
		err := s.start(name, at.programs.Etcd, filepath.Join(dir, name),
			"--name", name, "--data-dir", "store", "--quota-backend-bytes", "8589934592",
			"--listen-client-urls", endpoints[i], "--advertise-client-urls", endpoints[i],
			"--listen-peer-urls", url(ports[etcdNodes+i]), "--initial-advertise-peer-urls", url(ports[etcdNodes+i]),
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-state", "new")
		if err != nil {
			return err
		}
	}

	c, err := newEtcdClient(endpoints...)
	if err != nil {
		return err
	}
	defer c.Close()
	err = serving(ctx, s.children, func(ctx context.Context) error {
		if _, err := c.Get(ctx, "ready"); err != nil {
			return err
		}
		status, err := c.Status(ctx, endpoints[0])
		if err == nil {
			s.version = status.Version
		}
		return err
	})
	if err != nil {
		return err
	}

	s.open = func(ctx context.Context, side *side, n int) (connections, error) {
		spread := make([]string, n)
		for i := range spread {
			spread[i] = endpoints[i%len(endpoints)]
		}
		if n == 1 {
			if spread[0], err = etcdLeader(ctx, endpoints); err != nil {
				return connections{}, err
			}
		}
		return openEtcd(at, side, spread)
	}
	return nil
}

// etcdLeader returns the leader's endpoint. One client that is given the leader alone does up to
// half as much again as a client that is given all nodes and spreads its requests, measured: no
// hop to the leader, and fuller batches.
func etcdLeader(ctx context.Context, endpoints []string) (string, error) {
	c, err := newEtcdClient(endpoints...)
	if err != nil {
		return "", err
	}
	defer c.Close()
	for _, endpoint := range endpoints {
		status, err := c.Status(ctx, endpoint)
		if err != nil {
			return "", fmt.Errorf("peers: etcd: %w", err)
		}
		if status.Leader == status.Header.MemberId {
			return endpoint, nil
		}
	}
	return "", errors.New("peers: etcd has no leader")
}

// newEtcdClient makes a client as it comes, but silent: what fails is counted.
func newEtcdClient(endpoints ...string) (*clientv3.Client, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("peers: etcd's client: %w", err)
	}
	return c, nil
}

// openEtcd makes a client for each of the endpoints.
func openEtcd(at site, side *side, endpoints []string) (connections, error) {
	var all connections
	for _, endpoint := range endpoints {
		c, err := newEtcdClient(endpoint)
		if err != nil {
			return all, err
		}
		all.add(calls(func(op load.Op) load.Outcome {
			ctx, cancel := context.WithTimeout(context.Background(), at.o.Timeout)
			defer cancel()
			return callEtcd(ctx, c, side, op, at.o.Keys)
		}), func() { _ = c.Close() })
	}
	return all, nil
}

// listEtcd reads all keys below a prefix, page by page, at one revision, and returns how many there
// are.
func listEtcd(ctx context.Context, c *clientv3.Client, prefix string) (n int, err error) {
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	var revision int64 // 0: the newest
	for {
		reply, err := c.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(revision))
		if err != nil {
			return n, err
		}
		n += len(reply.Kvs)
		if !reply.More {
			return n, nil
		}
		if revision == 0 {
			revision = reply.Header.Revision
		}
		from = string(reply.Kvs[len(reply.Kvs)-1].Key) + "\x00"
	}
}

func callEtcd(ctx context.Context, c *clientv3.Client, side *side, op load.Op, keys int) load.Outcome {
	var err error
	found := true
	switch {
	case side.request == lists:
		var n int
		n, err = listEtcd(ctx, c, allOf(op))
		found = n >= keys
	case side.request == txns:
		puts := make([]clientv3.Op, txnKeys)
		for i := range puts {
			puts[i] = clientv3.OpPut(txnKey(op.Key, i), string(op.Value))
		}
		_, err = c.Txn(ctx).Then(puts...).Commit()
	case isSet(op):
		_, err = c.Put(ctx, op.Key, string(op.Value))
	default:
		var reply *clientv3.GetResponse
		if reply, err = c.Get(ctx, op.Key); err == nil {
			found = len(reply.Kvs) > 0
		}
	}

	var refused rpctypes.EtcdError
	isRefused := errors.As(err, &refused)
	temporary := refused.Code() == codes.Unavailable || refused.Code() == codes.DeadlineExceeded
	switch {
	case err == nil && found:
		return load.OK
	case err == nil:
		return load.Missing
	case isRefused && !temporary:
		return load.Failed
	}
	return load.Unknown
}
