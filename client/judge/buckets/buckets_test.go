package buckets_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/client/quartettest"
)

// manager is an unmodified client of a cluster's buckets, below a prefix.
func manager(t testing.TB, c *quartettest.Cluster, prefix string) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.NewWithAPIPrefix(c.NATS(t), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// bucket makes a bucket.
func bucket(t testing.TB, js jetstream.JetStream, config jetstream.KeyValueConfig) jetstream.KeyValue {
	t.Helper()
	kv, err := js.CreateKeyValue(t.Context(), config)
	if err != nil {
		t.Fatalf("bucket %s: %v", config.Bucket, err)
	}
	return kv
}

// put puts a value and returns its number.
func put(t testing.TB, kv jetstream.KeyValue, key, value string) uint64 {
	t.Helper()
	n, err := kv.PutString(t.Context(), key, value)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return n
}

// next is the next update of a watch, as text; "caught up" where all that was there has come.
func next(t testing.TB, w jetstream.KeyWatcher) string {
	t.Helper()
	select {
	case e := <-w.Updates():
		if e == nil {
			return "caught up"
		}
		return fmt.Sprintf("%s %s=%s #%d", e.Operation(), e.Key(), e.Value(), e.Revision())
	case <-time.After(20 * time.Second):
		t.Fatal("no update in 20 s")
		return ""
	}
}

// An unmodified client does with a bucket whatever it does with one of JetStream.
func TestAClientOfBucketsIsServed(t *testing.T) {
	c := quartettest.Start(t)
	js := manager(t, c, "quartet.kv")
	ctx := t.Context()
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "orders", History: 3})

	first := put(t, kv, "17", "open")
	if e, err := kv.Get(ctx, "17"); err != nil || string(e.Value()) != "open" || e.Revision() != first {
		t.Fatalf("get: %v %v", e, err)
	}
	if _, err := kv.Create(ctx, "17", []byte("x")); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("create of a key that is there: %v", err)
	}
	second, err := kv.Update(ctx, "17", []byte("paid"), first)
	if err != nil || second <= first {
		t.Errorf("update: %d %v", second, err)
	}
	if _, err := kv.Update(ctx, "17", []byte("lost"), first); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("update of an older one: %v", err)
	}
	if e, err := kv.GetRevision(ctx, "17", first); err != nil || string(e.Value()) != "open" {
		t.Errorf("get revision: %v %v", e, err)
	}
	if err := kv.Delete(ctx, "17"); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(ctx, "17"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("get of a deleted key: %v", err)
	}
	if _, err := kv.Get(ctx, "nobody"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("get of no key: %v", err)
	}
	if _, err := kv.Create(ctx, "17", []byte("again")); err != nil {
		t.Errorf("create after a delete: %v", err)
	}
	past, err := kv.History(ctx, "17")
	if err != nil || len(past) != 3 || string(past[0].Value()) != "paid" || past[1].Operation() != jetstream.KeyValueDelete {
		t.Errorf("history: %v %v", past, err)
	}
	if err := kv.Purge(ctx, "17"); err != nil {
		t.Error(err)
	}
	if past, err := kv.History(ctx, "17"); err != nil || len(past) != 1 || past[0].Operation() != jetstream.KeyValuePurge {
		t.Errorf("history after a purge: %v %v", past, err)
	}

	put(t, kv, "a.b", "1")
	put(t, kv, "a.c", "2")
	keys, err := kv.Keys(ctx)
	slices.Sort(keys)
	if err != nil || strings.Join(keys, " ") != "a.b a.c" {
		t.Errorf("keys: %v %v", keys, err)
	}
	s, err := kv.Status(ctx)
	if err != nil || s.Values() != 3 || s.History() != 3 || s.Bucket() != "orders" {
		t.Errorf("status: %+v %v", s, err)
	}
}

// Watches tell what is there, and each change, with the numbers that gets and puts tell.
func TestAWatchTellsWhatPutsSay(t *testing.T) {
	c := quartettest.Start(t)
	kv := bucket(t, manager(t, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: "b"})
	one := put(t, kv, "k.1", "one")
	two := put(t, kv, "k.2", "two")
	w, err := kv.Watch(t.Context(), "k.*")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()

	native := c.Client(t)
	for _, want := range []string{
		fmt.Sprintf("KeyValuePutOp k.1=one #%d", one), fmt.Sprintf("KeyValuePutOp k.2=two #%d", two), "caught up",
	} {
		if got := next(t, w); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	if _, err := native.Set(t.Context(), "b/k.3", []byte("native")); err != nil {
		t.Fatal(err)
	}

	got := next(t, w)
	e, err := kv.Get(t.Context(), "k.3")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("KeyValuePutOp k.3=native #%d", e.Revision()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := kv.Delete(t.Context(), "k.1"); err != nil {
		t.Fatal(err)
	}
	if got := next(t, w); !strings.HasPrefix(got, "KeyValueDeleteOp k.1=") {
		t.Error(got)
	}
}

// The names of buckets, and what becomes of one that is deleted.
func TestBucketsComeAndGo(t *testing.T) {
	t.Parallel()
	c := quartettest.Start(t)
	js := manager(t, c, "quartet.kv")
	ctx := t.Context()
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "b", Description: "first"})
	last := put(t, kv, "k", "v")
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b", History: 7}); !errors.Is(err, jetstream.ErrBucketExists) {
		t.Errorf("another configuration: %v", err)
	}
	if _, err := js.UpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "b", Description: "second", History: 5}); err != nil {
		t.Errorf("update: %v", err)
	}
	bucket(t, js, jetstream.KeyValueConfig{Bucket: "c"})

	var names []string
	for name := range js.KeyValueStoreNames(ctx).Name() {
		names = append(names, name)
	}
	if strings.Join(names, " ") != "b c" {
		t.Errorf("names: %v", names)
	}
	for s := range js.KeyValueStores(ctx).Status() {
		if s.Bucket() == "b" && s.History() != 5 {
			t.Errorf("history %d", s.History())
		}
	}

	if err := js.DeleteKeyValue(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.KeyValue(ctx, "b"); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a deleted bucket: %v", err)
	}
	if _, err := kv.PutString(ctx, "k", "v"); !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a put into a deleted bucket: %v", err)
	}
	kv = bucket(t, js, jetstream.KeyValueConfig{Bucket: "b"})
	if _, err := kv.Get(ctx, "k"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("a key of the bucket before: %v", err)
	}
	if n := put(t, kv, "k", "v"); n <= last {
		t.Errorf("number %d after %d", n, last)
	}
}
