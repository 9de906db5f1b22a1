package abcast

import (
	"container/heap"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// entry is a place in the holdback queue: a DATA, or a turn that something local
// (a sequential get) waits for; then data is nil.
type entry struct {
	at      lamport.Timestamp
	data    *message.Data
	awaited bool // see [awaited]
}

// awaited reports whether clients may wait for the delivery of d. For weak writes, the places up
// to which causal ones are committed, and the ends of values nobody does.
func awaited(d *message.Data) bool {
	for i := range d.Ops {
		switch d.Ops[i].Op {
		case message.OpWeak, message.OpCommit, message.OpEnd, message.OpHorizon, message.OpAgree:
		default:
			return true
		}
	}
	return false
}

// holdback is the priority queue of what was received and not delivered, by timestamp.
type holdback []entry

func (q holdback) Len() int           { return len(q) }
func (q holdback) Less(i, j int) bool { return q[i].at.Less(q[j].at) }
func (q holdback) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *holdback) Push(x any)        { *q = append(*q, x.(entry)) }
func (q *holdback) Pop() any {
	old := *q
	last := len(old) - 1
	e := old[last]
	old[last] = entry{}
	*q = old[:last]
	return e
}

func (q *holdback) insert(e entry) { heap.Push(q, e) }
func (q *holdback) remove() entry  { return heap.Pop(q).(entry) }
