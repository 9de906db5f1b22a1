package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/testkit"
	"quartet/client"
)

// Everything is put back to a backup: the cluster is the same, but what was told after the
// backup is of a history that has ended. Whoever goes on from it is refused at once, in every
// model and encoding; whoever goes on from before is not. Request ids never come twice.
func TestARestoredBackupEndsAHistory(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	data, backup := filepath.Join(p.tmp, "data"), filepath.Join(p.tmp, "backup")
	args := []string{"--listen", testkit.FreeAddress(t), "--dir", data, "--suspect", calm, "--replicas", "2"}

	m := startIn(t, p, args...)
	nc := connect(t, m.url)
	cluster := mustStatus(t, nc).Cluster
	early := mustOK(t, nc, "sequential, set, early ::: 1", bus.HeaderSession, bus.NewSession).Header.Get(bus.HeaderSession)
	m.stop(t, os.Interrupt)
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	c, err := client.Connect(t.Context(), m.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lives := c.Session()
	token, greatest := early, uint64(0)
	for range 20 {
		for _, body := range []string{"sequential, set, late ::: 1", "causal, set, late ::: 1"} {
			r := mustOK(t, nc, body, bus.HeaderSession, token)
			token, greatest = r.Header.Get(bus.HeaderSession), max(greatest, rid(t, r))
		}
		if _, err := lives.Set(t.Context(), "late", []byte("1"), client.With(client.Sequential)); err != nil {
			t.Fatal(err)
		}
	}
	m.stop(t, os.Interrupt)

	if err := errors.Join(os.RemoveAll(data), os.Rename(backup, data)); err != nil {
		t.Fatal(err)
	}
	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	if got := mustStatus(t, nc).Cluster; got != cluster || cluster == "" {
		t.Errorf("the cluster was %q, and is %q", cluster, got)
	}
	refused(t, nc, token, "has ended")
	if r := mustOK(t, nc, "sequential, get, early", bus.HeaderSession, early); rid(t, r) <= greatest {
		t.Errorf("the restored cluster gives out rID %d, and %d was given out before", rid(t, r), greatest)
	}
	for _, model := range []client.Consistency{client.Sequential, client.Linearizable, client.Eventual, client.Causal} {
		if _, err := lives.Get(t.Context(), "late", client.With(model)); !errors.Is(err, client.ErrOtherHistory) ||
			!errors.Is(err, client.ErrRefused) {
			t.Errorf("%s get in a session of the ended history: %v", model.Word(), err)
		}
	}
	outcomes, err := lives.GetMany(t.Context(), []string{"a", "b", "c"}, client.With(client.Sequential))
	if !errors.Is(err, client.ErrOtherHistory) || len(outcomes) != 3 {
		t.Errorf("gets in a batch: %v %v", outcomes, err)
	}
	if _, err := c.Session().Get(t.Context(), "early", client.With(client.Sequential)); err != nil {
		t.Errorf("a new session: %v", err)
	}
	got := quartet(t, "get", "--nats", m.url, "--consistency", "sequential", "--session", token, "early")
	if got.status != exit.StatusRefused || !strings.Contains(got.stderr, "has ended") {
		t.Errorf("quartet get ends with %d: %s%s", got.status, got.stdout, got.stderr)
	}

	other := connect(t, start(t, "--replicas", "1").url)
	refused(t, other, token, "another cluster")
	refused(t, other, early, "another cluster")
}

// refused expects 421 for a token, whatever the request is, and that nothing was executed.
func refused(t *testing.T, nc *nats.Conn, token, why string) {
	t.Helper()
	for _, body := range []string{
		"linearizable, set, refused ::: 1", "sequential, get, refused", "sequential, set, refused ::: 1", "causal, get, refused",
		"causal, set, refused ::: 1", "eventual, get, refused", "eventual, set, refused ::: 1",
		`{"consistency": 2, "request": "get", "key": "refused"}`, "\x83\xabconsistency\x03\xa7request\x02\xa3key\xa7refused",
	} {
		r := ask(t, nc, body, bus.HeaderSession, token)
		if code(r) != "421" || !strings.Contains(r.Header.Get(bus.HeaderError), why) || r.Header.Get(bus.HeaderSession) != "" {
			t.Errorf("%q: %v %s", body, r.Header, r.Data)
		}
	}
	if r := ask(t, nc, "linearizable, get, refused"); code(r) != "404" {
		t.Errorf("a refused set was executed: %v %s", r.Header, r.Data)
	}
}
