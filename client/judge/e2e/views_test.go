package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

const (
	suspicion = time.Second // the default of --suspect
	// mostOnTop of the suspicion linearizable requests succeed again, not counting the time
	// in which a pulse, which no view change touches, stood still as well. Promised is half a
	// second; that is for a machine that has time for all of its processes, and measured there.
	mostOnTop  = 2 * time.Second
	rejoinTime = 30 * time.Second // promised are 5 s, likewise
)

// replicaOf returns a replica's line of the status; nil if it has none.
func replicaOf(s bus.Status, id string) *bus.ReplicaStatus {
	i := slices.IndexFunc(s.Replicas, func(r bus.ReplicaStatus) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &s.Replicas[i]
}

// awaitMember waits until a replica works as another process than pid.
func awaitMember(t *testing.T, nc *nats.Conn, id string, not int) {
	t.Helper()
	testkit.Eventually(t, rejoinTime, id+" is a member", func() error {
		s, err := status(nc)
		if err != nil {
			return err
		}
		if r := replicaOf(s, id); r == nil || !r.Member || r.PID == not {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
}

func modes(t *testing.T) map[string][]string {
	return map[string][]string{"memory": {"--memory"}, "dir": {"--dir", filepath.Join(t.TempDir(), "data")}}
}

// A replica that is killed is started again and becomes a member; nothing that was
// acknowledged is lost, and who sets keys notices a pause only.
func TestReplicaIsKilled(t *testing.T) {
	for name, data := range modes(t) {
		t.Run(name, func(t *testing.T) {
			m := startIn(t, newFolder(t), append(data, "--listen", "127.0.0.1:-1")...)
			nc := connect(t, m.url)
			s := begin(t, m.url, "x", "r2")

			for i, id := range []string{"r3", "r1", "r1"} {
				s.goesOn(t)
				pid := replicaOf(mustStatus(t, nc), id).PID
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}

				awaitMember(t, nc, id, pid)
				if r := replicaOf(mustStatus(t, nc), id); r.Restarts == 0 || !strings.Contains(r.LastError, "killed") {
					t.Errorf("kill %d: status says %+v", i, r)
				}
			}

			s.goesOn(t)
			s.check(t, nc, "x", suspicion+mostOnTop)
		})
	}
}

// A replica that stands still for longer than the suspicion time is left out, finds out
// when it wakes, and comes back.
func TestReplicaIsPaused(t *testing.T) {
	for name, data := range modes(t) {
		t.Run(name, func(t *testing.T) {
			m := startIn(t, newFolder(t), append(data, "--listen", "127.0.0.1:-1")...)
			nc := connect(t, m.url)
			s := begin(t, m.url, "x", "r1")
			s.goesOn(t)

			pid := replicaOf(mustStatus(t, nc), "r2").PID
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })

			testkit.Eventually(t, restLimit, "r2 is left out", func() error {
				if st := mustStatus(t, nc); replicaOf(st, "r2").Member || !st.Ready {
					return fmt.Errorf("%+v", st)
				}
				return nil
			})
			s.goesOn(t)
			if got := ask(t, nc, "4, 2, key", bus.HeaderReplica, "r2"); code(got) != "503" {
				t.Errorf("r2 is asked for: %q %s", code(got), got.Data)
			}

			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			awaitMember(t, nc, "r2", 0)
			if now := replicaOf(mustStatus(t, nc), "r2").PID; now != pid {
				t.Errorf("it is another process: %d, was %d", now, pid)
			}
			s.check(t, nc, "x", suspicion+mostOnTop)
		})
	}
}

// joined starts a replica by hand, as on another machine.
func joined(t *testing.T, m *master, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := replicaCommand(t, m, dir, args...)()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // an error: it has been waited for
	})
	return cmd
}

// replicaCommand returns what starts a replica by hand, as often as it is called.
func replicaCommand(t *testing.T, m *master, dir string, args ...string) func() *exec.Cmd {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "master.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), `"password":"`)
	password, _, _ := strings.Cut(after, `"`)
	args = append([]string{"replica", "--nats", m.url, "--log-dir", t.TempDir()}, args...)
	return func() *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), bus.EnvNodeUser+"=quartet-node", bus.EnvNodePassword+"="+password)
		if err := cmd.Start(); err != nil {
			t.Error(err)
		}
		return cmd
	}
}

// A replica is added to a running cluster and taken out again, and one that the master
// runs is taken out, too; the next start of the master knows.
func TestReplicasJoinAndAreRemoved(t *testing.T) {
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	m := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1")
	nc := connect(t, m.url)

	s := begin(t, m.url, "x", "r2")
	s.goesOn(t)
	r4 := joined(t, m, dir, "--id", "r4", "--dir", filepath.Join(p.tmp, "r4"))
	awaitMember(t, nc, "r4", 0)
	s.goesOn(t)

	for _, c := range []struct {
		args   []string
		status int
		says   string
		stdout string
	}{
		{[]string{"r7"}, 4, "r7 is not one of this cluster's (r1, r2, r3, r4)", `^$`},
		{
			[]string{"m1", "-o", "jsonl"}, 4, `no replica is called "m1"`,
			`^{"replica":"m1","removed":false,"begun":false,"error":"no replica is called \\"m1\\":.*"}\n$`,
		},
		{[]string{"r4"}, 0, "", `^r4 is out, epoch \d+\n$`},
		{[]string{"r2", "-o", "jsonl"}, 0, "", `^{"replica":"r2","removed":true,"begun":true,"epoch":\d+}\n$`},
	} {
		o := quartet(t, append([]string{"remove", "--nats", m.url}, c.args...)...)
		if o.status != c.status || !strings.Contains(o.stderr, c.says) || !regexp.MustCompile(c.stdout).MatchString(o.stdout) {
			t.Errorf("remove %q: status %d, want %d\n%s%s", c.args, o.status, c.status, o.stdout, o.stderr)
		}
	}

	if err := r4.Wait(); err != nil {
		t.Errorf("the replica that was removed ended badly: %v", err)
	}
	s.goesOn(t)
	s.check(t, nc, "x", suspicion+mostOnTop)

	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d\n%s", status, m.Stderr.String())
	}

	again := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1")
	if st := atRest(t, connect(t, again.url)); len(st.Replicas) != 2 || replicaOf(st, "r2") != nil {
		t.Errorf("%+v", st.Replicas)
	}
}

func TestReplicaWithoutCredentials(t *testing.T) {
	t.Parallel()
	m := start(t, "--replicas", "1")
	o := quartet(t, "replica", "--nats", m.url, "--id", "r4", "--memory")
	if o.status != 1 || !strings.Contains(o.stderr, bus.EnvNodePassword) {
		t.Errorf("status %d: %s", o.status, o.stderr)
	}
}

// recovery is what quartet recover prints as JSON.
type recovery struct {
	Ready, Done, Begun bool
	Reason, Error      string
	Missing, Present   []string
	Epoch              uint64
}

func recovered(t *testing.T, url string, status int, args ...string) (r recovery) {
	t.Helper()
	o := quartet(t, append([]string{"recover", "--nats", url, "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil || o.status != status {
		t.Errorf("recover %q: status %d, %v\n%s%s", args, o.status, err, o.stdout, o.stderr)
	}
	return r
}

// With too many members gone for good the cluster refuses, says why, and goes on only
// when an operator has been told what that may cost.
func TestRecover(t *testing.T) {
	t.Parallel()
	m := start(t, "--suspect", suspicion.String())
	nc := connect(t, m.url)
	mustOK(t, nc, "1, 1, key ::: value")
	if o := quartet(t, "recover", "--nats", m.url); o.status != 0 || !strings.Contains(o.stdout, "nothing to recover") {
		t.Errorf("a cluster that works: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}

	s := atRest(t, nc)
	for _, r := range s.Replicas[:2] { // in memory: what comes back is empty
		if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}

	testkit.Eventually(t, restLimit, "strong requests are refused", func() error {
		// Of another key: one that is sent before the deaths are seen may take effect later.
		got, err := request(nc, "1, 1, another ::: other")
		if err != nil {
			return err
		}
		if code(got) != "503" {
			return fmt.Errorf("%q %s", code(got), got.Data)
		}
		return nil
	})

	if got := mustOK(t, nc, "4, 2, key"); string(got.Data) != "value" {
		t.Errorf("an eventual get: %q", got.Data)
	}
	if st := mustStatus(t, nc); st.Ready || !strings.Contains(st.Reason, "r1, r2") {
		t.Errorf("%+v", st)
	}

	o := quartet(t, "recover", "--nats", m.url)
	if o.status != 1 || !strings.Contains(o.stdout, "only r1, r2 hold are lost") || !strings.Contains(o.stderr, "--yes") {
		t.Errorf("without --yes: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	if r := recovered(t, m.url, 1); r.Ready || r.Done || r.Begun || r.Reason == "" || !strings.Contains(r.Error, "--yes") ||
		!slices.Equal(r.Missing, []string{"r1", "r2"}) || !slices.Equal(r.Present, []string{"r3"}) {
		t.Errorf("without --yes: %+v", r)
	}

	if st := mustStatus(t, nc); st.Ready {
		t.Error("it was done without --yes")
	}
	if r := recovered(t, m.url, 0, "--yes"); !r.Ready || !r.Done || !r.Begun || r.Epoch <= s.Epoch || r.Error != "" ||
		!slices.Equal(r.Missing, []string{"r1", "r2"}) {
		t.Errorf("with --yes: %+v", r)
	}

	serves(t, nc)
	for _, id := range []string{"r1", "r2"} {
		awaitMember(t, nc, id, 0)
		if got := mustOK(t, nc, "2, 2, key", bus.HeaderReplica, id); string(got.Data) != "value" {
			t.Errorf("at %s: %q", id, got.Data)
		}
	}

	atRest(t, nc)
}

// A replica whose data are damaged is not served: it says so, is tried again, and comes
// back once its directory was moved away.
func TestDamagedReplicaIsNotServed(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	args := []string{"--dir", dir, "--listen", "127.0.0.1:-1"}
	m := startIn(t, p, args...)
	mustOK(t, connect(t, m.url), "1, 1, key ::: value")
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d", status)
	}

	r2 := filepath.Join(dir, "replicas", "r2")
	marks, err := filepath.Glob(filepath.Join(r2, "*"))
	if err != nil {
		t.Fatal(err)
	}

	spoilt := 0
	for _, name := range marks {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			spoilt++
			if err := os.WriteFile(name, []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if spoilt == 0 {
		t.Fatal("there is nothing to spoil")
	}

	m = launch(t, p, args...)
	m.awaitReady(t)

	nc := connect(t, m.url)
	r := replicaOf(mustStatus(t, nc), "r2")
	if r == nil || r.Member || !strings.Contains(r.LastError, "damaged") || !strings.Contains(m.Stdout.String(), "missing") {
		t.Errorf("status says %+v\nstdout %s", r, m.Stdout.String())
	}
	serves(t, nc)
	if err := os.Rename(r2, r2+".damaged"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "r2 is a member", func() error {
		if r := replicaOf(mustStatus(t, nc), "r2"); r == nil || !r.Member {
			return errors.New("it is not")
		}
		return nil
	})
	if got := mustOK(t, nc, "2, 2, key", bus.HeaderReplica, "r2"); string(got.Data) != "value" {
		t.Errorf("r2 has %q", got.Data)
	}
}

// Two masters of one cluster, on a bus that neither of them owns: the older one ends and
// leaves its replicas to the newer one.
func TestNewerMasterTakesOver(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	args := []string{"--memory", "--nats", s.ClientURL(), "--orphan-timeout", "2s"}
	first := startIn(t, newFolder(t), args...)
	nc := connect(t, s.ClientURL())
	was := seeded(t, nc)
	running := pids(atRest(t, nc))
	killLeftovers(t, running)

	second := startIn(t, newFolder(t), append(args, "--takeover")...)
	if status := first.Wait(t, startLimit); status != exit.StatusLed || !strings.Contains(first.Stderr.String(), "newer master leads") {
		t.Errorf("the first ended with status %d\n%s", status, first.Stderr.String())
	}

	st := mustStatus(t, nc)
	if st.Master.PID != second.PID() || !slices.Equal(pids(st), running) {
		t.Errorf("%+v", st)
	}

	for _, r := range st.Replicas {
		if r.Supervised { // who starts it again is said
			t.Errorf("%s is said to be started again by a master that did not start it", r.ID)
		}
	}

	for i, pid := range running {
		if line := fmt.Sprintf("r%d  pid %d, started elsewhere", i+1, pid); !strings.Contains(second.Stdout.String(), line) {
			t.Errorf("the banner does not say %q:\n%s", line, second.Stdout.String())
		}
	}

	for _, pid := range running {
		if !supervise.Alive(pid) {
			t.Errorf("process %d is gone with the first master", pid)
		}
	}

	checkAll(t, nc, was)
	if status := second.stop(t, os.Interrupt); status != 0 {
		t.Errorf("status %d\n%s", status, second.Stderr.String())
	}
	awaitDead(t, restLimit, running...)
}

// A master in an empty directory takes over a cluster whose record the store has lost, from a
// master that leads or has been killed: the record is made anew from what the replicas say, which
// run on with all that they have.
func TestTakeoverWithoutTheRecord(t *testing.T) {
	t.Parallel()
	for _, isKilled := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", isKilled), func(t *testing.T) {
			s := externalServer(t, true)
			args := []string{"--memory", "--nats", s.ClientURL(), "--suspect", calm, "--orphan-timeout", "2m"}
			first := startIn(t, newFolder(t), args...)
			nc := connect(t, s.ClientURL())
			was := seeded(t, nc)
			before := atRest(t, nc)
			killLeftovers(t, pids(before))

			if isKilled {
				if err := syscall.Kill(first.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				first.Wait(t, restLimit)
			}
			loseRecord(t, nc)
			second := startIn(t, newFolder(t), append(args, "--takeover")...)
			if !isKilled && first.Wait(t, startLimit) != exit.StatusLed {
				t.Errorf("the first ended otherwise:\n%s", first.Stderr.String())
			}

			st := atRest(t, nc)
			isSame := slices.Equal(pids(st), pids(before)) && st.Cluster == before.Cluster
			if st.Master.PID != second.PID() || !isSame {
				t.Errorf("replicas %v of %s were %v of %s; master %+v", pids(st), st.Cluster, pids(before), before.Cluster, st.Master)
			}
			checkAll(t, nc, was)
			awaitRecord(t, nc)
			stopped(t, second)
		})
	}
}
