// Package inprocess is a whole cluster within one process: the master and the NATS server of
// package masternode, and the replicas of package replicanode as goroutines instead of processes.
// It promises that nothing else differs: they speak over the same connections, keep the same
// files, are supervised and started again.
//
// The price: the process is one. When it ends, every replica ends with it. In
// memory nothing is left then; with a directory everything is, once it is started again.
//
// It is the one place that knows both kinds of node; package client/quartettest makes
// clusters for tests of it, and "quartet master --in-process" runs one.
package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/host/nodelog"
	"quartet/master/ledger"
	"quartet/master/ledger/page"
	"quartet/master/masternode"
	"quartet/master/masternode/mastermetrics"
	"quartet/replica/disk"
	"quartet/replica/replicametrics"
	"quartet/replica/replicanode"
)

// Replicas returns a runner of replicas within this process. Each has a log of its own, as log
// says, with the replica's name.
func Replicas(log nodelog.Options) masternode.Runner {
	return func(ctx context.Context, r masternode.Replica) (err error) {
		log := log
		log.Node = r.ID.String()
		logger, closer, err := nodelog.Open(log)
		if err != nil {
			return fmt.Errorf("replica %s: %w", r.ID, err)
		}
		defer func() { err = errors.Join(err, closer.Close()) }()
		sync := disk.Interval
		if r.Sync == masternode.SyncAlways {
			sync = disk.Always
		}
		probe, stop := watch(&r, logger)
		defer stop()
		err = replicanode.Run(ctx, replicanode.Options{
			Probe: probe, ID: r.ID, PID: r.Number, URL: r.URL, User: r.User, Password: r.Password, Connect: r.Connect, Prefix: r.Prefix,
			CausalWait: r.CausalWait, PublishChanges: r.PublishChanges, Dir: r.Dir, Sync: sync, Cache: int64(r.Cache) << 20, Log: logger,
		})
		switch {
		case errors.Is(err, disk.ErrDamaged):
			return exit.Damaged(err)
		case errors.Is(err, replicanode.ErrReplaced):
			return exit.Replaced(err)
		}
		return err
	}
}

// watch serves a replica's figures where it is told to. A replica whose port is taken runs without
// figures.
func watch(r *masternode.Replica, log *slog.Logger) (probe *bus.Probe[replicanode.Figures], stop func()) {
	if r.Metrics == "" {
		return nil, func() {}
	}
	probe = bus.NewProbe[replicanode.Figures]()
	m, err := replicametrics.Listen(r.Metrics, r.ID, probe, log)
	if err != nil {
		log.Error("no metrics", "error", err)
		return nil, func() {}
	}
	return probe, func() { _ = m.Close() }
}

// Options say what runs; the zero value is a cluster of three replicas in memory on a free
// port of this machine.
type Options struct {
	Listen          string        // of the NATS server; "": 127.0.0.1, a free port
	ClientJetStream bool          // gives the NATS server's clients JetStream
	Prefix          string        // of all subjects; "": [bus.DefaultPrefix]
	Replicas        int           // 0: three
	Dir             string        // of what outlives the process; "": it is in memory
	Sync            string        // of Dir: [masternode.SyncInterval] or SyncAlways; "": SyncInterval
	RunDir          string        // without Dir: of files that end with the cluster
	LogDir          string        // of logs and reports
	Level           string        // of the logs: debug, info, warn or error; "": info
	Stderr          io.Writer     // gets warnings and errors too; nil: nobody
	Suspect         time.Duration // silence after which a replica is left out of the view; 0: a second

	Metrics string            // serve the master's figures at HOST:PORT; "": nowhere
	Tracer  masternode.Tracer // is told of requests that have been answered; may be nil

	// Around, if not nil, is called with the runner of replicas and returns the runner to use
	// instead.
	Around func(masternode.Runner) masternode.Runner
}

// Cluster is a running cluster. Make it with [Start], end it with [Cluster.Stop].
type Cluster struct {
	URL     string // of the NATS server, for clients
	Metrics string // URL of the master's figures; "": they are not served
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended and err is set
	err     error
}

// Start starts a cluster and returns when it is ready. When ctx ends before that, it is
// stopped; afterwards ctx means nothing. The errors are those of [masternode.Run].
func Start(ctx context.Context, o Options) (*Cluster, error) {
	nowhere := o.RunDir == "" && o.Dir == ""
	if nowhere || o.LogDir == "" {
		return nil, fmt.Errorf("%w: a cluster within a process is told its directories", masternode.ErrOptions)
	}

	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Cluster{cancel: cancel, done: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(c.done)
		c.err = o.run(running, &c.Metrics, func(url string) { ready <- url })
	}()

	select {
	case c.URL = <-ready:
		return c, nil
	case <-c.done:
		cancel()
		return nil, c.err
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), c.Stop())
	}
}

// run runs the cluster until ctx ends. It sets metrics, the URL of the figures, before it calls
// ready.
func (o Options) run(ctx context.Context, metrics *string, ready func(string)) (err error) {
	logs := nodelog.Options{Dir: o.LogDir, Node: "m1", Level: o.Level, Stderr: o.Stderr}
	log, closer, err := nodelog.Open(logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()

	l, err := ledger.Open(ledger.Options{Dir: o.LogDir, Logger: log, Page: page.Write})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()

	m := masternode.Options{
		Listen: o.Listen, ClientJetStream: o.ClientJetStream, Prefix: o.Prefix, Replicas: o.Replicas, Missing: -1,
		Dir: o.Dir, Memory: o.Dir == "", Sync: o.Sync, RunDir: o.RunDir,
		Timeout: 5 * time.Second, CausalWait: 50 * time.Millisecond, OrphanTimeout: 10 * time.Second, Suspect: o.Suspect,
		InProcess: Replicas(logs), Tracer: o.Tracer, LogDir: o.LogDir, Version: "in-process",
		Stdout: io.Discard, Ready: ready, Log: log, Ledger: l,
	}

	if m.Listen == "" {
		m.Listen = "127.0.0.1:-1"
	}
	if m.Prefix == "" {
		m.Prefix = bus.DefaultPrefix
	}
	if m.Replicas == 0 {
		m.Replicas = 3
	}
	if m.Suspect == 0 {
		m.Suspect = time.Second
	}

	if o.Around != nil {
		m.InProcess = o.Around(m.InProcess)
	}

	if o.Metrics != "" {
		m.Probe = bus.NewProbe[masternode.Figures]()
		served, failed := mastermetrics.Listen(o.Metrics, m.Probe, l, log)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, served.Close()) }()
		*metrics = served.URL()
	}

	return masternode.Run(ctx, nil, m)
}

// Done is closed when the cluster has ended: stopped, or by itself.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Stop ends the requests under way, the replicas, the master and the server, waits until
// no goroutine of them is left, and returns how the cluster has ended.
func (c *Cluster) Stop() error {
	c.cancel()
	<-c.done
	return c.err
}
