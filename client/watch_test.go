package client_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/quartettest"
)

// told waits for n events of a watch, and returns them as words.
func told(t *testing.T, events <-chan client.Event, n int) []string {
	t.Helper()
	var words []string
	deadline := time.After(30 * time.Second)
	for len(words) < n {
		select {
		case e := <-events:
			words = append(words, fmt.Sprintf("%s %s=%s", e.Kind, e.Key, e.Value))
		case <-deadline:
			t.Fatalf("%d events of %d: %q", len(words), n, words)
		}
	}
	return words
}

// watching follows a watch until the test ends.
func watching(t *testing.T, c *client.Client, prefix string, opts ...client.RequestOption) <-chan client.Event {
	t.Helper()
	events := make(chan client.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range c.Watch(ctx, prefix, opts...) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the watch has ended: %v", err)
				}
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return events
}

func TestWatch(t *testing.T) {
	cluster := quartettest.Start(t)
	c, err := client.Connect(t.Context(), cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // after the watches: with its connection they would end, too
	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		prefix := m.Word() + "/"
		set := func(key, value string) client.Result {
			t.Helper()
			r, err := c.Set(t.Context(), key, []byte(value), client.With(m))
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		set(prefix+"a", "1")
		first := set(prefix+"b", "2")
		events := watching(t, c, prefix, client.With(m))
		got := told(t, events, 3)
		slices.Sort(got[:2])
		want := []string{"VALUE " + prefix + "a=1", "VALUE " + prefix + "b=2", "CAUGHT-UP ="}
		if m.Strong() && !slices.Equal(got, want) {
			t.Errorf("%s: %q", m.Word(), got)
		}

		set("elsewhere", "x")
		set(prefix+"a", "3")
		set(prefix+"c", "")
		want = []string{"SET " + prefix + "a=3", "SET " + prefix + "c="}
		if got := told(t, events, 2); m.Strong() && !slices.Equal(got, want) {
			t.Errorf("%s: %q", m.Word(), got)
		}

		if m.Strong() {
			later := watching(t, c, prefix, client.With(m), client.FromRevision(first.Position))
			want = append(want, "CAUGHT-UP =")
			if got := told(t, later, 3); !slices.Equal(got, want) {
				t.Errorf("%s, from %d: %q", m.Word(), first.Position, got)
			}
		}
	}
}

// Of a transaction that writes elsewhere, too, a watch tells what is below its prefix, and goes on:
// it waits for no more of it than it is told of.
func TestAWatchOfAPartOfATransaction(t *testing.T) {
	cluster := quartettest.Start(t)
	c, err := client.Connect(t.Context(), cluster.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // after the watches: with its connection they would end, too
	before, err := c.Set(t.Context(), "elsewhere", nil)
	if err != nil {
		t.Fatal(err)
	}

	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		prefix := m.Word() + "/"
		live := watching(t, c, prefix, client.With(m))
		told(t, live, 1) // CAUGHT-UP
		tx := c.Txn()
		tx.Then().Set(prefix+"a", []byte("1")).Set("elsewhere", nil).Set(prefix+"b", []byte("2")).Set("x", nil).Set("y", nil)
		done, err := tx.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Set(t.Context(), prefix+"c", []byte("3")); err != nil {
			t.Fatal(err)
		}

		want := []string{"SET " + prefix + "a=1 more", "SET " + prefix + "b=2", "SET " + prefix + "c=3"}
		if got := changesOf(t, live, 3); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", m.Word(), got, want)
		}
		if !m.Strong() {
			continue
		}
		later := watching(t, c, prefix, client.With(m), client.FromRevision(before.Revision))
		if got := changesOf(t, later, 3); !slices.Equal(got, want) {
			t.Errorf("%s, from %d: %q, want %q", m.Word(), before.Revision, got, want)
		}
		after := watching(t, c, prefix, client.With(m), client.FromRevision(done.Revision))
		if got := changesOf(t, after, 1); !slices.Equal(got, want[2:]) {
			t.Errorf("%s, from %d: %q, want %q", m.Word(), done.Revision, got, want[2:])
		}
	}
}

// changesOf waits for n changes, and returns them as words, with whether they say that there is
// more.
func changesOf(t *testing.T, events <-chan client.Event, n int) []string {
	t.Helper()
	var words []string
	deadline := time.After(30 * time.Second)
	for len(words) < n {
		select {
		case e := <-events:
			word := fmt.Sprintf("%s %s=%s", e.Kind, e.Key, e.Value)
			if e.More {
				word += " more"
			}
			if e.Kind.Changes() {
				words = append(words, word)
			}
		case <-deadline:
			t.Fatalf("%d changes of %d: %q", len(words), n, words)
		}
	}
	return words
}
