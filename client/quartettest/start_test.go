package quartettest_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/client"
	"quartet/client/quartettest"
)

var models = []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual}

// BenchmarkStart tells how long a cluster takes until it is ready; its end is not counted.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c := quartettest.Start(b)
		b.StopTimer()
		c.Stop(b)
		b.StartTimer()
	}
}

// check sets and reads back a key in every model, in one session.
func check(t *testing.T, c *client.Client, name string) {
	t.Helper()
	s := c.Session()
	for _, m := range models {
		key := name + "-" + m.Word()
		if _, err := s.Set(t.Context(), key, []byte(name), client.With(m)); err != nil {
			t.Fatalf("%s: set: %v", key, err)
		}
	}
	// A causal set is there for its own session; a linearizable get may still miss it.
	got, err := s.Get(t.Context(), name+"-causal", client.With(client.Causal))
	if err != nil || string(got.Value) != name {
		t.Errorf("%s-causal: %q, %v", name, got.Value, err)
	}
	have(t, c, name, client.Linearizable, client.Sequential)
}

// have checks that the keys are there, for a linearizable get, that check has set in these models.
func have(t *testing.T, c *client.Client, name string, models ...client.Consistency) {
	t.Helper()
	for _, m := range models {
		key := name + "-" + m.Word()
		got, err := c.Get(t.Context(), key)
		if err != nil || string(got.Value) != name {
			t.Errorf("%s: %q, %v", key, got.Value, err)
		}
	}
}

func TestStartServesAllModels(t *testing.T) {
	c := quartettest.Start(t)
	other := quartettest.Start(t, quartettest.Prefix("team.other"), quartettest.Replicas(1), quartettest.Debug())
	check(t, c.Client(t), "one")
	check(t, other.Client(t), "two")
	if _, err := c.Client(t).Get(t.Context(), "two-linearizable"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("one cluster has what was set in the other: %v", err)
	}

	s := c.Status(t)
	if !s.Ready || !s.InProcess || s.Data != bus.DataMemory || len(s.Replicas) != 3 || s.Master.PID != os.Getpid() {
		t.Errorf("status %+v", s)
	}
	for _, r := range s.Replicas {
		if r.PID != os.Getpid() || !r.Member {
			t.Errorf("replica %+v", r)
		}
	}
	subjects, err := bus.NewSubjects("team.other")
	if err != nil {
		t.Fatal(err)
	}
	m, err := other.NATS(t).Request(subjects.Request(), []byte("1, 2, two-linearizable"), 10*time.Second)
	if err != nil || string(m.Data) != "two" {
		t.Errorf("a bare NATS client hears %v, %v", m, err)
	}
	other.Stop(t) // and the logs are written
	for name, want := range map[string]string{"m1.log": "kind=REQUEST", "r1.log": "kind=FORWARD", "report.json": `"linearizable"`} {
		if b, err := os.ReadFile(filepath.Join(other.Logs, name)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d bytes without %s, %v", name, len(b), want, err)
		}
	}
}

// A replica that fails leaves the view at once; it is started again and has everything.
func TestAReplicaFailsAndComesBack(t *testing.T) {
	for name, opts := range map[string][]quartettest.Option{
		"memory": nil, "disk": {quartettest.Dir(t.TempDir())},
	} {
		t.Run(name, func(t *testing.T) {
			c := quartettest.Start(t, opts...)
			q := c.Client(t)
			check(t, q, "before")
			c.KillReplica(t, "r2")
			if s := c.Status(t); s.Replicas[1].Member || s.Replicas[1].LastError == "" || s.Replicas[1].Restarts == 0 {
				t.Errorf("status of the killed one: %+v", s.Replicas[1])
			}
			check(t, q, "meanwhile")
			c.RestartReplica(t, "r2")
			check(t, q, "after")
			got, err := q.Get(t.Context(), "meanwhile-linearizable", client.With(client.Eventual), client.OnReplica("r2"))
			if err != nil || string(got.Value) != "meanwhile" || got.Replica.String() != "r2" {
				t.Errorf("it lacks what was set meanwhile: %+v, %v", got, err)
			}
		})
	}
}

// Without a majority nothing strong is served, and nothing is lost.
func TestNoMajority(t *testing.T) {
	c := quartettest.Start(t)
	q := c.Client(t, client.WithRetries(0))
	check(t, q, "before")
	c.KillReplica(t, "r1")
	c.KillReplica(t, "r3")
	if _, err := q.Set(t.Context(), "k", []byte("v")); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("one of three replicas takes a linearizable set: %v", err)
	}
	if s := c.Status(t); s.Ready || s.Reason == "" {
		t.Errorf("status %+v", s)
	}
}

// A cluster that is started again on its directory has all that was acknowledged.
func TestDirIsThereAgain(t *testing.T) {
	dir := t.TempDir()
	first := quartettest.Start(t, quartettest.Dir(dir))
	check(t, first.Client(t), "kept")
	was := first.Status(t)
	first.Stop(t)

	second := quartettest.Start(t, quartettest.Dir(dir))
	have(t, second.Client(t), "kept", models...)
	if is := second.Status(t); is.Epoch < was.Epoch || is.Data != bus.DataDisk ||
		is.Replicas[0].Incarnation != was.Replicas[0].Incarnation {
		t.Errorf("status %+v, was %+v", is, was)
	}
}

// Of a cluster that was stopped no goroutine is left, whatever it has been through.
func TestStopLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	for range 2 {
		c := quartettest.Start(t, quartettest.Dir(dir))
		q, err := client.Connect(t.Context(), c.URL)
		if err != nil {
			t.Fatal(err)
		}
		check(t, q, "some")
		c.KillReplica(t, "r1")
		if err := q.Close(); err != nil {
			t.Error(err)
		}
		c.Stop(t)
	}
	limit := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		if time.Now().After(limit) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		<-tick.C
	}
}
