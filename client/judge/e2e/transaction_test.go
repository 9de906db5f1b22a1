package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client"
)

// txnReply is what a reply to a transaction says.
type txnReply struct {
	Ack       string `json:"ack"`
	Code      int    `json:"code"`
	RID       uint64 `json:"rID"`
	Revision  uint64 `json:"revision"`
	Succeeded bool   `json:"succeeded"`
	Failed    *int   `json:"failed"`
	Results   []struct {
		Code     int    `json:"code"`
		Value    string `json:"value"`
		Revision uint64 `json:"revision"`
	} `json:"results"`
}

func transact(t *testing.T, nc *nats.Conn, body string, pairs ...string) txnReply {
	t.Helper()
	m := ask(t, nc, body, pairs...)
	var r txnReply
	if err := json.Unmarshal(m.Data, &r); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return r
}

// A transaction is done as a whole or not at all, and its outcome, however long, is told again
// after everything was killed. One of gets alone is read at the replica that it names, in models 1
// and 2, and sees what was answered before it.
func TestTransactionsAreOnce(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t), "--suspect", calm}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	long := strings.Repeat("x", 5000)
	mustOK(t, nc, "1, set, long ::: "+long)
	mustOK(t, nc, "1, add, sum ::: 7")

	const writes = `{"consistency": %d, "request": "txn", "if": [{"key": "a", "exists": false}],
		"then": [{"request": "set", "key": "a", "value": "1"}, {"request": "add", "key": "sum", "value": 3}, {"request": "get", "key": "long"}, {"request": "get", "key": "none"}],
		"else": [{"request": "delete", "key": "a"}]}`
	const fails = `{"consistency": 2, "request": "txn", "then": [{"request": "set", "key": "a", "value": "2"}, {"request": "add", "key": "long", "value": 1}]}`
	check := func() (done, failed txnReply) {
		t.Helper()
		done, failed = transact(t, nc, fmt.Sprintf(writes, 1), bus.HeaderMsgID, "done"), transact(t, nc, fails, bus.HeaderMsgID, "failed")
		if done.Code != 200 || !done.Succeeded || len(done.Results) != 4 ||
			done.Results[1].Value != "10" || done.Results[2].Value != long || done.Results[3].Code != 404 {
			t.Errorf("%.300s", fmt.Sprintf("%+v", done))
		}
		if failed.Code != 412 || failed.Failed == nil || *failed.Failed != 1 {
			t.Errorf("%+v", failed)
		}
		return done, failed
	}
	done, failed := check()
	for n := range 6 {
		body := fmt.Sprintf(`{"consistency": %d, "request": "txn", "then": [{"request": "get", "key": "a"}, {"request": "get", "key": "sum"}]}`, n%2+1)
		r := transact(t, nc, body, bus.HeaderReplica, fmt.Sprintf("r%d", n/2+1))
		if r.Code != 200 || len(r.Results) != 2 || r.Results[0].Value != "1" ||
			r.Results[0].Revision != done.Revision || r.Results[1].Revision != done.Revision {
			t.Errorf("read together at r%d: %+v, written at revision %d", n/2+1, r, done.Revision)
		}
	}
	if r := transact(t, nc, fmt.Sprintf(writes, 2)); r.Succeeded || r.Code != 200 {
		t.Errorf("the check did not hold: %+v", r)
	}
	mustOK(t, nc, "1, set, long ::: 5")

	again := func() {
		t.Helper()
		d, f := check()
		if d.RID != done.RID || d.Revision != done.Revision || f.RID != failed.RID || f.Revision != failed.Revision {
			t.Errorf("told again: %d at %d, %d at %d; at first %d at %d, %d at %d", d.RID, d.Revision, f.RID, f.Revision,
				done.RID, done.Revision, failed.RID, failed.Revision)
		}
		if got := ask(t, nc, "1, get, a"); code(got) != "404" {
			t.Errorf("a repeated transaction took effect: %q", got.Data)
		}
	}
	again()
	killAll(t, m, nc)
	m = startIn(t, p, args...)
	nc = outlives(t, m.url)
	again()
}

// Results as long as an answer may be are answered, many at a time, and are remembered by replicas
// that were loaded with them: no message of theirs is larger than the bus takes.
func TestLongResultsTravel(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	m := startIn(t, p, "--memory", "--listen", testkit.FreeAddress(t))
	nc := outlives(t, m.url)
	c, err := client.Connect(t.Context(), m.url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	big := bytes.Repeat([]byte("x"), model.MaxKeyValue-100)
	if _, err := c.Set(t.Context(), "big", big); err != nil {
		t.Fatal(err)
	}
	const rounds = 8
	var revisions, sums [rounds]uint64
	all := func(opts ...client.RequestOption) {
		t.Helper()
		var group sync.WaitGroup
		for i := range rounds {
			group.Go(func() {
				tx := c.Txn(append(opts, client.WithID(fmt.Sprintf("long-%d", i)))...)
				read := tx.Then().Get("big")
				sum := tx.Then().Add("sum", 1)
				done, err := tx.Commit(t.Context())
				if err != nil || len(read.Value) != len(big) {
					t.Errorf("%d bytes, %v", len(read.Value), err)
					return
				}

				isTold := revisions[i] > 0
				isAsBefore := done.Revision == revisions[i] && uint64(sum.Sum) == sums[i]
				if isTold && !isAsBefore {
					t.Errorf("transaction %d at revision %d has sum %d; at first %d, %d", i, done.Revision, sum.Sum, revisions[i], sums[i])
				}
				revisions[i], sums[i] = done.Revision, uint64(sum.Sum)
			})
		}
		group.Wait()
	}

	all()
	for _, id := range []string{"r1", "r2"} {
		pid := replicaOf(mustStatus(t, nc), id).PID
		kill(t, pid)
		awaitMember(t, nc, id, pid)
	}
	all(client.OnReplica("r1"))
	all(client.OnReplica("r2"))
}
