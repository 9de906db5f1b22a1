package client_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/internal/responder"
	"quartet/client/quartettest"
)

// Each kind of check and step, in both models, alone and in a session.
func TestTransactions(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()

	for name, begin := range map[string]func(...client.RequestOption) *client.Txn{"client": c.Txn, "session": c.Session().Txn} {
		for _, m := range []client.Consistency{client.Linearizable, client.Sequential} {
			at := name + "/" + m.Word() + "/"
			tx := begin(client.With(m)).If(client.KeyMissing(at + "seat"))
			tx.Then().Set(at+"seat", []byte("ann"), client.WithTTL(time.Hour)).Create(at+"door", nil).Delete(at + "queue")
			sold := tx.Then().Add(at+"sold", 41)
			more := tx.Then().Add(at+"sold", 1)
			seat := tx.Then().Get(at + "seat")
			none := tx.Then().Get(at + "queue")
			other := tx.Else().Get(at + "seat")

			done, err := tx.Commit(ctx)
			if err != nil || !done.Succeeded || done.Revision != done.Position || done.Revision == 0 {
				t.Fatalf("%s: %+v, %v", at, done, err)
			}
			if sold.Sum != 41 || more.Sum != 42 {
				t.Errorf("%s: sums %d, %d", at, sold.Sum, more.Sum)
			}
			if left := time.Until(seat.Expires); string(seat.Value) != "ann" || !seat.Found || left < 50*time.Minute || left > 70*time.Minute {
				t.Errorf("%s: read %+v", at, seat)
			}
			if none.Found || none.Value != nil || other.Found {
				t.Errorf("%s: read %+v, and of the other list %+v", at, none, other)
			}

			again, err := tx.Commit(ctx)
			if err != nil || again.RID != done.RID || again.Revision != done.Revision || more.Sum != 42 {
				t.Errorf("%s: committed once more: %+v, %v", at, again, err)
			}

			checks := begin(client.With(m)).If(client.KeyExists(at+"seat"), client.KeyMissing(at+"queue"),
				client.KeyValue(at+"door", nil), client.KeyValue(at+"sold", []byte("42")), client.KeyRevision(at+"sold", done.Revision),
				client.KeyRevision(at+"never", 0))
			checks.Then().Update(at+"seat", []byte("bob"), done.Revision).Delete(at+"door", client.IfRevision(done.Revision))
			second, err := checks.Commit(ctx)
			if err != nil || !second.Succeeded || second.Revision <= done.Revision {
				t.Errorf("%s: all checks hold: %+v, %v", at, second, err)
			}
			if r, err := c.Get(ctx, at+"seat"); string(r.Value) != "bob" || r.Revision != second.Revision || r.Expires != 0 {
				t.Errorf("%s: afterwards %+v, %v", at, r, err)
			}

			late := begin(client.With(m)).If(client.KeyRevision(at+"seat", done.Revision))
			late.Then().Delete(at + "seat")
			owner := late.Else().Get(at + "seat")
			third, err := late.Commit(ctx)
			if err != nil || third.Succeeded || string(owner.Value) != "bob" || owner.Revision != second.Revision {
				t.Errorf("%s: a check does not hold: %+v, read %+v, %v", at, third, owner, err)
			}
		}
	}
}

// A step that cannot be done is named; nothing is done, and that is told again.
func TestATransactionThatFails(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	ctx := t.Context()
	word, err := c.Set(ctx, "word", []byte("tea"))
	if err != nil {
		t.Fatal(err)
	}

	build := func() (*client.Txn, *client.Read) {
		tx := c.Txn(client.WithID("fails")).If(client.KeyMissing("word"))
		tx.Then().Set("other", nil)
		read := tx.Else().Set("other", nil).Get("word")
		tx.Else().Add("word", 1)
		return tx, read
	}
	for range 2 {
		tx, read := build()
		done, err := tx.Commit(ctx)
		var e *client.Error
		isFailed := errors.Is(err, client.ErrConditionFailed) && errors.As(err, &e)
		if !isFailed || e.Failed != 2 || e.Revision != word.Revision || done.Succeeded || errors.Is(err, client.ErrUnknownOutcome) {
			t.Fatalf("%+v, %v (%+v)", done, err, e)
		}
		if !strings.Contains(err.Error(), `element 2 of else, add of "word"`) {
			t.Errorf("it does not say which: %v", err)
		}
		if read.Found {
			t.Errorf("of what was not done: %+v", read)
		}
		if _, err := c.Get(ctx, "other"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("a part was done: %v", err)
		}
	}

	if _, err := c.Delete(ctx, "word"); err != nil {
		t.Fatal(err)
	}
	tx, _ := build()
	if _, err := tx.Commit(ctx); !errors.Is(err, client.ErrConditionFailed) {
		t.Errorf("the same again, where it could be done now: %v", err)
	}
}

// What cannot be right is told before anything is sent.
func TestMistakesInATransaction(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL)
	many := c.Txn()
	for range 129 {
		many.Then().Delete("k")
	}
	large := c.Txn()
	large.Then().Set("a", make([]byte, 300<<10)).Set("b", make([]byte, 300<<10))
	ofAStep := c.Txn()
	ofAStep.Then().Set("k", nil, client.WithID("x"))
	wrongEnd := c.Txn()
	wrongEnd.Then().Set("k", nil, client.WithTTL(time.Millisecond))
	endOfADelete := c.Txn()
	endOfADelete.Then().Delete("k", client.WithTTL(time.Minute))
	causal := c.Txn(client.With(client.Causal))
	causal.Then().Delete("k")
	noKey := c.Txn().If(client.KeyExists(""))

	for want, tx := range map[string]*client.Txn{
		"does nothing": c.Txn(), "at most 128": many, "524288": large, "as a whole": ofAStep, "1 s": wrongEnd, "takes no TTL": endOfADelete,
		"causal": causal, "empty key": noKey,
	} {
		_, err := tx.Commit(t.Context())
		var e *client.Error
		if !errors.As(err, &e) || !errors.Is(err, client.ErrRefused) || e.Attempts != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if n := len(r.Calls()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// What was committed is not changed afterwards: its id stands for it.
func TestATransactionIsSealed(t *testing.T) {
	c := quartettest.Start(t).Client(t)
	tx := c.Txn()
	tx.Then().Add("n", 1)
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx.Then().Add("n", 1)
	if _, err := tx.Commit(t.Context()); !errors.Is(err, client.ErrMalformed) {
		t.Errorf("%v", err)
	}
}

// After an unknown outcome a further Commit learns it, and does nothing twice.
func TestCommitAgainLearnsTheOutcome(t *testing.T) {
	var lost sync.Once
	r := responder.Start(t, func(call responder.Call) (a responder.Action) {
		lost.Do(func() { a.Silent = true })
		return a
	})
	c := dial(t, r.URL, client.WithRetries(0), client.WithTimeout(prompt))
	tx := c.Txn()
	tx.Then().Set("k", []byte("v"))
	if _, err := tx.Commit(t.Context()); !errors.Is(err, client.ErrUnknownOutcome) {
		t.Fatalf("%v", err)
	}
	if done, err := tx.Commit(t.Context()); err != nil || !done.Succeeded {
		t.Fatalf("again: %+v, %v", done, err)
	}

	calls := r.Calls()
	if len(calls) != 2 || calls[0].Options.Identity == "" || calls[0].Options.Identity != calls[1].Options.Identity {
		t.Fatalf("%+v", calls)
	}
	if calls[1].Options.Age == 0 {
		t.Error("the second sending does not say how old the transaction is")
	}
	if n := r.Executed(); n != 1 {
		t.Errorf("executed %d times", n)
	}
}

// A transaction of gets alone is a read: it has no id, and nothing unknown about it.
func TestATransactionOfGets(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL)
	tx := c.Txn()
	tx.Then().Get("a")
	_, _ = tx.Commit(t.Context())
	if calls := r.Calls(); len(calls) != 1 || calls[0].Options.Identity != "" {
		t.Errorf("%+v", calls)
	}

	real := quartettest.Start(t).Client(t)
	if _, err := real.Set(t.Context(), "a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	both := real.Txn().If(client.KeyExists("a"))
	a, b := both.Then().Get("a"), both.Then().Get("b")
	if done, err := both.Commit(t.Context()); err != nil || !done.Succeeded || string(a.Value) != "1" || b.Found {
		t.Errorf("%+v, %+v, %+v, %v", done, a, b, err)
	}
}
