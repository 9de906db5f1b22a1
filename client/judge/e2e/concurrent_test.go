package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

// now reads a clock that all processes of the machine share and nobody sets.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // the clock is there or the machine is none
	}
	return ts.Nano()
}

// recorder keeps what clients did and saw.
type recorder struct {
	mu  sync.Mutex
	ops []history.Operation
}

func (r *recorder) add(op history.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}

// do sends a request in a session and records it.
func (r *recorder) do(ctx context.Context, s *client.Session, name string, req client.Request) {
	op := history.Operation{
		Client: name, Session: name, Model: req.Model, Type: req.Type, Key: req.Key, Value: string(req.Value),
		Identity: req.Identity, Call: now(),
	}
	result, err := s.Do(ctx, req)
	op.Return = now()
	op.Answered(&result.Answer)
	op.Outcome = outcomeOf(err)
	r.add(op)
}

func outcomeOf(err error) history.Outcome {
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound):
		return history.OK
	case errors.Is(err, client.ErrUnknownOutcome):
		return history.Unknown
	}
	return history.Fail
}

// keysOf are the keys that clients of a model use: two that only it uses, where the
// checkers have no weak write to excuse anything with, and two that all share.
func keysOf(c model.Consistency) []string {
	return []string{c.Word() + "1", c.Word() + "2", "mixed1", "mixed2"}
}

func allKeys() []string {
	all := []string{"mixed1", "mixed2"}
	for _, c := range model.All {
		all = append(all, keysOf(c)[:2]...)
	}
	return all
}

// workload runs sessions at once: the first eight stay with one model each, the others
// change it with each request and share the mixed keys. Values are unique.
func workload(ctx context.Context, url, prefix string, sessions, requests int, r *recorder, opts ...client.Option) error {
	c, err := client.Connect(ctx, url, opts...)
	if err != nil {
		return err
	}
	defer c.Close()

	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			name := fmt.Sprintf("%s%d", prefix, i+1)
			s := c.Session()
			random := rand.New(rand.NewPCG(uint64(i), uint64(len(prefix))))
			for n := range requests {
				req := client.Request{Request: model.Request{Model: model.All[i%4], Type: client.TypeGet}}
				keys := keysOf(req.Model)
				if i%12 >= 8 {
					req.Model, keys = model.All[random.IntN(4)], keys[2:]
				}
				req.Key = keys[random.IntN(len(keys))]
				if random.IntN(2) == 0 {
					req.Type = client.TypeSet
					req.Identity = fmt.Sprintf("%s-%d", name, n)
					req.Value = []byte(req.Identity)
				}
				r.do(ctx, s, name, req)
			}
		})
	}

	wg.Wait()
	return nil
}

// judge has every checker look at what was recorded and at what each replica holds in
// the end, in both of its layers.
func judge(t *testing.T, nc *nats.Conn, ops []history.Operation) {
	t.Helper()
	verdicts := append(history.All(ops, history.Budget{Time: time.Minute}), final(t, nc, ops)...)
	for _, v := range verdicts {
		if !v.OK() {
			t.Errorf("%s", v)
		}
	}
	counts := count(ops)
	// A healthy cluster answers: only a causal or sequential minimum may be refused, rarely.
	if counts[history.OK] < len(ops)*98/100 || counts[history.Unknown] > 0 {
		t.Errorf("of %d requests %v", len(ops), counts)
	}
	t.Logf("%d requests: %v", len(ops), counts)
}

func count(ops []history.Operation) map[history.Outcome]int {
	counts := map[history.Outcome]int{}
	for _, op := range ops {
		counts[op.Outcome]++
	}
	return counts
}

// final judges what every replica holds in the end.
func final(t *testing.T, nc *nats.Conn, ops []history.Operation) []history.Verdict {
	t.Helper()
	var verdicts []history.Verdict
	s := atRest(t, nc)
	for _, c := range []model.Consistency{model.Sequential, model.Eventual} {
		stores := map[string]map[string]string{}
		for _, r := range s.Replicas {
			stores[r.ID] = contents(t, nc, c, r.ID)
		}
		verdicts = append(verdicts, history.Converged(stores), history.Eventual(ops, stores["r1"]))
	}
	return verdicts
}

// contents reads every key from one replica.
func contents(t testing.TB, nc *nats.Conn, c model.Consistency, replica string) map[string]string {
	t.Helper()
	held := map[string]string{}
	for _, key := range allKeys() {
		m := ask(t, nc, fmt.Sprintf("%s, get, %s", c.Word(), key), bus.HeaderReplica, replica)
		switch code(m) {
		case "":
			held[key] = string(m.Data)
		case "404":
		default:
			t.Fatalf("%s get of %s at %s: %s %s", c.Word(), key, replica, code(m), m.Data)
		}
		if by := m.Header.Get(bus.HeaderReplica); by != replica {
			t.Errorf("asked %s, %s answered", replica, by)
		}
	}
	return held
}

func TestConcurrentClients(t *testing.T) {
	t.Parallel()
	for _, replicas := range []string{"1", "3", "5"} {
		t.Run(replicas, func(t *testing.T) {
			m := start(t, "--replicas", replicas)
			var r recorder
			if err := workload(t.Context(), m.url, "s", 12, 170, &r); err != nil {
				t.Fatal(err)
			}
			judge(t, connect(t, m.url), r.ops)
		})
	}
}
