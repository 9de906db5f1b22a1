package abcast_test

import (
	"slices"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/abcast"
)

// At once only those are told that wait: whose strong operations stand in the queue. News
// of weak ones is for the next tick, and then for all.
func TestS2WhoIsToldWhen(t *testing.T) {
	for _, test := range []struct {
		name   string
		op     message.Op
		atOnce []lamport.Node
		tick   []lamport.Node
	}{
		{"strong", message.OpStrong, []lamport.Node{1}, []lamport.Node{3}},
		{"gets", message.OpReads, []lamport.Node{1}, []lamport.Node{3}},
		{"weak", message.OpWeak, nil, []lamport.Node{1, 3}},
		{"a marker", message.OpCommit, nil, []lamport.Node{1, 3}},
	} {
		m := group(3)
		m[0].Submit(message.Operation{Op: test.op, Number: 1, Reads: []uint64{7}, Request: message.Request{RID: 7}}, true)
		m[1].take(of[*message.Data](m[0].turn())[0])
		for _, moment := range []struct {
			name  string
			sends []abcast.Send
			want  []lamport.Node
		}{{"at once", m[1].turn(), test.atOnce}, {"at the tick", m[1].Tick(nil), test.tick}, {"after it", m[1].turn(), nil}} {
			var told []lamport.Node
			for _, s := range moment.sends {
				told = append(told, s.To...)
			}
			if !slices.Equal(told, moment.want) {
				t.Errorf("%s, %s: %v are told, want %v", test.name, moment.name, told, moment.want)
			}
		}
	}
}

// A member that tells somebody of each delivery asks once to be told of what is not its own, too,
// and then delivers it as soon as its sender does: for a second, in which it asks again.
func TestS2WhoFollowsIsToldAtOnce(t *testing.T) {
	const tick, second = 1, 100
	strong, weak := message.Operation{Op: message.OpStrong}, message.Operation{Op: message.OpWeak}
	m := group(3)
	hears := func(to *member, sends []abcast.Send) {
		for _, s := range sends {
			if slices.Contains(s.To, to.node) {
				to.take(s.Msg)
			}
		}
	}
	all := 0
	broadcast := func(op message.Operation) (asks, delivered int) {
		m[0].Submit(op, true)
		data := m[0].turn()
		hears(m[1], data)
		hears(m[2], data)
		for range 3 { // r2 has turns before it hears the ACK, and r3 before it hears that it is asked
			m[1].turn()
			all += len(m[1].delivered())
			asked, acks := m[1].Follow(nil), m[2].turn()
			asks += len(asked)
			hears(m[2], asked)
			hears(m[1], acks)
		}
		return asks, all
	}
	pass := func(ticks int) {
		for range ticks {
			for i := range m {
				m[i].Tick(nil)
			}
		}
	}

	for _, test := range []struct {
		name      string
		op        message.Operation
		ticks     int // before it
		asks      int
		delivered int // of all, at once
	}{
		{"the first", strong, 0, 1, 1},
		{"the next", strong, tick, 0, 2},
		{"shortly before it asks again", strong, second/2 - 2*tick, 0, 3},
		{"it asks again", strong, tick, 1, 4},
		{"a long time later", strong, 5 * second, 1, 5},
		{"nobody waits for a weak one", weak, tick, 0, 5},
	} {
		pass(test.ticks)
		if asks, delivered := broadcast(test.op); asks != test.asks || delivered != test.delivered {
			t.Errorf("%s: it asked %d times, want %d, and has delivered %d, want %d", test.name, asks, test.asks, delivered, test.delivered)
		}
	}
}

// Operations that nobody waits for are gathered while the last DATA is on its way, and
// sent when it has arrived, when a tick has passed, or with one that somebody waits for.
func TestGathering(t *testing.T) {
	weak := message.Operation{Op: message.OpWeak}

	for _, test := range []struct {
		name    string
		release func(m []*member)
		want    int
	}{
		{"acknowledged by all", func(m []*member) {
			for _, a := range of[*message.Ack](append(m[1].Tick(nil), m[2].Tick(nil)...)) {
				m[0].Ack(a)
			}
		}, 2},
		{"a tick", func(m []*member) { m[0].Tick(nil) }, 2},
		{"an urgent one", func(m []*member) { m[0].Submit(message.Operation{Op: message.OpStrong}, true) }, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := group(3)
			m[0].Submit(weak, false)
			first := of[*message.Data](m[0].Flush(nil))
			if len(first) != 1 {
				t.Fatalf("the first left in %d DATA, want 1: nothing is on its way", len(first))
			}

			m[1].take(first[0])
			m[2].take(first[0])

			m[0].Submit(weak, false)
			m[0].Submit(weak, false)
			if sends := m[0].Flush(nil); len(sends) != 0 || m[0].Submitted() {
				t.Fatalf("%d messages left while the first is on its way", len(sends))
			}

			test.release(m)
			later := of[*message.Data](m[0].Flush(nil))
			if len(later) != 1 || len(later[0].Ops) != test.want {
				t.Errorf("then left %v, want one DATA of %d operations", later, test.want)
			}
		})
	}
}
