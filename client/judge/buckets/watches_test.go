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

// A slow reader is sent what stood there when it began, whatever is overwritten meanwhile, and
// nobody waits for it: neither another watch nor another listing.
func TestASlowReaderSeesOneCut(t *testing.T) {
	t.Parallel()
	c := quartettest.Start(t)
	for _, depth := range []uint8{1, 3} {
		t.Run(fmt.Sprint("history ", depth), func(t *testing.T) {
			nc, name := c.NATS(t), fmt.Sprint("b", depth)
			kv := bucket(t, manager(t, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: name, History: depth})
			const keys = 50
			overwrite := func(value string) {
				for i := range keys {
					put(t, kv, fmt.Sprint(i), value)
				}
			}
			overwrite("old")
			others, err := kv.WatchAll(t.Context(), jetstream.UpdatesOnly())
			if err != nil {
				t.Fatal(err)
			}
			defer others.Stop()

			slow, err := nc.SubscribeSync(nc.NewInbox())
			if err != nil {
				t.Fatal(err)
			}
			// The server sends the next message when the one before is acknowledged.
			body := fmt.Sprintf(`{"stream_name":"KV_%s","config":{"name":"slow","deliver_policy":"last_per_subject","ack_policy":"explicit",
				"max_ack_pending":1,"filter_subject":"$KV.%s.>","deliver_subject":%q}}`, name, name, slow.Subject)
			reply, err := nc.Request("quartet.kv.CONSUMER.CREATE.KV_"+name+".slow.$KV."+name+".>", []byte(body), 20*time.Second)
			if err != nil || strings.Contains(string(reply.Data), `"error"`) {
				t.Fatalf("%v %+v", err, reply)
			}

			for _, value := range []string{"new", "newer", "newest"} {
				overwrite(value)
				for range keys {
					if got := next(t, others); !strings.Contains(got, "="+value+" #") {
						t.Fatalf("another watch is told %s, want %s", got, value)
					}
				}
			}
			if got, err := kv.Keys(t.Context()); err != nil || len(got) != keys {
				t.Errorf("a listing meanwhile: %d keys of %d: %v", len(got), keys, err)
			}
			seen := map[string]bool{}
			for len(seen) < keys {
				m, err := slow.NextMsg(20 * time.Second)
				if err != nil {
					t.Fatalf("after %d keys: %v", len(seen), err)
				}
				if seen[m.Subject] = true; string(m.Data) != "old" {
					t.Fatalf("after %d keys the reader is told %s=%s: it has taken the place of what stood there", len(seen), m.Subject, m.Data)
				}
				if err := m.Ack(); err != nil {
					t.Fatal(err)
				}
			}
		})
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
