package masternode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"quartet/bus/host/lock"
	"quartet/bus/host/loop"
	"quartet/bus/server"
	"quartet/bus/testkit"
	"quartet/master/ledger"
)

// role, in the environment, makes the test binary a process that a master takes for a
// replica that fails in one way or another.
const role = "QUARTET_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "replica" {
		switch os.Getenv(role) {
		case "mute": // lives and never reports; the first thing it says is that it lives
			claim()
			fmt.Println("here", os.Getpid())
			select {}
		case "stubborn":
			signal.Ignore(syscall.SIGTERM)
			claim()
			fmt.Println("here", os.Getpid())
			select {}
		}
		fmt.Println("no replica today")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// claim takes the lock that a replica holds in its master's directory. Whoever looks whose it is
// holds it for a moment, so one try is not enough.
func claim() {
	after := func(flag string) string { return os.Args[slices.Index(os.Args, flag)+1] }
	path := filepath.Join(filepath.Dir(after("--master-lock")), lock.OfReplica(after("--id")))
	if _, err := lock.Take(path, testkit.Patience, lock.Holder{PID: os.Getpid()}); err != nil {
		fmt.Println(err)
		os.Exit(4)
	}
}

// options are good ones, whose replicas are the test binary in a role.
func options(t *testing.T, as string) Options {
	t.Helper()
	t.Setenv(role, as)
	t.Setenv("TMPDIR", t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	l, err := ledger.Open(ledger.Options{Dir: logs, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return Options{
		Listen: "127.0.0.1:-1", Prefix: "quartet", Replicas: 2, Missing: -1, Memory: true,
		Timeout: time.Second, CausalWait: time.Millisecond, OrphanTimeout: time.Second, Suspect: time.Second,
		Executable: self, LogDir: logs, Stdout: io.Discard, Log: log, Ledger: l,
	}
}

func TestCheckRefusesOptions(t *testing.T) {
	good := options(t, "")
	if err := check(&good); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for name, spoil := range map[string]func(*Options){
		"no replica":           func(o *Options) { o.Replicas = 0 },
		"too many replicas":    func(o *Options) { o.Replicas = MaxReplicas + 1 },
		"all may be missing":   func(o *Options) { o.Missing = o.Replicas },
		"no request timeout":   func(o *Options) { o.Timeout = 0 },
		"negative causal wait": func(o *Options) { o.CausalWait = -1 },
		"no orphan timeout":    func(o *Options) { o.OrphanTimeout = 0 },
		"hasty suspicion":      func(o *Options) { o.Suspect = loop.Tick },
		"gets that are none":   func(o *Options) { o.Gets = "fast" },
		"sync that is none":    func(o *Options) { o.Sync = "sometimes" },
		"prefix with a blank":  func(o *Options) { o.Prefix = "a b" },
	} {
		o := good
		spoil(&o)
		if err := Run(t.Context(), nil, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A replica that ends while the cluster starts ends the start, and the error says where to look.
func TestStartEndsWhenAReplicaEnds(t *testing.T) {
	o := options(t, "")
	var out testkit.Buffer
	o.Stdout = &out
	err := Run(t.Context(), nil, o)
	if err == nil || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "exit status 3") ||
		!strings.Contains(err.Error(), o.LogDir) {
		t.Fatalf("error %v", err)
	}
	if out.String() != "" {
		t.Errorf("stdout: %s", out.String())
	}
	name := "r1" // whichever ended first: the other may have been stopped before it said anything
	if strings.Contains(err.Error(), "replica r2") {
		name = "r2"
	}
	if said, err := os.ReadFile(filepath.Join(o.LogDir, name+".out")); err != nil || !strings.Contains(string(said), "no replica today") {
		t.Errorf("what the replica said is lost: %q %v", said, err)
	}
	nothingLeft(t)
}

// spawned waits until both replicas' processes live and returns their pids.
func spawned(t *testing.T, o Options) []int {
	t.Helper()
	var pids []int
	testkit.Await(t, "both replicas live", func() bool {
		pids = nil
		for _, name := range []string{"r1.out", "r2.out"} {
			b, _ := os.ReadFile(filepath.Join(o.LogDir, name)) // not there yet: asked again
			pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(b), "here ")))
			if err != nil {
				return false
			}
			pids = append(pids, pid)
		}
		return true
	})
	return pids
}

// Being stopped before the cluster is ready is an error and leaves no process.
func TestStoppedBeforeReady(t *testing.T) {
	o := options(t, "mute")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, nil, o) }()
	pids := spawned(t, o)
	cancel()
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("error %v", err)
	}
	nothingLeft(t)
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	}
}

// The second signal ends replicas that do not heed the first.
func TestStubbornReplicasAreKilledAtOnce(t *testing.T) {
	o := options(t, "stubborn")
	ctx, cancel := context.WithCancel(t.Context())
	now := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, now, o) }()
	pids := spawned(t, o)
	cancel()
	close(now)
	begun := time.Now()
	<-ended
	if took := time.Since(begun); took >= stopWait {
		t.Errorf("it took %s", took)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	}
}

func TestPortTakenIsSaid(t *testing.T) {
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	o := options(t, "")
	o.Listen = strings.TrimPrefix(s.ClientURL(), "nats://")
	if err := Run(t.Context(), nil, o); !errors.Is(err, server.ErrPortTaken) {
		t.Errorf("error %v", err)
	}
	nothingLeft(t)
}

// nothingLeft: a start that failed leaves no directory behind.
func nothingLeft(t *testing.T) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "quartet-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A start that fails where an earlier master has left its record leaves that alone: its
// replicas may still run, and its ids were given out.
func TestFailedStartKeepsAnEarlierRecord(t *testing.T) {
	o := options(t, "")
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	o.Listen = strings.TrimPrefix(s.ClientURL(), "nats://")
	earlier := openDir(t, &o)
	if err := earlier.reserve(1000, 1000); err != nil {
		t.Fatal(err)
	}
	kept := readRecord(t, earlier.path)
	earlier.release()
	if err := Run(t.Context(), nil, o); !errors.Is(err, server.ErrPortTaken) {
		t.Fatalf("error %v", err)
	}
	if now := readRecord(t, earlier.path); now.NextRID < kept.NextRID || now.Password != kept.Password {
		t.Errorf("the record is %+v, was %+v", now, kept)
	}
}
