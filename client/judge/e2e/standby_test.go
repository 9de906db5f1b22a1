package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/client"
)

// stander launches a master that stands by, in a folder of its own.
func stander(t testing.TB, url, name string, args ...string) *master {
	t.Helper()
	p := newFolder(t)
	args = append([]string{"--nats", url, "--standby", "--name", name, "--dir", filepath.Join(p.tmp, "data"), "--suspect", "2s",
		"--orphan-timeout", "1m"}, args...)
	return launch(t, p, args...)
}

func (m *master) awaitStandingBy(t testing.TB) {
	t.Helper()
	m.AwaitStdout(t, startLimit, "that it stands by", func(said string) bool { return strings.Contains(said, "stands by nats://") })
}

// awaitLeader waits until the cluster is ready, and the master of that name leads it.
func awaitLeader(t testing.TB, nc *nats.Conn, name string) bus.Status {
	t.Helper()
	var s bus.Status
	testkit.Eventually(t, restLimit, name+" leads", func() (err error) {
		if s, err = soon(nc); err != nil {
			return err
		}
		if s.Master.Name != name || !s.Ready {
			return fmt.Errorf("%s leads, ready %t: %s", s.Master.Name, s.Ready, s.Reason)
		}
		return nil
	})
	return s
}

// soon is status where the question may go to a master that is paused: it is asked again then.
func soon(nc *nats.Conn) (s bus.Status, err error) {
	m, err := nc.Request("quartet.status", nil, time.Second)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(m.Data, &s)
}

// roles are the masters of a status, as "name role".
func roles(s bus.Status) (list []string) {
	for _, m := range s.Masters {
		list = append(list, m.Name+" "+m.Role)
	}
	return list
}

// awaitRoles waits until the masters have these roles, in the order of their names.
func awaitRoles(t testing.TB, nc *nats.Conn, want ...string) {
	t.Helper()
	testkit.Eventually(t, restLimit, strings.Join(want, ", "), func() error {
		s, err := soon(nc)
		if err == nil && !slices.Equal(roles(s), want) {
			err = fmt.Errorf("%q", roles(s))
		}
		return err
	})
}

// adder adds 1 to a counter again and again, in several goroutines, each with the retries of the
// client, until stop. Each sum that is acknowledged counts once.
type adder struct {
	acked, failed atomic.Int64
	slowest       atomic.Int64 // ns that an add took, retries included
	errs          sync.Map
	all           sync.WaitGroup
	stop          context.CancelFunc
	c             *client.Client
}

// startAdder adds 1 to one key, four times at once and again and again, until it is stopped.
func startAdder(t testing.TB, url string, options ...client.Option) *adder {
	t.Helper()
	c, err := client.Connect(t.Context(), url, append(options, client.WithRetries(50))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })

	ctx, cancel := context.WithCancel(context.Background())
	a := &adder{stop: cancel, c: c}

	for range 4 {
		a.all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				if _, _, err := c.Add(context.Background(), "sum", 1); err != nil {
					a.failed.Add(1)
					a.errs.Store(err.Error(), true)
				} else {
					a.acked.Add(1)
				}
				a.slowest.Store(max(a.slowest.Load(), int64(time.Since(began))))
			}
		})
	}
	return a
}

// awaitMore waits until so many more adds were acknowledged.
func (a *adder) awaitMore(t testing.TB, n int64) {
	t.Helper()
	before := a.acked.Load()
	testkit.Eventually(t, restLimit, "more is acknowledged", func() error {
		if now := a.acked.Load(); now < before+n {
			return fmt.Errorf("%d of %d", now-before, n)
		}
		return nil
	})
}

// end stops, and wants every add acknowledged and counted once.
func (a *adder) end(t testing.TB) {
	t.Helper()
	a.stop()
	a.all.Wait()
	a.errs.Range(func(why, _ any) bool {
		t.Errorf("an add failed: %v", why)
		return true
	})
	got, err := a.c.Get(t.Context(), "sum")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(a.acked.Load()); string(got.Value) != want {
		t.Errorf("the sum is %s, and %s adds were acknowledged", got.Value, want)
	}
	t.Logf("%d adds, the slowest took %s", a.acked.Load(), time.Duration(a.slowest.Load()))
}

// Three masters on one bus: the one that leads is killed, the next one stopped, and leading is
// handed over; meanwhile each sum that is acknowledged counts once, and none fails.
func TestMastersStandBy(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	url := s.ClientURL()
	m1 := stander(t, url, "m1")
	m1.awaitReady(t)
	nc := connect(t, url)
	killLeftovers(t, pids(mustStatus(t, nc)))
	m2, m3 := stander(t, url, "m2"), stander(t, url, "m3")
	m2.awaitStandingBy(t)
	m3.awaitStandingBy(t)
	awaitRoles(t, nc, "m1 leads", "m2 stands by", "m3 stands by")
	running := pids(mustStatus(t, nc))

	load := startAdder(t, url)
	load.awaitMore(t, 50)
	load.slowest.Store(0)

	if end := quartet(t, "lead", "--nats", url, "m3"); end.status != 0 || end.stdout != "m3 leads\n" {
		t.Fatalf("lead: %+v", end)
	}
	load.awaitMore(t, 50)
	awaitRoles(t, nc, "m1 stands by", "m2 stands by", "m3 leads")
	if now := pids(mustStatus(t, nc)); !slices.Equal(now, running) {
		t.Errorf("replicas %v were %v", now, running)
	}

	if code := m3.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("the master that was told to stop ended with status %d\n%s", code, &m3.Stderr)
	}
	awaitLeader(t, nc, "m1")
	load.awaitMore(t, 50)
	handed := time.Duration(load.slowest.Load())
	if t.Logf("while leading is handed over the slowest add took %s", handed); handed >= client.DefaultTimeout {
		t.Error("a request was lost: it had to be sent again after the time in which each is answered")
	}

	m1.Kill()
	m1.Wait(t, restLimit)
	awaitLeader(t, nc, "m2")
	load.awaitMore(t, 50)
	load.end(t)

	// The replicas are those of a master that was killed: they run on with the one that leads.
	if now := pids(mustStatus(t, nc)); !slices.Equal(now, running) {
		t.Errorf("replicas %v were %v", now, running)
	}
}

// A master that is paused is deposed, and stands by again when it goes on: it serves nothing
// meanwhile, and its replicas are started again though it does not lead.
func TestADeposedMasterStandsByAgain(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	url := s.ClientURL()
	m1 := stander(t, url, "m1")
	m1.awaitReady(t)
	nc := connect(t, url)
	killLeftovers(t, pids(mustStatus(t, nc)))
	m2 := stander(t, url, "m2")
	m2.awaitStandingBy(t)
	load := startAdder(t, url)
	load.awaitMore(t, 20)

	m1.Signal(t, syscall.SIGSTOP)
	awaitLeader(t, nc, "m2")
	m1.Signal(t, syscall.SIGCONT)
	awaitRoles(t, nc, "m1 stands by", "m2 leads")
	load.awaitMore(t, 20)

	before := mustStatus(t, nc)
	victim := before.Replicas[0]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "the replica is started again by the master that stands by", func() error {
		r := replicaOf(mustStatus(t, nc), victim.ID)
		if r == nil || !r.Member || r.PID == victim.PID {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	killLeftovers(t, pids(mustStatus(t, nc)))
	load.awaitMore(t, 20)
	load.end(t)

	for _, m := range []*master{m1, m2} {
		if m.Gone() {
			t.Errorf("a master has ended: %s", &m.Stderr)
		}
	}
	awaitRoles(t, nc, "m1 stands by", "m2 leads")
}

// What cannot be is refused with what to do.
func TestLeadIsRefused(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	url := s.ClientURL()
	m1 := stander(t, url, "m1", "--in-process")
	m1.awaitReady(t)

	end := quartet(t, "lead", "--nats", url, "m9")
	if end.status != exit.StatusRefused || !strings.Contains(end.stderr, `no master called "m9" stands by; m1 leads`) {
		t.Errorf("a master that is not there: %+v", end)
	}
	if end := quartet(t, "lead", "--nats", url, "m1"); end.status != 0 || end.stdout != "m1 leads\n" {
		t.Errorf("the one that leads: %+v", end)
	}
	if end := quartet(t, "lead", "--nats", url, "no name"); end.status != exit.StatusRefused {
		t.Errorf("what no master can be called: %+v", end)
	}

	alone := start(t, "--in-process")
	if end := quartet(t, "lead", "--nats", alone.url, "m1"); end.status != exit.StatusRefused || !strings.Contains(end.stderr, "--standby") {
		t.Errorf("of one with a server of its own: %+v", end)
	}
	for _, args := range [][]string{{"--standby"}, {"--standby", "--takeover", "--nats", url}, {"--nats", url, "--name", "a b"}} {
		p := newFolder(t)
		m := launch(t, p, append([]string{"--memory"}, args...)...)
		if code := m.Wait(t, startLimit); code != exit.StatusUsage {
			t.Errorf("%q: status %d\n%s", args, code, &m.Stderr)
		}
		if _, err := os.Stat(p.logs); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: a directory for logs is left: %v", args, err)
		}
	}
}
