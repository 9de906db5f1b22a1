package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/judge/history"
	"quartet/master/masternode/supervise"
)

// When the master is killed its replicas do not stay for ever.
func TestOrphansEnd(t *testing.T) {
	t.Parallel()
	m := start(t, "--orphan-timeout", "1s")
	running := pids(mustStatus(t, connect(t, m.url)))
	m.Kill()
	awaitDead(t, restLimit, running...)
}

// A master that comes back at another address than the killed one had cannot reach the replicas
// that still run: they end, and it starts them again with their data.
func TestMasterComesBackElsewhere(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--suspect", calm, "--orphan-timeout", "2s", "--listen"}
	first := startIn(t, p, append(args, testkit.FreeAddress(t))...)
	nc := connect(t, first.url, nats.MaxReconnects(0))
	mustOK(t, nc, "1, set, kept ::: here")
	killLeftovers(t, pids(mustStatus(t, nc)))
	first.Kill()

	second := startIn(t, p, append(args, testkit.FreeAddress(t))...)
	if got := string(mustOK(t, connect(t, second.url), "1, get, kept").Data); got != "here" {
		t.Errorf("got %q", got)
	}
}

// killLeftovers ends replicas that a failed test would leave to their orphan timeout.
func killLeftovers(t *testing.T, running []int) {
	t.Cleanup(func() {
		for _, pid := range running {
			if supervise.Alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

// before is what was known of a cluster before its master was killed.
type before struct {
	status    bus.Status
	replies   map[string]*nats.Msg // of one set in each model, by its id
	bodies    map[string]string
	rid       uint64
	timestamp uint64
	position  uint64
	clock     uint64
}

// seeded sets something in each model and says what is known then.
func seeded(t *testing.T, nc *nats.Conn) before {
	t.Helper()
	was := before{replies: map[string]*nats.Msg{}, bodies: map[string]string{}}
	for n := range 3 * len(model.All) {
		c := model.All[n%4]
		id := fmt.Sprintf("before-%d", n)
		was.bodies[id] = fmt.Sprintf("%s, set, %s ::: %d", c.Word(), id, n)
		r := mustOK(t, nc, was.bodies[id], bus.HeaderMsgID, id)
		was.replies[id] = r
		was.rid, was.clock = max(was.rid, rid(t, r)), max(was.clock, clockOf(t, r))
		switch {
		case c == model.Causal:
			was.timestamp = max(was.timestamp, number(t, r, bus.HeaderTimestamp))
		case c.Strong():
			was.position = max(was.position, number(t, r, bus.HeaderPosition))
		}
	}
	return was
}

// The same command again after kill -9 of the master: the replicas are adopted, nothing
// is lost, and everything that rises goes on rising.
func TestMasterIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"--memory", "--dir"} {
		t.Run(data, func(t *testing.T) {
			p := newFolder(t)
			args := []string{"--listen", testkit.FreeAddress(t), "--memory"}
			if data == "--dir" {
				args = []string{"--listen", args[1], "--dir", filepath.Join(p.tmp, "data")}
			}

			m := startIn(t, p, args...)
			nc := connect(t, m.url, nats.MaxReconnects(0))
			was := seeded(t, nc)
			was.status = atRest(t, nc)
			killLeftovers(t, pids(was.status))

			m.Kill()
			again := startIn(t, p, args...)
			nc = connect(t, again.url)
			s := mustStatus(t, nc)
			if !slices.Equal(pids(s), pids(was.status)) {
				t.Errorf("replicas %v, were %v", pids(s), pids(was.status))
			}
			if s.Master.PID != again.PID() || !s.Ready {
				t.Errorf("master %d, want %d, ready %v: %s", s.Master.PID, again.PID(), s.Ready, s.Reason)
			}

			checkAll(t, nc, was)
			if status := again.stop(t, syscall.SIGTERM); status != 0 {
				t.Errorf("status %d\n%s", status, again.Stderr.String())
			}
			awaitDead(t, deadLimit, pids(was.status)...)
		})
	}
}

// kill -9 of every process at once, then the same command: every acknowledged write of
// every model is there, and what was promised across restarts holds.
func TestEverythingIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	for _, sync := range []string{"interval", "always"} {
		t.Run(sync, func(t *testing.T) {
			p := newFolder(t)
			args := []string{"--dir", filepath.Join(p.tmp, "data"), "--sync", sync, "--listen", testkit.FreeAddress(t)}
			m := startIn(t, p, args...)
			nc := connect(t, m.url, nats.MaxReconnects(0))
			was := seeded(t, nc) // and at once, whatever is under way behind it:

			running := pids(mustStatus(t, nc))
			for _, pid := range append(running, m.PID()) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			<-m.Exited
			awaitDead(t, deadLimit, running...)

			again := startIn(t, p, args...)
			nc = connect(t, again.url)
			if s := mustStatus(t, nc); s.Data != bus.DataDisk || s.Sync != sync {
				t.Errorf("status says %q, sync %q", s.Data, s.Sync)
			}
			checkAll(t, nc, was)
		})
	}
}

// With --memory nothing outlives the death of everything, and the same command begins anew.
func TestEverythingInMemoryIsKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--memory", "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := connect(t, m.url, nats.MaxReconnects(0))
	last := rid(t, mustOK(t, nc, "1, 1, key ::: value"))

	running := pids(mustStatus(t, nc))
	for _, pid := range append(running, m.PID()) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	<-m.Exited
	awaitDead(t, deadLimit, running...)

	again := startIn(t, p, args...)
	nc = connect(t, again.url)

	got := ask(t, nc, "1, 2, key")
	if code(got) != "404" || rid(t, got) <= last {
		t.Errorf("%q %q, rID %d, before %d", code(got), got.Data, rid(t, got), last)
	}
	if !strings.Contains(again.Stderr.String(), "a new one begins") {
		t.Errorf("it is not said that the data are gone: %s", again.Stderr.String())
	}
	serves(t, nc)
}

// checkAll checks what must hold after a restart.
func checkAll(t *testing.T, nc *nats.Conn, was before) {
	t.Helper()
	checkRising(t, nc, was)
	for id := range was.replies {
		for _, c := range model.All {
			_, want, _ := strings.Cut(was.bodies[id], " ::: ")
			if got := ask(t, nc, c.Word()+", get, "+id); string(got.Data) != want || code(got) != "" {
				t.Errorf("%s get of %s after the crash: %q %q, want %q", c.Word(), id, code(got), got.Data, want)
			}
		}
	}
	checkRetries(t, nc, was)
	serves(t, nc)
	atRest(t, nc)
}

// checkRising checks that ids, clocks, causal numbers and positions go on above those before a
// crash.
func checkRising(t *testing.T, nc *nats.Conn, was before) {
	t.Helper()
	for _, c := range model.All {
		r := mustOK(t, nc, fmt.Sprintf("%s, set, after ::: v", c.Word()))
		if rid(t, r) <= was.rid || clockOf(t, r) <= was.clock {
			t.Errorf("%s set: rID %d, clock %d; before the crash %d and %d", c.Word(), rid(t, r), clockOf(t, r), was.rid, was.clock)
		}

		was.rid, was.clock = rid(t, r), clockOf(t, r)
		if c == model.Causal && number(t, r, bus.HeaderTimestamp) <= was.timestamp {
			t.Errorf("causal number %s, before the crash %d", r.Header.Get(bus.HeaderTimestamp), was.timestamp)
		}
		if c.Strong() && number(t, r, bus.HeaderPosition) <= was.position {
			t.Errorf("position %s, before the crash %d", r.Header.Get(bus.HeaderPosition), was.position)
		}
	}
}

// checkRetries: sets from before the crash that are sent again, after others have
// overwritten what they wrote: the first outcome, no second effect.
func checkRetries(t *testing.T, nc *nats.Conn, was before) {
	t.Helper()
	for id := range was.replies {
		mustOK(t, nc, "1, 1, "+id+" ::: younger")
	}

	for id, first := range was.replies {
		for _, replica := range []string{"r1", "r3"} {
			r := ask(t, nc, was.bodies[id], bus.HeaderMsgID, id, bus.HeaderReplica, replica)
			same := rid(t, r) == rid(t, first)
			same = same && r.Header.Get(bus.HeaderTimestamp) == first.Header.Get(bus.HeaderTimestamp)
			if code(r) != "" || !same {
				t.Errorf("%q again after the crash: %q %v\nfirst %v", was.bodies[id], code(r), r.Header, first.Header)
			}
		}
	}

	for id := range was.replies {
		if got := linearizably(t, nc, id); got != "younger" {
			t.Errorf("%q took effect a second time: %q", was.bodies[id], got)
		}
	}

	for id := range was.replies {
		if r := ask(t, nc, was.bodies[id]+" other", bus.HeaderMsgID, id); code(r) != "409" {
			t.Errorf("%q with another value after the crash: %q %s", was.bodies[id], code(r), r.Data)
		}
	}
}

// Sessions that are under way while the master is killed and started again: they retry
// what had no reply, and what they then know of it is true.
func TestSessionsAcrossTheMastersDeath(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--memory", "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	killLeftovers(t, pids(mustStatus(t, connect(t, m.url, nats.MaxReconnects(0)))))

	var r recorder
	ended := make(chan error, 1)
	go func() {
		ended <- workload(t.Context(), m.url, "x", 12, 120, &r, client.WithTimeout(500*time.Millisecond), client.WithRetries(40))
	}()

	testkit.Eventually(t, startLimit, "some requests are answered", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.ops) < 300 {
			return fmt.Errorf("%d", len(r.ops))
		}
		return nil
	})

	m.Kill()
	again := startIn(t, p, args...)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	ops := r.ops
	// Steady is left out: a weak set that is sent again after the crash may show once more in
	// passing.
	verdicts := []history.Verdict{
		history.Linearizable(ops, history.Budget{}), history.Sequential(ops), history.Causal(ops),
		history.Sessions(ops), history.OnlyOnce(ops, nil),
	}

	for _, v := range append(verdicts, final(t, connect(t, again.url), ops)...) {
		if !v.OK() {
			t.Errorf("%s", v)
		}
	}

	counts := count(ops)
	if counts[history.OK] < len(ops)*95/100 {
		t.Errorf("of %d requests %v", len(ops), counts)
	}
	t.Logf("%d requests: %v", len(ops), counts)
}
