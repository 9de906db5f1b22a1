package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client"
)

// These are measurements: they run with -bench and hold nobody to a figure. One operation
// is one fault. `task measure:views` runs them.

const (
	setters    = 16   // that set linearizably at once, each again as soon as it is answered
	window     = 512  // sets under way while a store is filled
	valueBytes = 100  //
	fewKeys    = 10   //
	someKeys   = 1e5  //
	manyKeys   = 1e6  //
	steadySets = 2000 // answered before a fault and after it
	fillLimit  = 15 * time.Minute
)

// forms are the two ways in which a cluster keeps data.
var forms = []struct {
	name   string
	memory bool
}{{"memory", true}, {"dir", false}}

// meter is linearizable sets under load, and when they were answered.
type meter struct {
	mu      sync.Mutex
	ends    []int64
	cancel  context.CancelFunc
	workers sync.WaitGroup
}

func startMeter(b *testing.B, url string) *meter {
	b.Helper()
	c := connect(b, url, client.WithRetries(retries), client.WithTimeout(patience))
	ctx, cancel := context.WithCancel(context.Background())
	m := &meter{cancel: cancel}
	b.Cleanup(m.stop)
	value := make([]byte, valueBytes)
	for i := range setters {
		m.workers.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Set(ctx, fmt.Sprint("meter", i), value); err == nil {
					m.mu.Lock()
					m.ends = append(m.ends, now())
					m.mu.Unlock()
				}
			}
		})
	}
	m.more(b, steadySets)
	return m
}

// more waits for n more answers.
func (m *meter) more(b *testing.B, n int) {
	b.Helper()
	want := m.count() + n
	testkit.Eventually(b, healLimit, fmt.Sprintf("%d more sets are answered", n), func() error {
		if got := m.count(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

func (m *meter) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ends)
}

// longest is the longest time without an answer between two moments.
func (m *meter) longest(from, to int64) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var gap int64
	before := from
	for _, at := range m.ends {
		if at >= from && at <= to {
			gap, before = max(gap, at-before), at
		}
	}
	return time.Duration(max(gap, to-before))
}

func (m *meter) stop() {
	m.cancel()
	m.workers.Wait()
}

func report(b *testing.B, name string, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-ms/median")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, name+"-ms/most")
}

// How long linearizable sets pause when a replica is killed: one whose process end the
// master sees, and one that was started by hand and is merely silent.
func BenchmarkPauseAtKill(b *testing.B) {
	for _, form := range forms {
		b.Run("end-known/"+form.name, func(b *testing.B) {
			c := newCluster(b, shape{memory: form.memory})
			c.await(b, startLimit, "all members", whole(3))
			pauseAtKill(b, c, func() int {
				s, err := c.status()
				if err != nil {
					b.Fatal(err)
				}
				return find(s, "r2").PID
			}, nil)
		})
		b.Run("suspicion-1s/"+form.name, func(b *testing.B) {
			c := newCluster(b, shape{memory: form.memory, replicas: 2})
			again := func() { c.byHand(b, "r3", c.url()) }
			again()
			c.await(b, startLimit, "all members", whole(3))
			pauseAtKill(b, c, func() int { return c.hands["r3"].PID() }, again)
		})
	}
}

func pauseAtKill(b *testing.B, c *cluster, pid func() int, again func()) {
	m := startMeter(b, c.url())
	var steady, paused, back []time.Duration
	for range b.N {
		began := now()
		m.more(b, steadySets)
		old, hit := pid(), now()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		steady = append(steady, m.longest(began, hit))
		c.await(b, healLimit, "the view without it", func(s bus.Status) error { return leftOrNew(s, old) })
		m.more(b, steadySets/4)
		paused = append(paused, m.longest(hit, now()))
		if again != nil {
			again()
		}
		c.await(b, healLimit, "all members again", func(s bus.Status) error { return wholeWithout(s, 3, old) })
		back = append(back, time.Duration(now()-hit))
	}
	report(b, "before", steady)
	report(b, "pause", paused)
	report(b, "member-again", back)
}

// leftOrNew: the process is no member of the view any more.
func leftOrNew(s bus.Status, pid int) error {
	for _, r := range s.Replicas {
		if r.PID == pid && r.Member {
			return fmt.Errorf("%s is a member yet", r.ID)
		}
	}
	if !s.Ready {
		return errors.New(s.Reason)
	}
	return nil
}

func wholeWithout(s bus.Status, n, pid int) error {
	for _, r := range s.Replicas {
		if r.PID == pid {
			return fmt.Errorf("%s is the old process yet", r.ID)
		}
	}
	return whole(n)(s)
}

// fill writes keys through the eventual model and waits until every replica holds them.
func fill(b *testing.B, c *cluster, keys int) {
	b.Helper()
	kv := connect(b, c.url(), client.WithTimeout(patience*10))
	room := make(chan struct{}, window)
	var failed atomic.Pointer[error]

	value := make([]byte, valueBytes)
	for i := range value {
		value[i] = byte('a' + rand.IntN(26))
	}

	for i := range keys {
		room <- struct{}{}
		req := client.NewSet(client.Eventual, fmt.Sprintf("key%07d", i), value)
		err := kv.Start(req, func(_ client.Result, err error) {
			if err != nil {
				failed.Store(&err)
			}
			<-room
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := failed.Load(); err != nil {
			b.Fatalf("a set while the store was filled: %v", *err)
		}
	}

	// With the whole window in hand every set has been answered.
	for range window {
		room <- struct{}{}
	}

	c.await(b, fillLimit, "all replicas at one place", func(s bus.Status) error {
		if err := atRest(len(s.Replicas))(s); err != nil {
			return err
		}
		if got := s.Replicas[0].Keys; got < uint64(keys) {
			return fmt.Errorf("%d keys of %d", got, keys)
		}
		return nil
	})
}

// How long until a replica that was killed is a member again, with 100,000 keys, under
// load.
func BenchmarkMemberAgain(b *testing.B) {
	for _, form := range forms {
		b.Run(fmt.Sprintf("keys=%d/%s", int(someKeys), form.name), func(b *testing.B) {
			c := newCluster(b, shape{memory: form.memory})
			fill(b, c, someKeys)
			pauseAtKill(b, c, func() int {
				s, err := c.status()
				if err != nil {
					b.Fatal(err)
				}
				return find(s, "r2").PID
			}, nil)
		})
	}
}

// How long linearizable sets pause while a fourth replica joins, which must not depend on
// the size of the store; how long that takes; and how much memory a replica needs.
func BenchmarkJoin(b *testing.B) {
	for _, form := range forms {
		for _, keys := range []int{fewKeys, manyKeys} {
			b.Run(fmt.Sprintf("keys=%d/%s", keys, form.name), func(b *testing.B) {
				c := newCluster(b, shape{memory: form.memory})
				fill(b, c, keys)
				s := c.await(b, startLimit, "all members", whole(3))
				var rss []float64
				for _, r := range s.Replicas {
					rss = append(rss, memory(b, r.PID, "VmRSS"))
				}
				b.ReportMetric(slices.Max(rss), "filled-MiB/replica")
				join(b, c)
				s = c.await(b, startLimit, "all members", whole(3))
				peak := 0.0
				for _, r := range s.Replicas {
					peak = max(peak, memory(b, r.PID, "VmHWM"))
				}
				b.ReportMetric(peak, "peak-MiB/replica")
				b.ReportMetric(size(b, c), "disk-MiB/replica")
			})
		}
	}
}

func join(b *testing.B, c *cluster) {
	m := startMeter(b, c.url())
	var steady, freeze, took []time.Duration
	for range b.N {
		began := now()
		m.more(b, steadySets)
		hit := now()
		steady = append(steady, m.longest(began, hit))
		p := c.byHand(b, "r4", c.url())
		c.await(b, fillLimit, "r4 is a member", whole(4))
		took = append(took, time.Duration(now()-hit))
		m.more(b, steadySets/4)
		freeze = append(freeze, m.longest(hit, now()))
		if o := c.quartet(b, "remove", "r4"); o.status != 0 {
			b.Fatalf("quartet remove r4: status %d\n%s%s", o.status, o.stdout, o.stderr)
		}
		p.Kill()
		if err := os.RemoveAll(filepath.Join(c.dir, "r4")); err != nil {
			b.Fatal(err)
		}
		c.await(b, healLimit, "all members", whole(3))
	}
	m.stop()
	report(b, "before", steady)
	report(b, "freeze", freeze)
	report(b, "joined", took)
}

// memory is a figure of a process, in MiB.
func memory(b *testing.B, pid int, name string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatalf("no %s of process %d", name, pid)
	return 0
}

// size is what one replica keeps on disk, in MiB.
func size(b *testing.B, c *cluster) float64 {
	b.Helper()
	if c.memory {
		return 0
	}
	sum := int64(0)
	err := filepath.WalkDir(filepath.Join(c.data, "replicas", "r1"), func(_ string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // a file that the engine has dropped meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(sum) / (1 << 20)
}
