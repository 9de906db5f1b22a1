package recipes

import (
	"testing"
	"testing/synctest"
	"time"
)

// A key ends a TTL after it was written, not after its writer has heard of that: what was answered
// late is written again the sooner.
func TestTheNextMoveCountsFromWhenTheLastWasSent(t *testing.T) {
	for answered, want := range map[time.Duration]time.Duration{
		0: 3 * time.Second, 2 * time.Second: time.Second, 8 * time.Second: -5 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &Held{lock: &Lock{ttl: 9 * time.Second}, began: time.Now().Add(-answered)}
			if got := h.untilNext(); got != want {
				t.Errorf("answered after %s: the next move in %s, want %s", answered, got, want)
			}
		})
	}
}
