package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/quartettest"
	"quartet/client/recipes"
)

// c is a client of the cluster of all tests and examples.
var (
	c   *client.Client
	ctx = context.Background()
)

func TestMain(m *testing.M) {
	status := quartettest.Run(m, func(cluster *quartettest.Cluster) {
		var err error
		if c, err = client.Connect(ctx, cluster.URL); err != nil {
			log.Fatal(err)
		}
	})
	if c != nil {
		c.Close()
	}
	os.Exit(status)
}

// A lock, and a write that takes effect only while it is held.
func ExampleLock() {
	lock := recipes.NewLock(c, "locks/report", "ann")
	held, err := lock.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer held.Release(ctx)

	write := c.Txn().If(held.Fence())
	write.Then().Set("report", []byte("ready"))
	done, err := write.Commit(ctx)
	switch {
	case err != nil:
		log.Fatal(err)
	case !done.Succeeded:
		fmt.Println("too late: somebody else may have the lock")
	default:
		fmt.Println("written")
	}
	// Output: written
}

// One of several programs leads, and another one when it is gone.
func ExampleElection() {
	election := recipes.NewElection(c, "leaders/billing", "ann")
	err := election.Lead(ctx, func(ctx context.Context, term *recipes.Held) error {
		leader, err := election.Leader(ctx)
		fmt.Println(leader, "leads") // … until ctx ends: then the leadership is lost
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: ann leads
}

// Holders come one after the other, and their tokens rise.
func TestOneHolderAtATime(t *testing.T) {
	var mu sync.Mutex
	var group sync.WaitGroup
	inside, last := 0, uint64(0)
	for i := range 6 {
		lock := recipes.NewLock(c, "locks/one", fmt.Sprintf("holder %d", i), recipes.WithTTL(time.Minute))
		group.Go(func() {
			for range 3 {
				held, err := lock.Take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}

				mu.Lock()
				if inside++; inside > 1 {
					t.Errorf("%d hold it", inside)
				}
				if held.Token() <= last {
					t.Errorf("token %d after %d", held.Token(), last)
				}
				last = held.Token()
				mu.Unlock()

				if owner, err := lock.Owner(t.Context()); err != nil || owner != fmt.Sprintf("holder %d", i) {
					t.Errorf("the owner is %q, %v", owner, err)
				}
				mu.Lock()
				inside--
				mu.Unlock()
				if err := held.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if owner, err := recipes.NewLock(c, "locks/one", "x").Owner(t.Context()); owner != "" || err != nil {
		t.Errorf("in the end %q has it, %v", owner, err)
	}
}

// A lock that is held outlives its TTL many times; who tries it is told, who waits can give up.
func TestALockIsKeptAlive(t *testing.T) {
	held, err := recipes.NewLock(c, "locks/kept", "ann", recipes.WithTTL(time.Second)).Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := recipes.NewLock(c, "locks/kept", "bob", recipes.WithTTL(time.Second))
	wait, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = other.Take(wait)
	lost := context.Cause(held.Context()) // on a machine that stood still for a second
	switch {
	case lost != nil && !errors.Is(lost, recipes.ErrLost):
		t.Fatal(lost)
	case lost == nil && !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("bob waits for the lock: %v", err)
	}

	if _, err := other.Try(t.Context()); lost == nil && !errors.Is(err, recipes.ErrHeld) {
		t.Errorf("bob tries the lock: %v", err)
	}
	if err := held.Release(t.Context()); err != nil && lost == nil {
		t.Error(err)
	}
	if held.Context().Err() == nil {
		t.Error("released, and its context goes on")
	}
}

// Who waits for a lock is told of its end, also of a holder's that is gone; keys that begin with
// the lock's do not matter, and the end of the waiting is told.
func TestWhoWaitsIsTold(t *testing.T) {
	const key = "locks/told"
	if _, err := c.Set(t.Context(), key, []byte("gone 1"), client.WithTTL(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), key+"/longer", nil); err != nil {
		t.Fatal(err)
	}

	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	held, err := recipes.NewLock(c, key, "ann").Take(limit)
	if err != nil {
		t.Fatal(err)
	}

	cancel()
	if _, err := recipes.NewLock(c, key, "bob").Take(limit); !errors.Is(err, context.Canceled) {
		t.Errorf("bob waits no more: %v", err)
	}
	if err := held.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A lock that is taken away is lost: its fence holds no more, its context ends, and the next
// holder's token is greater.
func TestALockIsLost(t *testing.T) {
	lock := recipes.NewLock(c, "locks/lost", "ann", recipes.WithTTL(2*time.Second))
	held, err := lock.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), "locks/lost"); err != nil {
		t.Fatal(err)
	}
	next, err := recipes.NewLock(c, "locks/lost", "bob").Take(t.Context())
	if err != nil || next.Token() <= held.Token() {
		t.Fatalf("token %d after %d, %v", next.Token(), held.Token(), err)
	}
	defer next.Release(t.Context())

	for name, test := range map[string]struct {
		fence client.Check
		want  bool
	}{"old": {held.Fence(), false}, "new": {next.Fence(), true}} {
		write := c.Txn().If(test.fence)
		write.Then().Set("guarded", []byte(name))
		if done, err := write.Commit(t.Context()); err != nil || done.Succeeded != test.want {
			t.Errorf("the %s holder's write: %+v, %v", name, done, err)
		}
	}

	select {
	case <-held.Context().Done():
	case <-time.After(time.Minute):
		t.Fatal("ann is never told")
	}
	if cause := context.Cause(held.Context()); !errors.Is(cause, recipes.ErrLost) {
		t.Errorf("her context ends with %v", cause)
	}
	if err := held.Release(t.Context()); !errors.Is(err, recipes.ErrLost) {
		t.Errorf("she releases it: %v", err)
	}
	if owner, err := lock.Owner(t.Context()); owner != "bob" {
		t.Errorf("%q has it after that, %v", owner, err)
	}
}

// A leader that ends by a panic, from which its program recovers, leads no more.
func TestALeaderThatPanics(t *testing.T) {
	election := recipes.NewElection(c, "leaders/panics", "ann", recipes.WithTTL(time.Hour))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is swallowed")
			}
		}()
		_ = election.Lead(t.Context(), func(context.Context, *recipes.Held) error { panic("oh") })
	}()
	if leader, err := election.Leader(t.Context()); leader != "" || err != nil {
		t.Errorf("%q leads, %v", leader, err)
	}
}

// Of those who stand for an election one leads at a time; who loses the leadership stands again.
func TestElection(t *testing.T) {
	run, cancel := context.WithCancel(t.Context())
	defer cancel()
	terms := make(chan string, 16)
	var group sync.WaitGroup
	for _, name := range []string{"ann", "bob"} {
		election := recipes.NewElection(c, "leaders/t", name, recipes.WithTTL(2*time.Second))
		group.Go(func() {
			err := election.Lead(run, func(ctx context.Context, term *recipes.Held) error {
				terms <- name
				<-ctx.Done()
				return context.Cause(ctx)
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}

	next := func() string {
		select {
		case name := <-terms:
			return name
		case <-time.After(time.Minute):
			t.Fatal("nobody leads")
		}
		return ""
	}
	for range 3 {
		next()
		if _, err := c.Delete(t.Context(), "leaders/t"); err != nil {
			t.Fatal(err)
		}
	}
	next()
	cancel()
	group.Wait()

	// Who gives the leadership up by itself has done with it.
	failed := errors.New("failed")
	election := recipes.NewElection(c, "leaders/t", "eve")
	err := election.Lead(t.Context(), func(context.Context, *recipes.Held) error { return failed })
	leader, _ := election.Leader(t.Context())
	if !errors.Is(err, failed) || leader != "" {
		t.Errorf("%v; %q leads", err, leader)
	}
}
