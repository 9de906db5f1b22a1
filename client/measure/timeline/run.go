package timeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"quartet/bus"
	"quartet/client"
	"quartet/client/internal/process"
)

// ErrLoad says that the load ended badly, or did not begin.
var ErrLoad = errors.New("timeline: the load failed")

const (
	warmup     = time.Second // of the load, before anything is recorded
	loadLasts  = warmup + 4*time.Second
	readyLimit = 30 * time.Second
	lookEvery  = 50 * time.Millisecond
)

// Options say what is recorded.
type Options struct {
	Program     string // quartet
	Consistency string // as quartet bench has it
	Request     string // set or get
	Driver      string // goroutine or callback
	Concurrency int    // requests outstanding at once
	Lasts       time.Duration
}

// Report is what was recorded.
type Report struct {
	Options Options
	Rate    float64 // operations a second, of the load as a whole
	Trace   *Trace
	Figures Figures
}

// Measure starts a cluster of three replicas in memory and a load, each in processes of its
// own, has the kernel record who runs when for a while in the middle of the load, and stops
// both. The error wraps [ErrUnavailable], [ErrLoad], an error of [Read], or ctx's.
func Measure(ctx context.Context, o Options) (r *Report, err error) {
	dir, err := os.MkdirTemp("", "quartet-timeline-")
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	cluster, err := process.Start(ctx, o.Program, filepath.Join(dir, "log"), bus.DefaultPrefix)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	names, pids, err := members(ctx, cluster.URL)
	if err != nil {
		return nil, err
	}

	load := exec.CommandContext(ctx, o.Program, "bench", "--nats", cluster.URL, "--consistency", o.Consistency, "--request", o.Request,
		"--driver", o.Driver, "--concurrency", strconv.Itoa(o.Concurrency), "--duration", loadLasts.String(), "-o", "json")
	var said, talk bytes.Buffer
	load.Stdout, load.Stderr = &said, &talk
	load.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "QUARTET_") })
	if err := load.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoad, err)
	}
	names, pids = append(names, "load"), append(pids, load.Process.Pid)

	recorded, threads, err := record(ctx, o, names, pids)
	if ended := load.Wait(); ended != nil {
		return nil, errors.Join(err, fmt.Errorf("%w: %w\n%s", ErrLoad, ended, bytes.TrimSpace(talk.Bytes())))
	}
	if err != nil {
		return nil, err
	}

	r = &Report{Options: o}
	if r.Rate, err = rate(said.Bytes()); err != nil {
		return nil, err
	}
	if r.Trace, err = Read(bytes.NewReader(recorded), names, threads); err != nil {
		return nil, err
	}
	r.Figures = r.Trace.Figures()
	return r, nil
}

// record records in the middle of the load. Threads that were there before or after it are known.
func record(ctx context.Context, o Options, names []string, pids []int) (trace []byte, threads []Thread, err error) {
	warm := time.NewTimer(warmup + loadLasts/4)
	defer warm.Stop()
	select {
	case <-warm.C:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}

	look := func() {
		for i, name := range names {
			threads = append(threads, Threads(name, pids[i])...)
		}
	}
	look()
	trace, err = Record(ctx, o.Lasts)
	look()
	return trace, threads, err
}

// members waits until three replicas are members, and returns the processes of master and replicas.
func members(ctx context.Context, url string) (names []string, pids []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	c, err := client.Connect(ctx, url)
	if err != nil {
		return nil, nil, fmt.Errorf("timeline: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()

	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		status, err := c.Status(ctx)
		if err == nil && status.Ready {
			names, pids = []string{"master"}, []int{status.Master.PID}
			for _, r := range status.Replicas {
				if r.Member {
					names, pids = append(names, r.ID), append(pids, r.PID)
				}
			}
			if len(names) == len(status.Replicas)+1 {
				return names, pids, nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("timeline: the replicas are no members yet: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// rate reads the operations a second of what quartet bench prints as JSON.
func rate(said []byte) (float64, error) {
	var loads []struct {
		Quartet struct {
			OpsPerSecond struct {
				Median float64 `json:"median"`
			} `json:"ops_per_second"`
		} `json:"quartet"`
	}
	if err := json.Unmarshal(said, &loads); err != nil {
		return 0, fmt.Errorf("%w: it printed no figures: %w", ErrLoad, err)
	}
	if len(loads) != 1 {
		return 0, fmt.Errorf("%w: it printed the figures of %d loads", ErrLoad, len(loads))
	}
	return loads[0].Quartet.OpsPerSecond.Median, nil
}
