package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/master/supervise"
	"quartet/replica/lamport"
)

// supervised returns a supervisor whose replicas are the test binary in a role.
func supervised(t *testing.T, as string, change func(*Options)) *supervisor {
	t.Helper()
	o := options(t, as)
	if change != nil {
		change(&o)
	}
	s := newSupervisor(&o, openDir(t, &o))
	s.url, s.user, s.password = "nats://127.0.0.1:4222", "node", "secret"
	t.Cleanup(func() {
		now := make(chan struct{})
		close(now)
		s.stop(now)
	})
	return s
}

func TestWhatAReplicaIsStartedWith(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		change   func(*Options)
		want     []string
		unwanted []string
	}{
		"in memory": {nil, []string{"--memory"}, []string{"--dir", "--sync"}},
		"on disk": {
			func(o *Options) { o.Memory, o.Dir = false, dir },
			[]string{"--dir", filepath.Join(dir, "replicas", "r2"), "--sync", "interval"}, []string{"--memory"},
		},
		"on disk, always synced": {
			func(o *Options) { o.Memory, o.Dir, o.Sync = false, dir, SyncAlways },
			[]string{"--sync", "always"}, []string{"--memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := supervised(t, "mute", c.change)
			s.opts.Args = []string{"--log-level", "debug"}
			cmd := s.command(lamport.Replica(2))
			line := strings.Join(cmd.Args[1:], " ") + " "
			for _, want := range append([]string{strings.Join(c.want, " "), "replica --id r2 ", "--master-lock " + s.lock() + " ", "--log-level debug "}, c.want...) {
				if !strings.Contains(line, want) {
					t.Errorf("%q is not in %q", want, line)
				}
			}
			for _, unwanted := range append(c.unwanted, "secret") {
				if strings.Contains(line, unwanted) {
					t.Errorf("%q is in %q", unwanted, line)
				}
			}
			if !slices.Contains(cmd.Env, bus.EnvNodePassword+"=secret") || !slices.Contains(cmd.Env, bus.EnvNodeUser+"=node") {
				t.Error("the credentials are not in the environment")
			}
		})
	}
}

// A replica hears how the bus is reached from its master alone: of an embedded server by
// --nats, of any other by the environment, where no secret shows.
func TestReplicasConnectAsTheirMaster(t *testing.T) {
	t.Setenv("NATS_CREDS", "/of/some/client")
	s := supervised(t, "mute", nil)
	cmd := s.command(lamport.Replica(1))
	if slices.ContainsFunc(cmd.Env, func(e string) bool { return strings.HasPrefix(e, "NATS_") }) || !slices.Contains(cmd.Args, "--nats") {
		t.Errorf("of an embedded server: %q, %q", cmd.Args, cmd.Env)
	}
	set := pflag.NewFlagSet("master", pflag.ContinueOnError)
	flags := dial.Add(set)
	if err := set.Parse([]string{"--nats", "nats://elsewhere:1", "--user", "ann", "--password", "pass"}); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.opts.Connection, err = flags.Resolve(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	cmd = s.command(lamport.Replica(1))
	for _, want := range []string{"NATS_URL=nats://elsewhere:1", "NATS_USER=ann", "NATS_PASSWORD=pass"} {
		if !slices.Contains(cmd.Env, want) {
			t.Errorf("%s is not in %q", want, cmd.Env)
		}
	}
	if slices.Contains(cmd.Args, "--nats") || slices.Contains(cmd.Args, "pass") || slices.Contains(cmd.Env, "NATS_CREDS=/of/some/client") {
		t.Errorf("%q, %q", cmd.Args, cmd.Env)
	}
}

// The pid of a process that was started again is on disk: the next master waits for it.
func TestPidsOfRestartedReplicasAreKept(t *testing.T) {
	s := supervised(t, "mute", nil)
	r1 := lamport.Replica(1)
	if err := s.spawn(r1); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s.step(now)
	first := readRecord(t, s.dir.path).Replicas["r1"]
	if first == 0 || first != s.restarts()[r1].PID || s.living()[r1] != first {
		t.Fatalf("pid %d is kept of %+v", first, s.restarts()[r1])
	}
	p, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ready()
	await(t, "its end is seen", func() bool { return len(s.step(now)) > 0 })
	if kept := readRecord(t, s.dir.path).Replicas; len(kept) != 0 || len(s.living()) != 0 {
		t.Errorf("kept of one that has ended: %v", kept)
	}
	now = s.restarts()[r1].Next
	events := s.step(now)
	if len(events) != 1 || events[0].Kind != supervise.Started {
		t.Fatalf("events %+v", events)
	}
	if kept := readRecord(t, s.dir.path).Replicas["r1"]; kept != events[0].PID || kept == first {
		t.Errorf("pid %d is kept, %d runs", kept, events[0].PID)
	}
	s.dismiss(r1)
	<-s.ready()
	await(t, "it has ended", func() bool { return len(s.step(now)) > 0 })
	if events := s.step(now.Add(time.Hour)); len(events) != 0 || len(s.restarts()) != 0 {
		t.Errorf("dismissed, and yet %+v %+v", events, s.restarts())
	}
}

// Only a process that an earlier master of the same directory has started is adopted: the
// pid that a replica reports may be one of another machine.
func TestOnlyOurOwnAreAdopted(t *testing.T) {
	s := supervised(t, "mute", nil)
	r1 := lamport.Replica(1)
	start := func(cmd *exec.Cmd) int {
		t.Helper()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	left := start(s.command(r1))
	other := s.command(r1)
	other.Args[slices.Index(other.Args, s.lock())] = s.lock() + ".other"
	s.dir.record.Replicas["r1"] = os.Getpid()
	for name, pid := range map[string]int{
		"a process that is no replica": os.Getpid(), "no process": 0, "init": 1,
		"a replica of another cluster": start(other), "another replica of this one": start(s.command(lamport.Replica(2))),
	} {
		if ok, err := s.adopt(r1, pid); ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
	if s.dir.record.Replicas["r1"] = other.Process.Pid; !s.ours(r1, other.Process.Pid) {
		t.Error("a noted one whose lock has another name is not known")
	}
	s.dir.record.Replicas["r1"] = os.Getpid()
	if ok, err := s.adopt(r1, left); !ok || err != nil {
		t.Fatalf("its own: %v %v", ok, err)
	}
	if got := s.restarts()[r1].PID; got != left {
		t.Errorf("pid %d, want %d", got, left)
	}
}

// A disk that is full stops nothing, and the pids are kept once there is room.
func TestPidsAreKeptLater(t *testing.T) {
	s := supervised(t, "mute", nil)
	if err := s.spawn(lamport.Replica(1)); err != nil {
		t.Fatal(err)
	}
	path := s.dir.path
	s.dir.path = filepath.Join(path, "gone")
	now := time.Now()
	s.step(now)
	s.dir.path = path
	s.step(now.Add(saveAgain - 1))
	if !s.unsaved {
		t.Error("it did not wait")
	}
	s.step(now.Add(saveAgain))
	if kept := readRecord(t, path).Replicas["r1"]; kept == 0 || s.unsaved {
		t.Errorf("kept: %d", kept)
	}
}
