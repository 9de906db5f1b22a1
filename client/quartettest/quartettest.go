// Package quartettest is a real quartet cluster for a test. It promises one in well under a second:
// a real master with its NATS server, and real replicas, all of them goroutines of the test's own
// process. Nothing is simulated or left out; only the processes are missing (what kills one of them
// is tested with "quartet master" itself).
//
//	func TestGreeting(t *testing.T) {
//		c := quartettest.Start(t).Client(t)
//		_, err := c.Set(t.Context(), "greeting", []byte("hello"))
//		…
//	}
//
// Each cluster stands alone, on a free port of this machine and with files in a temporary
// directory of the test, so any number can run at once.
package quartettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/client"
	"quartet/master/inprocess"
)

const (
	startLimit = 30 * time.Second // of a start; of a replica to come and go
	pollEvery  = 5 * time.Millisecond
)

// Option changes what [Start] and [Run] start.
type Option func(*inprocess.Options)

// Replicas says how many there are, 1 to 9; without it, three.
func Replicas(n int) Option { return func(o *inprocess.Options) { o.Replicas = n } }

// Dir keeps the data on disk, in dir: a cluster that is started there again has them.
// Without it they are in memory.
func Dir(dir string) Option { return func(o *inprocess.Options) { o.Dir = dir } }

// Prefix is that of all subjects; without it, "quartet".
func Prefix(prefix string) Option { return func(o *inprocess.Options) { o.Prefix = prefix } }

// JetStream gives clients JetStream on the cluster's NATS server; without it, as with
// "quartet master", only the nodes have it.
func JetStream() Option { return func(o *inprocess.Options) { o.ClientJetStream = true } }

// Debug has the logs show every message, in the folder that [Cluster.Logs] names.
func Debug() Option { return func(o *inprocess.Options) { o.Level = "debug" } }

// Cluster is a cluster of one test. Make it with [Start].
type Cluster struct {
	URL  string // where clients connect, without credentials
	Logs string // folder of the logs, one a node, and of the reports

	prefix  string
	cluster *inprocess.Cluster
	control *control
}

// Start starts a cluster and returns when all replicas work in it. It is stopped when the
// test has ended, and the test fails if it cannot be started, or has ended badly. Warnings
// and errors of its nodes stand in the test's output.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	c, err := start(t.Context(), t.TempDir(), t.Output(), opts)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	t.Cleanup(func() { c.Stop(t) })
	return c
}

// Run starts a cluster, hands it to begun, runs the tests, stops the cluster, and returns
// the exit status: for a TestMain whose whole package shares one cluster, examples too.
func Run(m *testing.M, begun func(*Cluster), opts ...Option) (status int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "quartettest:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "quartettest-")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			status = fail(err)
		}
	}()
	c, err := start(context.Background(), dir, os.Stderr, opts)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err := c.cluster.Stop(); err != nil {
			status = fail(err)
		}
	}()
	begun(c)
	return m.Run()
}

// start starts a cluster whose files are in dir.
func start(ctx context.Context, dir string, talk io.Writer, opts []Option) (*Cluster, error) {
	control := newControl()
	o := inprocess.Options{
		Prefix: bus.DefaultPrefix, Replicas: 3, RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "log"),
		Level: "info", Stderr: talk, Around: control.around,
	}
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	cluster, err := inprocess.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Cluster{URL: cluster.URL, Logs: o.LogDir, prefix: o.Prefix, cluster: cluster, control: control}, nil
}

// Stop stops the cluster before the test ends, as Ctrl-C does. Stopping again does nothing.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if err := c.cluster.Stop(); err != nil {
		t.Errorf("quartettest: the cluster has ended badly: %v", err)
	}
}

// Client returns a client of its own, which is closed when the test has ended.
func (c *Cluster) Client(t testing.TB, opts ...client.Option) *client.Client {
	t.Helper()
	got, err := client.Connect(t.Context(), c.URL, append([]client.Option{client.WithPrefix(c.prefix)}, opts...)...)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	t.Cleanup(func() {
		if err := got.Close(); err != nil {
			t.Errorf("quartettest: %v", err)
		}
	})
	return got
}

// NATS returns a connection of its own to the cluster's NATS server, which is closed when
// the test has ended.
func (c *Cluster) NATS(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(c.URL, opts...)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Status returns how the cluster is.
func (c *Cluster) Status(t testing.TB) bus.Status {
	t.Helper()
	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	defer nc.Close()
	s, err := c.status(t.Context(), nc)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	return s
}

func (c *Cluster) status(ctx context.Context, nc *nats.Conn) (s bus.Status, err error) {
	subjects, err := bus.NewSubjects(c.prefix)
	if err != nil {
		return s, err
	}
	m, err := bus.Ask(ctx, nc, subjects.Status(), nil, bus.StatusField)
	if err != nil {
		return s, fmt.Errorf("no status: %w", err)
	}
	return bus.ParseStatus(m.Data)
}

// await polls the cluster's status until what is true of it.
func (c *Cluster) await(t testing.TB, why string, what func(*bus.Status) bool) {
	t.Helper()
	nc, err := nats.Connect(c.URL)
	if err != nil {
		t.Fatalf("quartettest: %v", err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), startLimit, errors.New("not in time"))
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		s, err := c.status(ctx, nc)
		if err == nil && what(&s) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("quartettest: %s: %v; status %+v, %v", why, context.Cause(ctx), s, err)
		}
	}
}
