package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
)

// bucketOf is a bucket of a cluster, made if there is none, as an unmodified client has it.
func bucketOf(t *testing.T, nc *nats.Conn) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.NewWithAPIPrefix(nc, "quartet.kv")
	if err != nil {
		t.Fatal(err)
	}
	var kv jetstream.KeyValue
	testkit.Eventually(t, startLimit, "the bucket", func() (err error) {
		kv, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b", History: 2})
		return err
	})
	return kv
}

// putAll puts n keys at once, and returns their numbers.
func putAll(t *testing.T, kv jetstream.KeyValue, n int, value string) map[string]uint64 {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	told := map[string]uint64{}
	for i := range n {
		all.Go(func() {
			key := fmt.Sprint("k", i)
			number, err := kv.PutString(t.Context(), key, value)
			if err != nil {
				t.Errorf("put %s: %v", key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			told[key] = number
		})
	}
	all.Wait()
	return told
}

// Numbers that were told mean the same after the master was killed: gets tell them again, and an
// update that names one takes effect, or is a conflict.
func TestNumbersOfBucketsSurviveTheMaster(t *testing.T) {
	for _, data := range []string{"--memory", "--dir"} {
		t.Run(data, func(t *testing.T) {
			p := newFolder(t)
			args := []string{"--listen", freeAddress(t), "--memory"}
			if data == "--dir" {
				args = []string{"--listen", args[1], "--dir", filepath.Join(p.tmp, "data")}
			}
			m := startIn(t, p, args...)
			nc := connect(t, m.url, nats.MaxReconnects(0))
			told := putAll(t, bucketOf(t, nc), 50, "before")
			killLeftovers(t, pids(atRest(t, nc)))

			m.Kill()
			again := startIn(t, p, args...)
			kv := bucketOf(t, connect(t, again.url))
			newest := uint64(0)
			for key, number := range told {
				newest = max(newest, number)
				e, err := kv.Get(t.Context(), key)
				if err != nil || e.Revision() != number || string(e.Value()) != "before" {
					t.Errorf("%s: %v %v, had number %d", key, e, err, number)
				}
			}

			number, err := kv.Update(t.Context(), "k1", []byte("after"), told["k1"])
			if err != nil || number <= newest {
				t.Errorf("an update: %d %v", number, err)
			}
			if _, err := kv.Update(t.Context(), "k1", nil, told["k1"]); !errors.Is(err, jetstream.ErrKeyExists) {
				t.Errorf("an update of an older one: %v", err)
			}
			past, err := kv.History(t.Context(), "k1")
			if err != nil || len(past) != 2 || past[0].Revision() != told["k1"] || past[1].Revision() != number {
				t.Errorf("history: %v %v", past, err)
			}
			if status := again.stop(t, syscall.SIGTERM); status != 0 {
				t.Errorf("status %d\n%s", status, again.Stderr.String())
			}
		})
	}
}

// A watch of a bucket tells each change once and in order while the replicas are killed one after
// the other, and puts go on.
func TestABucketIsWatchedWhileReplicasAreKilled(t *testing.T) {
	m := start(t, "--suspect", "1s")
	nc := connect(t, m.url)
	kv := bucketOf(t, nc)
	w, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	ctx, end := context.WithCancel(t.Context())
	defer end()
	var writer sync.WaitGroup
	var last uint64
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			number, err := kv.PutString(t.Context(), fmt.Sprint("k", n%10), fmt.Sprint(n))
			if err != nil {
				continue // of unknown outcome: the watch shows what has become of it
			}
			last = number
		}
	})

	for _, r := range atRest(t, nc).Replicas {
		if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, restLimit, "the replica's return", func() error {
			s, err := status(nc)
			if err != nil {
				return err
			}
			for _, now := range s.Replicas {
				isNew := now.PID != r.PID && now.Member
				if now.ID == r.ID && !isNew {
					return fmt.Errorf("%s: pid %d, member %t", now.ID, now.PID, now.Member)
				}
			}
			return nil
		})
	}
	end()
	writer.Wait()

	newest := uint64(0)
	late := time.After(startLimit)
	for newest < last {
		select {
		case e := <-w.Updates():
			if e == nil {
				continue
			}
			if newest > 0 && e.Revision() != newest+1 {
				t.Fatalf("number %d after %d", e.Revision(), newest)
			}
			newest = e.Revision()
		case <-late:
			t.Fatalf("the watch has told up to %d, puts up to %d", newest, last)
		}
	}
	if last == 0 {
		t.Error("no put was acknowledged")
	}
}

// A lost stream is made anew: what is true is told by it, under numbers above all that were told,
// and an old number is a conflict.
func TestABucketsStreamIsLost(t *testing.T) {
	p := newFolder(t)
	args := []string{"--listen", freeAddress(t), "--memory", "--client-jetstream"}
	m := startIn(t, p, args...)
	nc := connect(t, m.url)
	kv := bucketOf(t, nc)
	told := putAll(t, kv, 20, "kept")
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}

	// The next change finds the stream missing.
	if _, err := kv.PutString(t.Context(), "another", "1"); err != nil {
		t.Fatal(err)
	}
	newest := uint64(0)
	for _, number := range told {
		newest = max(newest, number)
	}
	testkit.Eventually(t, startLimit, "the keys", func() error {
		keys, err := kv.Keys(t.Context())
		if err != nil || len(keys) != 21 {
			return fmt.Errorf("%d keys: %w", len(keys), err)
		}
		return nil
	})
	e, err := kv.Get(t.Context(), "k3")
	if err != nil || e.Revision() <= newest || string(e.Value()) != "kept" {
		t.Errorf("%v %v, numbers up to %d were told", e, err, newest)
	}
	if _, err := kv.Update(t.Context(), "k3", []byte("lost"), told["k3"]); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("an update of an old number: %v", err)
	}
	if _, err := kv.Update(t.Context(), "k3", []byte("new"), e.Revision()); err != nil {
		t.Errorf("an update of the new one: %v", err)
	}
}
