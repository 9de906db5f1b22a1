// Package monitor is what the tools of an operator ask of a node over HTTP. It promises three
// answers:
//
//	/metrics  figures for Prometheus: the node's own, and of its Go runtime and process
//	/healthz  200 while the process lives and its loop turns; 503 if it stands still
//	/readyz   200 while the node does what it is there for; else 503 and, in one line, why not
//
// It serves them to GET and HEAD and changes nothing. It is off unless an address is named, and
// other machines reach it only at an address that names its host: there is no password.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"quartet/bus"
)

// Errors of [Listen].
var (
	ErrAddress = errors.New("monitor: wrong address")
	ErrListen  = errors.New("monitor: cannot listen")
)

// Limits of one request.
const (
	answerWait   = 2 * time.Second // for the node's loop; what takes longer stands still
	scrapesMost  = 4               // at once; more are answered 503
	closeWait    = time.Second
	headerWait   = 5 * time.Second
	headersBytes = 16 << 10
)

// Options say what is served where. Alive and Ready are asked once for each request, and
// return why not.
type Options struct {
	Listen     string // HOST:PORT, or PORT alone for one on loopback; port 0 or -1: a free one
	Node       string // "m1", "r1", …: a label of all the node's own figures
	Collectors []prometheus.Collector
	Alive      func(context.Context) (string, error)
	Ready      func(context.Context) (string, error)
	Log        *slog.Logger
}

// Monitor is a server that runs. Make it with [Listen].
type Monitor struct {
	server *http.Server
	addr   net.Addr
	ended  chan struct{}
}

// Flag adds --metrics.
func Flag(f *pflag.FlagSet, listen *string) {
	f.StringVar(listen, "metrics", "", "`HOST:PORT` for Prometheus (/metrics, /healthz, /readyz),"+
		" over HTTP without a password; PORT alone is on 127.0.0.1; default: off")
}

// Parse checks an address and returns it as [net.Listen] takes it, and whether only this
// machine reaches it. The error wraps [ErrAddress].
func Parse(listen string) (address string, loopback bool, err error) {
	if !strings.Contains(listen, ":") {
		listen = "127.0.0.1:" + listen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", false, fmt.Errorf("%w: %w", ErrAddress, err)
	}

	if port == "-1" {
		port = "0"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false, fmt.Errorf("%w %q: the port is no number up to 65535", ErrAddress, listen)
	}
	port = strconv.FormatUint(n, 10)

	if host == "" {
		return "", false, fmt.Errorf("%w %q: name the host: 127.0.0.1:%s for this machine alone,"+
			" 0.0.0.0:%s for everyone who reaches it", ErrAddress, listen, port, port)
	}
	ip := net.ParseIP(host)
	ofLoopback := ip != nil && ip.IsLoopback()
	return net.JoinHostPort(host, port), host == "localhost" || ofLoopback, nil
}

// Listen begins to serve. An address that other machines reach is warned of in the log.
// The error wraps [ErrAddress] or [ErrListen].
func Listen(o Options) (*Monitor, error) {
	address, loopback, err := Parse(o.Listen)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w for metrics on %s: %w", ErrListen, address, err)
	}

	registry, err := o.registry()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}

	m := &Monitor{
		addr: listener.Addr(), ended: make(chan struct{}),
		server: &http.Server{
			Handler: o.handler(registry), ReadHeaderTimeout: headerWait, ReadTimeout: headerWait,
			IdleTimeout: time.Minute, MaxHeaderBytes: headersBytes,
			ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		},
	}
	if loopback {
		o.Log.Info("metrics", "url", m.URL())
	} else {
		o.Log.Warn("metrics can be read by everyone who reaches this address", "url", m.URL())
	}

	go func() {
		defer close(m.ended)
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("metrics are not served any more", "error", err)
		}
	}()
	return m, nil
}

// registry returns the figures that are served: the node's, labelled with its name, and those
// of the Go runtime and of the process.
func (o *Options) registry() (*prometheus.Registry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)

	own := prometheus.WrapRegistererWith(prometheus.Labels{"node": o.Node}, registry)
	for _, c := range o.Collectors {
		if err := own.Register(c); err != nil {
			return nil, fmt.Errorf("monitor: %w", err)
		}
	}
	return registry, nil
}

// handler answers the three paths.
func (o *Options) handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapesMost,
	}))
	mux.Handle("GET /healthz", answering(o.Alive))
	mux.Handle("GET /readyz", answering(o.Ready))
	return mux
}

// URL returns the URL of the figures.
func (m *Monitor) URL() string { return "http://" + m.addr.String() + "/metrics" }

// Close ends the serving; requests that are being answered have a second to end.
func (m *Monitor) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()

	err := m.server.Shutdown(ctx)
	if err != nil {
		err = m.server.Close()
	}
	<-m.ended
	return err
}

// answering returns a handler that answers 200 and what ask has said, or 503 and why not.
func answering(ask func(context.Context) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWait)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")

		answer, err := ask(ctx)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, err.Error()+"\n") // a client that has gone needs no answer
			return
		}
		_, _ = io.WriteString(w, answer+"\n") // as above
	})
}

// Alive returns a function that asks whether the loop behind a probe turns. A node that has not
// begun, or has ended and is about to end its process, is no reason to end it by force.
func Alive[T any](p *bus.Probe[T]) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		switch _, err := p.Ask(ctx); {
		case err == nil, errors.Is(err, bus.ErrNotBegun), errors.Is(err, bus.ErrEnded):
			return well, nil
		default:
			return "", fmt.Errorf("the node's loop stands still: %w", err)
		}
	}
}

// Ready returns a function that asks the loop behind a probe whether the node is ready. why says
// why it is not, or "". warned, which may be nil, says in one line why a node that is ready may
// not stay so, or "": that is still 200, with "ok, but …" in place of "ok".
func Ready[T any](p *bus.Probe[T], why, warned func(T) string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		answer, err := p.Ask(ctx)
		if err != nil {
			return "", err
		}

		if reason := why(answer); reason != "" {
			return "", errors.New(reason)
		}
		if warned == nil || warned(answer) == "" {
			return well, nil
		}
		return well + ", but " + warned(answer), nil
	}
}

// well is the answer of a node with which all is well.
const well = "ok"
