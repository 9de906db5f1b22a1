package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"quartet/client"
	loads "quartet/client/measure/load"
)

// What watches cost those who set, and how soon they tell: `task bench:watches`.

// watchSides are how many watches there are: none, one of everything, 100 of disjoint prefixes.
var watchSides = []int{0, 1, 100}

const (
	watchRound  = 2 * time.Second
	watchedKeys = 10_000 // k000000000000000 and on: the last four digits differ
	watchedRate = 10_000 // changes a second, for the time of delivery
)

// BenchmarkWatches is rounds of linearizable sets, 64 at once over one connection, beside no watch,
// one of everything and 100 of disjoint prefixes, in random order within a round. One operation is
// a round. Watchers run in the process of the load.
func BenchmarkWatches(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			c := newCluster(b, shape{memory: form.memory})
			c.await(b, startLimit, "all members", whole(3))
			o := watchedLoad(b, c)
			sender := loads.Quartet{Client: connect(b, c.url()), Consistency: client.Linearizable}
			if err := loads.Fill(b.Context(), o, sender); err != nil {
				b.Fatal(err)
			}

			results := make([][]loads.Result, len(watchSides))
			idle := make([][]float64, len(watchSides))
			b.ResetTimer()
			for i := range b.N {
				o.Seed = uint64(i)
				for _, side := range rand.Perm(len(watchSides)) {
					stop := watchBeside(b, c, watchSides[side])
					before := processorTimes(b)
					r, err := loads.Run(b.Context(), o, []loads.Sender{sender})
					idle[side] = append(idle[side], processorTimes(b).idleSince(before))
					stop()
					if err != nil || r.Failed() > 0 {
						b.Fatalf("%d failed: %v", r.Failed(), err)
					}
					results[side] = append(results[side], r)
				}
			}

			b.ReportMetric(loads.Rates(results[0]).Median, "sets/s")
			for side, n := range watchSides {
				cpu := 0.0
				for i := range o.Processes {
					used, _ := loads.CPUPerAnswer(results[side], i)
					cpu += used
				}
				b.ReportMetric(cpu, fmt.Sprintf("CPU-µs/set@%d", n))
				b.ReportMetric(loads.NewSpread(idle[side]).Median, fmt.Sprintf("idle@%d", n))
				if n > 0 {
					b.ReportMetric(loads.Ratios(results[side], results[0]).Median, fmt.Sprintf("of-alone@%d", n))
				}
			}
		})
	}
}

// watchedLoad is the load that watches are measured beside.
func watchedLoad(b *testing.B, c *cluster) loads.Options {
	b.Helper()
	s, err := c.status()
	if err != nil {
		b.Fatal(err)
	}
	o := loads.Options{
		Concurrency: 64, Warmup: 300 * time.Millisecond, Duration: watchRound, Keys: watchedKeys, KeySize: 16, ValueSize: valueBytes,
		Processes: []loads.Process{{Name: "load", PID: os.Getpid()}, {Name: "m1", PID: s.Master.PID}},
	}
	for _, r := range s.Replicas {
		o.Processes = append(o.Processes, loads.Process{Name: r.ID, PID: r.PID})
	}
	return o
}

// watchBeside begins watches that have caught up when it returns: one is of everything, more are of
// disjoint prefixes, on a connection of their own.
func watchBeside(b *testing.B, c *cluster, n int) (stop func()) {
	b.Helper()
	if n == 0 {
		return func() {}
	}
	kv := connect(b, c.url())
	ctx, cancel := context.WithCancel(b.Context())
	var group, caught sync.WaitGroup
	caught.Add(n)

	for i := range n {
		prefix := ""
		if n > 1 {
			prefix = fmt.Sprintf("k%013d", i) // and two digits
		}
		group.Go(func() {
			for e, err := range kv.Watch(ctx, prefix) {
				switch {
				case ctx.Err() != nil:
				case err != nil:
					b.Errorf("the watch of %q: %v", prefix, err)
				case e.Kind == client.EventCaughtUp:
					caught.Done()
				}
			}
		})
	}
	caught.Wait()

	return func() {
		cancel()
		group.Wait()
		_ = kv.Close() // nothing is outstanding
	}
}

// processorTime is what the machine's processors have done so far, in seconds.
type processorTime struct{ idle, all float64 }

func processorTimes(b *testing.B) processorTime {
	b.Helper()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		b.Fatal(err)
	}
	s, err := fs.Stat()
	if err != nil {
		b.Fatal(err)
	}
	t := s.CPUTotal
	idle := t.Idle + t.Iowait
	return processorTime{idle: idle, all: idle + t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal}
}

// idleSince is the share of the time since in which processors had nothing to do.
func (t processorTime) idleSince(before processorTime) float64 {
	return (t.idle - before.idle) / max(t.all-before.all, 0.001)
}

// moments are when sets were answered and told, by revision.
type moments struct {
	mu             sync.Mutex
	answered, told map[uint64]time.Time
}

func (m *moments) note(in map[uint64]time.Time, revision uint64) {
	at := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	in[revision] = at
}

// delays are by how much each change was told later than its set was answered; below 0: before.
func (m *moments) delays() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []time.Duration
	for revision, answered := range m.answered { // any order
		if told, ok := m.told[revision]; ok {
			all = append(all, told.Sub(answered))
		}
	}
	slices.Sort(all)
	return all
}

// BenchmarkDelivery is how much later than its set is answered a change is told, at 10,000 changes
// a second. One operation is a round of 2 s.
func BenchmarkDelivery(b *testing.B) {
	c := newCluster(b, shape{memory: true})
	c.await(b, startLimit, "all members", whole(3))
	o := watchedLoad(b, c)
	o.Rate, o.Spacing, o.Concurrency = watchedRate, loads.Fixed, 4096
	watching, setting := connect(b, c.url()), connect(b, c.url())
	m := &moments{answered: map[uint64]time.Time{}, told: map[uint64]time.Time{}}

	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	caught := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for e, err := range watching.Watch(ctx, "") {
			switch {
			case err != nil && !errors.Is(err, context.Canceled):
				b.Error(err)
			case e.Kind == client.EventCaughtUp:
				close(caught)
			case e.Kind == client.EventSet:
				m.note(m.told, e.Revision)
			}
		}
	})
	<-caught

	sender := loads.Quartet{Client: setting, Consistency: client.Linearizable, Observe: func(seen loads.Observation) {
		if seen.Err == nil {
			m.note(m.answered, seen.Result.Revision)
		}
	}}
	idle, beyond := []float64{}, uint64(0)
	b.ResetTimer()
	for i := range b.N {
		o.Seed = uint64(i)
		before := processorTimes(b)
		r, err := loads.Run(b.Context(), o, []loads.Sender{sender})
		if err != nil || r.Failed() > 0 {
			b.Fatalf("%d failed: %v", r.Failed(), err)
		}
		idle = append(idle, processorTimes(b).idleSince(before))
		beyond += r.Beyond
	}
	b.StopTimer()
	cancel()
	group.Wait()

	all := m.delays()
	if len(all) == 0 {
		b.Fatal("nothing was told")
	}
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(all[len(all)*q/100].Microseconds()), fmt.Sprintf("µs-later/p%d", q))
	}
	b.ReportMetric(loads.NewSpread(idle).Median, "idle")
	b.ReportMetric(float64(beyond), "not-sent")
}
