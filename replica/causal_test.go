package replica_test

import (
	"testing"

	"quartet/bus/message"
)

// A get waits until all that its session depends on is safe here, not only held.
func TestCausalMinimumTimestamp(t *testing.T) {
	o := alone(t, 3, 10)
	write := message.CausalWrite{Number: 1, Request: request(1, "causal set a 1")}
	get := with(request(2, "causal get a"), func(r *message.Request) { r.Min = 1 })
	o.step(&message.Forward{
		Header: o.master(), Marks: message.Marks{Last: 1}, Writes: []message.CausalWrite{write},
		Requests: []message.Request{get},
	})
	o.expect(o.answers()) // held here, but nobody knows that it is safe
	o.pass(wait)
	o.expect(o.answers(), "#2 425")
	o.ask(get)
	o.step(&message.Probe{Header: o.master(), Marks: message.Marks{Last: 1, Safe: 1}})
	o.expect(o.answers(), "#2 200 1 number 1")
}

// A replica answers a GAP up to its watermark only: what it has beyond a gap may be void by
// the time that the FILL arrives.
func TestCausalFillEndsAtTheWatermark(t *testing.T) {
	o := alone(t, 3, 10)
	o.step(&message.Forward{Header: o.master(), Marks: message.Marks{Last: 4}, Writes: []message.CausalWrite{
		causal(1, "causal set a 1"), causal(2, "causal set a 2"), causal(4, "causal set a 4"),
	}})
	o.step(&message.Gap{Header: o.peer(2), Causal: true, First: 1, Last: 9})
	fill := taken[*message.Fill](o)
	if len(fill) != 1 || len(fill[0].Writes) != 2 || fill[0].Writes[1].Number != 2 {
		t.Errorf("FILL %+v", fill)
	}
}

func causal(number uint64, text string) message.CausalWrite {
	return message.CausalWrite{Number: number, Request: request(number, text)}
}
