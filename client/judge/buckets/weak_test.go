package buckets_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
	"quartet/client/quartettest"
)

// One client of a bucket in models 3 and 4 sees of its own what it would of a JetStream bucket: in
// model 3 at once, in model 4 when the replicas agree.
func TestWeakModelsAreTheSame(t *testing.T) {
	c := quartettest.Start(t, quartettest.JetStream())
	real := bucket(t, manager(t, c, "$JS.API"), jetstream.KeyValueConfig{Bucket: "real"})
	for _, m := range []string{"causal", "eventual"} {
		bucket(t, manager(t, c, "quartet.kv"), jetstream.KeyValueConfig{Bucket: m})
		weak, err := manager(t, c, "quartet.kv."+m).KeyValue(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(13, uint64(len(m))))
		var names []string
		for i := range 8 {
			names = append(names, fmt.Sprintf("%s.%d", m, i))
		}

		for i := range 400 {
			key := names[random.IntN(len(names))]
			switch dice := random.IntN(10); {
			case dice < 4:
				put(t, real, key, fmt.Sprint(i))
				put(t, weak, key, fmt.Sprint(i))
			case dice < 5:
				if err := errors.Join(real.Delete(t.Context(), key), weak.Delete(t.Context(), key)); err != nil {
					t.Fatal(err)
				}
			case dice < 6:
				if err := errors.Join(real.Purge(t.Context(), key), weak.Purge(t.Context(), key)); err != nil {
					t.Fatal(err)
				}
			case m == "causal":
				if got, want := valueOf(t, weak, key), valueOf(t, real, key); got != want {
					t.Fatalf("step %d: %s is %s, want %s", i, key, got, want)
				}
			}
		}

		testkit.Await(t, m+": the values of the real bucket", func() bool {
			return !slices.ContainsFunc(names, func(key string) bool { return valueOf(t, weak, key) != valueOf(t, real, key) })
		})
		testkit.Await(t, m+": its keys", func() bool { return keysOf(t, weak, m) == keysOf(t, real, m) })
	}
}

func valueOf(t *testing.T, kv jetstream.KeyValue, key string) string {
	t.Helper()
	e, err := kv.Get(t.Context(), key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return "nothing"
	case err != nil:
		t.Fatal(err)
	}
	return fmt.Sprintf("%q", e.Value())
}

func keysOf(t *testing.T, kv jetstream.KeyValue, prefix string) string {
	t.Helper()
	keys, err := kv.Keys(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		t.Fatal(err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix+".") })
	slices.Sort(keys)
	return strings.Join(keys, " ")
}
