package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus/testkit"
	"quartet/master/masternode/supervise"
)

// A cluster in one process: kill -9 takes all of it, and the same command has everything
// that was acknowledged back. With processes the directory is good too, but while they run
// nobody takes their place.
func TestInProcess(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	inside := append(slices.Clone(args), "--in-process")
	m := startIn(t, p, inside...)
	checkOneProcess(t, m)
	nc := connect(t, m.url, nats.MaxReconnects(0))
	was := seeded(t, nc)
	m.Kill()

	again := startIn(t, p, inside...)
	checkAll(t, connect(t, again.url, nats.MaxReconnects(0)), was)
	if status := again.stop(t, syscall.SIGTERM); status != 0 {
		t.Errorf("status %d\n%s", status, again.Stderr.String())
	}
	for file, content := range map[string]string{"m1.log": "in_process=true", "r2.log": "replica stopped", "report.txt": "linearizable"} {
		b, err := os.ReadFile(filepath.Join(p.logs, file))
		if err != nil || !strings.Contains(strings.ToLower(string(b)), content) {
			t.Errorf("%s: %v, %q is not in it", file, err, content)
		}
	}

	apart := startIn(t, p, args...)
	nc = connect(t, apart.url, nats.MaxReconnects(0))
	if m := mustOK(t, nc, "1, 2, before-7"); string(m.Data) != "younger" { // checkAll has set it
		t.Errorf("processes on the same directory read %q", m.Data)
	}
	running := pids(mustStatus(t, nc))
	killLeftovers(t, running)
	apart.Kill()
	refused := launch(t, p, inside...)
	if status := refused.Wait(t, startLimit); status != 1 ||
		!strings.Contains(refused.Stderr.String(), fmt.Sprintf("r1 pid %d", running[0])) {
		t.Errorf("beside living processes: status %d\n%s", status, refused.Stderr.String())
	}
	for _, pid := range running {
		if !supervise.Alive(pid) {
			t.Errorf("replica %d has ended", pid)
		}
	}
}

// checkOneProcess checks that the banner and the status say that there is one process.
func checkOneProcess(t *testing.T, m *master) {
	t.Helper()
	nc := connect(t, m.url, nats.MaxReconnects(0))
	s := mustStatus(t, nc)
	if !s.InProcess || !s.Ready || s.Master.PID != m.PID() || !slices.Equal(pids(s), []int{m.PID(), m.PID(), m.PID()}) {
		t.Errorf("status %+v of %d", s, m.PID())
	}
	if o := quartet(t, "status", "--nats", m.url); !strings.Contains(o.stdout, "in-process") {
		t.Errorf("quartet status:\n%s", o.stdout)
	}

	banner := regexp.MustCompile(`^ready nats://127\.0\.0\.1:\d+
  data      \S+, sync interval \(survives kill -9 of every process\)
  logs      \S+
  process   one, pid ` + strconv.Itoa(m.PID()) + `: master and replicas end together \(in-process\)
  replicas  r1  in-process
            r2  in-process
            r3  in-process
  try `)
	if out := m.Stdout.String(); !banner.MatchString(out) {
		t.Errorf("stdout:\n%s", out)
	}
}
