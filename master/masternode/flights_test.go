package masternode

import (
	"testing"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// A request is found by its id however many come after it, until it is answered.
func TestFlights(t *testing.T) {
	var f flights
	at := time.Now().Add(-time.Second)
	const n = 3*flightRing + 5
	all := make([]*taken, n)
	for i := range all {
		all[i] = &taken{at: at}
		f.begin(all[i], uint64(i+1), uint64(i+2))
		if i%3 != 0 { // every third is slow
			f.end(all[i])
		}
	}
	for i, r := range all {
		want := r
		if i%3 != 0 {
			want = nil
		}
		if got := f.find(uint64(i + 1)); got != want {
			t.Fatalf("request %d: %v, want %v", i+1, got, want)
		}
	}
	last := uint64(n - 1) // which is open
	for n := range 2 {    // the first forward counts, and the last answer
		f.sent(&message.Forward{Requests: []message.Request{{RID: 1}, {RID: last + 99}}}, []lamport.Node{lamport.Replica(n + 2)})
		f.sent(&message.Forward{Writes: []message.CausalWrite{{Request: message.Request{RID: last}}}}, []lamport.Node{1, 2, 3})
	}
	first := all[0].forwarded
	if first < time.Second || all[last-1].forwarded < time.Second || all[3].forwarded != 0 {
		t.Errorf("forwarded after %s, %s, %s", first, all[last-1].forwarded, all[3].forwarded)
	}
	if all[0].sent != lamport.Replica(2) || all[last-1].sent != 0 || all[3].sent != 0 {
		t.Errorf("left for %d, %d, %d", all[0].sent, all[last-1].sent, all[3].sent)
	}
	f.heard(&message.Answers{Answers: []message.Answer{{RID: 1}, {RID: 2}}}, at.Add(3*time.Second))
	f.heard(&message.Answers{Answers: []message.Answer{{RID: 1}}}, at.Add(4*time.Second))
	if all[0].heard != 4*time.Second || all[1].heard != 0 || all[0].forwarded != first {
		t.Errorf("heard after %s and %s, forwarded after %s", all[0].heard, all[1].heard, all[0].forwarded)
	}
	for _, r := range all {
		f.end(r)
		f.end(r) // of what is not there nothing happens
	}
	if len(f.rest) != 0 || f.find(1) != nil || f.find(last) != nil {
		t.Errorf("%d are left", len(f.rest))
	}
	none := &taken{}
	f.begin(none, 7, 7) // it got no id
	f.end(none)
	if none.rid != 0 || f.find(7) != nil || f.find(0) != nil {
		t.Error("a request without an id is found")
	}
}

// BenchmarkFlights is what it costs a request to be followed, among 64.
func BenchmarkFlights(b *testing.B) {
	var f flights
	const window = 64
	all := make([]taken, window)
	forward := message.Forward{Requests: make([]message.Request, window)}
	answers := message.Answers{Answers: make([]message.Answer, window)}
	to := []lamport.Node{1}
	now, rid := time.Now(), uint64(1)
	for range b.N/window + 1 {
		for i := range all {
			all[i] = taken{at: now}
			f.begin(&all[i], rid, rid+1)
			forward.Requests[i].RID, answers.Answers[i].RID = rid, rid
			rid++
		}
		f.sent(&forward, to)
		f.heard(&answers, now)
		for i := range all {
			f.end(&all[i])
		}
	}
}
