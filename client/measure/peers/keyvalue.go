package peers

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/model"
	"quartet/client/measure/load"
)

// keyValuePrefix is what a user of NATS key-value sets as the prefix of the API.
const keyValuePrefix = "quartet.kv"

// keyValues are the sides of the loads that nats.go's key-value sends, unmodified, to quartet and
// to JetStream.
func keyValues(memory3 string) []side {
	both := []string{"kv-put", "kv-get", "kv-put-single", "kv-get-single"}
	watch := []string{"kv-watch", "kv-watch-single"}
	const files3, mayBeStale = "files of 2 of 3, no fsync", "direct get; may be stale"
	return []side{
		{quartetMemory, model.Linearizable, keyValue, memory3, "linearizable", both, ""},
		{natsR1, 0, keyValue, "file of 1, no fsync", "direct get; the only copy", both, ""},
		{natsR3, 0, keyValue, files3, mayBeStale, both, ""},
		{quartetMemory, model.Linearizable, keyValue, memory3, "", watch, watched},
		{natsR1, 0, keyValue, "file of 1, no fsync", "", watch, watched},
		{natsR3, 0, keyValue, files3, "", watch, watched},
	}
}

// openKeyValue opens connections to quartet that are driven as those to a NATS bucket are. The
// bucket is made, with all keys, when it is first asked for.
func (s *store) openKeyValue(ctx context.Context, at site, side *side, n int) (connections, error) {
	if s.bucket == nil {
		if err := s.makeKeyValue(ctx, at); err != nil {
			return connections{}, err
		}
	}
	urls := make([]string, n)
	for i := range urls {
		urls[i] = s.url
	}
	return openNATS(ctx, at, side, s.bucket, urls)
}

func (s *store) makeKeyValue(ctx context.Context, at site) error {
	nc, err := nats.Connect(s.url)
	if err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	defer nc.Close()
	bucket, err := load.MakeBucketBelow(ctx, nc, keyValuePrefix, jetstream.MemoryStorage) // of a cluster in memory
	if err != nil {
		return err
	}
	caller, err := bucket.API(ctx, nc, at.o.Timeout)
	if err != nil {
		return err
	}
	if err := load.Fill(ctx, at.o.load(1), caller); err != nil {
		return err
	}
	s.bucket = bucket
	return nil
}
