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

// fillBytes is about how many bytes of DATA one message brings; the first always has room.
const fillBytes = 256 << 10

// Between returns the DATA of a member from number first to last that are held and not delivered,
// by number: so many as one message has room for.
func (r *Remains) Between(of lamport.Node, first, last uint64) []*message.Data {
	var between []*message.Data
	taken := 0
	for _, d := range r.Queue { // the places of a sender's DATA rise with their numbers
		if d.From != of || d.Seq < first || d.Seq > last {
			continue
		}
		size := 0
		for i := range d.Ops {
			size += opBytes(&d.Ops[i])
		}
		hasRoom := len(between) == 0 || taken+size <= fillBytes
		if !hasRoom || len(between) == resendMost {
			break
		}
		between, taken = append(between, d), taken+size
	}
	return between
}

// Take takes a DATA that another member has brought (rule F15), and reports whether it was the next
// of its sender, and is not beyond the cut: else nothing has changed.
func (r *Remains) Take(d *message.Data, cut []uint64) bool {
	i := r.View.Index(d.From)
	if i < 0 || i >= len(cut) {
		return false
	}
	ofThisEpoch := d.Epoch == r.View.Epoch && d.Incarnation == r.View.Members[i].Incarnation
	isNext := d.Seq == r.Contiguous[i]+1 && d.Seq <= cut[i]
	if !ofThisEpoch || !isNext || !r.Place.Less(PlaceOf(d)) {
		return false
	}

	at, _ := slices.BinarySearchFunc(r.Queue, PlaceOf(d), func(q *message.Data, place lamport.Timestamp) int {
		return PlaceOf(q).Compare(place)
	})
	breaksS1 := slices.ContainsFunc(r.Queue[at:], func(later *message.Data) bool { return later.From == d.From })
	if breaksS1 {
		return false
	}

	r.Contiguous = slices.Clone(r.Contiguous) // STATE may have told of what was held before
	r.Contiguous[i]++
	r.Queue = slices.Insert(r.Queue, at, d)
	return true
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
