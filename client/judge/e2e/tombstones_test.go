//go:build long

package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client"
)

const (
	// deleted is more than the number of tombstones from which on they are soon collected (10,000).
	deleted = 12_000
	// collectLimit is until tombstones are collected: 20 s after the newest epoch has begun, on a
	// machine that has time.
	collectLimit = 3 * time.Minute
)

func deletedKey(n int) string { return fmt.Sprintf("gone/%05d", n) }

// inBulk sets or deletes all keys of deletedKey, many in a transaction.
func inBulk(t *testing.T, url string, step func(s *client.Steps, key string)) {
	t.Helper()
	c, err := client.Connect(t.Context(), url, client.WithRetries(100))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const each, workers = 100, 4
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for n := worker * each; n < deleted; n += workers * each {
				txn := c.Txn()
				for i := range each {
					step(txn.Then(), deletedKey(n+i))
				}
				if _, err := txn.Commit(t.Context()); err != nil {
					t.Errorf("keys from %d on: %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// awaitTombstones waits until the replicas r1 to r3 say that they are members with one key, and
// with so many tombstones each.
func awaitTombstones(t *testing.T, nc *nats.Conn, want uint64) (s bus.Status) {
	t.Helper()
	testkit.Eventually(t, collectLimit, fmt.Sprintf("%d tombstones at each replica", want), func() (err error) {
		if s, err = status(nc); err != nil {
			return err
		}
		for _, id := range []string{"r1", "r2", "r3"} {
			r := replicaOf(s, id)
			isThere := r != nil && r.Member && r.Keys == 1
			if !isThere || r.Tombstones != want {
				return fmt.Errorf("%+v", s.Replicas)
			}
		}
		return nil
	})
	return s
}

// What many deletes have left stays while a replica of the cluster is away, and goes once it is
// taken out of it, though replicas are killed meanwhile. When that replica comes back with its
// old directory, in which all the keys still have values, none of them rises from the dead; nor
// when everything is killed.
func TestTombstonesGo(t *testing.T) {
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	args := []string{"--dir", dir, "--listen", freeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	killLeftovers(t, pids(mustStatus(t, nc)))
	fourth := func() *exec.Cmd {
		t.Helper()
		cmd := joined(t, m, dir, "--id", "r4", "--dir", filepath.Join(p.tmp, "r4"))
		awaitMember(t, nc, "r4", 0)
		return cmd
	}
	r4 := fourth()

	mustOK(t, nc, "1, set, stays ::: here")
	inBulk(t, m.url, func(s *client.Steps, key string) { s.Set(key, []byte("a value of "+key)) })
	if s := atRest(t, nc); s.Replicas[0].Keys != deleted+1 {
		t.Fatalf("%d keys", s.Replicas[0].Keys)
	}
	kill(t, r4.Process.Pid)
	_ = r4.Wait() // killed
	inBulk(t, m.url, func(s *client.Steps, key string) { s.Delete(key) })
	tombstone := number(t, mustOK(t, nc, "1, delete, "+deletedKey(0)), bus.HeaderRevision)

	killOne(t, nc, "r2")
	s := awaitTombstones(t, nc, deleted)
	for _, r := range s.Replicas {
		if r.CollectedAgo != 0 {
			t.Errorf("%s has collected tombstones while r4 is away: %+v", r.ID, r)
		}
	}

	if o := quartet(t, "remove", "--nats", m.url, "r4"); o.status != 0 {
		t.Fatalf("remove: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	killOne(t, nc, "r1")
	awaitCollection(t, nc)
	killOne(t, nc, "r3") // perhaps before its disk has learned of it
	awaitTombstones(t, nc, 0)

	removed := joined(t, m, dir, "--id", "r4", "--dir", filepath.Join(p.tmp, "r4"))
	if err := removed.Wait(); err != nil { // it hears that it was taken out
		t.Errorf("the replica that was removed ended badly: %v", err)
	}
	r4 = fourth()
	nothingRises(t, nc, 4)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r4.Wait() // killed
	}()
	killAll(t, m, nc)
	<-ended
	m = startIn(t, p, args...)
	nc = outlives(t, m.url)
	fourth()
	nothingRises(t, nc, 4)

	conditions(t, nc, deletedKey(0), tombstone)
	mustOK(t, nc, "eventual, set, "+deletedKey(1)+" ::: again")
	if got := linearizably(t, nc, deletedKey(1)); got != "again" {
		t.Errorf("a key that is set again has %q", got)
	}
}

// killOne kills a replica that its master starts again, and waits until it is a member.
func killOne(t *testing.T, nc *nats.Conn, id string) {
	t.Helper()
	pid := replicaOf(mustStatus(t, nc), id).PID
	kill(t, pid)
	awaitMember(t, nc, id, pid)
}

// awaitCollection waits until a replica says that it has collected tombstones.
func awaitCollection(t *testing.T, nc *nats.Conn) {
	t.Helper()
	testkit.Eventually(t, collectLimit, "tombstones are collected", func() error {
		s, err := status(nc)
		if err != nil {
			return err
		}
		for _, r := range s.Replicas {
			if r.CollectedAgo > 0 {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.Replicas)
	})
}

// nothingRises wants that no replica shows a deleted key, or counts one, and that all have the key
// that stays.
func nothingRises(t *testing.T, nc *nats.Conn, replicas int) {
	t.Helper()
	s := atRest(t, nc)
	for i := range replicas {
		id := fmt.Sprint("r", i+1)
		if r := replicaOf(s, id); r == nil || r.Keys != 1 {
			t.Errorf("%s has other keys than the one that stays: %+v", id, r)
		}

		for _, model := range []string{"sequential", "eventual"} {
			if got := mustOK(t, nc, model+", get, stays", bus.HeaderReplica, id); string(got.Data) != "here" {
				t.Errorf("the key that stays is %q at %s", got.Data, id)
			}
			for n := 0; n < deleted; n += 1000 {
				if got := ask(t, nc, model+", get, "+deletedKey(n), bus.HeaderReplica, id); code(got) != "404" {
					t.Errorf("%s get of the deleted %s at %s: %q %s", model, deletedKey(n), id, code(got), got.Data)
				}
			}
			if got := mustOK(t, nc, model+", list, gone/", bus.HeaderReplica, id); len(got.Data) > 0 {
				t.Errorf("%s lists %.100q", id, got.Data)
			}
		}
	}
}

// conditions wants that the revision of a tombstone that was collected holds no more, that 0
// does, and that the next revision is greater.
func conditions(t *testing.T, nc *nats.Conn, key string, tombstone uint64) {
	t.Helper()
	set := "linearizable, set, " + key + " ::: new"
	if got := ask(t, nc, set, bus.HeaderIfRevision, strconv.FormatUint(tombstone, 10)); code(got) != "412" {
		t.Errorf("a condition on the revision of a tombstone that was collected: %q %s", code(got), got.Data)
	}
	created := mustOK(t, nc, set, bus.HeaderIfRevision, "0")
	if revision := number(t, created, bus.HeaderRevision); revision <= tombstone {
		t.Errorf("created anew at revision %d, after %d", revision, tombstone)
	}
}
