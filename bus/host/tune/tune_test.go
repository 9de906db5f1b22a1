package tune

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, scanned uint64
		want          int
	}{
		{0, 0, 400}, {mib, mib, 400}, {8 * mib, mib, 400}, {16 * mib, mib, 200}, {64 * mib, mib, 50},
		{64 * mib, 64 * mib, 100}, {1024 * mib, 128 * mib, 12}, {4096 * mib, mib, leastPercent},
	} {
		if got := percent(c.live, c.scanned); got != c.want {
			t.Errorf("%d bytes, %d scanned: %d %%, want %d", c.live, c.scanned, got, c.want)
		}
	}
}

// The percentage follows what is live, collection by collection.
func TestPaceFollows(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	pace()

	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}

	until := func(want func(int) bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !want(now()); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d %%", now())
			}
			runtime.GC()
		}
	}

	until(func(p int) bool { return p == mostPercent })
	data := make([]byte, 2*room)
	until(func(p int) bool { return p > 30 && p <= 50 })
	runtime.KeepAlive(data)
	data = nil
	until(func(p int) bool { return p == mostPercent })

	pointers := make([]*int, 2*room/8)
	until(func(p int) bool { return p > 80 && p <= 100 })
	runtime.KeepAlive(pointers)
	pointers = nil
	until(func(p int) bool { return p == mostPercent })
}

// The goroutine keeps a processor while there is work, and gives it back.
func TestAwake(t *testing.T) {
	if !sleeps {
		t.Log("not on this system")
		return
	}
	before := runtime.GOMAXPROCS(0)
	a := newAwake()

	procs := func(want int, tick func()) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); runtime.GOMAXPROCS(0) != want; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d processors, want %d", runtime.GOMAXPROCS(0), want)
			}
			tick()
		}
	}

	busy := func() {
		for range busyTurns {
			a.Turn(true, false)
		}
		a.Turn(false, true)
	}
	idle := func() { a.Turn(false, true) }

	for range quietTicks {
		idle()
	}
	procs(before, idle)
	procs(before+1, busy)
	procs(before, idle)
	procs(before+1, busy)

	a.Close()
	procs(before, idle) // it ends as it goes quiet

	var none *Awake
	none.Turn(true, true)
	none.Close()
}
