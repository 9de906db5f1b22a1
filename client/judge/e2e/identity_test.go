package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
)

// A copy of the data directory that is started beside the original is a cluster of its own:
// it starts its own replicas, and neither its start nor its end touches the original's.
func TestCopyBesideTheOriginal(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir, copied := filepath.Join(p.tmp, "data"), filepath.Join(p.tmp, "copy")
	original := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1", "--suspect", calm)
	nc := connect(t, original.url)
	mustOK(t, nc, "1, 1, key ::: original")
	was := atRest(t, nc)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // as one makes a backup
		t.Fatal(err)
	}

	second := startIn(t, newFolder(t), "--dir", copied, "--listen", "127.0.0.1:-1", "--suspect", calm)
	other := connect(t, second.url)
	s := mustStatus(t, other)
	for _, pid := range pids(s) {
		if slices.Contains(pids(was), pid) {
			t.Errorf("the copy has taken over process %d of the original", pid)
		}
	}
	for _, word := range []string{"copy of " + dir, strconv.Itoa(original.PID())} {
		if !strings.Contains(second.Stderr.String(), word) {
			t.Errorf("the copy does not say %q:\n%s", word, second.Stderr.String())
		}
	}
	if got := mustOK(t, other, "1, 2, key"); string(got.Data) != "original" {
		t.Errorf("the copy has %q", got.Data)
	}
	mustOK(t, other, "1, 1, key ::: copy")
	if status := second.stop(t, os.Interrupt); status != 0 {
		t.Errorf("status %d\n%s", status, second.Stderr.String())
	}
	awaitDead(t, deadLimit, pids(s)...)

	if now := mustStatus(t, nc); !now.Ready || !slices.Equal(pids(now), pids(was)) {
		t.Errorf("the original's replicas are %v, were %v; ready %v: %s", pids(now), pids(was), now.Ready, now.Reason)
	}
	if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "original" {
		t.Errorf("the original has %q", got.Data)
	}
}

// A second master refuses to start while one leads, says which, and leaves nothing behind;
// so two that are each kept running by somebody do not depose each other.
func TestSecondMasterIsRefused(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	first := startIn(t, newFolder(t), "--memory", "--nats", s.ClientURL(), "--suspect", calm)
	nc := connect(t, s.ClientURL())
	before := mustStatus(t, nc)

	for _, data := range [][]string{{"--memory"}, {"--dir", filepath.Join(t.TempDir(), "data")}} {
		p := newFolder(t)
		second := launch(t, p, append(data, "--nats", s.ClientURL())...)
		if status := second.Wait(t, startLimit); status != exit.StatusLed {
			t.Errorf("status %d", status)
		}
		for _, word := range []string{"another master leads", strconv.Itoa(first.PID()), "--takeover"} {
			if !strings.Contains(second.Stderr.String(), word) {
				t.Errorf("stderr does not say %q:\n%s", word, second.Stderr.String())
			}
		}

		nothingIn(t, p.tmp)
		if _, err := os.Stat(p.logs); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a directory for logs is left: %v", err)
		}
	}

	unharmed(t, nc, before)
}

// So must a master with data of its own that would write its logs and reports among another's:
// which one is there is said, and its files are left alone.
func TestSecondMasterAmongTheLogsOfAnother(t *testing.T) {
	t.Parallel()
	first := start(t)
	nc := connect(t, first.url)
	before := mustStatus(t, nc)

	p := newFolder(t)
	data := filepath.Join(p.tmp, "data")
	for _, args := range [][]string{{"--memory"}, {"--dir", data}} {
		second := launch(t, folder{logs: first.logs, tmp: p.tmp}, append(args, "--listen", "127.0.0.1:-1")...)
		if status := second.Wait(t, startLimit); status != exit.StatusLed {
			t.Errorf("%q: status %d", args, status)
		}
		for _, word := range []string{fmt.Sprintf("pid %d, at %s,", first.PID(), first.url), first.logs, "--log-dir"} {
			if !strings.Contains(second.Stderr.String(), word) {
				t.Errorf("%q: stderr does not say %q:\n%s", args, word, second.Stderr.String())
			}
		}
		nothingIn(t, p.tmp)
		testkit.Eventually(t, restLimit, "the first master's log, and nothing of another one in it", func() error {
			log, err := os.ReadFile(filepath.Join(first.logs, "m1.log"))
			if starts := bytes.Count(log, []byte("Starting nats-server")); err == nil && starts != 1 {
				err = fmt.Errorf("%q: %d masters have begun to write there:\n%s", args, starts, log)
			}
			return err
		})
	}
	unharmed(t, nc, before)
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind in %s: %v %v", dir, left, err)
	}
}

// A master that is sent to the embedded server of another cluster finds that it is led, and
// leaves no bucket in the account of that cluster's clients.
func TestMasterOnAnothersEmbeddedServer(t *testing.T) {
	t.Parallel()
	first := start(t, "--client-jetstream")
	second := launch(t, newFolder(t), "--memory", "--nats", first.url)
	if status := second.Wait(t, startLimit); status != exit.StatusLed {
		t.Errorf("status %d\n%s", status, second.Stderr.String())
	}
	js, err := jetstream.New(connect(t, first.url))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.KeyValue(t.Context(), "quartet_views"); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a bucket is left behind: %v", err)
	}
}

// A stream that keeps every subject answers for nobody: it is taken for no master.
func TestStreamIsNoMaster(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "AUDIT", Subjects: []string{"quartet.>"}}); err != nil {
		t.Fatal(err)
	}
	startIn(t, newFolder(t), "--memory", "--nats", s.ClientURL())
}

// The master's own small files, lost or emptied: the same command has everything back, and
// ids go on rising; also while the replicas of the master that has lost them still run.
func TestMastersFilesAreLost(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(string) error{
		"lost":    os.Remove,
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	}
	for name, files := range map[string][]string{
		"one":  {"master.json"},
		"both": {"master.json", "master.copy.json"},
	} {
		for how, spoil := range spoil {
			for _, data := range []string{"--memory", "--dir"} {
				t.Run(fmt.Sprint(name, " ", how, " ", data), func(t *testing.T) {
					loseMastersFiles(t, data, files, spoil)
				})
			}
		}
	}
}

// loseMastersFiles kills the master (and, with disks, the replicas), spoils files of its directory,
// and wants that the same command serves all that was acknowledged.
func loseMastersFiles(t *testing.T, data string, files []string, spoil func(string) error) {
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	args := []string{"--listen", testkit.FreeAddress(t), "--suspect", calm, "--memory"}
	if data == "--dir" {
		args = append(args[:len(args)-1], "--dir", dir)
	}
	m := startIn(t, p, args...)
	nc := connect(t, m.url, nats.MaxReconnects(0))
	was := seeded(t, nc)
	was.status = atRest(t, nc)
	killLeftovers(t, pids(was.status))
	if data == "--memory" {
		dir = runFiles(t, m)
	}

	m.Kill()
	if data == "--dir" { // and with the disks no replica need be there
		for _, pid := range pids(was.status) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		awaitDead(t, deadLimit, pids(was.status)...)
	}

	for _, file := range files {
		if err := spoil(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}

	again := startIn(t, p, args...)
	nc = connect(t, again.url)
	s := mustStatus(t, nc)
	died := data == "--memory" && !slices.Equal(pids(s), pids(was.status))
	if !s.Ready || died {
		t.Errorf("ready %v: %s; replicas %v, were %v", s.Ready, s.Reason, pids(s), pids(was.status))
	}
	if !strings.Contains(again.Stderr.String(), "master.json is ") {
		t.Errorf("nothing is said: %s", again.Stderr.String())
	}
	checkAll(t, nc, was)
}

// runFiles is the directory that the banner of a master in memory names.
func runFiles(t *testing.T, m *master) string {
	t.Helper()
	_, after, found := strings.Cut(m.Stdout.String(), "run files in ")
	dir, _, closed := strings.Cut(after, ")")
	if !found || !closed {
		t.Fatalf("the banner names no run files: %s", m.Stdout.String())
	}
	return dir
}

// A master that is told to keep data otherwise than the replicas that run do is refused: what
// it would say of them would not be so. They go on, and so does the master that is as they are.
func TestMasterThatDiffersIsRefused(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	p := newFolder(t)
	args := []string{"--memory", "--nats", s.ClientURL(), "--suspect", calm, "--orphan-timeout", "1m"}
	first := startIn(t, p, args...)
	nc := connect(t, s.ClientURL())
	was := seeded(t, nc)
	was.status = atRest(t, nc)
	killLeftovers(t, pids(was.status))
	if was.status.Data != bus.DataMemory || !was.status.Replicas[0].Supervised {
		t.Errorf("%+v", was.status)
	}

	refused := func(args ...string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "data")
		other := launch(t, newFolder(t), append([]string{"--nats", s.ClientURL(), "--dir", dir, "--suspect", calm}, args...)...)

		if status := other.Wait(t, startLimit); status != exit.StatusUsage || other.Stdout.String() != "" {
			t.Errorf("%v: status %d, stdout %s", args, status, other.Stdout.String())
		}
		for _, word := range []string{"in memory", "--dir " + dir} {
			if !strings.Contains(other.Stderr.String(), word) {
				t.Errorf("%v: stderr does not say %q:\n%s", args, word, other.Stderr.String())
			}
		}
		for _, left := range []string{dir, other.logs} {
			if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%v: %s is left behind: %v", args, left, err)
			}
		}
	}
	refused("--takeover")
	unharmed(t, nc, mustStatus(t, nc))
	if first.Gone() {
		t.Fatalf("the master that leads has given way: %s", first.Stderr.String())
	}
	first.Kill()
	refused()

	startIn(t, p, args...)
	if now := mustStatus(t, nc); !slices.Equal(pids(now), pids(was.status)) {
		t.Errorf("replicas %v, were %v", pids(now), pids(was.status))
	}
	checkAll(t, nc, was)
}

// The same of the way in which disks are synced, in the same directory.
func TestMasterThatSyncsOtherwiseIsRefused(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t), "--suspect", calm, "--orphan-timeout", "1m"}
	first := startIn(t, p, args...)
	nc := connect(t, first.url, nats.MaxReconnects(0))
	was := seeded(t, nc)
	was.status = atRest(t, nc)
	killLeftovers(t, pids(was.status))
	first.Kill()
	other := launch(t, p, append(args, "--sync", "always")...)
	if status := other.Wait(t, startLimit); status != exit.StatusUsage || !strings.Contains(other.Stderr.String(), "--sync interval") {
		t.Errorf("status %d\n%s", status, other.Stderr.String())
	}
	again := startIn(t, p, args...)
	nc = connect(t, again.url)
	if now := mustStatus(t, nc); !slices.Equal(pids(now), pids(was.status)) || now.Data != bus.DataDisk || now.Sync != "interval" {
		t.Errorf("%+v", now)
	}
	checkAll(t, nc, was)
}

// A member that keeps its data in memory is told, though the master's flags say disk.
func TestMemberInMemoryAmongDisks(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	m := startIn(t, newFolder(t), "--dir", dir, "--replicas", "1", "--listen", "127.0.0.1:-1", "--suspect", calm)
	nc := connect(t, m.url)
	if s := mustStatus(t, nc); s.Data != bus.DataDisk || s.Replicas[0].Data != bus.DataDisk ||
		s.Survives != "survives kill -9 of every process" {
		t.Errorf("%+v", s)
	}
	joined(t, m, dir, "--id", "r2", "--memory")
	testkit.Eventually(t, restLimit, "r2 is a member", func() error {
		if r := replicaOf(mustStatus(t, nc), "r2"); r == nil || !r.Member || r.Data == "" {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	s := mustStatus(t, nc)
	if r := replicaOf(s, "r2"); s.Data != bus.DataMixed || r.Data != bus.DataMemory || r.Supervised ||
		!strings.Contains(s.Survives, "in memory only: r2") {
		t.Errorf("%+v", s)
	}

	found, err := nc.Request("$SRV.PING.quartet", nil, startLimit)
	if err != nil {
		t.Fatal(err)
	}
	var ping micro.Ping
	if err := json.Unmarshal(found.Data, &ping); err != nil || ping.Metadata["data"] != bus.DataMixed ||
		ping.Metadata["sync"] != "interval" {
		t.Errorf("as a micro service: %v, %v", ping.Metadata, err)
	}
	if o := quartet(t, "doctor", "--nats", m.url, "-o", "raw"); !strings.Contains(o.stdout,
		"note\tdurability\tmembers differ: in memory r2, the others on disk") {
		t.Errorf("quartet doctor: status %d\n%s", o.status, o.stdout)
	}
}

// A cleaner of temporary files takes what nobody has touched for days: everything that a
// cluster in memory keeps in the temporary directory. The cluster goes on: a replica that dies
// is started again and let in, sets are taken, and the files are there again for a later
// master.
func TestRunFilesAreCleaned(t *testing.T) {
	t.Parallel()
	for what, clean := range map[string]func(string) error{
		"the directory": os.RemoveAll,
		"what is in it": func(dir string) error {
			list, err := os.ReadDir(dir)
			for _, e := range list {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
			return err
		},
	} {
		t.Run(what, func(t *testing.T) { cleanRunFiles(t, clean) })
	}
}

// cleanRunFiles cleans up in the directory of a master in memory while it is at work, and wants
// that the files come back and that a replica's death, and the master's, are survived as ever.
func cleanRunFiles(t *testing.T, clean func(string) error) {
	p := newFolder(t)
	args := []string{"--memory", "--listen", testkit.FreeAddress(t), "--orphan-timeout", "1m"}
	m := startIn(t, p, args...)
	nc := connect(t, m.url, nats.MaxReconnects(0))
	was := seeded(t, nc)
	before := atRest(t, nc)
	killLeftovers(t, pids(before))
	dir := runFiles(t, m)
	if err := clean(dir); err != nil {
		t.Fatal(err)
	}

	dead := replicaOf(before, "r2").PID
	if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "r2 is a member again, as another process", func() error {
		s := mustStatus(t, nc)
		if r := replicaOf(s, "r2"); !s.Ready || r == nil || !r.Member || r.PID == dead {
			return fmt.Errorf("ready %v (%s): %+v", s.Ready, s.Reason, r)
		}
		return nil
	})
	serves(t, nc)
	was.status = atRest(t, nc)
	killLeftovers(t, pids(was.status))

	testkit.Eventually(t, restLimit, "the files are there again", func() error {
		for _, name := range []string{"master.json", "master.copy.json", "master.lock", "r1.lock", "r2.lock", "r3.lock"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		return nil
	})
	m.Kill()
	again := startIn(t, p, args...)
	nc = connect(t, again.url)
	if s := mustStatus(t, nc); !slices.Equal(pids(s), pids(was.status)) {
		t.Errorf("replicas %v, were %v", pids(s), pids(was.status))
	}
	checkAll(t, nc, was)
}
