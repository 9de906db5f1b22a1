package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
	"quartet/client/measure/load"
	"quartet/master/mastercmd"
	"quartet/replica/replicacmd"
)

// asProgram makes this very program nats-server or quartet: the same code, in processes
// of their own, and nothing to build.
const asProgram = "PEERS_TEST_IS_A_PROGRAM"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asProgram) == "":
		os.Exit(m.Run())
	case os.Getenv("QUARTET_SYNC") != "":
		os.Exit(exit.StatusUsage)
	case os.Args[1] == "-c":
		os.Exit(natsServer())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	signals := func() mastercmd.Signals { return mastercmd.Signals{Gently: ctx, Now: make(chan struct{})} }
	root := &cobra.Command{Use: "quartet"}
	root.AddCommand(
		mastercmd.Master(os.Stdout, os.Stderr, "test", signals, nil, nil), // nothing is run in process, and nobody looks
		replicacmd.Replica(os.Stderr, func() context.Context { return ctx }),
	)
	os.Exit(exit.Status(root.Execute()))
}

func natsServer() int {
	o, err := server.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ContinueOnError), os.Args[1:], nil, nil, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return 0
}

// onLine calls what is given when a line that holds the text is said.
type onLine struct {
	text string
	call func()
}

func (o onLine) Write(p []byte) (int, error) {
	if strings.Contains(string(p), o.text) {
		o.call()
	}
	return len(p), nil
}

// A real cluster and a real server, measured until Ctrl-C: what was complete is reported,
// and nothing is left.
func TestRunAndInterrupt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asProgram, "1")
	t.Setenv("QUARTET_SYNC", "always") // a setting of the user's own must not reach what is measured
	ctx, cancel := context.WithCancel(t.Context())
	o := Defaults()
	o.Peers, o.Modes, o.Loads = []string{natsR1}, []string{"memory"}, []string{"set"}
	o.Rounds, o.Round, o.Warmup = 1000, 100*time.Millisecond, 20*time.Millisecond
	o.Programs.Quartet, o.Programs.NATSServer = self, self
	o.Talk = onLine{"round 2 of", cancel}
	o.DiskDir = t.TempDir()
	report, err := Run(ctx, o)
	if !errors.Is(err, context.Canceled) || report == nil {
		t.Fatalf("%v, %v", report, err)
	}
	if left, err := os.ReadDir(o.DiskDir); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, processes := range report.measured[0].processes {
		for _, p := range processes {
			if err := syscall.Kill(p.PID, 0); p.PID != os.Getpid() && !errors.Is(err, syscall.ESRCH) {
				t.Errorf("%s still runs: %v", p.Name, err)
			}
		}
	}
	check(t, report)
}

func check(t *testing.T, report *Report) {
	t.Helper()
	var out bytes.Buffer
	if err := report.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}

	var got Report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Loads) != 1 || got.Loads[0].Rounds != 1 || len(got.Missing) != 0 || got.Versions[natsR1] == "" ||
		got.Versions[quartetMemory] == "" {
		t.Fatalf("%+v", got)
	}

	l := got.Loads[0]
	if len(l.Sides) != 5 || len(l.Ratios) != 4 || len(l.Idle) != 2 {
		t.Errorf("%d sides, %d ratios, idle %v", len(l.Sides), len(l.Ratios), l.Idle)
	}
	for _, s := range l.Sides {
		if s.Ops == 0 || s.Failed+s.Unknown+s.Missing > 0 || s.Rate.Median <= 0 || s.P50.Median <= 0 || s.Durability == "" {
			t.Errorf("%+v", s)
		}
		processes := 2 // the server and the load
		if s.Consistency != "" {
			processes = 5 // master, three replicas and the load
		}
		if load.Local(os.Getpid(), os.Args[0]) && len(s.CPU) != processes {
			t.Errorf("processor times of %s: %v", s.System, s.CPU)
		}
	}
	for _, r := range l.Ratios {
		if r.Rate.Median <= 0 || r.P50.Median <= 0 {
			t.Errorf("%+v", r)
		}
	}
}
