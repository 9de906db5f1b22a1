package peers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/client/measure/load"
)

// startNATS runs servers with JetStream, each a process, and makes a bucket on them. They have
// default settings: files are synced every two minutes.
func (s *store) startNATS(ctx context.Context, at site, servers int) error {
	ports, err := freePorts(2 * servers)
	if err != nil {
		return err
	}
	urls := make(map[string]string, servers) // by server name
	var names, routes []string
	for i := range servers {
		name := fmt.Sprintf("n%d", i+1)
		names, urls[name] = append(names, name), fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", ports[servers+i]))
	}

	for i, name := range names {
		dir := filepath.Join(at.disk, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("peers: %w", err)
		}
		text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nserver_name: %s\njetstream { store_dir: %q }\n",
			ports[i], name, filepath.Join(dir, "js"))
		if servers > 1 {
			text += fmt.Sprintf("cluster { name: peers, listen: \"127.0.0.1:%d\", routes: [%s] }\n",
				ports[servers+i], strings.Join(routes, ", "))
		}

		config := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return fmt.Errorf("peers: %w", err)
		}
		if err := s.start(name, at.programs.NATSServer, dir, "-c", config); err != nil {
			return err
		}
	}

	bucket, err := s.makeBucket(ctx, urls[names[0]], servers)
	if err != nil {
		return err
	}

	s.open = func(ctx context.Context, side *side, n int) (connections, error) {
		spread := make([]string, n) // as clients that know all servers spread by chance
		for i := range spread {
			spread[i] = urls[names[i%len(names)]]
		}
		if n == 1 && servers > 1 {
			// The bucket's leader saves a hop: a tenth more puts, measured.
			leader, err := bucket.Leader(ctx)
			if err != nil {
				return connections{}, err
			}
			spread[0] = urls[leader]
		}
		return openNATS(ctx, at, side, bucket, spread)
	}
	return nil
}

// makeBucket waits for the servers to have found each other and makes the bucket.
func (s *store) makeBucket(ctx context.Context, url string, servers int) (bucket *load.Bucket, err error) {
	nc, err := s.dial(ctx, url)
	if err != nil {
		return nil, err
	}
	s.version, s.release = nc.ConnectedServerVersion(), nc.Close

	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("peers: JetStream: %w", err)
	}
	err = serving(ctx, s.children, func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx) // several servers answer once they have a leader
		return err
	})
	if err != nil {
		return nil, err
	}

	err = serving(ctx, s.children, func(ctx context.Context) error {
		bucket, err = load.MakeReplicatedBucket(ctx, nc, servers)
		return err
	})
	return bucket, err
}

func (s *store) dial(ctx context.Context, url string) (nc *nats.Conn, err error) {
	err = serving(ctx, s.children, func(context.Context) error {
		nc, err = nats.Connect(url)
		return err
	})
	return nc, err
}

func openNATS(ctx context.Context, at site, side *side, bucket *load.Bucket, urls []string) (connections, error) {
	var all connections
	for _, url := range urls {
		nc, err := nats.Connect(url)
		if err != nil {
			return all, fmt.Errorf("peers: %w", err)
		}

		caller, err := bucket.API(ctx, nc, at.o.Timeout)
		if err != nil {
			nc.Close()
			return all, err
		}
		if side.request == lists {
			list, err := bucket.Lister(ctx, nc)
			if err != nil {
				nc.Close()
				return all, err
			}
			caller = calls(func(op load.Op) load.Outcome { return listNATS(at, list, op) })
		}
		closer := nc.Close
		if side.request == watched {
			shown, stop, err := bucket.Watched(ctx, nc, at.o.Timeout)
			if err != nil {
				nc.Close()
				return all, err
			}
			caller, closer = shown, func() { stop(); nc.Close() }
		}
		all.add(caller, closer)
	}
	return all, nil
}

// listNATS reads all values of a bucket.
func listNATS(at site, list load.Lister, op load.Op) load.Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), at.o.Timeout)
	defer cancel()
	n, err := list(ctx, allOf(op))
	if err != nil {
		return load.Unknown
	}
	return listed(n, at.o.Keys)
}
