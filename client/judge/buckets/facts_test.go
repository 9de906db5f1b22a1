package buckets_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
	"quartet/client/quartettest"
)

// The legacy package's clients are served, too.
func TestALegacyClientIsServed(t *testing.T) {
	js, err := quartettest.Start(t).NATS(t).JetStream(nats.APIPrefix("quartet.kv"))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(&nats.KeyValueConfig{Bucket: "b", History: 2})
	if err != nil {
		t.Fatal(err)
	}

	n, err := kv.Create("k", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err = kv.Update("k", []byte("two"), n); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update("k", []byte("three"), n-1); err == nil {
		t.Error("an update of an older one is taken")
	}
	if past, err := kv.History("k"); err != nil || len(past) != 2 {
		t.Errorf("history: %v %v", past, err)
	}
	if err := kv.Delete("k"); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get("k"); !errors.Is(err, nats.ErrKeyNotFound) {
		t.Errorf("get of a deleted key: %v", err)
	}
	if err := js.DeleteKeyValue("b"); err != nil {
		t.Error(err)
	}
}

// In models 3 and 4 a write has no number and no condition, and in every model a connection reads
// what it has written.
func TestModels(t *testing.T) {
	t.Parallel()
	c := quartettest.Start(t)
	bucket(t, manager(t, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: "b"})
	for _, m := range []string{"linearizable", "sequential", "causal", "eventual"} {
		kv, err := manager(t, c, "quartet.kv."+m).KeyValue(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		isStrong := m == "linearizable" || m == "sequential"
		for i := range 30 {
			value := fmt.Sprint(i)
			if n := put(t, kv, m, value); (n > 0) != isStrong {
				t.Errorf("%s: a put has number %d", m, n)
			}
			e, err := kv.Get(t.Context(), m)
			isNewest := err == nil && string(e.Value()) == value
			if m != "eventual" && !isNewest {
				t.Fatalf("%s: get after put %s: %v %v", m, value, e, err)
			}
		}
		if _, err := kv.Update(t.Context(), m, nil, 1); err == nil || errors.Is(err, jetstream.ErrKeyExists) == !isStrong {
			t.Errorf("%s: an update of an older one: %v", m, err)
		}
	}
}

// A value with a time of its own ends, and what watchers are told of it.
func TestValuesEnd(t *testing.T) {
	t.Parallel()
	js := manager(t, quartettest.Start(t), "quartet.kv")
	for name, config := range map[string]jetstream.KeyValueConfig{
		"with markers": {Bucket: "markers", LimitMarkerTTL: time.Hour},
		"by bucket":    {Bucket: "aged", TTL: time.Second, LimitMarkerTTL: time.Hour},
		"silently":     {Bucket: "silent", TTL: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			kv := bucket(t, js, config)
			w, err := kv.WatchAll(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			if got := next(t, w); got != "caught up" {
				t.Fatal(got)
			}

			if config.TTL > 0 {
				put(t, kv, "k", "v")
			} else if _, err := kv.Create(t.Context(), "k", []byte("v"), jetstream.KeyTTL(time.Second)); err != nil {
				t.Fatal(err)
			}
			if got := next(t, w); !strings.HasPrefix(got, "KeyValuePutOp k=v") {
				t.Error(got)
			}
			if config.LimitMarkerTTL > 0 {
				if got := next(t, w); !strings.HasPrefix(got, "KeyValuePurgeOp k=") {
					t.Error(got)
				}
			}
			testkit.Await(t, "the value's end", func() bool {
				_, err := kv.Get(t.Context(), "k")
				keys, none := kv.Keys(t.Context())
				return errors.Is(err, jetstream.ErrKeyNotFound) && len(keys) == 0 && errors.Is(none, jetstream.ErrNoKeysFound)
			})
			if _, err := kv.Create(t.Context(), "k", []byte("again")); err != nil {
				t.Errorf("create after the end: %v", err)
			}
		})
	}
}

// What quartet cannot do is refused by name.
func TestOptionsAreRefusedByName(t *testing.T) {
	js := manager(t, quartettest.Start(t), "quartet.kv")
	for option, config := range map[string]jetstream.KeyValueConfig{
		"mirror":      {Bucket: "b", Mirror: &jetstream.StreamSource{Name: "other"}},
		"sources":     {Bucket: "b", Sources: []*jetstream.StreamSource{{Name: "other"}}},
		"republish":   {Bucket: "b", RePublish: &jetstream.RePublish{Source: ">", Destination: "x.>"}},
		"placement":   {Bucket: "b", Placement: &jetstream.Placement{Cluster: "c"}},
		"compression": {Bucket: "b", Compression: true},
		"max_age":     {Bucket: "b", TTL: 200 * time.Millisecond},
	} {
		_, err := js.CreateKeyValue(t.Context(), config)
		var api *jetstream.APIError
		if !errors.As(err, &api) || !strings.Contains(err.Error(), option) {
			t.Errorf("%s: %v", option, err)
		}
	}
}

// Bounds of size: of a value, and of the bucket, whose deletes are taken when it is full.
func TestABucketIsFull(t *testing.T) {
	js := manager(t, quartettest.Start(t), "quartet.kv")
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "b", MaxValueSize: 100, MaxBytes: 300})
	code := func(err error) jetstream.ErrorCode {
		var api *jetstream.APIError
		if !errors.As(err, &api) {
			return 0
		}
		return api.ErrorCode
	}

	put(t, kv, "a", strings.Repeat("x", 100))
	if _, err := kv.Put(t.Context(), "b", make([]byte, 101)); code(err) != 10054 {
		t.Errorf("a value that is too large: %v", err)
	}
	put(t, kv, "b", strings.Repeat("x", 100))
	if _, err := kv.Put(t.Context(), "c", make([]byte, 100)); code(err) != 10077 {
		t.Errorf("a put into a full bucket: %v", err)
	}
	put(t, kv, "a", "smaller") // in place of what was there
	if err := kv.Delete(t.Context(), "b"); err != nil {
		t.Errorf("a delete in a full bucket: %v", err)
	}
	put(t, kv, "c", strings.Repeat("x", 100))
}

// A write that is sent again under its id has its first outcome, a conflict too.
func TestAWriteIsSentAgain(t *testing.T) {
	c := quartettest.Start(t)
	kv := bucket(t, manager(t, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: "b"})
	first := put(t, kv, "k", "v")
	nc := c.NATS(t)
	ask := func(value string, headers ...string) string {
		m := &nats.Msg{Subject: "quartet.kv.$KV.b.k", Data: []byte(value), Header: nats.Header{}}
		for i := 0; i < len(headers); i += 2 {
			m.Header[headers[i]] = []string{headers[i+1]}
		}
		reply, err := nc.RequestMsg(m, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return string(reply.Data)
	}

	const last = "Nats-Expected-Last-Subject-Sequence"
	once := ask("2", "Nats-Msg-Id", "one", last, fmt.Sprint(first))
	if want := fmt.Sprintf(`{"stream":"KV_b","seq":%d}`, first+1); once != want {
		t.Fatalf("%s, want %s", once, want)
	}
	ask("3")
	if got, want := ask("2", "Nats-Msg-Id", "one", last, fmt.Sprint(first)),
		fmt.Sprintf(`{"stream":"KV_b","seq":%d,"duplicate":true}`, first+1); got != want {
		t.Errorf("%s, want %s", got, want)
	}

	for range 2 {
		if got := ask("4", "Nats-Msg-Id", "two", last, fmt.Sprint(first)); !strings.Contains(got, `"err_code":10071`) {
			t.Errorf("a conflict: %s", got)
		}
	}
	if got := ask("5", "nats-expected-last-subject-sequence", "0"); !strings.Contains(got, `"err_code":10071`) {
		t.Errorf("a condition in other letter case: %s", got)
	}
}

// A listing under writes has all keys that were there: it is one cut. (A listing of a JetStream
// bucket lacks some, in 10 to 19 of 100 of this size.)
func TestAListingUnderWritesIsOneCut(t *testing.T) {
	t.Parallel()
	c := quartettest.Start(t)
	js := manager(t, c, "quartet.kv")
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "b"})
	const keys = 2000
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { put(t, kv, fmt.Sprint(i), "0") })
	}
	all.Wait()

	stop := make(chan struct{})
	for w := range 16 {
		all.Go(func() {
			for n := w; ; n += 17 {
				select {
				case <-stop:
					return
				default:
					put(t, kv, fmt.Sprint(n%keys), fmt.Sprint(n))
				}
			}
		})
	}
	for range 20 {
		got, err := kv.Keys(t.Context())
		seen := map[string]bool{}
		for _, key := range got {
			seen[key] = true
		}
		if err != nil || len(seen) != keys {
			t.Errorf("%d keys of %d: %v", len(seen), keys, err)
		}
	}
	close(stop)
	all.Wait()
}

// Markers are purged, values are not.
func TestPurgeDeletes(t *testing.T) {
	kv := bucket(t, manager(t, quartettest.Start(t), "quartet.kv"), jetstream.KeyValueConfig{Bucket: "b", History: 5})
	put(t, kv, "stays", "1")
	put(t, kv, "goes", "1")
	if err := kv.Delete(t.Context(), "goes"); err != nil {
		t.Fatal(err)
	}
	if err := kv.PurgeDeletes(t.Context(), jetstream.DeleteMarkersOlderThan(-1)); err != nil {
		t.Fatal(err)
	}
	if past, err := kv.History(t.Context(), "goes"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("what is left: %v %v", past, err)
	}
	if e, err := kv.Get(t.Context(), "stays"); err != nil || string(e.Value()) != "1" {
		t.Errorf("%v %v", e, err)
	}
}

// A watch goes on after a number.
func TestAWatchResumes(t *testing.T) {
	kv := bucket(t, manager(t, quartettest.Start(t), "quartet.kv"), jetstream.KeyValueConfig{Bucket: "b"})
	put(t, kv, "a", "1")
	second := put(t, kv, "b", "2")
	w, err := kv.WatchAll(t.Context(), jetstream.ResumeFromRevision(second))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if got, want := next(t, w), fmt.Sprintf("KeyValuePutOp b=2 #%d", second); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
