package peers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"quartet/client/measure/load"
)

// idleTime is how long the systems are watched without load, at most.
const idleTime = time.Second

// ErrFailures is wrapped by Run's error when requests failed or came back unknown: the figures are
// then no measure.
var ErrFailures = errors.New("peers: requests failed or came back unknown; the figures are no measure")

// Run starts the systems that the loads need, measures, and stops all of them again. The report
// holds what was measured, on an error too; it is nil only if no load could begin. When ctx ends,
// Run returns early with the rounds that were complete.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	r := &runner{o: o, running: make(map[string]*store), report: newReport(&o, time.Now())}
	if r.at.programs, r.report.Missing, err = find(&o); err != nil {
		return nil, err
	}

	if r.disk, err = os.MkdirTemp(o.DiskDir, "quartet-peers-"); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	defer func() { err = errors.Join(err, r.close()) }()

	if tmpfs, looked := isTmpfs(r.disk); looked == nil && tmpfs {
		return nil, fmt.Errorf("%w: %s is a tmpfs, where a file is memory; name a folder on a disk with --disk-dir",
			ErrOptions, filepath.Dir(r.disk))
	}
	if !r.gone(etcdMemory) && slices.Contains(o.Peers, etcdMemory) {
		if r.memory, err = os.MkdirTemp(o.MemoryDir, "quartet-peers-"); err != nil {
			return nil, fmt.Errorf("peers: %w", err)
		}
	}

	for _, w := range workloads() {
		if !slices.Contains(o.Loads, w.name) {
			continue
		}
		if err := r.load(ctx, &w); err != nil {
			if len(r.report.measured) == 0 {
				return nil, err
			}
			r.report.finish()
			return r.report, err
		}
	}
	r.report.finish()
	if r.report.failures() {
		return r.report, ErrFailures
	}
	return r.report, nil
}

type runner struct {
	o            Options
	at           site // without its folders
	disk, memory string
	started      int
	running      map[string]*store
	report       *Report
}

func (r *runner) close() error {
	errs := []error{r.stop(nil)}
	for _, dir := range []string{r.disk, r.memory} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

func (r *runner) say(format string, args ...any) { fmt.Fprintf(r.o.Talk, format+"\n", args...) }

// gone reports whether a peer stands as missing.
func (r *runner) gone(system string) bool {
	return slices.ContainsFunc(r.report.Missing, func(m Missing) bool { return m.Peer == system })
}

// stop stops all systems that are not kept, at once: some take seconds.
func (r *runner) stop(kept []string) error {
	var children []*child
	for name, s := range r.running {
		if !slices.Contains(kept, name) {
			s.letGo()
			children = append(children, s.children...)
			delete(r.running, name)
		}
	}
	return stopAll(children)
}

// load measures one load with only those systems running that it needs.
func (r *runner) load(ctx context.Context, w *workload) error {
	var needed []string
	for _, e := range r.o.lineup(w, r.gone) {
		if !slices.Contains(needed, e.system) {
			needed = append(needed, e.system)
		}
	}

	if err := r.stop(needed); err != nil {
		return err
	}

	for _, system := range needed {
		if err := r.start(ctx, system); err != nil {
			return err
		}
	}

	m := &measurement{workload: *w, entries: r.o.lineup(w, r.gone)} // without those that did not start
	if len(m.entries) == 0 {
		return nil
	}
	m.results = make([][]load.Result, len(m.entries))
	m.processes = make([][]load.Process, len(m.entries))
	r.report.measured = append(r.report.measured, m)

	if err := r.idle(ctx, m); err != nil {
		return err
	}

	for round := range r.o.Rounds {
		r.say("%s, round %d of %d: %d sides, %s", w.name, round+1, r.o.Rounds, len(m.entries),
			time.Duration(len(m.entries))*(r.o.Round+r.o.Warmup))
		if err := r.round(ctx, m, round); err != nil {
			return err
		}
	}

	for _, s := range r.running {
		for _, c := range s.children {
			if c.gone() {
				return fmt.Errorf("peers: %s of %s ended by itself\n%s", c.name, s.name, c.tail())
			}
		}
	}
	return nil
}

// start starts a system, if it does not run, and sets its keys. A peer that does not
// start is missing from then on; quartet must start.
func (r *runner) start(ctx context.Context, system string) error {
	if r.running[system] != nil {
		return nil
	}
	r.say("starting %s", system)
	r.started++
	at := r.at
	folder := fmt.Sprintf("%s-%d", system, r.started)
	at.o, at.disk, at.memory = &r.o, filepath.Join(r.disk, folder), filepath.Join(r.memory, folder)

	s, err := launch(ctx, system, at)
	if err == nil {
		if err = r.fill(ctx, s); err == nil {
			r.running[system] = s
			r.report.started(s)
			return nil
		}
		err = errors.Join(err, s.stop())
	}

	if ctx.Err() != nil || !slices.Contains(Peers(), system) {
		return err
	}

	r.say("%v", err)
	reason, _, _ := strings.Cut(err.Error(), "\n")
	r.report.Missing = append(r.report.Missing, Missing{Peer: system, Installed: true, Reason: "did not start: " + reason})
	return nil
}

func (r *runner) fill(ctx context.Context, s *store) error {
	all := sides()
	first := slices.IndexFunc(all, func(side side) bool { return side.system == s.name })
	lines, err := s.open(ctx, &all[first], 1)
	defer lines.close()
	if err != nil {
		return err
	}
	return load.Fill(ctx, r.o.load(1), lines.senders[0])
}

// idle measures what the systems use without load: they take it from the system that is measured.
func (r *runner) idle(ctx context.Context, m *measurement) error {
	o := r.o.load(1)
	o.Warmup, o.Duration = 0, min(idleTime, r.o.Round)
	var names []string
	for name, s := range r.running {
		for _, p := range s.processes {
			names, o.Processes = append(names, name), append(o.Processes, p)
		}
	}

	nothing := calls(func(load.Op) load.Outcome {
		rest, cancel := context.WithTimeout(ctx, o.Duration)
		defer cancel()
		<-rest.Done()
		return load.OK
	})

	result, err := load.Run(ctx, o, []load.Sender{nothing})
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}

	m.idle = make(map[string]float64)
	for i, used := range result.CPU {
		m.idle[names[i]] += 100 * max(0, used.Seconds()) / o.Duration.Seconds()
	}
	return nil
}

// round measures every side once, in random order. A round that is not complete is forgotten.
func (r *runner) round(ctx context.Context, m *measurement, round int) error {
	results := make([]load.Result, len(m.entries))
	rng := rand.New(rand.NewPCG(r.o.Seed, uint64(round)))
	for _, i := range rng.Perm(len(m.entries)) {
		var err error
		if results[i], err = r.measure(ctx, m, i, round); err != nil {
			return fmt.Errorf("%s: %w", m.entries[i], err)
		}
	}

	for i := range results {
		m.results[i] = append(m.results[i], results[i])
	}
	return nil
}

func (r *runner) measure(ctx context.Context, m *measurement, i, round int) (load.Result, error) {
	e := m.entries[i]
	s, n := r.running[e.system], 1
	if m.separate {
		n = e.concurrency
	}
	lines, err := s.open(ctx, e.side, n)
	defer lines.close()
	if err != nil {
		return load.Result{}, err
	}

	o := r.o.load(e.concurrency)
	o.Seed += uint64(round)
	if m.get {
		o.Gets = 100
	}

	o.Processes = append(slices.Clone(s.processes), load.Process{Name: "load", PID: os.Getpid()})
	m.processes[i] = o.Processes
	return load.Run(ctx, o, lines.senders)
}
