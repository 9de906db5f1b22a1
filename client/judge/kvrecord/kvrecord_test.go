package kvrecord_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
	"quartet/client/judge/history"
	"quartet/client/judge/kvrecord"
)

const patience = 30 * time.Second

// startJetStream runs servers with JetStream, in this process; several are a cluster.
func startJetStream(t testing.TB, servers int) []string {
	t.Helper()
	var urls, routes []string
	for i := range servers {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), JetStream: true,
			StoreDir: filepath.Join(t.TempDir(), "js"),
		}
		if servers > 1 {
			o.Cluster = server.ClusterOpts{Name: "three", Host: "127.0.0.1", Port: -1}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}
		s := servertest.Start(t, o)

		urls = append(urls, s.ClientURL())
		if servers > 1 {
			routes = append(routes, fmt.Sprintf("nats-route://%s", s.ClusterAddr()))
		}
	}
	return urls
}

// makeBucket makes a bucket with a copy on each server.
func makeBucket(t testing.TB, urls []string) string {
	t.Helper()
	nc, err := nats.Connect(urls[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := kvrecord.Stream(nc, "")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("real-%d", buckets.Add(1))
	testkit.Eventually(t, patience, "a bucket", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: len(urls)})
		return err
	})
	return name
}

var buckets atomic.Int64

// options are those of a load that is judged.
func options(urls []string, bucket string) kvrecord.Options {
	return kvrecord.Options{
		URLs: urls, Bucket: bucket, Model: model.Linearizable, Sessions: 16, Keys: 4, Gets: 50, Updates: true,
		Timeout: 10 * time.Second, Seed: 1,
	}
}

// recorded lets a load run until each session has had n answers.
func recorded(t testing.TB, o kvrecord.Options, n int) []history.Operation {
	t.Helper()
	l, err := kvrecord.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, "answers for each session", func() error {
		if least := slices.Min(l.Answers()); least < n {
			return fmt.Errorf("%d of %d", least, n)
		}
		return nil
	})
	return l.Stop()
}

// One server has one copy: its bucket is linearizable, and so sequential and causal, and the judge
// says so, whatever of it was recorded.
func TestOneCopyIsLinearizable(t *testing.T) {
	t.Parallel()
	urls := startJetStream(t, 1)
	o := options(urls, makeBucket(t, urls))
	for _, v := range history.Judge(&history.Recording{Operations: recorded(t, o, 40)}, history.Budget{}) {
		if !v.OK() {
			t.Errorf("%s", v)
		}
	}

	o.Deletes, o.Shared, o.Bucket = true, true, makeBucket(t, urls)
	if v := history.Linearizable(recorded(t, o, 40), history.Budget{}); !v.OK() {
		t.Errorf("with deletes: %s", v)
	}

	// The same writes as of model 3, which tells no revisions.
	o.Model, o.Deletes, o.Updates, o.Bucket = model.Causal, false, false, makeBucket(t, urls)
	ops := recorded(t, o, 20)
	for i := range ops {
		ops[i].HasRevision, ops[i].Revision = false, 0
	}
	if v := history.CausalByValues(ops); !v.OK() {
		t.Errorf("causal: %s", v)
	}
}

// A history with an answer from before is violated: the judge can say no.
func TestStaleAnswersAreFound(t *testing.T) {
	t.Parallel()
	urls := startJetStream(t, 1)
	o := options(urls, makeBucket(t, urls))
	ops := recorded(t, o, 40)

	spoil := func(get *history.Operation) bool {
		for i := range ops {
			old := &ops[i]
			overwritten := slices.ContainsFunc(ops, func(w history.Operation) bool {
				done := w.Type == model.Set && w.Outcome == history.OK && !w.Refused()
				return done && w.Key == old.Key && w.Session == get.Session && w.Call > old.Return && w.Return < get.Call
			})
			isWrite := old.Type == model.Set && old.Outcome == history.OK && !old.Refused()
			if isWrite && old.Key == get.Key && overwritten {
				get.Output, get.Found, get.HasRevision, get.Revision = old.Value, true, true, old.Revision
				return true
			}
		}
		return false
	}
	i := slices.IndexFunc(ops, func(o history.Operation) bool { return o.Type == model.Get && o.Outcome == history.OK && spoil(&o) })
	if i < 0 {
		t.Fatal("no get can be spoilt")
	}
	spoil(&ops[i])

	kvrecord.Place(ops)
	for name, v := range map[string]history.Verdict{
		"linearizable": history.Linearizable(ops, history.Budget{}), "sequential": history.Sequential(ops),
	} {
		if v.Result != history.Violated {
			t.Errorf("%s: %s", name, v)
		}
	}
}
