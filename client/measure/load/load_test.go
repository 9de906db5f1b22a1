package load_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/inbox"
	"quartet/client/internal/responder"
	"quartet/client/measure/load"
)

func small() load.Options {
	return load.Options{
		Concurrency: 8, Warmup: 20 * time.Millisecond, Duration: 100 * time.Millisecond,
		Gets: 50, Keys: 100, KeySize: 16, ValueSize: 100, Seed: 1,
	}
}

// instant answers from another goroutine, and notes what it saw.
type instant struct {
	mu          sync.Mutex
	ops         []load.Op
	outstanding int
	most        int
	outcome     func(n int) (load.Outcome, error)
}

func (s *instant) Send(op load.Op, done func(load.Outcome)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome, err := load.OK, error(nil)
	if s.outcome != nil {
		outcome, err = s.outcome(len(s.ops))
	}
	s.ops = append(s.ops, op)
	if err != nil {
		return err
	}
	s.outstanding++
	s.most = max(s.most, s.outstanding)
	time.AfterFunc(time.Millisecond, func() {
		s.mu.Lock()
		s.outstanding--
		s.mu.Unlock()
		done(outcome)
	})
	return nil
}

func TestClosedLoop(t *testing.T) {
	var s instant
	o := small()
	result, err := load.Run(t.Context(), o, []load.Sender{&s})
	if err != nil {
		t.Fatal(err)
	}

	if s.outstanding != 0 || s.most != o.Concurrency {
		t.Errorf("%d outstanding at the end, %d at most, want 0 and %d", s.outstanding, s.most, o.Concurrency)
	}
	var all uint64
	for i := range result.Counts {
		all += result.Counts[i] + result.Outside[i]
	}

	if all != uint64(len(s.ops)) || result.Outside[load.OK] == 0 {
		t.Errorf("%d of %d requests counted: %+v", all, len(s.ops), result)
	}
	if result.Ops() == 0 || uint64(result.Latency.TotalCount()) != result.Ops() || result.Window != o.Duration {
		t.Errorf("%d answers, %d latencies in %s", result.Ops(), result.Latency.TotalCount(), result.Window)
	}
	if least := result.Latency.Min(); least < 900 {
		t.Errorf("a latency of %d µs of an answer that takes 1,000", least)
	}

	gets := 0
	for _, op := range s.ops {
		if len(op.Key) != o.KeySize || (op.Type == model.Set) != (len(op.Value) == o.ValueSize) {
			t.Fatalf("op %+v", op)
		}
		if op.Type == model.Get {
			gets++
		}
	}

	if share := gets * 100 / len(s.ops); share < 25 || share > 75 {
		t.Errorf("%d %% gets of %d, want about 50", share, len(s.ops))
	}
}

func TestFailuresAreCounted(t *testing.T) {
	s := instant{outcome: func(n int) (load.Outcome, error) {
		switch n {
		case 0:
			return load.OK, errors.New("not sent")
		case 1:
			return load.Failed, nil
		case 2:
			return load.Unknown, nil
		case 3:
			return load.Missing, nil
		}
		return load.OK, nil
	}}
	result, err := load.Run(t.Context(), small(), []load.Sender{&s})
	if err != nil || result.NotSent != 1 || result.Failed() != 2 || result.Unknown() != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if s.most != 7 {
		t.Errorf("%d outstanding after one lane was given up, want 7", s.most)
	}
	none := instant{outcome: func(int) (load.Outcome, error) { return load.OK, errors.New("not sent") }}
	if result, err := load.Run(t.Context(), small(), []load.Sender{&none}); err != nil || result.NotSent != 8 || result.Ops() != 0 {
		t.Errorf("nothing can be sent: %+v, %v", result, err)
	}

	bad := instant{outcome: func(n int) (load.Outcome, error) { return map[bool]load.Outcome{true: load.Failed}[n == 50], nil }}
	var failed *load.FillError
	if err := load.Fill(t.Context(), small(), &bad); !errors.As(err, &failed) || failed.Refused != 1 || failed.Unknown != 0 {
		t.Errorf("of a fill with one refused set: %v", err)
	}
	lost := instant{outcome: func(n int) (load.Outcome, error) { return map[bool]load.Outcome{true: load.Unknown}[n%2 == 0], nil }}
	if err := load.Fill(t.Context(), small(), &lost); !errors.As(err, &failed) || failed.Refused != 0 || failed.Unknown == 0 {
		t.Errorf("of a fill of which sets were lost: %v", err)
	}
}

func TestStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := instant{outcome: func(n int) (load.Outcome, error) {
		if n == 100 {
			cancel()
		}
		return load.OK, nil
	}}
	o := small()
	o.Duration = time.Hour
	if _, err := load.Run(ctx, o, []load.Sender{&s}); !errors.Is(err, context.Canceled) || s.outstanding != 0 {
		t.Errorf("%v, %d outstanding", err, s.outstanding)
	}
}

func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*load.Options){
		"no concurrency": func(o *load.Options) { o.Concurrency = 0 },
		"no duration":    func(o *load.Options) { o.Duration = 0 },
		"warm-up":        func(o *load.Options) { o.Warmup = -1 },
		"gets":           func(o *load.Options) { o.Gets = 101 },
		"no keys":        func(o *load.Options) { o.Keys = 0 },
		"short keys":     func(o *load.Options) { o.KeySize = 2 },
		"long keys":      func(o *load.Options) { o.KeySize = 1025 },
		"large values":   func(o *load.Options) { o.ValueSize = 512 << 10 },
	} {
		o := small()
		change(&o)
		if _, err := load.Run(t.Context(), o, []load.Sender{&instant{}}); !errors.Is(err, load.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := load.Run(t.Context(), small(), nil); !errors.Is(err, load.ErrOptions) {
		t.Errorf("no senders: %v", err)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		in   []float64
		want load.Spread
	}{
		{nil, load.Spread{}}, {[]float64{3}, load.Spread{3, 3, 3}},
		{[]float64{5, 1, 9}, load.Spread{5, 1, 9}}, {[]float64{4, 1, 2, 9}, load.Spread{3, 1, 9}},
	} {
		if got := load.NewSpread(test.in); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.in, got, test.want)
		}
	}
}

// Both sides over a real server: the responder stands for a cluster, the bucket is real.
func TestCompareWithABucket(t *testing.T) {
	r := responder.Start(t, nil)
	nc, err := nats.Connect(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	in, err := inbox.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	bucket, err := load.MakeBucket(t.Context(), nc)
	if err != nil {
		t.Fatal(err)
	}
	api, err := bucket.API(t.Context(), nc, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ours, raw := load.Quartet{Client: c, Consistency: client.Eventual}, bucket.Sender(in, 5*time.Second)

	o := small()
	for _, side := range []load.Sender{ours, raw, api} {
		if err := load.Fill(t.Context(), o, side); err != nil {
			t.Fatal(err)
		}
	}

	for _, side := range []load.Sender{ours, api, raw} {
		r, err := load.Run(t.Context(), o, []load.Sender{side})
		if err != nil {
			t.Fatalf("%T: %v", side, err)
		}
		if r.Failed()+r.Unknown() > 0 || r.Counts[load.Missing] > 0 || r.Ops() == 0 || uint64(r.Latency.TotalCount()) != r.Ops() {
			t.Errorf("%T: %+v", side, r.Counts)
		}
	}

	// A sender to the bucket must tell an answer from a failure, or its figures are worth nothing.
	ends := make(chan load.Outcome, 1)
	send := func(op load.Op, want load.Outcome) {
		t.Helper()
		for _, side := range []load.Sender{raw, api} {
			if err := side.Send(op, func(outcome load.Outcome) { ends <- outcome }); err != nil {
				t.Fatal(err)
			}
			if got := <-ends; got != want {
				t.Errorf("%T: %v of %s: %d, want %d", side, op.Type, op.Key, got, want)
			}
		}
	}

	send(load.Op{Type: model.Get, Key: fmt.Sprintf("k%015d", 7)}, load.OK)
	send(load.Op{Type: model.Get, Key: "absent"}, load.Missing)

	if err := bucket.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	send(load.Op{Type: model.Set, Key: "k", Value: []byte("v")}, load.Failed)
	send(load.Op{Type: model.Get, Key: "k"}, load.Failed)
}
