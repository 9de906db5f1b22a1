// Package webconsole is the console in the browser: a cluster live, a key in four models, the story
// of a request, keys, and recorded runs. It promises that it is a client of the bus like everybody,
// which asks nothing while no page is open; that no page of another site can have it do anything;
// and that it changes no key unless it is told that it may. What the pages show is package pane.
//
// Pages are made here, and kept up to date by server-sent events: they go one way, over the
// connection that a browser makes again by itself, and need neither a second protocol nor a port
// of the NATS server that browsers may reach.
package webconsole

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/monitor"
	"quartet/client"
)

// Errors of [Listen].
var (
	ErrAddress = errors.New("console: wrong address")
	ErrOpen    = errors.New("console: it has no password, so it listens on this machine alone")
	ErrListen  = errors.New("console: cannot listen")
)

// Limits of the server.
const (
	headerWait   = 5 * time.Second
	closeWait    = time.Second
	headersBytes = 16 << 10
	bodyBytes    = 2 << 20 // of a form: a value of 512 KiB, of which each byte may take three, and its key
	requestWait  = 2500 * time.Millisecond
	dialAgain    = time.Second
)

// DefaultListen is where the console is unless it is told otherwise.
const DefaultListen = "127.0.0.1:8222"

// Options say what a console shows, and what it may do.
type Options struct {
	Listen  string // HOST:PORT, or PORT alone; only of this machine; port 0 or -1: a free one
	Write   bool   // keys may be changed
	Runs    string // folder of recorded runs
	Prefix  string // of the cluster's subjects
	Inbox   string // prefix of inboxes, beside the usual one; "": none
	Version string // of this program
	Demo    Demo   // pauses replicas; nil: nobody may
	Log     *slog.Logger
}

// Demo is a cluster whose replicas may be paused for the sake of a lesson.
type Demo interface {
	Pause(pid int) error // stops a replica's process where it stands
	Wake(pid int) error  // lets it go on
	Kill(pid int) error  // ends it at once
}

// Server is a console that runs. Make it with [Listen].
type Server struct {
	o      Options
	token  string
	addr   net.Addr
	http   *http.Server
	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	group  sync.WaitGroup

	feed    *feed
	stories *stories
	ages    *ages
	judged  *judged

	mu      sync.Mutex
	cluster *cluster // nil: not connected yet
	why     string   // it is not: one line
}

// cluster is a connection to the cluster.
type cluster struct {
	nc       *nats.Conn
	client   *client.Client
	subjects bus.Subjects
	inbox    string
}

// Listen begins to serve. The console shows that it looks for a cluster until [Server.Attach] has
// found one. The error wraps [ErrAddress], [ErrOpen] or [ErrListen]; all but the last are wrong
// usage.
func Listen(o Options) (*Server, error) {
	address, loopback, err := monitor.Parse(o.Listen)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	case !loopback:
		return nil, fmt.Errorf("%w, not on %s: from elsewhere reach it through a tunnel (ssh -L 8222:127.0.0.1:8222 HOST)", ErrOpen, o.Listen)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrListen, address, err)
	}

	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{o: o, token: rand.Text(), addr: listener.Addr(), stories: newStories(), ages: newAges(), judged: newJudged()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.feed = newFeed(s.look, o.Demo != nil)
	s.http = &http.Server{
		Handler: s.guard(s.routes()), ReadHeaderTimeout: headerWait, ReadTimeout: 2 * headerWait, MaxHeaderBytes: headersBytes,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}

	s.group.Go(func() { s.feed.run(s.ctx) })
	s.group.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the console has ended", "error", err)
		}
	})
	return s, nil
}

// URL is where the console is.
func (s *Server) URL() string { return "http://" + s.addr.String() }

// Attach connects to a cluster's NATS server in the background, and tries again until it is there.
// It is called once.
func (s *Server) Attach(to bus.DialOptions) {
	s.group.Go(func() {
		for {
			err := s.connect(to)
			if err == nil || s.ctx.Err() != nil {
				return
			}
			s.mu.Lock()
			s.why = err.Error()
			s.mu.Unlock()

			select {
			case <-time.After(dialAgain):
			case <-s.ctx.Done():
				return
			}
		}
	})
}

func (s *Server) connect(to bus.DialOptions) error {
	subjects, err := bus.NewSubjects(s.o.Prefix)
	if err != nil {
		return err
	}
	nc, err := bus.Dial(s.ctx, to)
	if err != nil {
		return err
	}

	c, err := client.New(nc, client.WithPrefix(s.o.Prefix), client.WithName("console"), client.WithTimeout(requestWait), client.WithRetries(0))
	if err != nil {
		nc.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster = &cluster{nc, c, subjects, s.o.Inbox}
	return nil
}

// at returns the cluster, or why there is none.
func (s *Server) at() (*cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cluster != nil:
		return s.cluster, nil
	case s.why != "":
		return nil, errors.New(s.why)
	}
	return nil, errLooking
}

// errLooking says that the connection is not there yet.
var errLooking = errors.New("the console is still looking for the cluster")

// Close ends the console: pages hear no more, and its connection is closed.
func (s *Server) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.group.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil {
		err = errors.Join(err, s.cluster.client.Close())
		s.cluster.nc.Close()
	}
	return err
}
