package master

import (
	"fmt"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/listing"
)

// goesOn reports whether a list goes on from an earlier page.
func goesOn(r *message.Request) bool { return listing.GoesOn(&r.Request) }

// keeper finds the replica that keeps the list with which a request goes on. If that one is gone
// the list is (rule P6).
func (m *Machine) keeper(in *Incoming) (*peer, model.Code, string) {
	n := in.Cursor.Replica
	p := m.peer(n)
	isOut := m.members.Record().Epoch > 0 && !m.configures(n)
	isThere := p != nil && p.hasWorked
	mayNotHaveBeenHeard := m.ticks <= m.cfg.SuspectTicks // this master has just begun
	switch {
	case in.Replica != 0 && in.Replica != n: // no other replica has that moment
		return nil, model.Malformed, fmt.Sprintf("the list is kept by replica %s, and is to be served by %s", n, in.Replica)
	case isOut, isThere && p.known.Suspected: // the moment went with it
		return nil, model.Gone, whyNoList(n)
	case !isThere && mayNotHaveBeenHeard:
		return nil, model.Unavailable, fmt.Sprintf("replica %s, which keeps the list, has not been heard yet; ask again", n)
	case !isThere: // or it is another process, which begins
		return nil, model.Gone, whyNoList(n)
	}
	in.Replica = n
	return p, 0, ""
}

func whyNoList(n lamport.Node) string {
	return fmt.Sprintf("replica %s, which kept the list, is gone: begin again", n)
}
