package client_test

import (
	"errors"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/quartettest"
)

// What each write tells its caller, on a real cluster.
func TestWritesWithConditions(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()

	first, err := c.Create(ctx, "cart", []byte("tea"))
	if err != nil || !first.HasRevision || first.Revision != first.Position {
		t.Fatalf("create: %+v, %v", first, err)
	}

	var failed *client.Error
	_, err = c.Create(ctx, "cart", []byte("coffee"))
	isFailed := errors.Is(err, client.ErrConditionFailed) && errors.As(err, &failed)
	if !isFailed || failed.Revision != first.Revision || errors.Is(err, client.ErrUnknownOutcome) {
		t.Fatalf("a second create: %v", err)
	}

	second, err := c.Update(ctx, "cart", []byte("coffee"), first.Revision)
	if err != nil || second.Revision <= first.Revision {
		t.Fatalf("update: %+v, %v", second, err)
	}
	if _, err = c.Update(ctx, "cart", []byte("milk"), first.Revision); !errors.Is(err, client.ErrConditionFailed) {
		t.Fatalf("an update of what has changed: %v", err)
	}

	got, err := c.Get(ctx, "cart")
	if err != nil || string(got.Value) != "coffee" || got.Revision != second.Revision {
		t.Fatalf("get: %+v, %v", got, err)
	}

	if _, err = c.Delete(ctx, "cart", client.IfRevision(first.Revision)); !errors.Is(err, client.ErrConditionFailed) {
		t.Fatalf("a delete of what has changed: %v", err)
	}
	if _, err = c.Delete(ctx, "cart", client.IfRevision(second.Revision)); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Get(ctx, "cart"); !errors.Is(err, client.ErrNotFound) {
		t.Fatalf("after the delete: %v", err)
	}

	_, err = c.Update(ctx, "cart", []byte("milk"), second.Revision)
	if !errors.As(err, &failed) || failed.Revision != 0 {
		t.Fatalf("an update of what was deleted: %v", err)
	}
	if _, err = c.Delete(ctx, "cart"); err != nil {
		t.Fatalf("a delete of nothing: %v", err)
	}
}

// The first outcome of an id is told again, whatever the key holds by then.
func TestAFailedConditionIsToldAgain(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()

	if _, err := c.Set(ctx, "k", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, "k", []byte("2"), client.WithID("once")); !errors.Is(err, client.ErrConditionFailed) {
		t.Fatalf("create: %v", err)
	}
	if _, err := c.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(ctx, "k", []byte("2"), client.WithID("once")); !errors.Is(err, client.ErrConditionFailed) {
		t.Errorf("the same create again, where it would succeed now: %v", err)
	}

	again := [2]client.Result{}
	for i := range again {
		var err error
		if again[i], err = c.Create(ctx, "k", []byte("3"), client.WithID("twice")); err != nil {
			t.Fatal(err)
		}
	}
	if again[0].Revision != again[1].Revision {
		t.Errorf("one create has two revisions: %d, %d", again[0].Revision, again[1].Revision)
	}
}

func TestAdd(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()

	for _, step := range []struct{ n, sum int64 }{{1, 1}, {41, 42}, {-50, -8}} {
		if sum, _, err := c.Add(ctx, "n", step.n); err != nil || sum != step.sum {
			t.Fatalf("%+d: %d, %v", step.n, sum, err)
		}
	}
	sum, _, err := c.Session().Add(ctx, "n", 8, client.With(client.Sequential), client.WithID("eight"))
	if err != nil || sum != 0 {
		t.Fatalf("in a session: %d, %v", sum, err)
	}
	if sum, _, err = c.Add(ctx, "n", 8, client.With(client.Sequential), client.WithID("eight")); err != nil || sum != 0 {
		t.Fatalf("again under its id: %d, %v", sum, err)
	}

	if _, err := c.Set(ctx, "word", []byte("tea")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Add(ctx, "word", 1); !errors.Is(err, client.ErrConditionFailed) {
		t.Errorf("to a word: %v", err)
	}
	if _, err := c.Set(ctx, "most", []byte("9223372036854775807")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Add(ctx, "most", 1); !errors.Is(err, client.ErrConditionFailed) {
		t.Errorf("beyond 64 bits: %v", err)
	}
	if _, _, err := c.Add(ctx, "n", 1, client.With(client.Causal)); !errors.Is(err, client.ErrMalformed) {
		t.Errorf("in the causal model: %v", err)
	}
}

// Deletes and ends in all four models.
func TestDeletesAndEnds(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()

	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual} {
		s := c.Session()
		key := "k/" + m.Word()
		on := []client.RequestOption{client.With(m), client.OnReplica("r2")}

		if _, err := s.Set(ctx, key, []byte("v"), on...); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(ctx, key, on...); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Get(ctx, key, on...); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: %q, %v after the delete", m.Word(), r.Value, err)
		}

		began := time.Now()
		if _, err := s.Set(ctx, key, []byte("w"), append(on, client.WithTTL(time.Second))...); err != nil {
			t.Fatal(err)
		}
		for {
			r, err := s.Get(ctx, key, on...)
			if errors.Is(err, client.ErrNotFound) {
				break
			}
			if err != nil || string(r.Value) != "w" {
				t.Fatalf("%s: %q, %v", m.Word(), r.Value, err)
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%s: the value lives", m.Word())
			}
		}
		if lived := time.Since(began); lived < time.Second {
			t.Errorf("%s: a value of 1 s lived for %s", m.Word(), lived)
		}
	}
}
