package masternode

import (
	"testing"
	"time"

	"quartet/bus/lamport"
	"quartet/master"
)

// A request is found by its token however many come after it, until it is answered.
func TestWaiting(t *testing.T) {
	var w waiting
	at := time.Now().Add(-time.Second)
	const n = 3*waitingRing + 5
	all := make([]*taken, n)
	for i := range all {
		all[i] = &taken{at: at, token: uint64(i + 1)}
		w.add(all[i])
		if i%3 != 0 && w.remove(all[i].token) != all[i] { // every third is slow
			t.Fatalf("request %d was not there", i+1)
		}
	}
	for i, r := range all {
		want := r
		if i%3 != 0 {
			want = nil
		}
		if got := w.find(uint64(i + 1)); got != want {
			t.Fatalf("request %d: %v, want %v", i+1, got, want)
		}
	}

	last := uint64(n - 1) // which is open
	w.sent([]master.Sent{{Token: 1, To: lamport.Replica(2)}, {Token: last}, {Token: last + 99, To: lamport.Replica(3)}},
		at.Add(2*time.Second))
	if all[0].forwarded != 2*time.Second || all[last-1].forwarded != 2*time.Second || all[3].forwarded != 0 {
		t.Errorf("forwarded after %s, %s, %s", all[0].forwarded, all[last-1].forwarded, all[3].forwarded)
	}
	if all[0].sent != lamport.Replica(2) || all[last-1].sent != 0 {
		t.Errorf("left for %d, %d", all[0].sent, all[last-1].sent)
	}
	w.heard([]uint64{1, 2}, at.Add(3*time.Second))
	w.heard([]uint64{1}, at.Add(4*time.Second)) // the last counts
	if all[0].heard != 4*time.Second || all[1].heard != 0 {
		t.Errorf("heard after %s and %s", all[0].heard, all[1].heard)
	}

	for _, r := range all {
		w.remove(r.token)
		if w.remove(r.token) != nil {
			t.Fatalf("request %d is there twice", r.token)
		}
	}
	if len(w.rest) != 0 || w.find(1) != nil || w.find(last) != nil || w.find(0) != nil {
		t.Errorf("%d are left", len(w.rest))
	}
}

// BenchmarkWaiting is what it costs a request to be followed, among 64.
func BenchmarkWaiting(b *testing.B) {
	var w waiting
	const window = 64
	all := make([]taken, window)
	sent, heard := make([]master.Sent, window), make([]uint64, window)
	now, token := time.Now(), uint64(1)
	for range b.N/window + 1 {
		for i := range all {
			all[i] = taken{at: now, token: token}
			w.add(&all[i])
			sent[i], heard[i] = master.Sent{Token: token, To: 1}, token
			token++
		}
		w.sent(sent, now)
		w.heard(heard, now)
		for i := range all {
			w.remove(all[i].token)
		}
	}
}
