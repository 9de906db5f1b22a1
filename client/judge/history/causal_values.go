package history

import (
	"cmp"
	"slices"

	"quartet/bus/model"
)

// CausalByValues judges causal convergence of model 3 like [Causal], where no timestamps were
// recorded: whoever reads through an interface that has none (NATS key-value) knows only values. It
// looks for the bad patterns of Bouajjani, Enea, Guerraoui and Hamza, of which a history has one
// if it is not causally convergent, and needs values that are unique within their key.
//
//   - A get returns a value that nobody wrote, or that was written after the get had returned.
//   - The causal order (sessions, and from a write to what read it) has a cycle.
//   - A get finds nothing although a write of its key is in its causal past.
//   - A get returns a write that another write of its causal past has followed.
//   - The arbitration that the gets imply (of two writes in the past of a get the one returned is
//     the later) has a cycle with the causal order.
//
// Gets that found nothing say nothing of keys that were deleted, or whose values end.
func CausalByValues(h []Operation) Verdict {
	j, err := prepare(h)
	if err != nil {
		return undecided(causal, "%v", err)
	}
	p := &patterns{judged: j, index: make(map[*Operation]int), writerOf: make(map[int]int), writesOf: make(map[string][]int)}
	for _, o := range j.ops {
		ofOneKey := o.Type == model.Get || o.Type == model.Set || o.Type == model.Delete
		if o.Model == model.Causal && ofOneKey {
			p.index[o] = len(p.nodes)
			p.nodes = append(p.nodes, o)
		}
	}

	p.next = make([][]int, len(p.nodes))
	p.inSessions()
	if v := p.byReads(); v != nil {
		return *v
	}
	order, cycle := p.sorted()
	if cycle != nil {
		return violated(causal, p.those(cycle), "the causal order of these has a cycle")
	}
	p.closePasts(order)

	if v := p.conflicts(); v != nil {
		return *v
	}
	if _, cycle := p.sorted(); cycle != nil {
		return violated(causal, p.those(cycle), "no one order of the writes explains what these gets returned")
	}
	return passed(causal)
}

// patterns is the causal order of a history, as a graph of its operations.
type patterns struct {
	*judged
	nodes    []*Operation
	index    map[*Operation]int
	next     [][]int          // edges of the causal order; later those of the arbitration, too
	writerOf map[int]int      // by get: the write that it returned
	writesOf map[string][]int // by key
	pasts    []bits           // by operation: what is before it
}

// bits is a set of operations.
type bits []uint64

// add takes an operation in.
func (b bits) add(i int) { b[i/64] |= 1 << (i % 64) }

// has reports whether an operation is one of the set.
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

// join takes in all operations of another set of the same history.
func (b bits) join(other bits) {
	for i := range other {
		b[i] |= other[i]
	}
}

// those returns operations by their indices.
func (p *patterns) those(list []int) []*Operation {
	var ops []*Operation
	for _, i := range list {
		ops = append(ops, p.nodes[i])
	}
	return ops
}

// inSessions adds the order of each session. Nothing follows a write of unknown outcome: it may
// have taken effect at any later time.
func (p *patterns) inSessions() {
	sessions := make(map[any][]int)
	for i, o := range p.nodes { // by call
		sessions[o.session()] = append(sessions[o.session()], i)
	}

	for _, list := range sessions {
		for at, i := range list {
			o := p.nodes[i]
			if o.Outcome != OK {
				continue
			}

			covered := int64(never) // what is called from here on follows through another one
			for _, k := range list[at+1:] {
				if q := p.nodes[k]; q.Call >= o.Return && q.Call < covered {
					p.next[i] = append(p.next[i], k)
					if q.Outcome == OK {
						covered = min(covered, q.Return)
					}
				}
			}
		}
	}
}

// byReads finds the write that each get returned.
func (p *patterns) byReads() *Verdict {
	for i, o := range p.nodes {
		if o.Writes() {
			p.writesOf[o.Key] = append(p.writesOf[o.Key], i)
		}
	}

	for i, o := range p.nodes {
		if o.Type != model.Get || !o.Found {
			continue
		}
		writers := p.writes[write{o.Key, o.Output}]
		switch {
		case len(writers) == 0:
			v := p.unwritten(causal, o, o.Key, o.Output)
			return &v
		case len(writers) > 1:
			v := undecided(causal, "the value %q of %s was written more than once, and there are no timestamps", o.Output, o.Key)
			return &v
		case writers[0].Call > o.Return:
			v := violated(causal, []*Operation{o, writers[0]}, "a get returned a value that was written after it")
			return &v
		case writers[0].Model == model.Causal:
			w := p.index[writers[0]]
			p.writerOf[i] = w
			p.next[w] = append(p.next[w], i)
		}
	}
	return nil
}

// sorted returns the operations in an order that keeps all edges, or a cycle of them.
func (p *patterns) sorted() (order, cycle []int) {
	before := make([]int, len(p.nodes))
	for _, list := range p.next {
		for _, k := range list {
			before[k]++
		}
	}
	for i := range p.nodes {
		if before[i] == 0 {
			order = append(order, i)
		}
	}
	for at := 0; at < len(order); at++ {
		for _, k := range p.next[order[at]] {
			if before[k]--; before[k] == 0 {
				order = append(order, k)
			}
		}
	}

	if len(order) == len(p.nodes) {
		return order, nil
	}
	return nil, p.cycle(before)
}

// cycle returns a cycle among the operations that have something before them that is on one, or
// behind one.
func (p *patterns) cycle(before []int) []int {
	from := make(map[int]int) // what is left has an edge from something that is left
	for i, list := range p.next {
		if before[i] == 0 {
			continue
		}
		for _, k := range list {
			from[k] = i
		}
	}

	at := slices.IndexFunc(before, func(n int) bool { return n > 0 })
	walked := make(map[int]int)
	var walk []int
	for {
		if first, again := walked[at]; again {
			return walk[first:]
		}
		walked[at] = len(walk)
		walk = append(walk, at)
		at = from[at]
	}
}

// closePasts collects what is before each operation.
func (p *patterns) closePasts(order []int) {
	p.pasts = make([]bits, len(p.nodes))
	words := (len(p.nodes) + 63) / 64
	all := make(bits, words*len(p.nodes))
	for i := range p.pasts {
		p.pasts[i] = all[i*words : (i+1)*words]
	}
	for _, i := range order {
		for _, k := range p.next[i] {
			p.pasts[k].join(p.pasts[i])
			p.pasts[k].add(i)
		}
	}
}

// conflicts looks at each get with the writes of its key in its past, and adds what it says of
// their arbitration.
func (p *patterns) conflicts() *Verdict {
	type edge struct{ from, to int }
	added := make(map[edge]bool)
	for i, o := range p.nodes {
		if o.Type != model.Get {
			continue
		}
		w, known := p.writerOf[i]
		ofOthers := o.Found && !known
		mayBeGone := !o.Found && len(p.removers[o.Key]) > 0
		if ofOthers || mayBeGone {
			continue
		}

		for _, x := range p.writesOf[o.Key] {
			switch {
			case x == w && known, !p.pasts[i].has(x):
			case !o.Found:
				v := violated(causal, []*Operation{p.nodes[x], o}, "a get found nothing although its causal past holds a write of %s", o.Key)
				return &v
			case p.pasts[x].has(w):
				v := violated(causal, []*Operation{p.nodes[w], p.nodes[x], o},
					"a get returned a write of %s although its causal past holds one that followed it", o.Key)
				return &v
			case !added[edge{x, w}]:
				added[edge{x, w}] = true
				p.next[x] = append(p.next[x], w)
			}
		}
	}

	for i := range p.next {
		slices.SortFunc(p.next[i], cmp.Compare[int])
	}
	return nil
}

// causalEither judges by values where the history has no timestamps.
func causalEither(h []Operation) Verdict {
	v := Causal(h)
	if v.rule == withoutTimestamp {
		v = CausalByValues(h)
	}
	return v
}

// withoutTimestamp says that a history has no timestamps, which [Causal] judges by.
const withoutTimestamp = "%s was recorded without a timestamp"
