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
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"quartet/bus/dial"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
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

It listens on this machine alone, for it has no password. It reads; with --write it
changes keys, too. No page of another site can have it do anything.

With --demo it starts a cluster of its own in memory, whose replicas can be paused and
killed from the page, and which ends with it.

"quartet master --console HOST:PORT" serves the same beside a master.

Exit status: 0 stopped when asked to, 2 wrong usage, 1 anything else. A cluster that is
not there is waited for.`,
		Example: `  quartet console --demo
  quartet console --nats nats://127.0.0.1:4222
  quartet console --listen 127.0.0.1:9000 --write`,
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
	f.BoolVar(&c.write, "write", false, "let it change keys")
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

	options := webconsole.Options{
		Listen: c.listen, Write: c.write || c.demo, Runs: c.runs, Prefix: c.conn.Prefix, Inbox: settings.InboxPrefix(), Version: c.env.Version,
		Log: slog.New(slog.DiscardHandler),
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
	s.Attach(settings.Options("quartet console", nil))
	fmt.Fprintf(c.env.Stdout, "console %s\n", s.URL())
	<-ctx.Done()
	return nil
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
