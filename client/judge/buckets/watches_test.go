package buckets_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
	"quartet/client/quartettest"
)

// A watch of a bucket that is deleted and made anew goes on with the new one, or ends: nats.go
// closes its channel if it asks for its consumer while there is no bucket. It is never deaf. (In
// JetStream it is, until the new bucket's revisions have passed those of the old one.)
func TestAWatchOutlivesItsBucket(t *testing.T) {
	t.Parallel()
	js := manager(t, quartettest.Start(t), "quartet.kv")
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "b"})
	for i := range 10 {
		put(t, kv, "k", fmt.Sprint(i))
	}
	w, err := kv.WatchAll(t.Context(), jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	last := put(t, kv, "k", "old")
	if got, want := next(t, w), fmt.Sprintf("KeyValuePutOp k=old #%d", last); got != want {
		t.Fatalf("%q, want %q", got, want)
	}

	if err := js.DeleteKeyValue(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	kv = bucket(t, js, jetstream.KeyValueConfig{Bucket: "b"})
	n := put(t, kv, "k", "new")
	limit := time.After(2 * time.Minute) // the client misses two heartbeats first, of 5 s each
	for {
		select {
		case e, open := <-w.Updates():
			if !open { // the client asked for its consumer again while there was no bucket, and has given up
				t.Log("the watch has ended, and is begun again")
				if w, err = kv.WatchAll(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer w.Stop()
				continue
			}
			isNew := e != nil && e.Operation() == jetstream.KeyValuePut && string(e.Value()) == "new"
			if !isNew {
				continue // the keys of the old one were deleted
			}
			if e.Revision() != n {
				t.Errorf("the watch shows number %d, the put had %d", e.Revision(), n)
			}
			return
		case <-limit:
			t.Fatal("the watch is deaf")
		}
	}
}

// Consumers that pull read a bucket, too, with acknowledgements and without.
func TestConsumersPull(t *testing.T) {
	js := manager(t, quartettest.Start(t), "quartet.kv")
	kv := bucket(t, js, jetstream.KeyValueConfig{Bucket: "b", History: 3})
	var want []string
	for i := range 9 {
		key, value := fmt.Sprintf("k.%d", i%3), fmt.Sprint(i)
		want = append(want, fmt.Sprintf("$KV.b.%s=%s #%d", key, value, put(t, kv, key, value)))
	}
	stream, err := js.Stream(t.Context(), "KV_b")
	if err != nil {
		t.Fatal(err)
	}
	ordered, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	explicit, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}

	for name, consumer := range map[string]jetstream.Consumer{"ordered": ordered, "explicit": explicit} {
		var got []string
		testkit.Eventually(t, 20*time.Second, name+": all messages", func() error {
			batch, err := consumer.Fetch(len(want)-len(got), jetstream.FetchMaxWait(2*time.Second))
			if err != nil {
				return err
			}
			for m := range batch.Messages() {
				meta, err := m.Metadata()
				if err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("%s=%s #%d", m.Subject(), m.Data(), meta.Sequence.Stream))
				if name == "explicit" {
					if err := m.DoubleAck(t.Context()); err != nil {
						return err
					}
				}
			}
			if len(got) < len(want) {
				return fmt.Errorf("%d of %d", len(got), len(want))
			}
			return nil
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if err := stream.DeleteConsumer(t.Context(), "d"); err != nil {
		t.Error(err)
	}
}
