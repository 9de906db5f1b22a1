package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/client"
)

// A cursor is good at the cluster and in the history in which it was told: another cluster, and one
// that was put back to a backup, say 421, a replica's process that is gone 410, and nonsense is
// 400.
func TestCursorsElsewhere(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	data, backup := filepath.Join(p.tmp, "data"), filepath.Join(p.tmp, "backup")
	args := []string{"--listen", testkit.FreeAddress(t), "--dir", data, "--suspect", calm, "--replicas", "2"}
	m := startIn(t, p, args...)
	m.stop(t, os.Interrupt)
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	m = startIn(t, p, args...)
	nc := connect(t, m.url)
	for n := range 10 {
		mustOK(t, nc, fmt.Sprintf("1, 1, key%d ::: v", n))
	}
	first := mustOK(t, nc, "1, list, key", bus.HeaderLimit, "4", bus.HeaderValues, "true")
	next := first.Header.Get(bus.HeaderNext)
	if got := string(first.Data); next == "" || got != "key0 ::: v\nkey1 ::: v\nkey2 ::: v\nkey3 ::: v\n" {
		t.Fatalf("%v %s", first.Header, got)
	}
	mustOK(t, nc, "1, delete, key7")
	for range 2 { // it may be asked again
		second := mustOK(t, nc, "1, list, key", bus.HeaderLimit, "10", bus.HeaderFrom, next)
		if got := string(second.Data); got != "key4\nkey5\nkey6\nkey7\nkey8\nkey9\n" || second.Header.Get(bus.HeaderNext) != "" {
			t.Errorf("%v %s", second.Header, got)
		}
		if here, there := second.Header.Get(bus.HeaderPosition), first.Header.Get(bus.HeaderPosition); here != there {
			t.Errorf("the second page is of the cut %s, and the first of %s", here, there)
		}
	}

	refused := func(nc *nats.Conn, body, code, why string, headers ...string) {
		t.Helper()
		if r := ask(t, nc, body, headers...); r.Header.Get(bus.HeaderErrorCode) != code || !strings.Contains(string(r.Data), why) {
			t.Errorf("%s %v: %v %s", body, headers, r.Header, r.Data)
		}
	}
	from := func(word string) []string { return []string{bus.HeaderFrom, word} }
	refused(nc, "1, list, ke", "400", "prefix", from(next)...)
	refused(nc, "4, list, key", "400", "of the model linearizable", from(next)...)
	refused(nc, "1, list, key", "400", `not the Quartet-Next or next of a page: "nonsense"; begin again`, from("nonsense")...)
	refused(nc, "1, list, key", "400", "not the Quartet-Next", from(next[1:])...)
	other := "r1"
	if first.Header.Get(bus.HeaderReplica) == "r1" {
		other = "r2"
	}
	refused(nc, "1, list, key", "400", "is kept by", append(from(next), bus.HeaderReplica, other)...)

	foreign := connect(t, start(t, "--replicas", "1").url)
	refused(foreign, "1, list, key", "421", "another cluster", from(next)...)

	m.stop(t, os.Interrupt)
	m = startIn(t, p, args...)
	nc = connect(t, m.url)
	refused(nc, "1, list, key", "410", "begin again", from(next)...)

	m.stop(t, os.Interrupt)
	if err := errors.Join(os.RemoveAll(data), os.Rename(backup, data)); err != nil {
		t.Fatal(err)
	}
	m = startIn(t, p, args...)
	refused(connect(t, m.url), "1, list, key", "421", "has ended", from(next)...)
}

// A list of many keys, by the package and the command, while they are written over: each key once,
// in order.
func TestALongList(t *testing.T) {
	t.Parallel()
	m := start(t)
	c, err := client.Connect(t.Context(), m.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const keys = 20_000
	var requests []client.Request
	for n := range keys {
		requests = append(requests, client.NewSet(client.Eventual, fmt.Sprintf("many/%05d", n), []byte("first")))
	}
	if _, err := c.DoMany(t.Context(), requests); err != nil {
		t.Fatal(err)
	}
	atRest(t, connect(t, m.url))

	begun := time.Now()
	n := 0
	for item, err := range c.List(t.Context(), "many/", client.WithValues(), client.With(client.Sequential)) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("many/%05d", n); item.Key != want || string(item.Value) != "first" {
			t.Fatalf("key %d is %s, %q", n, item.Key, item.Value)
		}
		n++
		if n%5000 == 1 { // of a page that is still to come
			if _, err := c.Set(t.Context(), fmt.Sprintf("many/%05d", keys-1-n%7), []byte("second")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != keys {
		t.Errorf("%d keys of %d", n, keys)
	}
	t.Logf("%d keys in %s", n, time.Since(begun).Round(time.Millisecond))

	got := quartet(t, "list", "--nats", m.url, "many/", "-o", "raw")
	if lines := strings.Count(got.stdout, "\n"); got.status != 0 || lines != keys {
		t.Errorf("quartet list: status %d, %d lines, %s", got.status, lines, got.stderr)
	}
}
