package changes

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// drawn is some change of a revision, with numbers of all lengths and values that stand among the
// others, or beside them.
func drawn(r *rand.Rand, revision uint64) message.Change {
	number := func() uint64 { return r.Uint64() >> r.Uint64N(64) }
	c := message.Change{
		Revision: revision, Kind: message.ChangeKind(1 + r.IntN(3)), Key: fmt.Sprint("k", r.IntN(20)),
		Version: lamport.Version{Epoch: number(), Timestamp: lamport.Timestamp{Time: number(), Node: lamport.Node(number())}},
		Number:  number(), Expires: number(),
	}
	if c.Kind == message.ChangeSet {
		c.Value = []byte{}
	}
	if n := r.IntN(40); n > 0 {
		c.Value = bytes.Repeat([]byte{byte(n)}, n)
	}
	if r.IntN(50) == 0 {
		c.Value = bytes.Repeat([]byte{7}, inlineMost-1+r.IntN(4))
	}
	return c
}

// What was appended comes back as it was, whatever has come and gone since, and what was handed out
// stays. What one revision does to a key again takes the place of what it did.
func TestEachChangeComesBack(t *testing.T) {
	const most = 1000
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		l := New(most, 0)
		var all []message.Change
		var out []struct{ got, want message.Change }
		revision := r.Uint64() >> r.Uint64N(64) / 2
		for len(all) < 5*most {
			revision += r.Uint64N(3)
			c := drawn(r, revision)
			l.Append(c)
			i := len(all) - 1
			for i >= max(0, len(all)-most) && all[i].Revision == revision && all[i].Key != c.Key {
				i--
			}
			if i >= max(0, len(all)-most) && all[i].Revision == revision {
				all[i] = c
			} else {
				all = append(all, c)
			}

			last := c
			last.Value = bytes.Clone(c.Value)
			if i = len(all) - 1; all[i].Key == c.Key {
				out = append(out, struct{ got, want message.Change }{l.At(uint64(i)), last})
			}
		}
		wantLog(t, l, all)

		for i, c := range out {
			if !reflect.DeepEqual(c.got, c.want) {
				t.Fatalf("seed %d: change %d of those that were handed out is %+v, and was %+v", seed, i, c.got, c.want)
			}
		}
	}
}

// wantLog checks that a log holds the last of these changes, and counts them.
func wantLog(t *testing.T, l *Log, all []message.Change) {
	t.Helper()
	if l.Next() != uint64(len(all)) {
		t.Fatalf("the next is %d, want %d", l.Next(), len(all))
	}

	count, beside, stand := 0, 0, 0
	for i := l.First(); i < l.Next(); i++ {
		want := &all[i]
		got := l.At(i)
		if !reflect.DeepEqual(&got, want) || l.Revision(i) != want.Revision {
			t.Fatalf("change %d is %+v of revision %d, want %+v", i, got, l.Revision(i), want)
		}
		isBelow := l.Below(i, want.Key) && l.Below(i, "") && l.Below(i, want.Key[:1])
		if isBelow = isBelow && !l.Below(i, want.Key+"x") && !l.Below(i, "x"); !isBelow {
			t.Fatalf("change %d of %q is not below its prefixes alone", i, want.Key)
		}
		count += changeBytes + want.Size()
		if len(want.Value) > inlineMost {
			beside++
		}
	}

	for _, b := range l.blocks {
		stand += len(b.beside)
	}
	if l.Bytes() != count || stand < beside {
		t.Errorf("%d bytes are counted of %d; %d stand beside, of %d that are long", l.Bytes(), count, stand, beside)
	}
}

// The greatest of all numbers come back, too, and a change that is not kept any more keeps no
// value.
func TestTheGreatestChange(t *testing.T) {
	l := New(2, 0)
	great := message.Change{
		Revision: math.MaxUint64, Kind: message.ChangeExpire, Key: "", Number: math.MaxUint64, Expires: math.MaxUint64,
		Version: lamport.Version{
			Epoch: math.MaxUint64, Timestamp: lamport.Timestamp{Time: 0, Node: math.MaxUint32},
		},
	}
	l.Push(message.Change{Kind: message.ChangeSet, Key: "long", Value: make([]byte, inlineMost+1)})
	l.Push(great)
	if got := l.At(1); !reflect.DeepEqual(got, great) {
		t.Errorf("%+v, want %+v", got, great)
	}
	if n := len(l.blocks[0].beside); n != 1 {
		t.Errorf("%d changes stand beside", n)
	}
	l.Push(great)
	if n := len(l.blocks[0].beside); n != 0 {
		t.Errorf("%d changes stand beside when the long one is gone", n)
	}
}

// A change of a key of 16 bytes and a value of 100 takes as much and little more.
func TestBytesOfAChange(t *testing.T) {
	const n = 50_000
	value := make([]byte, 100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := New(n, 0)
	for i := range uint64(3 * n) {
		l.Append(message.Change{
			Revision: i + 1, Kind: message.ChangeSet, Key: fmt.Sprintf("%016d", i), Value: value,
			Version: lamport.Version{Epoch: 3, Timestamp: lamport.Timestamp{Time: i + i/10, Node: 2}},
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := float64(after.HeapAlloc-before.HeapAlloc) / float64(l.Len())
	runtime.KeepAlive(l)
	t.Logf("%.0f bytes a change", per)
	if per > 150 {
		t.Errorf("%.0f bytes a change", per)
	}
}
