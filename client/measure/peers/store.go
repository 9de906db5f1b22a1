package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"quartet/bus/model"
	"quartet/client/measure/load"
)

// store is a running system.
type store struct {
	name      string
	version   string
	children  []*child
	processes []load.Process
	url       string // quartet's
	open      func(ctx context.Context, s *side, connections int) (connections, error)
	release   func() // what open shares; nil: nothing

	bucket *load.Bucket // quartet's; nil: none was asked for
}

// connections are a side's senders, one for each connection.
type connections struct {
	senders []load.Sender
	closers []func()
}

func (c *connections) add(s load.Sender, closer func()) {
	c.senders, c.closers = append(c.senders, s), append(c.closers, closer)
}

func (c *connections) close() {
	for _, closer := range c.closers {
		closer()
	}
}

// start starts one process of the store and counts its processor time.
func (s *store) start(name, program, dir string, args ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	c, err := startChild(name, program, dir, args...)
	if err != nil {
		return err
	}
	s.children = append(s.children, c)
	s.processes = append(s.processes, load.Process{Name: name, PID: c.pid()})
	return nil
}

func (s *store) letGo() {
	if s.release != nil {
		s.release()
	}
}

func (s *store) stop() error {
	s.letGo()
	return stopAll(s.children)
}

// site is what a store needs to be started: programs, folders and the options.
type site struct {
	programs Programs
	disk     string // a folder of the store's own, on a disk
	memory   string // the same on a tmpfs
	o        *Options
}

// launch starts a system and waits until it serves. On an error nothing is left of it.
func launch(ctx context.Context, system string, at site) (*store, error) {
	s := &store{name: system}
	var err error
	switch system {
	case natsR1:
		err = s.startNATS(ctx, at, 1)
	case natsR3:
		err = s.startNATS(ctx, at, 3)
	case etcdMemory:
		err = s.startEtcd(ctx, at, at.memory)
	case etcdFsync:
		err = s.startEtcd(ctx, at, at.disk)
	case redisMemory:
		err = s.startRedis(ctx, at)
	default:
		err = s.startQuartet(ctx, at, strings.TrimPrefix(system, ours))
	}

	if err != nil {
		if stopped := s.stop(); stopped != nil {
			err = fmt.Errorf("%w\n%w", err, stopped)
		}
		return nil, fmt.Errorf("%s: %w", system, err)
	}
	return s, nil
}

// Missing is a peer that could not be measured.
type Missing struct {
	Peer      string `json:"peer"`
	Installed bool   `json:"installed"` // but it did not start
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy,omitempty"` // what to install
}

// find resolves the programs, and says which of the peers cannot be started and why.
func find(o *Options) (Programs, []Missing, error) {
	quartet, err := executable(o.Programs.Quartet)
	if err != nil {
		return Programs{}, nil, fmt.Errorf("peers: the quartet program: %w", err)
	}
	found := Programs{Quartet: quartet}

	var missing []Missing
	for _, peer := range o.Peers {
		var err error
		remedy := ""
		switch peer {
		case natsR1, natsR3:
			found.NATSServer, err = executable(o.Programs.NATSServer)
			remedy = "go build -o bin/nats-server github.com/nats-io/nats-server/v2"
		case redisMemory:
			found.Redis, err = executable(o.Programs.Redis)
			remedy = "apt-get install redis-server"
		default:
			found.Etcd, err = executable(o.Programs.Etcd)
			remedy = "apt-get install etcd-server"
		}

		if err == nil && peer == etcdMemory {
			if tmpfs, looked := isTmpfs(o.MemoryDir); looked != nil || !tmpfs {
				err, remedy = fmt.Errorf("%s is no tmpfs", o.MemoryDir), "name one with --memory-dir"
			}
		}

		if err != nil {
			missing = append(missing, Missing{Peer: peer, Reason: err.Error(), Remedy: remedy})
		}
	}
	return found, missing, nil
}

func executable(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path) // children run in folders of their own
}

// calls makes a sender of a function that waits: one goroutine for each request outstanding.
type calls func(load.Op) load.Outcome

// Call implements [load.Caller].
func (c calls) Call(op load.Op) load.Outcome { return c(op) }

// Send implements [load.Sender].
func (c calls) Send(op load.Op, done func(load.Outcome)) error {
	go func() { done(c(op)) }()
	return nil
}

func isSet(op load.Op) bool { return op.Type == model.Set }
