// Package consolecmd is the command console: the console in the browser, for a cluster that runs or
// for one of its own. It promises that no process of a cluster of its own outlives the command, and
// that replicas are paused in such a cluster alone.
package consolecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/secure"
	"quartet/client/clientcmd/console"
	"quartet/client/internal/process"
	"quartet/client/judge/record"
	"quartet/client/webconsole"
)

type command struct {
	env    console.Env
	conn   console.Connection
	listen string
	runs   string
	secure string // directory of an identity; "": none
	write  bool
	demo   bool
}

// Command returns the command console.
func Command(env console.Env) *cobra.Command {
	c := command{env: env}
	cmd := &cobra.Command{
		Use:   "console [flags]",
		Short: "See the cluster live, in the browser",
		Long: `Serve one page on this machine that shows the cluster live: nodes and views, a key under
all four models at once, the story of a request with the rules that let it be answered,
keys, and recorded runs. It needs nothing from elsewhere.

It listens on this machine alone, for it has no password; whoever is there may do in it
what its own connection may. It reads; with --write it changes keys, too. No page of
another site can have it do anything.

With --secure DIR it serves HTTPS with the certificate of that directory (quartet secure
console makes it), beyond this machine too, and lets in browsers whose certificate is a
client's of the same authority (quartet secure browser has a browser take it). Each does
what its role says: read and operate see everything, write changes keys, if --write is given
as well. Nothing else changes anything here: what an operator may are commands of their own
(lead, remove, recover), which ask first. It connects as who its own certificate says,
unless told otherwise, and what that role may not it does for nobody. A certificate that is
renewed is taken without a restart, and a page ends with the certificate that opened it.

With --demo it starts a cluster of its own in memory, whose replicas can be paused and
killed from the page, and which ends with it.

"quartet master --console HOST:PORT" serves the same beside a master, "quartet node" beside
a node; with --secure it is secured by the node's own certificate.

Exit status: 0 stopped when asked to, 2 wrong usage, 1 anything else. A cluster that is
not there is waited for.`,
		Example: `  quartet console --demo
  quartet console --nats nats://127.0.0.1:4222
  quartet console --listen 127.0.0.1:9000 --write
  quartet console --secure certs/desk --listen 10.0.0.9:8222 --nats nats://10.0.0.1:4222 --write`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			return c.run(ctx)
		},
	}
	f := cmd.Flags()
	c.conn.Flags(f, env)
	config.NotEmpty(f, &c.listen, "listen", webconsole.DefaultListen, "`HOST:PORT` of the page; port -1 picks a free one")
	config.NotEmpty(f, &c.runs, "runs", record.Runs, "`DIR` of recorded runs")
	config.NotEmpty(f, &c.secure, "secure", "",
		"`DIR` with a certificate, as quartet secure console makes it: it serves HTTPS, to browsers with a client's "+
			"certificate of the same authority; default: off")
	f.BoolVar(&c.write, "write", false, "let it change keys (with --secure: for the role write)")
	f.BoolVar(&c.demo, "demo", false, "a cluster of its own, in memory, with --write and replicas that can be paused")
	return cmd
}

func (c *command) run(ctx context.Context) error {
	settings, err := c.conn.Resolve()
	if err != nil {
		return err
	}
	if c.demo && c.conn.Settings.Asked() {
		return exit.Usage(errors.New("--demo starts a cluster of its own: it goes with neither --nats nor --context"))
	}
	identity, err := c.identity()
	if err != nil {
		return exit.Usage(err)
	}

	options := webconsole.Options{
		Listen: c.listen, Write: c.write || c.demo, Runs: c.runs, Prefix: c.conn.Prefix, Inbox: settings.InboxPrefix(), Version: c.env.Version,
		Secure: identity, Log: c.log(),
	}
	demo := replicas{}
	if c.demo {
		options.Demo, options.Inbox = &demo, ""
	}
	s, err := webconsole.Listen(options)
	switch {
	case errors.Is(err, webconsole.ErrListen):
		return err
	case err != nil:
		return exit.Usage(err)
	}
	defer func() { _ = s.Close() }() // what it has open ends with the process

	if c.demo {
		own, stop, err := c.start(ctx, &demo)
		if err != nil {
			return err
		}
		defer stop()
		settings = own
	}
	to, err := c.connecting(settings, identity)
	if err != nil {
		return exit.Usage(err)
	}
	s.Attach(to, to)
	fmt.Fprintf(c.env.Stdout, "console %s\n", s.URL())
	<-ctx.Done()
	return nil
}

// log is where whoever runs the console reads which browsers it has refused, and why; without
// certificates it refuses nobody who runs it.
func (c *command) log() *slog.Logger {
	if c.secure == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(c.env.Stderr, nil))
}

// identity is who the console is, for browsers; nil: nobody asks.
func (c *command) identity() (*secure.Identity, error) {
	switch {
	case c.secure == "":
		return nil, nil
	case c.demo:
		return nil, errors.New("--demo is a lesson, whose replicas whoever opens it may kill: it stays on this machine, without --secure")
	}
	i, err := secure.Open(c.secure, c.log())
	if err != nil {
		return nil, fmt.Errorf("--secure: %w", err)
	}
	return i, nil
}

// connecting is how the console connects to the cluster: as the settings say, or, where they name
// no certificate, as who it is for browsers.
func (c *command) connecting(settings *dial.Settings, i *secure.Identity) (bus.DialOptions, error) {
	to := settings.Options("quartet console", nil)
	isItself := i != nil && i.Role() != secure.Node && settings.Certificate() == ""
	if !isItself {
		return to, nil
	}
	if role := i.Role(); c.write && role != secure.Write {
		return to, fmt.Errorf("--write: the console connects as %s, whose role is %s: give it one with the role write (quartet "+
			"secure console --role write), or another client's certificate for the connection (NATS_CERT, NATS_KEY, NATS_CA)", i.Name(), role)
	}

	connect := to.Connect
	to.Connect = func(options ...nats.Option) (*nats.Conn, error) {
		return connect(append(slices.Clone(options), func(o *nats.Options) error {
			o.TLSConfig = i.Client() // used if the server asks for TLS; read again when the files change
			return nil
		})...)
	}
	return to, nil
}

// start starts a cluster of our own.
func (c *command) start(ctx context.Context, demo *replicas) (*dial.Settings, func(), error) {
	program, err := c.env.Executable()
	if err != nil {
		return nil, nil, err
	}
	logs, err := os.MkdirTemp("", "quartet-console-")
	if err != nil {
		return nil, nil, fmt.Errorf("a folder for the cluster's logs: %w", err)
	}
	cluster, err := process.Start(ctx, program, filepath.Join(logs, record.LogFolder), c.conn.Prefix)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(logs))
	}
	fmt.Fprintf(c.env.Stderr, "a cluster is ready at %s; it ends with this command\n", cluster.URL)
	return dial.To(cluster.URL), func() {
		demo.wakeAll()
		if err := errors.Join(cluster.Stop(), os.RemoveAll(logs)); err != nil {
			fmt.Fprintln(c.env.Stderr, "quartet:", err)
		}
	}, nil
}

// replicas are the processes of our own cluster, some of which stand still.
type replicas struct {
	mu     sync.Mutex
	paused map[int]bool
}

// Pause stops a process where it stands.
func (r *replicas) Pause(pid int) error { return r.signal(pid, syscall.SIGSTOP, true) }

// Wake lets a process go on.
func (r *replicas) Wake(pid int) error { return r.signal(pid, syscall.SIGCONT, false) }

// Kill ends a process at once.
func (r *replicas) Kill(pid int) error { return r.signal(pid, syscall.SIGKILL, false) }

func (r *replicas) signal(pid int, s syscall.Signal, pauses bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if r.paused == nil {
		r.paused = map[int]bool{}
	}
	r.paused[pid] = pauses
	return nil
}

// wakeAll lets all processes go on, so that they can end when they are asked to.
func (r *replicas) wakeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid, paused := range r.paused {
		if paused {
			_ = syscall.Kill(pid, syscall.SIGCONT) // one that is gone needs nothing
		}
	}
}
