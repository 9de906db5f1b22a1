package layers

import (
	"fmt"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// BenchmarkCommit is a linearizable set of 100 bytes of one of 10,000 keys, as each replica
// delivers it; with a journal as one that has a disk does.
func BenchmarkCommit(b *testing.B) {
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%015d", i*7919%len(keys))
	}
	for _, journal := range []*durable.Turn{nil, {}} {
		b.Run(fmt.Sprintf("journal=%t", journal != nil), func(b *testing.B) {
			b.ReportAllocs()
			l := New(Config{Store: store.NewMemory(0), Limits: dedup.Limits{}, Journal: journal})
			r := message.Request{Request: model.NewSet(model.Linearizable, "", nil)}
			n := uint64(0)
			for b.Loop() {
				n++
				r.RID, r.Key, r.Value = n, keys[n%uint64(len(keys))], make([]byte, 100)
				l.Count(1)
				l.CommitStrong(&r, lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: n, Node: 1}}, l.Position())
				if journal != nil && n%4000 == 0 {
					l.Saved()
					*journal = durable.Turn{}
				}
			}
		})
	}
}
