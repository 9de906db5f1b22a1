package abcast_test

import (
	"fmt"
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/abcast"
)

// member is one member's broadcast, driven by hand.
type member struct {
	*abcast.Broadcast
	clock *lamport.Clock
	node  lamport.Node
}

func group(n int) []*member {
	view := message.View{Epoch: 1}
	for i := range n {
		view.Members = append(view.Members, message.Member{Node: lamport.Replica(i + 1), Incarnation: 1})
	}
	members := make([]*member, n)
	for i := range members {
		m := &member{clock: &lamport.Clock{}, node: lamport.Replica(i + 1)}
		m.Broadcast = abcast.New(abcast.Config{Self: m.node, Incarnation: 1, View: view, Clock: m.clock})
		members[i] = m
	}
	return members
}

// take gives m a message as the machine does: the clock first.
func (m *member) take(msg message.Message) {
	if err := m.clock.Witness(msg.Head().Clock); err != nil {
		panic(err)
	}
	switch msg := msg.(type) {
	case *message.Data:
		m.Data(msg)
	case *message.Ack:
		m.Ack(msg)
	}
}

// turn ends a turn and returns what it sends.
func (m *member) turn() []abcast.Send { return m.Settle(m.Flush(nil)) }

// submit sends operations with these rIDs, one DATA.
func (m *member) submit(rids ...uint64) *message.Data {
	for _, rid := range rids {
		m.Submit(message.Operation{Op: message.OpStrong, Request: message.Request{RID: rid}}, true)
	}
	sends := m.turn()
	return sends[0].Msg.(*message.Data)
}

// delivered returns the rIDs of what S4 lets m deliver, 0 for a turn of its own.
func (m *member) delivered() []uint64 {
	var rids []uint64
	for {
		d, ok := m.Next()
		switch {
		case !ok:
			return rids
		case d == nil:
			rids = append(rids, 0)
		default:
			rids = d.AppendOwnRIDs(rids)
		}
	}
}

func of[M message.Message](sends []abcast.Send) []M {
	var found []M
	for _, s := range sends {
		if m, ok := s.Msg.(M); ok {
			found = append(found, m)
		}
	}
	return found
}

func data(from lamport.Node, seq, clock uint64, received ...uint64) *message.Data {
	return &message.Data{
		Header: message.Header{From: from, Incarnation: 1, Epoch: 1, Clock: clock}, Seq: seq,
		Received: message.Received{LastSeq: seq, Received: received},
		Ops:      []message.Operation{{Op: message.OpStrong, Request: message.Request{RID: 100*uint64(from) + seq}}},
	}
}

func ack(from lamport.Node, lastSeq, clock uint64, received ...uint64) *message.Ack {
	return &message.Ack{
		Header:   message.Header{From: from, Incarnation: 1, Epoch: 1, Clock: clock},
		Received: message.Received{LastSeq: lastSeq, Received: received},
	}
}

func expect(t *testing.T, m *member, want ...uint64) {
	t.Helper()
	if got := m.delivered(); !slices.Equal(got, want) {
		t.Errorf("%v delivers %v, want %v", m.node, got, want)
	}
}

func TestS1TimestampsRiseWithSeq(t *testing.T) {
	m := group(2)
	first, second := m[0].submit(1), m[0].submit(2)
	if first.Seq != 1 || second.Seq != 2 || second.Clock <= first.Clock {
		t.Errorf("seq %d at %d, then seq %d at %d", first.Seq, first.Clock, second.Seq, second.Clock)
	}
	if first.LastSeq != 1 || second.LastSeq != 2 {
		t.Errorf("announced %d, then %d", first.LastSeq, second.LastSeq)
	}
}

func TestS1ATimestampThatDoesNotRiseIsRefused(t *testing.T) {
	r1 := group(2)[0]
	r1.take(data(2, 1, 10, 0, 1))
	r1.take(data(2, 2, 10, 0, 2))
	r1.take(data(2, 3, 11, 0, 3)) // stands behind the one that was refused
	r1.take(ack(2, 3, 50, 0, 3))
	if r1.Refused() != 1 {
		t.Errorf("%d refused, want 1", r1.Refused())
	}
	expect(t, r1, 201)
	if r1.Queued() != 0 {
		t.Errorf("%d wait that must never be delivered", r1.Queued())
	}
}

func TestS2AcksAreCumulativeAndIdempotent(t *testing.T) {
	m := group(3)
	for rid := uint64(1); rid <= 3; rid++ {
		d := m[0].submit(rid)
		m[1].take(d)
		m[1].turn() // its ACKs are lost
		m[2].take(d)
		m[2].turn()
	}
	last := ack(2, 0, m[1].clock.Now(), 3, 0, 0)
	m[0].take(last)
	m[0].take(last)
	expect(t, m[0])
	m[0].take(ack(3, 0, m[2].clock.Now(), 3, 0, 0))
	m[0].take(ack(3, 0, 2, 1, 0, 0)) // an old one comes late: it takes nothing back
	expect(t, m[0], 1, 2, 3)
}

func TestS2AcksRideOnData(t *testing.T) {
	m := group(2)
	m[1].take(m[0].submit(1))
	m[1].Submit(message.Operation{Op: message.OpStrong, Request: message.Request{RID: 2}}, true)
	sends := m[1].turn()
	if len(sends) != 1 {
		t.Fatalf("%d messages, want the DATA alone", len(sends))
	}
	d := sends[0].Msg.(*message.Data)
	if !slices.Equal(d.Received.Received, []uint64{1, 1}) || !slices.Equal(d.Acked, []uint64{1}) {
		t.Errorf("it says received %v, acknowledges %v", d.Received.Received, d.Acked)
	}
}

func TestS3HeardWaitsForWhatWasAnnounced(t *testing.T) {
	m := group(3)
	own := m[0].submit(1)
	m[0].take(ack(3, 0, 90, 1, 0, 0))
	// r2 announces that it has sent one DATA, which is not here: that one may be older
	// than r1's, whatever the clock of the announcement is.
	m[0].take(ack(2, 1, 50, 1, 1, 0))
	expect(t, m[0])
	m[0].take(data(2, 1, own.Clock, 0, 1, 0)) // the same time: node r2 stands behind r1
	m[0].take(ack(3, 0, 91, 1, 1, 0))
	expect(t, m[0], 1, 201)
}

func TestS3AGapIsAskedForAtOnceThenEveryTwoTicks(t *testing.T) {
	r1 := group(2)[0]
	r1.take(data(2, 4, 40, 0, 4))

	var asked []int
	for tick := range 6 {
		for _, g := range of[*message.Gap](r1.turn()) {
			if g.First != 1 || g.Last != 3 || g.Causal {
				t.Errorf("asks for %d to %d", g.First, g.Last)
			}
			asked = append(asked, tick)
		}
		r1.Tick(nil)
	}
	if !slices.Equal(asked, []int{0, 2, 4}) {
		t.Errorf("asked in ticks %v", asked)
	}

	// Only what is missing is asked for: 2 is here now, 1 and 3 are not.
	r1.take(data(2, 2, 20, 0, 2))
	r1.Tick(nil)
	if g := of[*message.Gap](r1.turn()); len(g) != 1 || g[0].First != 1 || g[0].Last != 1 {
		t.Errorf("asks %+v, want for number 1 alone", g)
	}

	r1.take(data(2, 1, 10, 0, 1))
	if g := of[*message.Gap](r1.turn()); len(g) != 1 || g[0].First != 3 || g[0].Last != 3 {
		t.Errorf("asks %+v, want for number 3 at once", g)
	}

	r1.take(data(2, 3, 30, 0, 3))
	r1.Tick(nil)
	if g := of[*message.Gap](r1.turn()); len(g) != 0 {
		t.Errorf("asks %+v though nothing is missing", g[0])
	}
	expect(t, r1, 201, 202, 203, 204)
}

func TestS3ASenderKeepsDataUntilAllHaveThem(t *testing.T) {
	m := group(3)
	first, second := m[0].submit(1), m[0].submit(2)
	gap := &message.Gap{Header: message.Header{From: 3}, First: 1, Last: 1 << 60}
	m[0].take(ack(2, 0, 50, 2, 0, 0))
	m[0].turn()
	if got := of[*message.Data](m[0].Gap(gap, nil)); len(got) != 2 || got[0] != first || got[1] != second {
		t.Errorf("r3 asked and gets %v", got)
	}
	m[0].take(ack(3, 0, 60, 1, 0, 0))
	m[0].turn()
	if got := of[*message.Data](m[0].Gap(gap, nil)); len(got) != 1 || got[0] != second {
		t.Errorf("number 1 is held by all, and r3 gets %v", got)
	}
	m[0].take(ack(3, 0, 70, 2, 0, 0))
	m[0].turn()
	if got := m[0].Gap(gap, nil); len(got) != 0 {
		t.Errorf("all hold all, and r3 gets %v", got)
	}
}

func TestS3WithoutProgressAcksAreSolicited(t *testing.T) {
	m := group(2)
	d := m[0].submit(1)
	var solicited []*message.Ack
	for range 3 {
		solicited = append(solicited, of[*message.Ack](m[0].Tick(nil))...)
	}
	if len(solicited) != 1 || !solicited[0].Solicit || solicited[0].LastSeq != 1 {
		t.Fatalf("after three ticks: %+v", solicited)
	}
	m[1].take(d)
	m[1].turn() // lost
	m[1].take(solicited[0])
	replies := of[*message.Ack](m[1].turn())
	if len(replies) != 1 || replies[0].Solicit {
		t.Fatalf("answered with %+v", replies)
	}
	m[0].take(replies[0])
	expect(t, m[0], 1)
	m[0].turn()
	for range 10 {
		if sends := m[0].Tick(nil); len(sends) > 0 {
			t.Fatalf("nothing is waited for, and %+v is sent", sends)
		}
	}
}

func TestS4ConditionA(t *testing.T) {
	r1 := group(3)[0]
	r1.take(data(2, 1, 10, 0, 1, 0))
	r1.take(ack(3, 0, 9, 0, 1, 0)) // r3 holds it (B), but is at 9: its next DATA may have time 10
	expect(t, r1)
	r1.take(ack(3, 0, 10, 0, 1, 0)) // everything later of r3 has a time above 10
	expect(t, r1, 201)
}

func TestS4ConditionB(t *testing.T) {
	r1 := group(3)[0]
	r1.take(data(2, 1, 10, 0, 1, 0))
	r1.take(ack(3, 0, 99, 0, 0, 0)) // r3 will send nothing older (A), but does not have it
	expect(t, r1)
	r1.take(ack(3, 0, 99, 0, 1, 0))
	expect(t, r1, 201)
}

func TestS4OrderIsByTimeThenNode(t *testing.T) {
	r1 := group(3)[0]
	r1.take(data(3, 1, 10, 0, 0, 1))
	r1.take(data(2, 1, 10, 0, 1, 0))
	r1.take(data(3, 2, 12, 0, 0, 2))
	r1.take(data(2, 2, 11, 0, 2, 0))
	r1.take(ack(2, 2, 50, 0, 2, 2))
	r1.take(ack(3, 2, 50, 0, 2, 2))
	expect(t, r1, 201, 301, 202, 302)
}

func TestWaitTakesATurnBehindTheQueue(t *testing.T) {
	m := group(2)
	d := m[0].submit(1)
	m[0].Wait()
	expect(t, m[0])
	m[1].take(d)
	m[0].take(of[*message.Ack](m[1].turn())[0])
	expect(t, m[0], 1, 0)
	m[0].Wait() // nothing stands before it
	expect(t, m[0], 0)
}

func TestAloneDeliversAtOnce(t *testing.T) {
	m := group(1)[0]
	m.Submit(message.Operation{Op: message.OpStrong, Request: message.Request{RID: 1}}, true)
	if sends := m.turn(); len(sends) != 0 {
		t.Errorf("sends %v to nobody", sends)
	}
	expect(t, m, 1)
	for range 10 {
		if sends := m.Tick(nil); len(sends) != 0 {
			t.Errorf("solicits %v from nobody", sends)
		}
	}
}

// What breaks a rule is counted and dropped, and changes nothing.
func TestRefused(t *testing.T) {
	short := data(2, 1, 10, 0)
	long := data(2, 1, 10, 0, 0, 0, 0)
	unannounced := data(2, 2, 10, 0, 0, 0)
	unannounced.LastSeq = 1

	for _, test := range []struct {
		name string
		give func(r1 *member)
	}{
		{"DATA of no member", func(m *member) { m.Data(data(9, 1, 10, 0, 0, 0)) }},
		{"DATA of itself", func(m *member) { m.Data(data(1, 1, 10, 0, 0, 0)) }},
		{"DATA number 0", func(m *member) { m.Data(data(2, 0, 10, 0, 0, 0)) }},
		{"DATA with a short vector", func(m *member) { m.Data(short) }},
		{"DATA with a long vector", func(m *member) { m.Data(long) }},
		{"DATA that does not announce itself", func(m *member) { m.Data(unannounced) }},
		{"ACK of no member", func(m *member) { m.Ack(ack(9, 0, 10, 0, 0, 0)) }},
		{"ACK of itself", func(m *member) { m.Ack(ack(1, 0, 10, 0, 0, 0)) }},
		{"ACK with a short vector", func(m *member) { m.Ack(ack(2, 0, 10)) }},
		{"ACK of more than was sent", func(m *member) { m.Ack(ack(2, 0, 10, 1, 0, 0)) }},
		{"GAP of no member", func(m *member) { m.Gap(&message.Gap{Header: message.Header{From: 9}, First: 1, Last: 1}, nil) }},
		{"GAP from 0", func(m *member) { m.Gap(&message.Gap{Header: message.Header{From: 2}, Last: 1}, nil) }},
		{
			"GAP that ends before it begins",
			func(m *member) { m.Gap(&message.Gap{Header: message.Header{From: 2}, First: 2, Last: 1}, nil) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r1 := group(3)[0]
			test.give(r1)
			if r1.Refused() != 1 {
				t.Errorf("%d refused, want 1", r1.Refused())
			}
			if sends := r1.turn(); len(sends) != 0 || r1.Queued() != 0 {
				t.Errorf("it is queued (%d) or answered: %v", r1.Queued(), sends)
			}
		})
	}
}

// A claim to have received more than was sent must not let anything be delivered later.
func TestAClaimOfMoreThanWasSentIsForgotten(t *testing.T) {
	m := group(2)
	m[0].Ack(ack(2, 0, 99, 1, 0))
	m[0].submit(1)
	expect(t, m[0])
}

// What is far ahead of a gap is not kept: it is asked for when its time has come.
func TestFarAheadIsDropped(t *testing.T) {
	const window = 1 << 14
	r1 := group(2)[0]
	r1.take(data(2, window+1, 10, 0, window+1))
	if g := of[*message.Gap](r1.turn()); len(g) != 0 {
		t.Errorf("beyond the window, and %+v is asked for", g[0])
	}
	r1.take(data(2, window, 10, 0, window))
	g := of[*message.Gap](r1.turn())
	if len(g) != 1 || g[0].First != 1 || g[0].Last > 256 {
		t.Errorf("in the window: %+v", g)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	of1KiB := message.Operation{Op: message.OpStrong}
	of1KiB.Request.Value = make([]byte, 1024)
	largest := message.Operation{Op: message.OpWeak}
	largest.Request.Value = make([]byte, model.MaxKeyValue)

	for _, test := range []struct {
		name       string
		operations []message.Operation
		batches    []int
	}{
		{"by number", slices.Repeat([]message.Operation{{Op: message.OpStrong}}, 2500), []int{1024, 1024, 452}},
		{"by bytes", slices.Repeat([]message.Operation{of1KiB}, 300), []int{241, 59}},
		{"two that are as large as allowed", []message.Operation{largest, largest}, []int{1, 1}},
		{"gets by their ids", slices.Repeat([]message.Operation{{Op: message.OpReads, Reads: make([]uint64, 1024)}}, 14), []int{13, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r1 := group(2)[0]
			for _, op := range test.operations {
				r1.Submit(op, true)
			}
			var batches []int
			for _, d := range of[*message.Data](r1.Flush(nil)) {
				batches = append(batches, len(d.Ops))
			}
			if !slices.Equal(batches, test.batches) {
				t.Errorf("batches of %v, want %v", batches, test.batches)
			}
		})
	}
}

// A member that was slow acknowledges more requests than one header carries.
func TestAcknowledgedIDsAreCut(t *testing.T) {
	m := group(2)
	var rids []uint64
	for i := range uint64(5000) {
		rids = append(rids, i+1)
		m[0].Submit(message.Operation{Op: message.OpStrong, Request: message.Request{RID: i + 1}}, true)
	}
	for _, d := range of[*message.Data](m[0].Flush(nil)) {
		m[1].take(d)
	}
	m[1].Submit(message.Operation{Op: message.OpStrong, Request: message.Request{RID: 9000}}, true)
	var got []uint64
	for i, s := range m[1].turn() {
		before := len(got)
		switch msg := s.Msg.(type) {
		case *message.Data:
			got = append(got, msg.Acked...)
		case *message.Ack:
			got = append(got, msg.Acked...)
		}
		if n := len(got) - before; n > 2048 {
			t.Errorf("message %d acknowledges %d", i, n)
		}
	}
	if !slices.Equal(got, rids) {
		t.Errorf("%d of %d ids acknowledged, each once", len(got), len(rids))
	}
}

func TestResendIsBounded(t *testing.T) {
	for _, test := range []struct{ bytes, want int }{{10, 256}, {128 << 10, 32}} {
		t.Run(fmt.Sprint(test.bytes), func(t *testing.T) {
			r1 := group(2)[0]
			for range 400 {
				big := model.Request{Value: make([]byte, test.bytes)}
				r1.Submit(message.Operation{Op: message.OpStrong, Request: message.Request{Request: big}}, true)
				r1.Flush(nil)
			}
			got := r1.Gap(&message.Gap{Header: message.Header{From: 2}, First: 1, Last: 400}, nil)
			if len(got) != test.want {
				t.Errorf("%d DATA at once, want %d", len(got), test.want)
			}
		})
	}
}

// Everything that arrives is handed to the machine once, in the order of its sender.
func TestFreshInOrderOnce(t *testing.T) {
	r1 := group(2)[0]
	var got []uint64
	for _, seq := range []uint64{2, 1, 1, 2, 4, 3} {
		r1.take(data(2, seq, 10*seq, 0, seq))
		for _, d := range r1.Fresh() {
			got = append(got, d.Seq)
		}
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 4}) {
		t.Errorf("fresh: %v", got)
	}
}
