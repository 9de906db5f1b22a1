package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
	"quartet/client/judge/kvrecord"
)

// keyValuePrefix is what clients of NATS key-value set as the prefix of the API.
const keyValuePrefix = "quartet.kv"

// usersOf are those of a server that is the master's, too: who runs the cluster, who may use all
// buckets, and who may use one, with the permissions that CONTRACT has for that.
func usersOf(bucket string) []*server.User {
	publish := func(subjects ...string) *server.Permissions {
		return &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: subjects},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}
	}
	return []*server.User{
		{Username: "owner", Password: "o"},
		{Username: "all", Password: "a", Permissions: publish("quartet.kv.>", "$JS.FC.>")},
		{Username: "one", Password: "1", Permissions: publish(
			"quartet.kv.STREAM.INFO.KV_"+bucket, "quartet.kv.DIRECT.GET.KV_"+bucket+".>", "quartet.kv.DIRECT.GET.KV_"+bucket,
			"quartet.kv.STREAM.MSG.GET.KV_"+bucket, "quartet.kv.$KV."+bucket+".>", "quartet.kv.CONSUMER.*.KV_"+bucket+".>",
			"quartet.kv.CONSUMER.CREATE.KV_"+bucket, "quartet.kv.STREAM.PURGE.KV_"+bucket, "$JS.FC.>")},
	}
}

func as(url, user string) string { return strings.Replace(url, "://", "://"+user+"@", 1) }

// keyValueOf opens a bucket below quartet's prefix; prefix "": the server's own.
func keyValueOf(t *testing.T, nc *nats.Conn, prefix, name string, create *jetstream.KeyValueConfig) jetstream.KeyValue {
	t.Helper()
	js, err := kvrecord.Stream(nc, prefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var kv jetstream.KeyValue
	if create != nil {
		kv, err = js.CreateKeyValue(ctx, *create)
	} else {
		kv, err = js.KeyValue(ctx, name)
	}
	if err != nil {
		t.Fatalf("bucket %s below %q: %v", name, prefix, err)
	}
	return kv
}

// On an external server whose users have the permissions that CONTRACT names, a client of one
// bucket does with it whatever there is to do, beside a bucket of the server's own with its name,
// and with nothing else.
func TestKeyValueOnAnExternalServer(t *testing.T) {
	t.Parallel()
	s := externalServerOf(t, &server.Options{JetStream: true, Users: usersOf("orders")})
	startIn(t, newFolder(t), "--memory", "--nats", as(s.ClientURL(), "owner:o"), "--suspect", calm)

	all := connect(t, as(s.ClientURL(), "all:a"))
	keyValueOf(t, all, keyValuePrefix, "orders", &jetstream.KeyValueConfig{Bucket: "orders", History: 3})
	others := keyValueOf(t, all, keyValuePrefix, "others", &jetstream.KeyValueConfig{Bucket: "others"})
	owner := connect(t, as(s.ClientURL(), "owner:o"))
	own := keyValueOf(t, owner, "", "orders", &jetstream.KeyValueConfig{Bucket: "orders"})
	kv := keyValueOf(t, connect(t, as(s.ClientURL(), "one:1")), keyValuePrefix, "orders", nil)
	ctx := t.Context()

	w, err := kv.WatchAll(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	first, err := kv.Put(ctx, "17", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(ctx, "17", []byte("paid"), first); err != nil {
		t.Error(err)
	}
	if _, err := own.Put(ctx, "17", []byte("the server's own")); err != nil {
		t.Error(err)
	}
	if e, err := kv.Get(ctx, "17"); err != nil || string(e.Value()) != "paid" {
		t.Errorf("get: %v %v", e, err)
	}
	if e, err := own.Get(ctx, "17"); err != nil || string(e.Value()) != "the server's own" {
		t.Errorf("get of the server's own: %v %v", e, err)
	}
	if past, err := kv.History(ctx, "17"); err != nil || len(past) != 2 {
		t.Errorf("history: %v %v", past, err)
	}
	if keys, err := kv.Keys(ctx); err != nil || !slices.Equal(keys, []string{"17"}) {
		t.Errorf("keys: %v %v", keys, err)
	}
	if err := kv.Delete(ctx, "17"); err != nil {
		t.Error(err)
	}
	if e, err := kv.GetRevision(ctx, "17", first); err != nil || string(e.Value()) != "open" {
		t.Errorf("get revision: %v %v", e, err)
	}
	if s, err := kv.Status(ctx); err != nil || s.Values() != 3 {
		t.Errorf("status: %v %v", s, err)
	}
	if err := kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)); err != nil {
		t.Errorf("purge of deletes: %v", err)
	}
	for _, want := range []string{"caught up", "open", "paid", "deleted"} {
		if got := nextOf(t, w); got != want {
			t.Errorf("the watch shows %q, want %q", got, want)
		}
	}

	if _, err := others.Put(ctx, "k", nil); err != nil {
		t.Error(err)
	}
	mayNot(t, as(s.ClientURL(), "one:1"), "quartet.kv.$KV.others.k", "quartet.kv.STREAM.DELETE.KV_orders",
		"quartet.shadow.orders.k.17", "$KV.orders.17")
	mayNot(t, as(s.ClientURL(), "all:a"), "quartet.shadow.orders.k.17", "$KV.orders.17", "$JS.API.INFO")

	one := as(s.ClientURL(), "one:1")
	o := quartet(t, "doctor", "--nats", one, "--bucket", "orders,others", "-o", "raw")
	for _, want := range []string{
		"ok\tbucket orders\tthis user may bind, get, put, watch\t", "ok\tbucket others\tthis user may -; not bind, get, put, watch\t",
	} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("doctor does not say %q:\n%s%s", want, o.stdout, o.stderr)
		}
	}
	o = quartet(t, "doctor", "--nats", as(s.ClientURL(), "owner:o"), "-o", "raw")
	if !strings.Contains(o.stdout, "ok\tkey-value\t2 buckets below quartet.kv") {
		t.Errorf("doctor of one who may all:\n%s%s", o.stdout, o.stderr)
	}
}

// nextOf is what a watch shows next.
func nextOf(t *testing.T, w jetstream.KeyWatcher) string {
	t.Helper()
	select {
	case e := <-w.Updates():
		switch {
		case e == nil:
			return "caught up"
		case e.Operation() != jetstream.KeyValuePut:
			return "deleted"
		}
		return string(e.Value())
	case <-time.After(restLimit):
		t.Fatal("the watch shows nothing")
		return ""
	}
}

// mayNot tries to publish on subjects that a user's permissions do not have.
func mayNot(t *testing.T, url string, subjects ...string) {
	t.Helper()
	refused := make(chan error, len(subjects)+1)
	nc, err := nats.Connect(url, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	for _, subject := range subjects {
		if err := nc.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), subject) {
				t.Errorf("%s: %v", subject, err)
			}
		case <-time.After(restLimit):
			t.Errorf("%s may be published on", subject)
		}
	}
}

// While the server has no JetStream for it, everything is served but for watches, keys and history.
func TestKeyValueWithoutJetStream(t *testing.T) {
	t.Parallel()
	s := externalServer(t, true)
	startIn(t, newFolder(t), "--memory", "--nats", s.ClientURL(), "--suspect", calm)
	nc := connect(t, s.ClientURL())
	kv := keyValueOf(t, nc, keyValuePrefix, "b", &jetstream.KeyValueConfig{Bucket: "b"})
	if _, err := kv.Put(t.Context(), "k", []byte("before")); err != nil {
		t.Fatal(err)
	}

	if err := s.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for i := range 3 {
		testkit.Eventually(t, restLimit, "a put without JetStream", func() (err error) {
			last, err = kv.Put(t.Context(), "k", fmt.Appendf(nil, "without %d", i))
			return err
		})
	}
	if e, err := kv.Get(t.Context(), "k"); err != nil || string(e.Value()) != "without 2" || e.Revision() != last {
		t.Errorf("get: %v %v, put had %d", e, err, last)
	}
	if _, err := kv.Update(t.Context(), "k", []byte("again"), last); err != nil {
		t.Errorf("update: %v", err)
	}
	testkit.Eventually(t, restLimit, "the word that there are no watches", func() error {
		_, err := kv.WatchAll(t.Context())
		var refused *nats.APIError // the jetstream package's watches are the legacy package's
		if !errors.As(err, &refused) || refused.ErrorCode != 10039 {
			return fmt.Errorf("a watch without JetStream: %w", err)
		}
		return nil
	})

	if err := s.EnableJetStream(nil); err != nil { // a master that stops removes its record
		t.Fatal(err)
	}
	testkit.Eventually(t, restLimit, "JetStream again", func() error {
		_, err := nc.Request("$JS.API.INFO", nil, time.Second)
		return err
	})
}

// After kill -9 of the master with its server a bucket has its numbers and its history; one whose
// stream is in memory has its values, and numbers above all that were told.
func TestKeyValueNumbersAfterTheMastersDeath(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	args := []string{"--memory", "--listen", freeAddress(t), "--suspect", calm}
	m := startIn(t, folder, args...)
	killLeftovers(t, pids(mustStatus(t, connect(t, m.url))))
	told := map[jetstream.StorageType]uint64{}
	for storage, name := range map[jetstream.StorageType]string{jetstream.FileStorage: "file", jetstream.MemoryStorage: "memory"} {
		kv := keyValueOf(t, connect(t, m.url), keyValuePrefix, name, &jetstream.KeyValueConfig{Bucket: name, History: 5, Storage: storage})
		for _, value := range []string{"one", "two", "three"} {
			n, err := kv.PutString(t.Context(), "k", value)
			if err != nil {
				t.Fatal(err)
			}
			told[storage] = n
		}
		if past, err := kv.History(t.Context(), "k"); err != nil || len(past) != 3 { // it is stored
			t.Fatalf("history: %v %v", past, err)
		}
	}

	m.Kill()
	m = startIn(t, folder, args...)
	file := keyValueOf(t, connect(t, m.url), keyValuePrefix, "file", nil)
	if e, err := file.Get(t.Context(), "k"); err != nil || string(e.Value()) != "three" || e.Revision() != told[jetstream.FileStorage] {
		t.Errorf("in a file: %v %v, told was %d", e, err, told[jetstream.FileStorage])
	}
	if past, err := file.History(t.Context(), "k"); err != nil || len(past) != 3 {
		t.Errorf("history in a file: %v %v", past, err)
	}
	if _, err := file.Update(t.Context(), "k", []byte("four"), told[jetstream.FileStorage]); err != nil {
		t.Errorf("update from a number that was told before: %v", err)
	}

	memory := keyValueOf(t, connect(t, m.url), keyValuePrefix, "memory", nil)
	if e, err := memory.Get(t.Context(), "k"); err != nil || string(e.Value()) != "three" || e.Revision() <= told[jetstream.MemoryStorage] {
		t.Errorf("in memory: %v %v, told was %d", e, err, told[jetstream.MemoryStorage])
	}
	if past, err := memory.History(t.Context(), "k"); err != nil || len(past) != 1 {
		t.Errorf("history in memory: %v %v", past, err)
	}
	if _, err := memory.Update(t.Context(), "k", []byte("four"), told[jetstream.MemoryStorage]); err == nil {
		t.Error("an update from a number that means nothing any more is taken")
	}
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Errorf("status %d", status)
	}
}
