package supervise

import (
	"testing"
	"time"
)

func TestBackoffDoublesUpToItsMost(t *testing.T) {
	var b Backoff
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
		3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second, 10 * time.Second,
	} {
		b.Started(now)
		now = now.Add(Settled - 1) // not quite settled
		if got := b.InARow(now); got != i {
			t.Fatalf("%d ends in a row before end %d", got, i+1)
		}
		next := b.Ended(now)
		if got := next.Sub(now); got != want {
			t.Errorf("delay %s after end %d, want %s", got, i+1, want)
		}
		now = next
	}
	for range 100 { // no overflow, however long
		if next := b.Ended(now); next.Sub(now) != MostDelay {
			t.Fatalf("delay %s", next.Sub(now))
		}
	}
}

func TestBackoffBeginsAgainAfterALongLife(t *testing.T) {
	var b Backoff
	now := time.Unix(1000, 0)
	for range 6 {
		b.Started(now)
		now = b.Ended(now)
	}
	b.Started(now)
	if got := b.InARow(now.Add(Settled - 1)); got != 6 {
		t.Errorf("%d in a row", got)
	}
	now = now.Add(Settled)
	if got := b.InARow(now); got != 0 {
		t.Errorf("%d in a row of one that has settled", got)
	}
	if next := b.Ended(now); next.Sub(now) != FirstDelay || b.InARow(next) != 1 {
		t.Errorf("delay %s, %d in a row", next.Sub(now), b.InARow(next))
	}
	// That it waits long for its next try is no life.
	if next := b.Ended(now.Add(time.Hour)); next.Sub(now.Add(time.Hour)) != 2*FirstDelay {
		t.Errorf("delay %s after a start that failed", next.Sub(now.Add(time.Hour)))
	}
}
