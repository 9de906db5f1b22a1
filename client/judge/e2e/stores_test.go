//go:build stores

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
)

// imported runs `quartet import` into a cluster, and returns its exit status and what it said.
func imported(t *testing.T, url string, args ...string) (status int, said string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"import", "--nats", url}, args...)...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// held is what stands below a prefix: "key ::: value", and " (ends)" if it does.
func held(t *testing.T, url, prefix string) []string {
	t.Helper()
	b, err := exec.Command(binary, "export", "--nats", url, prefix).Output()
	if err != nil {
		t.Fatal(err)
	}

	var all []string
	for line := range strings.Lines(string(b)) {
		var x struct {
			Key, Value, Expires string
			Binary              []byte `json:"value_base64"`
		}
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}

		one := x.Key + " ::: " + x.Value + string(x.Binary)
		if x.Expires != "" {
			one += " (ends)"
		}
		all = append(all, one)
	}
	return all
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("there are\n%.2000q, want\n%.2000q", got, want)
	}
}

// many is more keys than one page of any store has.
const many = 1234

// From a bucket of a real NATS server come the newest values, and when each ends.
func TestImportFromABucket(t *testing.T) {
	s := externalServerOf(t, &server.Options{JetStream: true})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "orders", History: 3, LimitMarkerTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range many {
		key := fmt.Sprintf("k%04d", i)
		for _, value := range []string{"old", "new"} {
			if _, err := kv.PutString(ctx, key, value); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, "in/"+key+" ::: new")
	}
	if err := kv.Delete(ctx, "k0007"); err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(ctx, "k0008"); err != nil {
		t.Fatal(err)
	}
	want = slices.Delete(want, 7, 9)
	if _, err := kv.Create(ctx, "leased", []byte("\x00\xff"), jetstream.KeyTTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want = append(want, "in/leased ::: \x00\xff (ends)")

	m := startIn(t, newFolder(t), "--memory", "--suspect", calm)
	status, said := imported(t, m.url, "--from", s.ClientURL()+"/orders", "--below", "in/")
	if status != 0 || !strings.Contains(said, fmt.Sprint(many-1, " keys written")) {
		t.Errorf("%d: %s", status, said)
	}
	same(t, held(t, m.url, ""), want)
	if status, said := imported(t, m.url, "--from", s.ClientURL()+"/none"); status != 1 || !strings.Contains(said, "the bucket none") {
		t.Errorf("%d: %s", status, said)
	}
}

// From a real etcd come the keys below a prefix, at one revision, and when their leases end.
func TestImportFromEtcd(t *testing.T) {
	address, peer := freeAddress(t), freeAddress(t)
	dir := t.TempDir()
	cmd := exec.Command("etcd", "--data-dir", filepath.Join(dir, "data"), "--listen-client-urls", "http://"+address,
		"--advertise-client-urls", "http://"+address, "--listen-peer-urls", "http://"+peer,
		"--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer, "--log-level", "error")
	testkit.Launch(t, cmd)
	ask := func(path string, body any, answer any) error {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, reply.Status)
		}
		return json.NewDecoder(reply.Body).Decode(answer)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	put := func(key, value, lease string) error {
		return ask("/v3/kv/put", map[string]string{"key": b64(key), "value": b64(value), "lease": lease}, &struct{}{})
	}
	testkit.Eventually(t, startLimit, "etcd", func() error { return put("config/k0000", "v", "0") })

	var want []string
	for i := range many {
		key := fmt.Sprintf("k%04d", i)
		if err := put("config/"+key, "v", "0"); err != nil {
			t.Fatal(err)
		}
		want = append(want, "config/"+key+" ::: v")
	}
	var lease struct{ ID string }
	if err := ask("/v3/lease/grant", map[string]string{"TTL": "3600"}, &lease); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{put("config/leased", "\x00\xff", lease.ID), put("other", "not below it", "0")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want = append(want, "config/leased ::: \x00\xff (ends)")

	m := startIn(t, newFolder(t), "--memory", "--suspect", calm)
	if status, said := imported(t, m.url, "--from", "etcd://"+address+"/config/"); status != 0 {
		t.Errorf("%d: %s", status, said)
	}
	same(t, held(t, m.url, ""), want)

	// A key that cannot be one here is named.
	if err := put("bad:::key", "v", "0"); err != nil {
		t.Fatal(err)
	}
	if status, said := imported(t, m.url, "--from", "etcd://"+address); status == 0 || !strings.Contains(said, `"bad:::key"`) {
		t.Errorf("%d: %s", status, said)
	}
}

// From a real Redis come strings, and when they end; what is none is counted.
func TestImportFromRedis(t *testing.T) {
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--requirepass", "p@ss")
	cmd.Dir = t.TempDir()
	testkit.Launch(t, cmd)
	var conn redis.Conn
	testkit.Eventually(t, startLimit, "Redis", func() (err error) {
		conn, err = redis.Dial("tcp", address, redis.DialPassword("p@ss"), redis.DialDatabase(1))
		return err
	})
	defer conn.Close()

	do := func(command string, args ...any) {
		t.Helper()
		if _, err := conn.Do(command, args...); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range many {
		key := fmt.Sprintf("k%04d", i)
		do("SET", key, "v")
		want = append(want, key+" ::: v")
	}
	do("SET", "leased", "\x00\xff", "EX", 3600)
	want = append(want, "leased ::: \x00\xff (ends)")

	m := startIn(t, newFolder(t), "--memory", "--suspect", calm)
	from := "redis://:p%40ss@" + address + "/1"
	if status, said := imported(t, m.url, "--from", from); status != 0 {
		t.Errorf("%d: %s", status, said)
	}
	same(t, held(t, m.url, ""), want)

	do("RPUSH", "list", "a", "b")
	if status, said := imported(t, m.url, "--from", from); status != 1 || !strings.Contains(said, "were left out: 1") {
		t.Errorf("%d: %s", status, said)
	}
	status, said := imported(t, m.url, "--from", "redis://:wrong@"+address+"/1")
	if isTold := strings.Contains(said, "p@ss") || strings.Contains(said, ":wrong@"); status != 1 || isTold {
		t.Errorf("%d: %s", status, said)
	}
}

// A bucket goes on in another cluster with its values, and numbers above all that were told.
func TestABackupHasBuckets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "all.backup")
	run := func(args ...string) {
		t.Helper()
		if b, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	first := startIn(t, newFolder(t), "--memory", "--suspect", calm)
	config := jetstream.KeyValueConfig{Bucket: "orders", History: 3, LimitMarkerTTL: time.Minute}
	kv := keyValueOf(t, connect(t, first.url), keyValuePrefix, "orders", &config)
	told := uint64(0)
	for _, value := range []string{"one", "two"} {
		n, err := kv.PutString(t.Context(), "17", value)
		if err != nil {
			t.Fatal(err)
		}
		told = n
	}
	if _, err := kv.Create(t.Context(), "leased", []byte("x"), jetstream.KeyTTL(time.Hour)); err != nil {
		t.Fatal(err)
	}
	run("backup", "--nats", first.url, file)
	if status := first.stop(t, os.Interrupt); status != 0 {
		t.Errorf("status %d", status)
	}

	second := startIn(t, newFolder(t), "--memory", "--suspect", calm)
	run("restore", "--nats", second.url, file)
	kv = keyValueOf(t, connect(t, second.url), keyValuePrefix, "orders", nil)
	e, err := kv.Get(t.Context(), "17")
	if err != nil || string(e.Value()) != "two" || e.Revision() <= told {
		t.Errorf("%v %v, told was %d", e, err, told)
	}
	if keys, err := kv.Keys(t.Context()); err != nil || !slices.Equal(slices.Sorted(slices.Values(keys)), []string{"17", "leased"}) {
		t.Errorf("%v %v", keys, err)
	}
	if _, err := kv.Update(t.Context(), "17", []byte("three"), e.Revision()); err != nil {
		t.Error(err)
	}
	if all := held(t, second.url, "orders/leased"); len(all) != 1 || !strings.Contains(all[0], "(ends)") {
		t.Errorf("%q", all)
	}
}
