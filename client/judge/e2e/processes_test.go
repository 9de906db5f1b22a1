//go:build long

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

// workerURL is set in the environment of a process that is a client and nothing else.
const workerURL = "QUARTET_E2E_WORKER"

func init() { lives[workerURL] = work }

// work is the life of such a process: it prints its history.
func work(url string) int {
	var r recorder
	err := workload(context.Background(), url, os.Getenv(workerURL+"_NAME"), 12, 80, &r)
	if err == nil {
		err = history.Encode(os.Stdout, r.ops)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Clients in processes of their own, and beside them one-shot commands of the program,
// each of which is a session of its own.
func TestConcurrentProcesses(t *testing.T) {
	t.Parallel()
	m := start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	var r recorder
	var wg sync.WaitGroup
	var outputs [2]bytes.Buffer
	for i := range outputs {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), workerURL+"="+m.url, fmt.Sprintf("%s_NAME=p%d-", workerURL, i+1))
		cmd.Stdout, cmd.Stderr = &outputs[i], os.Stderr
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("worker %d: %v", i+1, err)
			}
		})
	}

	for i := range 2 {
		wg.Go(func() { oneShots(t, &r, m.url, fmt.Sprintf("one%d-", i+1), 24) })
	}
	wg.Wait()

	ops := r.ops
	for i := range outputs {
		h, err := history.Decode(&outputs[i])
		if err != nil {
			t.Fatal(err)
		}
		if len(h) != 12*80 {
			t.Fatalf("worker %d recorded %d requests", i+1, len(h))
		}
		ops = append(ops, h...)
	}

	judge(t, connect(t, m.url), ops)
}

// oneShots runs the program once for each request.
func oneShots(t *testing.T, r *recorder, url, name string, requests int) {
	for n := range requests {
		c := model.All[n%4]
		op := history.Operation{
			Client: name, Session: fmt.Sprint(name, n), Model: c, Type: client.TypeGet, Key: keysOf(c)[n/4%4],
			Outcome: history.OK, Call: now(),
		}

		text := fmt.Sprintf("%s, get, %s", c.Word(), op.Key)
		if n/16%2 == 0 {
			op.Type, op.Value = client.TypeSet, fmt.Sprint(name, n)
			text = fmt.Sprintf("%s, set, %s ::: %s", c.Word(), op.Key, op.Value)
		}
		o := quartet(t, "client", "--nats", url, "-o", "jsonl", text)

		op.Return = now()
		got := replies(t, o.stdout)
		if o.status != 0 || len(got) != 1 {
			t.Errorf("%q: status %d\n%s%s", text, o.status, o.stdout, o.stderr)
			return
		}

		reply := got[0]
		op.ID, op.Replica, op.Timestamp = reply.RID, reply.Replica, reply.Timestamp
		if reply.Position != nil {
			op.Position = *reply.Position
		}

		if op.Type == client.TypeGet && reply.Ack == "OK" {
			op.Found, op.Output = true, reply.data()
		} else if op.Type == client.TypeSet && !strings.HasSuffix(reply.data(), op.Value) {
			t.Errorf("%q is answered with %q", text, reply.data())
		}
		r.add(op)
	}
}
