package masternode

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quartet/bus/lamport"
	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

// never is a runner that must not be called.
func never(t *testing.T) Runner {
	return func(_ context.Context, r Replica) error {
		t.Errorf("replica %s was started", r.ID)
		return nil
	}
}

// Where an earlier master's replicas still run as processes, nothing is started within this
// one, and they are left alone.
func TestProcessesOfAnEarlierMasterAreNotReplaced(t *testing.T) {
	s := supervised(t, "mute", func(o *Options) { o.RunDir = t.TempDir() })
	if err := s.spawn(lamport.Replica(1)); err != nil {
		t.Fatal(err)
	}
	pid := s.restarts()[lamport.Replica(1)].PID
	testkit.Await(t, "the process holds its lock", func() bool { return s.holder(1) == pid })
	s.dir.release() // as the system does for a master that was killed
	o := *s.opts
	o.InProcess = never(t)
	if err := Run(t.Context(), nil, o); !errors.Is(err, ErrProcesses) || !strings.Contains(err.Error(), "r1 pid ") {
		t.Errorf("error %v", err)
	}
	if !alive(pid) || s.living()[lamport.Replica(1)] != pid {
		t.Error("the process has ended, or its pid is forgotten")
	}
}

// A master that is there keeps the directory, whatever its replicas are.
func TestInProcessHeedsTheLock(t *testing.T) {
	o := options(t, "")
	o.RunDir = t.TempDir()
	openDir(t, &o)
	o.InProcess = never(t)
	if err := Run(t.Context(), nil, o); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v", err)
	}
}

// What a replica within this process is told is what a process would be; its pid is not
// kept for a later master.
func TestWhatAReplicaInsideIsToldAndKept(t *testing.T) {
	dir := t.TempDir()
	told := make(chan Replica)
	s := supervised(t, "", func(o *Options) {
		o.Memory, o.Dir, o.Sync = false, dir, SyncAlways
		o.InProcess = func(ctx context.Context, r Replica) error {
			told <- r
			<-ctx.Done()
			return nil
		}
	})

	r2 := lamport.Replica(2)
	if err := s.spawn(r2); err != nil {
		t.Fatal(err)
	}

	r := <-told
	number := s.restarts()[r2].PID
	if r.Connect != nil || number < supervise.FirstInside {
		t.Errorf("told %+v", r)
	}

	want := Replica{
		ID: r2, Number: number, URL: "nats://127.0.0.1:4222", User: "node", Password: "secret",
		Prefix: s.opts.Prefix, CausalWait: s.opts.CausalWait, Dir: s.home(r2), Sync: SyncAlways,
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(Replica{}, "Connect")); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}

	if living := s.living(); len(living) > 0 {
		t.Errorf("a later master would look for %v", living)
	}
	if shown(number) != os.Getpid() || shown(7) != 7 {
		t.Errorf("shown as %d", shown(number))
	}
}
