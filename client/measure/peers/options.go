package peers

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"quartet/client/measure/load"
)

// ErrOptions is wrapped by errors about impossible [Options].
var ErrOptions = errors.New("peers: impossible options")

// Options say what is compared. Start from [Defaults].
type Options struct {
	Peers  []string // of [Peers]
	Modes  []string // of [Modes]: quartet's own
	Loads  []string // of [Loads]
	Rounds int      // 1 to 1,000
	Round  time.Duration
	Warmup time.Duration // before each measurement of Round
	Keys   int
	Key    int // bytes
	Value  int // bytes
	Seed   uint64

	// Timeout bounds each request.
	Timeout time.Duration

	// MemoryDir is where etcd-memory keeps its files: a tmpfs. DiskDir is where all other files
	// are kept: not a tmpfs.
	MemoryDir, DiskDir string
	Programs           Programs
	Talk               io.Writer // progress for people, a line each
}

// Programs are the executables, each a path or a name to be found in PATH.
type Programs struct{ Quartet, NATSServer, Etcd, Redis string }

// Defaults are what the project's figures are measured with.
func Defaults() Options {
	return Options{
		Peers: Peers(), Modes: Modes(), Loads: Loads(),
		Rounds: 5, Round: 2 * time.Second, Warmup: 500 * time.Millisecond,
		Keys: 1000, Key: 16, Value: 100, Seed: 1, Timeout: 6 * time.Second,
		MemoryDir: "/dev/shm",
		Programs:  Programs{Quartet: "quartet", NATSServer: "nats-server", Etcd: "etcd", Redis: "redis-server"},
		Talk:      io.Discard,
	}
}

// Check refuses impossible options.
func (o *Options) Check() error {
	for _, list := range []struct {
		what         string
		names, known []string
	}{{"peer", o.Peers, Peers()}, {"mode", o.Modes, Modes()}, {"load", o.Loads, Loads()}} {
		for i, name := range list.names {
			if !slices.Contains(list.known, name) {
				return fmt.Errorf("%w: unknown %s %q (want some of %s)",
					ErrOptions, list.what, name, strings.Join(list.known, ", "))
			}
			if slices.Contains(list.names[:i], name) {
				return fmt.Errorf("%w: %s %q is named twice", ErrOptions, list.what, name)
			}
		}
	}

	switch {
	case len(o.Modes) == 0 || len(o.Loads) == 0:
		return fmt.Errorf("%w: at least one mode and one load", ErrOptions)
	case o.Rounds < 1 || o.Rounds > 1000:
		return fmt.Errorf("%w: %d rounds (want 1 to 1000)", ErrOptions, o.Rounds)
	case o.Timeout <= 0:
		return fmt.Errorf("%w: a timeout that is not positive", ErrOptions)
	case o.Talk == nil:
		return fmt.Errorf("%w: nowhere to talk to", ErrOptions)
	}

	options := o.load(1)
	if err := options.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

func (o *Options) load(concurrency int) load.Options {
	return load.Options{
		Concurrency: concurrency, Warmup: o.Warmup, Duration: o.Round,
		Keys: o.Keys, KeySize: o.Key, ValueSize: o.Value, Seed: o.Seed,
	}
}

// lineup returns the load's sides among the systems that were asked for and are not gone.
func (o *Options) lineup(l *workload, gone func(system string) bool) []entry {
	var entries []entry
	for _, e := range l.entries() {
		mode, ours := strings.CutPrefix(e.system, ours)
		asked := slices.Contains(o.Peers, e.system)
		if ours {
			asked = slices.Contains(o.Modes, mode)
		}
		if asked && !gone(e.system) {
			entries = append(entries, e)
		}
	}
	return entries
}
