package masternode

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/lamport"
	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

// supervised returns a supervisor whose replicas are the test binary in a role.
func supervised(t *testing.T, as string, change func(*Options)) *supervisor {
	t.Helper()
	o := options(t, as)
	if change != nil {
		change(&o)
	}
	s := newSupervisor(&o, openDir(t, &o), nil)
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
		"in memory": {nil, []string{"--memory"}, []string{"--dir", "--sync", "--cache"}},
		"on disk": {
			func(o *Options) { o.Memory, o.Dir = false, dir },
			[]string{"--dir", filepath.Join(dir, "replicas", "r2"), "--sync", "interval"}, []string{"--memory"},
		},
		"on disk, always synced": {
			func(o *Options) { o.Memory, o.Dir, o.Sync = false, dir, SyncAlways },
			[]string{"--sync", "always"}, []string{"--memory", "--cache"},
		},
		"on disk, with another cache": {
			func(o *Options) { o.Memory, o.Dir, o.Cache = false, dir, 200 }, []string{"--cache 200 "}, []string{"--memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := supervised(t, "mute", c.change)
			s.opts.Args = []string{"--log-level", "debug"}
			cmd := s.command(lamport.Replica(2))
			line := strings.Join(cmd.Args[1:], " ") + " "

			wanted := []string{
				strings.Join(c.want, " "), "replica --id r2 ", "--master-lock " + s.lock() + " ", "--log-level debug ",
			}
			for _, want := range append(wanted, c.want...) {
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

func alive(pid int) bool { return supervise.Alive(pid) }

// started starts a replica and waits until a later master would find it.
func started(t *testing.T, s *supervisor, n lamport.Node) (pid int) {
	t.Helper()
	if err := s.spawn(n); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, "the process holds its lock", func() bool { pid = s.holder(n); return pid != 0 })
	return pid
}

// A later master finds the process that runs: not one that has ended, and the one that was
// started again in its place.
func TestRestartedReplicasAreFound(t *testing.T) {
	s := supervised(t, "mute", nil)
	r1 := lamport.Replica(1)
	first := started(t, s, r1)
	if first != s.restarts()[r1].PID || s.living()[r1] != first {
		t.Fatalf("pid %d is found of %+v", first, s.restarts()[r1])
	}

	p, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}

	now := time.Now()
	<-s.ready()
	testkit.Await(t, "its end is seen", func() bool { return len(s.step(now)) > 0 })
	if found := s.living(); len(found) != 0 {
		t.Errorf("found although it has ended: %v", found)
	}

	now = s.restarts()[r1].Next
	events := s.step(now)
	if len(events) != 1 || events[0].Kind != supervise.Started {
		t.Fatalf("events %+v", events)
	}

	testkit.Await(t, "the next one is found", func() bool { return s.living()[r1] == events[0].PID })
	s.dismiss(r1)
	<-s.ready()
	testkit.Await(t, "it has ended", func() bool { return len(s.step(now)) > 0 })
	if events := s.step(now.Add(time.Hour)); len(events) != 0 || len(s.restarts()) != 0 {
		t.Errorf("dismissed, and yet %+v %+v", events, s.restarts())
	}
}

// Only a process of this very directory is adopted: the pid that a replica reports may be
// one of another machine, and a copy of the directory says whatever the original does.
func TestOnlyOurOwnAreAdopted(t *testing.T) {
	s := supervised(t, "mute", nil)
	r1, r2 := lamport.Replica(1), lamport.Replica(2)
	left, sibling := started(t, s, r1), started(t, s, r2)

	if err := s.dir.save(); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(s.dir.path)); err != nil {
		t.Fatal(err)
	}
	other := newSupervisor(s.opts, openDir(t, &Options{Dir: copied}), nil)
	if found := other.living(); len(found) != 0 {
		t.Errorf("the copy of the directory has found %v", found)
	}
	if ok, err := other.adopt(r1, left); ok || err != nil {
		t.Errorf("the copy of the directory has adopted the original's replica: %v %v", ok, err)
	}
	if said := strings.Join(other.dir.notes, "\n"); !strings.Contains(said, "copy of "+s.dir.path) ||
		!strings.Contains(said, strconv.Itoa(os.Getpid())) {
		t.Errorf("the copy says: %s", said)
	}

	again := newSupervisor(s.opts, s.dir, nil) // as the next master of the directory
	for name, pid := range map[string]int{
		"a process that is no replica": os.Getpid(), "no process": 0, "init": 1, "another replica of this directory": sibling,
	} {
		if ok, err := again.adopt(r1, pid); ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
	if ok, err := again.adopt(r1, left); !ok || err != nil {
		t.Fatalf("its own: %v %v", ok, err)
	}
	if got := again.restarts()[r1].PID; got != left {
		t.Errorf("pid %d, want %d", got, left)
	}
}

// A disk that is full stops nothing, and what has changed is kept once there is room.
func TestChangesAreKeptLater(t *testing.T) {
	s := supervised(t, "mute", nil)
	s.dir.record.Own = []string{"r1", "r2"}
	s.disown(lamport.Replica(1))
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
	if kept := readRecord(t, path).Own; !slices.Equal(kept, []string{"r2"}) || s.unsaved {
		t.Errorf("kept: %v", kept)
	}
}
