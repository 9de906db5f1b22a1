package e2e_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
)

// recordBucket is where the record stands on a server that no master owns.
const recordBucket = "quartet_views"

// disks is a cluster on disk of which a test changes the directories while it is stopped.
type disks struct {
	folder
	dir, old string // old is a copy that was made before the newest keys were set
}

// home is the directory of a replica's data.
func (d *disks) home(id string) string { return filepath.Join(d.dir, "replicas", id) }

// start waits for a replica that takes its time: who is left out first, and has gone back, is
// loaded without a word of that.
func (d *disks) start(t *testing.T) (*master, *nats.Conn) {
	t.Helper()
	m := startIn(t, d.folder, "--dir", d.dir, "--listen", "127.0.0.1:-1", "--suspect", "5s")
	return m, connect(t, m.url)
}

// acknowledged are the keys that the newest sets were acknowledged for.
var acknowledged = []string{"k1", "k2", "k3", "k4", "k5"}

// stopped ends a cluster as an operator does.
func stopped(t *testing.T, m *master) {
	t.Helper()
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d\n%s", status, m.Stderr.String())
	}
}

// aged is a cluster that was copied after three sets, and stopped after five; atRest: all
// replicas had delivered them before.
func aged(t *testing.T, rest bool) *disks {
	t.Helper()
	p := newFolder(t)
	d := &disks{folder: p, dir: filepath.Join(p.tmp, "data"), old: filepath.Join(p.tmp, "old")}
	m, nc := d.start(t)
	for _, key := range acknowledged[:3] {
		mustOK(t, nc, "1, 1, "+key+" ::: old")
	}
	atRest(t, nc)
	stopped(t, m)
	replace(t, d.old, d.dir)
	m, nc = d.start(t)
	for _, key := range acknowledged {
		mustOK(t, nc, "1, 1, "+key+" ::: new")
	}
	if rest {
		atRest(t, nc)
	}
	stopped(t, m)
	return d
}

// replace puts a copy of a directory in place of another one; from "": nothing.
func replace(t *testing.T, dir, from string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if from == "" {
		return
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// loseRecord removes the record of the views together with its bucket, as a server does that has
// lost its disk.
func loseRecord(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), askLimit)
	defer cancel()
	if err := js.DeleteKeyValue(ctx, recordBucket); err != nil {
		t.Fatal(err)
	}
}

// awaitRecord waits until the bucket holds a record.
func awaitRecord(t *testing.T, nc *nats.Conn) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "the record is written again", func() error {
		kv, err := js.KeyValue(t.Context(), recordBucket)
		if err != nil {
			return err
		}
		keys, err := kv.Keys(t.Context())
		if err == nil && len(keys) == 0 {
			err = errors.New("the bucket is empty")
		}
		return err
	})
}
