package changes_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quartet/bus/message"
	"quartet/replica/changes"
)

func change(revision uint64, key string) message.Change {
	return message.Change{Revision: revision, Kind: message.ChangeSet, Key: key, Value: []byte(key)}
}

// What is kept is the end of what was appended, without a gap, and Since says where it begins.
func TestO20TheLogKeepsTheLast(t *testing.T) {
	const most = 3000
	l, all := changes.New(most, 0), []message.Change(nil)
	r := rand.New(rand.NewPCG(1, 1))
	revision := uint64(0)
	for len(all) < 4*most {
		revision += 1 + r.Uint64N(3)
		for i := range 1 + r.IntN(3) {
			c := change(revision, fmt.Sprint("k", i))
			l.Append(c)
			all = append(all, c)
		}
	}
	if l.Len() != most || l.Next() != uint64(len(all)) || l.First() != uint64(len(all)-most) {
		t.Fatalf("%d changes, %d to %d, of %d", l.Len(), l.First(), l.Next(), len(all))
	}
	if want := all[len(all)-most-1].Revision; l.Since() != want || l.Last() != revision {
		t.Errorf("since %d, last %d; want %d and %d", l.Since(), l.Last(), want, revision)
	}

	for i := l.First(); i < l.Next(); i++ {
		want := all[i]
		more := i+1 < l.Next() && all[i+1].Revision == want.Revision
		if got := l.At(i); got.Revision != want.Revision || got.Key != want.Key || l.More(i) != more {
			t.Fatalf("change %d is %+v, more %t; want %+v, %t", i, got, l.More(i), want, more)
		}
	}

	for after := uint64(0); after < revision+3; after++ {
		i, ok := l.Seek(after)
		if ok != (after >= l.Since()) {
			t.Fatalf("after %d: %t, and it is since %d", after, ok, l.Since())
		}
		if !ok {
			continue
		}
		isNext := i == l.Next() || l.At(i).Revision > after
		followsThose := i == l.First() || l.At(i-1).Revision <= after
		if !isNext || !followsThose {
			t.Fatalf("after %d goes on at %d", after, i)
		}
	}
}

// Bytes are bounded, too, and the newest change stays however large it is.
func TestBytesAreBounded(t *testing.T) {
	l := changes.New(100, 10_000)
	for i := range uint64(50) {
		c := change(i+1, "k")
		c.Value = make([]byte, 1000)
		l.Append(c)
		if l.Bytes() > 10_000 {
			t.Fatalf("%d bytes", l.Bytes())
		}
	}
	if l.Len() != 8 || l.Since() != 42 {
		t.Errorf("%d changes since %d", l.Len(), l.Since())
	}

	c := change(51, "k")
	c.Value = make([]byte, 20_000)
	l.Append(c)
	if l.Len() != 1 || l.Since() != 50 || l.Last() != 51 {
		t.Errorf("%d changes since %d, the last %d", l.Len(), l.Since(), l.Last())
	}
}

// A key has one change at a revision: the last of a transaction's.
func TestOneChangeOfAKeyAtARevision(t *testing.T) {
	l := changes.New(0, 0)
	l.Append(change(7, "a"))
	l.Append(change(8, "a"))
	l.Append(change(8, "b"))
	again := change(8, "a")
	again.Kind, again.Value = message.ChangeDelete, nil
	l.Append(again)

	if l.Len() != 3 || l.At(1).Kind != message.ChangeDelete || !l.More(1) || l.More(0) || l.More(2) {
		t.Errorf("%d changes, the second %+v", l.Len(), l.At(1))
	}
	want := changes.New(0, 0)
	for i := l.First(); i < l.Next(); i++ {
		want.Append(l.At(i))
	}
	if l.Bytes() != want.Bytes() {
		t.Errorf("%d bytes are counted of %d", l.Bytes(), want.Bytes())
	}
}

// A log that is reset holds nothing, says from where it is whole, and uses no index twice.
func TestReset(t *testing.T) {
	l := changes.New(0, 0)
	for i := range uint64(3000) {
		l.Append(change(i+1, "k"))
	}
	l.Reset(9000)
	if _, ok := l.Seek(8999); ok || l.Len() != 0 || l.Bytes() != 0 || l.Last() != 9000 {
		t.Errorf("%d changes, %d bytes, the last %d", l.Len(), l.Bytes(), l.Last())
	}

	l.Append(change(9001, "z"))
	if i, ok := l.Seek(9000); !ok || i != 3000 || l.At(i).Key != "z" {
		t.Errorf("goes on at %d, %t", i, ok)
	}
}

// Appending to a full log allocates a block now and then, and nothing else.
func TestAFullLogAllocatesBlocks(t *testing.T) {
	l := changes.New(5000, 0)
	revision := uint64(0)
	add := func() {
		for range 100 {
			revision++
			l.Append(change(revision, "k"))
		}
	}
	for range 100 {
		add()
	}
	const values, ofABlock = 100, 4
	if n := testing.AllocsPerRun(100, add); n > values+ofABlock {
		t.Errorf("%v allocations for 100 changes", n)
	}
}
