package abcast

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Remains is what a member holds of an epoch once it is wedged: a member that received PREPARE, a
// member that came back with its disk, or a learner that has copied one of these.
type Remains struct {
	View       message.View
	Contiguous []uint64          // by index in the view: DATA held without a gap
	Queue      []*message.Data   // held and not delivered, by place
	Place      lamport.Timestamp // of the last that was delivered
	Told       [][]uint64        // by index: what that member has told that it holds
}

// Wedge ends the member's part in the epoch for good: nothing is stamped, acknowledged,
// taken or delivered in it any more. The Broadcast is not used afterwards.
func (b *Broadcast) Wedge() *Remains {
	r := &Remains{View: b.cfg.View, Contiguous: b.Contiguous(), Place: b.place, Told: b.Told()}
	for _, e := range b.queue {
		if e.data != nil {
			r.Queue = append(r.Queue, e.data)
		}
	}
	r.Sort()
	return r
}

// Sort puts the queue into the order of its places.
func (r *Remains) Sort() {
	slices.SortFunc(r.Queue, func(a, b *message.Data) int {
		return PlaceOf(a).Compare(PlaceOf(b))
	})
}

// PlaceOf is where d stands in the order of its epoch.
func PlaceOf(d *message.Data) lamport.Timestamp {
	return lamport.Timestamp{Time: d.Clock, Node: d.From}
}

// Cut returns what is still to be delivered up to the cut of the record that ends the
// epoch, in order (rule F5). Everything that was delivered anywhere is inside the cut,
// because each member had acknowledged it before it wedged; and a survivor holds all of
// the cut, because the cut is the least that any of them reported. An error means that
// one of the two does not hold.
func (r *Remains) Cut(cut []uint64) ([]*message.Data, error) {
	if len(cut) != len(r.Contiguous) {
		return nil, fmt.Errorf("a cut of %d members for a view of %d", len(cut), len(r.Contiguous))
	}
	queued := make([]uint64, len(cut)) // by sender
	var inside []*message.Data
	for _, d := range r.Queue {
		i := r.View.Index(d.From)
		if i < 0 {
			return nil, fmt.Errorf("the queue holds DATA of %s, which is no member", d.From)
		}
		queued[i]++
		if d.Seq <= cut[i] {
			inside = append(inside, d)
		}
	}
	for i, n := range cut {
		switch node := r.View.Members[i].Node; {
		case n > r.Contiguous[i]:
			return nil, fmt.Errorf("the cut has %d DATA of %s, and %d are held", n, node, r.Contiguous[i])
		case n+queued[i] < r.Contiguous[i]:
			return nil, fmt.Errorf("the cut has %d DATA of %s, and %d were delivered", n, node, r.Contiguous[i]-queued[i])
		}
	}
	return inside, nil
}
