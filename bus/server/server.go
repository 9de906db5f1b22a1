package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"

	"quartet/bus"
)

// Server is a running embedded server.
type Server struct {
	nats      *nats.Server
	jetStream nats.JetStreamConfig // as it was enabled with, for RestartJetStream
	fatal     chan error
	options   Options
	open      bool
	guarded   bool   // nobody is let in who has not proved who it is
	scratch   string // the temporary store, or ""
	unwatch   func() // ends what watches for certificates that are revoked; nil: nothing does
	watching  sync.WaitGroup
	stop      sync.Once
}

// Start starts a server and returns once it accepts connections and JetStream is up; ctx
// bounds only that. Errors wrap [ErrListen], [ErrPortTaken], [ErrInsecure],
// [ErrConfig] or [ErrStart]; then nothing is left running.
func Start(ctx context.Context, options Options) (*Server, error) {
	o := options.withDefaults()
	host, port, err := o.address(ctx)
	if err == nil {
		err = o.checkConfig()
	}
	if err != nil {
		return nil, err
	}

	if err := probe(ctx, host, port); err != nil {
		return nil, err
	}
	if o.Cluster != nil {
		if err := o.Cluster.probe(ctx); err != nil {
			return nil, err
		}
	}
	s := &Server{options: o, open: o.open(host)}
	storeDir := o.StoreDir
	if storeDir == "" {
		if s.scratch, err = os.MkdirTemp("", "quartet-bus-"); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStart, err)
		}
		storeDir = s.scratch
	}
	if err := s.run(ctx, host, port, storeDir); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// Check finds out whether a server could listen as the options say, and leaves nothing
// behind. Errors wrap [ErrListen], [ErrPortTaken], [ErrInsecure] or [ErrConfig].
func Check(ctx context.Context, options Options) error {
	o := options.withDefaults()
	host, port, err := o.address(ctx)
	if err == nil {
		err = o.checkConfig()
	}
	if err != nil {
		return err
	}
	if o.Cluster != nil {
		if err := o.Cluster.probe(ctx); err != nil {
			return err
		}
	}
	return probe(ctx, host, port)
}

func (s *Server) run(ctx context.Context, host string, port int, storeDir string) error {
	options, err := s.options.natsOptions(host, port, storeDir)
	if err != nil {
		return err
	}
	ns, err := nats.NewServer(options)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	if g, isGuarded := options.CustomClientAuthentication.(*guard); isGuarded {
		g.server, s.guarded = ns, true
		if s.options.Secure != nil {
			ctx, cancel := context.WithCancel(context.Background())
			s.watching.Go(func() { g.watch(ctx) })
			s.unwatch = cancel
		}
	}

	log := &bridge{log: s.options.Log, fatal: make(chan error, 1)}
	ns.SetLoggerV2(log, log.log.Enabled(ctx, slog.LevelDebug), false, false)
	s.nats, s.fatal = ns, log.fatal
	started := make(chan struct{})
	go func() {
		defer close(started)
		ns.Start()
	}()
	if err := s.awaitReady(ctx, started, port); err != nil {
		// Start must not be overtaken by the Shutdown that follows. It ends by itself:
		// a fatal error makes it return, and it waits for nobody.
		<-started
		return err
	}
	s.jetStream = *ns.JetStreamConfig()
	s.jetStream.StoreDir = storeDir // below which the server has its own
	return nil
}

// awaitReady waits for the first of: ready, a fatal error, the end of ctx.
func (s *Server) awaitReady(ctx context.Context, started <-chan struct{}, port int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("not ready in time"))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()

	for {
		select {
		case err := <-s.fatal:
			return s.fatalError(err, port)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStart, context.Cause(ctx))
		case <-tick.C:
		}

		// Start has gone through everything, JetStream too, or given up.
		select {
		case <-started:
		default:
			continue
		}

		select {
		case err := <-s.fatal:
			return s.fatalError(err, port)
		default:
		}

		if s.nats.ReadyForConnections(time.Millisecond) && s.nats.JetStreamEnabled() {
			return nil
		}
	}
}

// fatalError names a port that was taken between our look at it and the server's own.
func (s *Server) fatalError(err error, port int) error {
	if taken := probe(context.Background(), s.host(), port); port > 0 && errors.Is(taken, ErrPortTaken) {
		return taken
	}
	return fmt.Errorf("%w: %w", ErrStart, err)
}

func (s *Server) host() string {
	host, _, _ := net.SplitHostPort(s.options.Listen) // was checked by address
	return host
}

// probe listens for a moment where the server will, because the server itself reports a port that
// it cannot have only in its log.
func probe(ctx context.Context, host string, port int) error {
	var config net.ListenConfig
	address := net.JoinHostPort(host, strconv.Itoa(port))
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		free := net.JoinHostPort(host, "-1")
		return fmt.Errorf("%w: %d on %q is used by another process (--listen %s picks a free one)", ErrPortTaken, port, host, free)
	}
	return fmt.Errorf("%w %s: %w", ErrListen, address, err)
}

// Open reports whether everybody who reaches the server, from beyond this machine too, is a
// client.
func (s *Server) Open() bool { return s.open }

// Address returns where the server listens, as HOST:PORT.
func (s *Server) Address() string {
	addr, ok := s.nats.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return net.JoinHostPort(s.host(), strconv.Itoa(addr.Port))
}

// ClientURL returns the URL for clients, without credentials, even if clients need some.
func (s *Server) ClientURL() string { return s.url(nil) }

// NodeURL returns the URL for nodes, user and password included: not for logs, and not for a
// command line, which every user of the machine can read.
func (s *Server) NodeURL() string {
	return s.url(url.UserPassword(s.options.NodeUser, s.options.NodePassword))
}

func (s *Server) url(user *url.Userinfo) string {
	addr, ok := s.nats.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}

	host := s.host()
	ip := net.ParseIP(host)
	unspecified := ip != nil && ip.IsUnspecified()
	if host == "" || unspecified {
		host = "127.0.0.1"
	}

	u := url.URL{Scheme: "nats", User: user, Host: net.JoinHostPort(host, strconv.Itoa(addr.Port))}
	if s.options.TLS != nil || s.options.Secure != nil {
		u.Scheme = "tls"
	}
	return u.String()
}

// NodeCredentials returns the user and password of the nodes' account.
func (s *Server) NodeCredentials() (user, password string) {
	return s.options.NodeUser, s.options.NodePassword
}

// FrontCredentials returns the user and password with which the master joins the
// clients' account. It has no permissions that would have to be looked up for every
// reply: replies go to subjects that are used once, which no cache knows.
func (s *Server) FrontCredentials() (user, password string) {
	return frontUser, s.options.NodePassword
}

// Guests is how a program within this process connects for others, who have proved to it that they
// may read, or write: the server lets each connection do what that role may, and no more. Where it
// lets everybody in, both do what everybody may.
func (s *Server) Guests() (read, write bus.DialOptions) {
	if isOpen := !s.guarded && s.options.ClientUser == ""; isOpen {
		all := bus.DialOptions{URL: s.ClientURL()}
		return all, all
	}
	as := func(user string) bus.DialOptions {
		return bus.DialOptions{URL: "nats://" + s.Address(), InProcess: s.InProcess(), User: user, Password: s.options.NodePassword}
	}
	return as(guestReads), as(guestWrites)
}

// InProcess returns connections to the server within this process, without a socket: for
// [bus.DialOptions].
func (s *Server) InProcess() client.InProcessConnProvider { return pipes{s.nats} }

// Shutdown closes all connections, stops the server, waits until it has stopped, and
// removes a temporary store. Calling it again does nothing.
func (s *Server) Shutdown() {
	s.stop.Do(func() {
		if s.unwatch != nil {
			s.unwatch()
			s.watching.Wait()
		}
		if s.nats != nil {
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
		}
		if s.scratch != "" {
			if err := os.RemoveAll(s.scratch); err != nil {
				s.options.Log.Warn("bus/server: temporary store not removed", "error", err)
			}
		}
	})
}
