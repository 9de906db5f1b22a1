package master

import (
	"fmt"
	"maps"
	"slices"

	"quartet/bus/message"
	"quartet/bus/model"
)

// primary numbers causal writes, sends each to every replica with its number (the
// write's timestamp), and follows how far each replica has them without a gap.
//
//	held by all <= safe <= the last number given out
//
// A write is answered when its number is safe: f+1 members hold it, so whichever f are
// missing later, one that holds it remains. That waits for the fastest f+1, never for
// the slowest.
type primary struct {
	marks   message.Marks
	first   uint64                          // the first number that this master may give out: log and waiting hold none below
	log     map[uint64]*message.CausalWrite // above marks.Held, for those that ask again
	bytes   int                             // of the log's keys and values
	found   []*flight                       // writes that an earlier master numbered, not safe yet
	waiting map[uint64]*flight              // by number
	marked  []uint64                        // scratch
}

// The log is kept until every member holds it. When one is silent it grows up to these
// bounds, and causal writes are then refused.
const (
	logMost  = 200_000
	logBytes = 256 << 20
)

func newPrimary() primary {
	return primary{log: map[uint64]*message.CausalWrite{}, waiting: map[uint64]*flight{}}
}

// mayRecall reports whether a write of this identity may have been numbered by an earlier
// master. A second number would let its client read its own past after its future.
func (m *Machine) mayRecall(r *message.Request) bool {
	return r.Identity != "" && m.primary.first > 1
}

// recaller returns a member that is asked whether it knows a causal write's identity: a member
// that holds all numbers of earlier masters. nil: no member needs to be asked, or none can be.
func (m *Machine) recaller(r *message.Request) *peer {
	if !m.mayRecall(r) {
		return nil
	}
	return m.draw(uint32(m.nextRID), func(p *peer) bool { return p.serves() && p.watermark+1 >= m.primary.first })
}

// recalled takes the recaller's answer. A write whose identity was numbered keeps its first number,
// and is answered when the number is safe. A write whose identity was not is numbered now.
func (m *Machine) recalled(f *flight, a *message.Answer, out *Output) {
	switch {
	case f.number != 0: // asked twice
	case a.Code == model.NotFound: // no earlier master has numbered it
		m.number(f)
	case a.Code != model.OK: // too old, or another request under the same id
		m.land(f, m.own(a.RID, a.Code, a.Reason), out)
	default:
		f.number, f.firstRID = a.Timestamp, a.RID
		if a.FirstRID != 0 {
			f.firstRID = a.FirstRID
		}
		m.primary.found = append(m.primary.found, f)
	}
}

// answerFound answers the writes of earlier masters whose numbers are safe.
func (m *Machine) answerFound(out *Output) {
	pr := &m.primary
	kept := pr.found[:0]
	for _, f := range pr.found {
		if f.number > pr.marks.Safe {
			kept = append(kept, f)
			continue
		}
		m.land(f, m.numbered(f.firstRID, f.number), out)
	}
	clear(pr.found[len(kept):])
	pr.found = kept
}

// numbered is the answer to a causal write with its number.
func (m *Machine) numbered(rid, number uint64) model.Answer {
	a := m.own(rid, model.OK, "")
	a.Timestamp = number
	return a
}

// whyNotNumbered says why causal writes cannot be taken now, or "".
func (m *Machine) whyNotNumbered() string {
	if why := m.whyNoView(); why != "" {
		return why
	}
	if m.members.Changing() {
		return ""
	}
	reached := m.count(func(p *peer) bool { return p.member && !p.known.Suspected })
	if need := m.members.Record().Faults + 1; reached < need {
		return fmt.Sprintf("a causal write needs %d replicas that hold it, and %d can be reached", need, reached)
	}
	if len(m.primary.log) >= logMost || m.primary.bytes >= logBytes {
		return "too many causal writes wait for a replica that does not answer"
	}
	return ""
}

// renumber begins the numbering of an epoch at its record's high-water. Numbers up to it
// are safe and held by every member; those above are void, and the writes that still wait
// under them are returned, to be numbered again.
func (m *Machine) renumber(high uint64, out *Output) []*flight {
	pr := &m.primary
	if pr.first == 0 {
		pr.first = high + 1
	}
	numbers := slices.Sorted(maps.Keys(pr.waiting))
	waiting := pr.waiting
	pr.log, pr.bytes, pr.waiting = map[uint64]*message.CausalWrite{}, 0, map[uint64]*flight{}
	pr.marks = message.Marks{Last: high, Safe: high, Held: high}

	var void []*flight
	known := pr.found[:0]
	for _, f := range pr.found { // numbered by an earlier master
		if f.number <= high {
			known = append(known, f)
			continue
		}
		f.number, f.firstRID = 0, 0
		void = append(void, f)
	}
	clear(pr.found[len(known):])
	pr.found = known

	for _, n := range numbers {
		f := waiting[n]
		if n <= high {
			m.land(f, m.numbered(f.request.RID, n), out)
			continue
		}
		f.number = 0
		if f.known != nil {
			f.known.number = 0
		}
		void = append(void, f)
	}
	return void
}

// number gives a causal write its timestamp and puts it aside for every member. It is
// stamped in the same moment, so versions rise with numbers: a write whose number was void
// gets a new stamp with its new number. Under the old one it can take effect nowhere.
func (m *Machine) number(f *flight) {
	pr := &m.primary
	pr.marks.Last++
	f.number = pr.marks.Last
	f.request.Version = m.stamp()
	if f.known != nil {
		f.known.number, f.known.version = f.number, f.request.Version
	}

	w := &message.CausalWrite{Number: f.number, Request: f.request}
	w.Request.First, w.Request.Came = 0, 0 // nobody asks any more
	pr.log[f.number] = w
	pr.bytes += writeBytes(w)
	pr.waiting[f.number] = f

	m.leaves(f, 0)
	for _, p := range m.replicas {
		if p.works && !p.known.Lost { // a replica that does not work asks for what it misses
			p.writes = append(p.writes, *w)
		}
	}
}

func writeBytes(w *message.CausalWrite) int {
	return w.Request.Request.Size()
}

// watermark takes the number up to which a member says that it holds all. What was said in
// another epoch, or by a wedged member, is no acknowledgement.
func (m *Machine) watermark(p *peer, h *message.Header, n uint64) {
	switch {
	case !p.works || h.Epoch != m.members.Record().Epoch:
	case n > m.primary.marks.Last: // nobody has given such a number out
		m.refused++
	default:
		p.watermark = max(p.watermark, n)
		m.members.Counted(p.node, n)
	}
}

// acknowledge finds what has become safe and what all hold, and answers the writes whose
// numbers are safe.
func (m *Machine) acknowledge(out *Output) {
	pr := &m.primary
	if !m.members.Leads() || m.members.Changing() || pr.marks.Held == pr.marks.Last {
		return
	}

	record := m.members.Record()
	pr.marked = pr.marked[:0]
	for _, p := range m.replicas {
		if p.member {
			pr.marked = append(pr.marked, p.watermark)
		}
	}
	for len(pr.marked) < len(record.Members) { // its process ended, and another one is there under its name
		pr.marked = append(pr.marked, 0)
	}
	slices.Sort(pr.marked)
	safe, held := pr.marked[len(pr.marked)-1-record.Faults], pr.marked[0]

	for n := max(pr.marks.Safe+1, pr.first); n <= safe; n++ {
		if f := pr.waiting[n]; f != nil {
			delete(pr.waiting, n)
			m.land(f, m.numbered(f.request.RID, n), out)
		}
	}
	pr.marks.Safe = max(pr.marks.Safe, safe)

	for n := max(pr.marks.Held+1, pr.first); n <= held; n++ {
		if w := pr.log[n]; w != nil {
			pr.bytes -= writeBytes(w)
			delete(pr.log, n)
		}
	}
	pr.marks.Held = max(pr.marks.Held, held)
}

// fill answers a replica that lacks causal numbers.
func (m *Machine) fill(g *message.Gap, out *Output) {
	if !g.Causal {
		m.refused++
		return
	}
	if writes := message.FillFor(g, func(n uint64) *message.CausalWrite { return m.primary.log[n] }); len(writes) > 0 {
		out.send(&message.Fill{Header: m.header(), Writes: writes}, g.From)
	}
}
