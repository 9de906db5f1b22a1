package bus

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestInboxKeepsOrderAndWakes(t *testing.T) {
	in := NewInbox[int]()
	select {
	case <-in.Ready():
		t.Fatal("ready while empty")
	default:
	}
	in.Push(1)
	in.Push(2)
	<-in.Ready()
	if in.Len() != 2 {
		t.Errorf("Len %d", in.Len())
	}
	if got := in.Drain(nil); !slices.Equal(got, []int{1, 2}) || in.Len() != 0 {
		t.Errorf("drained %v, left %d", got, in.Len())
	}
	// Pushed between the token and the Drain: nothing may be forgotten afterwards.
	in.Push(3)
	if got := in.Drain(nil); !slices.Equal(got, []int{3}) {
		t.Errorf("drained %v", got)
	}
	in.Push(4)
	<-in.Ready()
	if got := in.Drain(nil); !slices.Equal(got, []int{4}) {
		t.Errorf("drained %v", got)
	}
}

// Each pusher's items come in its order, none twice, none lost, and the owner never
// sleeps on a full inbox.
func TestInboxManyPushers(t *testing.T) {
	const pushers, each = 8, 5000
	in := NewInbox[[2]int]()
	var wg sync.WaitGroup
	for p := range pushers {
		wg.Go(func() {
			for i := range each {
				in.Push([2]int{p, i})
			}
		})
	}
	var next [pushers]int
	var batch [][2]int
	for got := 0; got < pushers*each; {
		select {
		case <-in.Ready():
		case <-time.After(10 * time.Second):
			t.Fatalf("asleep with %d held, %d taken", in.Len(), got)
		}
		batch = in.Drain(batch)
		got += len(batch)
		for _, v := range batch {
			if v[1] != next[v[0]] {
				t.Fatalf("pusher %d: got %d, want %d", v[0], v[1], next[v[0]])
			}
			next[v[0]]++
		}
	}
	wg.Wait()
}

func TestInboxBound(t *testing.T) {
	in := NewBoundedInbox(10, func(s string) int { return len(s) })
	in.Push("123456")
	in.Push("12345")
	in.Push("1234")
	if got := in.Drain(nil); !slices.Equal(got, []string{"123456", "1234"}) || in.Dropped() != 1 {
		t.Errorf("held %v, dropped %d", got, in.Dropped())
	}
	in.Push("1234567890")
	if in.Len() != 1 || in.Dropped() != 1 {
		t.Errorf("after a Drain there is room again: %d, dropped %d", in.Len(), in.Dropped())
	}
}

func TestInboxSteadyStateAllocatesNothing(t *testing.T) {
	in := NewInbox[*int]()
	v := new(int)
	var batch []*int
	round := func() {
		for range 100 {
			in.Push(v)
		}
		<-in.Ready()
		batch = in.Drain(batch)
	}
	round()
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations a round", n)
	}
	in.Drain(batch)
	if batch[0] != nil {
		t.Error("what was drained is still referred to")
	}
}

func BenchmarkInbox(b *testing.B) {
	in := NewInbox[*int]()
	var batch []*int
	b.ReportAllocs()
	for b.Loop() {
		in.Push(nil)
		batch = in.Drain(batch)
	}
}
