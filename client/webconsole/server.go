// Package webconsole is the console in the browser: a cluster live, a key in four models, the story
// of a request, keys, and recorded runs. It promises that it is a client of the bus like everybody,
// which asks nothing while no page is open; that no page of another site can have it do anything;
// and that it changes no key unless it is told that it may, and then for nobody whose certificate
// does not say so. What the pages show is package pane.
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
	"quartet/bus/secure"
	"quartet/client"
)

// Errors of [Listen].
var (
	ErrAddress = errors.New("console: wrong address")
	ErrOpen    = errors.New("console: without certificates it listens on this machine alone")
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
	Listen  string           // HOST:PORT, or PORT alone; without Secure only of this machine; port 0 or -1: a free one
	Write   bool             // keys may be changed
	Runs    string           // folder of recorded runs
	Prefix  string           // of the cluster's subjects
	Inbox   string           // prefix of inboxes, beside the usual one; "": none
	Version string           // of this program
	Demo    Demo             // pauses replicas; nil: nobody may
	Secure  *secure.Identity // by which it serves HTTPS, and whose clients it lets in; nil: HTTP, on this machine alone
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
	secret string // of which the tokens of pages are made
	addr   net.Addr
	host   string // at which browsers find it
	http   *http.Server
	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	group  sync.WaitGroup

	feed    *feed
	stories *stories
	ages    *ages
	judged  *judged

	mu             sync.Mutex
	reader, writer *cluster // the same one where all may do the same; nil: not connected yet
	why            string   // it is not: one line
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
	address, host, err := o.address()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrListen, address, err)
	}

	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		o: o, secret: rand.Text(), addr: listener.Addr(), host: host, stories: newStories(), ages: newAges(), judged: newJudged(),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.feed = newFeed(s.look, o.Demo != nil)
	s.http = &http.Server{
		Handler: s.guard(s.routes()), ReadHeaderTimeout: headerWait, ReadTimeout: 2 * headerWait, MaxHeaderBytes: headersBytes,
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}

	s.group.Go(func() { s.feed.run(s.ctx) })
	s.group.Go(func() {
		if err := s.serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the console has ended", "error", err)
		}
	})
	return s, nil
}

// address settles where to listen, and at which host browsers find that.
func (o *Options) address() (address, host string, err error) {
	address, loopback, err := monitor.Parse(o.Listen)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrAddress, err)
	}
	host, _, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrAddress, err)
	}

	switch {
	case o.Secure == nil && !loopback:
		return "", "", fmt.Errorf("%w, not on %s: serve it to those who have a certificate (--secure; quartet secure console "+
			"makes what it takes), or reach it through a tunnel (ssh -L 8222:127.0.0.1:8222 HOST)", ErrOpen, o.Listen)
	case o.Secure == nil:
		return address, "", nil
	case o.Demo != nil:
		return "", "", fmt.Errorf("%w, and so does a lesson whose replicas whoever opens it pauses and kills", ErrOpen)
	}
	if host, err = o.Secure.Serving(host); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return address, host, nil
}

// serve serves until the server is closed.
func (s *Server) serve(l net.Listener) error {
	if s.o.Secure == nil {
		return s.http.Serve(l)
	}
	s.http.TLSConfig = s.o.Secure.Pages()
	return s.http.ServeTLS(l, "", "")
}

// URL is where the console is.
func (s *Server) URL() string {
	if s.o.Secure == nil {
		return "http://" + s.addr.String()
	}
	_, port, _ := net.SplitHostPort(s.addr.String()) // a listener's address has a port
	return "https://" + net.JoinHostPort(s.host, port)
}

// Attach connects to a cluster's NATS server in the background, and tries again until it is there:
// with one connection for those who may read, and another for those who may write, if the two are
// not the same. It is called once.
func (s *Server) Attach(read, write bus.DialOptions) {
	s.group.Go(func() {
		for {
			err := s.connect(read, write)
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

// connect makes the connections that are not there yet.
func (s *Server) connect(read, write bus.DialOptions) error {
	reader, err := s.dial(read)
	if err != nil {
		return err
	}
	writer := reader
	if isOther := s.o.Write && write.User != read.User; isOther {
		if writer, err = s.dial(write); err != nil {
			return errors.Join(err, reader.close())
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader, s.writer = reader, writer
	return nil
}

func (s *Server) dial(to bus.DialOptions) (*cluster, error) {
	subjects, err := bus.NewSubjects(s.o.Prefix)
	if err != nil {
		return nil, err
	}
	nc, err := bus.Dial(s.ctx, to)
	if err != nil {
		return nil, err
	}
	c, err := client.New(nc, client.WithPrefix(s.o.Prefix), client.WithName("console"), client.WithTimeout(requestWait), client.WithRetries(0))
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &cluster{nc, c, subjects, s.o.Inbox}, nil
}

func (c *cluster) close() error {
	err := c.client.Close()
	c.nc.Close()
	return err
}

// at returns the cluster as who may read sees it, or why there is none.
func (s *Server) at() (*cluster, error) { return s.connected(func() *cluster { return s.reader }) }

// as returns the cluster for what a visitor does: over a connection that may do what the visitor
// may, so that what the console itself may is lent to nobody.
func (s *Server) as(r *http.Request) (*cluster, error) {
	return s.connected(func() *cluster {
		if visitorOf(r).mayWrite() {
			return s.writer
		}
		return s.reader
	})
}

func (s *Server) connected(which func() *cluster) (*cluster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c := which(); {
	case c != nil:
		return c, nil
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
	if s.reader != nil {
		err = errors.Join(err, s.reader.close())
	}
	if s.writer != s.reader {
		err = errors.Join(err, s.writer.close())
	}
	return err
}
