package mastermetrics

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/link"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/master/ledger"
	"quartet/master/masternode"
	"quartet/replica/disk"
	"quartet/replica/replicametrics"
	"quartet/replica/replicanode"
)

// answering is a probe whose owner always gives the same answer.
func answering[T any](t *testing.T, answer T) *bus.Probe[T] {
	t.Helper()
	p := bus.NewProbe[T]()
	p.Begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case reply := <-p.Asked():
				reply <- answer
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { <-done })
	return p
}

// families are the names that a collector exports, in their order.
func families(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	gathered, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range gathered {
		names = append(names, f.GetName())
	}
	return names
}

// exported are all names that a master and a replica on disk export once there is something to
// say of everything.
func exported(t *testing.T) []string {
	t.Helper()
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	l.Record(ledger.Entry{
		RID: 1, Model: model.Causal, Type: model.Set, Key: "k", Replica: 1, Code: model.OK, Received: time.Now(),
		Taken: time.Millisecond,
	})

	traffic := link.Traffic{Kinds: []link.Kind{{Kind: message.KindHello, Sent: 1, Received: 1}}}
	ofMaster := New(answering(t, masternode.Figures{
		Status: bus.Status{Ready: true, Replicas: []bus.ReplicaStatus{{ID: "r1", Member: true, Phase: "member"}}},
		Free:   1, Traffic: traffic,
	}), l)
	ofReplica := replicametrics.New(answering(t, replicanode.Figures{Storage: &disk.Figures{Free: 1}, Traffic: traffic}),
		lamport.Replica(1))

	names := append(families(t, ofMaster), families(t, ofReplica)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// The page for operators names every metric that is exported, and no other.
func TestThePageNamesEveryMetric(t *testing.T) {
	page, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, begins := bytes.Cut(page, []byte("\n## Metrics\n"))
	section, _, ends := bytes.Cut(section, []byte("\n## "))
	if !begins || !ends {
		t.Fatal("there is no section on metrics")
	}

	var named []string
	for _, name := range regexp.MustCompile(`quartet_[a-z_]+`).FindAll(section, -1) {
		named = append(named, string(name))
	}
	slices.Sort(named)
	named = slices.Compact(named)

	all := exported(t)
	for _, name := range all {
		if !slices.Contains(named, name) {
			t.Errorf("%s is exported, and the page does not name it", name)
		}
	}
	for _, name := range named {
		if !slices.Contains(all, name) {
			t.Errorf("the page names %s, and nobody exports it", name)
		}
	}
	if len(all) < 50 {
		t.Errorf("only %d metrics were found: %q", len(all), all)
	}
}
