package membership

import (
	"fmt"
	"slices"
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// Every member must hear every other one: what one of them does not receive is delivered
// nowhere. Suspicion is between master and replica alone, so it does not see a link between
// two replicas that is cut; what the replicas tell of each other does (replica/view/neighbours.go).
// Rules H2 to H5 of replica/DESIGN.md.

// ear is what one replica hears of another.
type ear struct {
	of     lamport.Node
	heard  uint64 // tick at which it heard the other last, as it said last
	silent bool   // it said last that it had not heard it for more than QuietTicks
	missed uint64 // ticks of silence, less those since in which it heard it
	deaf   bool   // missed has passed the limit, and has not come back to zero since

	counted bool // the silence of the last tick was
}

// Pair is a replica that does not hear another one.
type Pair struct{ Deaf, Of lamport.Node }

// hears notes what a replica says of the replicas that it hears.
func (m *Machine) hears(r *Replica, heard []message.Heard) {
	for _, h := range heard {
		e := r.ear(h.Node)
		if e == nil {
			i, _ := slices.BinarySearchFunc(r.ears, h.Node, func(e ear, n lamport.Node) int { return int(e.of) - int(n) })
			r.ears = slices.Insert(r.ears, i, ear{of: h.Node})
			e = &r.ears[i]
		}
		e.heard = m.ticks - min(h.Silent, m.ticks)
		e.silent = h.Silent > m.cfg.QuietTicks
	}
}

// listener is the process whose ears a replica has.
type listener struct {
	pid  int
	life uint64 // tells processes apart that have one pid, as in containers; 0: it has not said
}

// listensAs takes note of the process that r is. Whom it does not hear is known of a process, as
// long as that lives: a replica that was left out begins anew as another incarnation of the same.
func (r *Replica) listensAs(p listener) {
	saysLife := p.life != 0 && r.listener.life != 0
	hasAnotherLife := saysLife && p.life != r.listener.life
	if hasAnotherLife || p.pid != r.listener.pid {
		r.ears = nil
	}
	r.listener = p
}

// ear returns what r hears of n, or nil where it has not said so.
func (r *Replica) ear(n lamport.Node) *ear {
	for i := range r.ears {
		if r.ears[i].of == n {
			return &r.ears[i]
		}
	}
	return nil
}

// listen counts silence (rule H2): a tick counts if both replicas answer this master in it,
// so that neither the death or a pause of one of them, nor one of the master, is taken for a
// cut link. A tick in which the other is heard takes one back: a link that comes and goes is
// as good as cut if it is silent for the greater part of the time.
func (m *Machine) listen() {
	limit := m.deafTicks()
	m.deaf = false
	for _, r := range m.replicas {
		for i := range r.ears {
			e := &r.ears[i]
			other := m.Replica(e.of)
			if other == nil || !m.awake(r) || !m.awake(other) {
				continue
			}
			switch {
			case !e.silent && e.missed > 0:
				e.missed--
			case e.silent && !e.counted: // what made it silent counts, too
				e.missed = min(e.missed+m.cfg.QuietTicks, limit+1)
			case e.silent && e.missed <= limit:
				e.missed++
			}
			e.counted = e.silent
			stillDeaf := e.deaf && e.missed > 0
			e.deaf = e.missed > limit || stillDeaf
			m.deaf = m.deaf || e.deaf
		}
	}
}

// deafTicks is after how many ticks of silence a link counts as cut: as many as make a replica
// suspected, and more than make it silent.
func (m *Machine) deafTicks() uint64 {
	return max(m.cfg.SuspectTicks, m.cfg.QuietTicks+m.cfg.SuspectTicks/2)
}

// awake reports whether r answers this master's heartbeats now.
func (m *Machine) awake(r *Replica) bool {
	return r.Incarnation > 0 && !r.Lost && !r.Suspected && m.ticks-r.heard <= m.cfg.QuietTicks
}

// deafTo reports whether r is known not to hear the other.
func (r *Replica) deafTo(other *Replica) bool {
	e := r.ear(other.Node)
	return e != nil && e.deaf
}

// apart reports whether one of two members does not hear the other.
func (m *Machine) apart(a, b *Replica) bool {
	return a.deafTo(b) || b.deafTo(a)
}

// apartFrom says which member of a record r does not hear, or is not heard by, or "".
func (m *Machine) apartFrom(r *Replica, record *message.Record) string {
	for _, member := range record.Members {
		if other := m.Replica(member.Node); other != r {
			if what := m.unheard(other, r); what != "" {
				return what
			}
		}
	}
	return ""
}

// acquainted reports whether each of two replicas has heard the present process of the other, and
// neither has lost it since: it is not enough for a replica that is to be let in that nobody is
// known not to hear it (rule H4).
func (m *Machine) acquainted(a, b *Replica) bool {
	hears := func(a, b *Replica) bool {
		e := a.ear(b.Node)
		return e != nil && !e.silent && e.missed == 0 && e.heard >= b.born
	}
	return hears(a, b) && hears(b, a)
}

// parted returns two of the candidates that cannot work in one view, or nil.
func (m *Machine) parted(c *candidates) (*Replica, *Replica) {
	for i, a := range c.survivors {
		for _, b := range c.survivors[i+1:] {
			if m.apart(a, b) {
				return a, b
			}
		}
	}
	all := c.all()
	for i, a := range c.joiners {
		for _, b := range all[:len(c.survivors)+i] {
			if !m.acquainted(a, b) {
				return b, a
			}
		}
	}
	return nil, nil
}

// together returns the candidates that are to form the next view (rule H3): of the sets in which
// all hear each other, and which suffice, the best. What the others hold counts for nothing, as if
// they were dead. nil: there is no such set.
func (m *Machine) together(c *candidates) *candidates {
	if !m.suffice(c) { // nor does a part of it
		return nil
	}
	a, b := m.parted(c)
	if a == nil {
		return c
	}
	return m.better(m.together(c.without(a)), m.together(c.without(b)))
}

func (c *candidates) without(r *Replica) *candidates {
	others := func(list []*Replica) []*Replica {
		return slices.DeleteFunc(slices.Clone(list), func(o *Replica) bool { return o == r })
	}
	rest := *c
	rest.survivors, rest.joiners = others(c.survivors), others(c.joiners)
	return &rest
}

// better returns the better of two sets: the set that keeps more of the members, then the larger
// set; then the set whose replicas were left out more seldom, so that the same pair does not lose
// one replica now and the other next time; then the set with the lower nodes.
func (m *Machine) better(a, b *candidates) *candidates {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	x, y := m.worth(a), m.worth(b)
	for i := range x {
		if x[i] != y[i] {
			if x[i] > y[i] {
				return a
			}
			return b
		}
	}
	lower := func(p, q *Replica) int { return int(p.Node) - int(q.Node) }
	if slices.CompareFunc(a.all(), b.all(), lower) <= 0 {
		return a
	}
	return b
}

func (m *Machine) worth(c *candidates) [3]int {
	var w [3]int
	for _, r := range c.survivors {
		if !m.leaves(r) {
			w[0]++
			w[1]++
		}
		w[2] -= r.flaps
	}
	for _, r := range c.joiners {
		w[1]++
		w[2] -= r.flaps
	}
	return w
}

// expected returns the candidates of a change that would begin now. Replicas that are kept out for
// a while are among them only if late says so.
func (m *Machine) expected(late bool) *candidates {
	c := &candidates{}
	for _, member := range m.record.Members {
		if r := m.Replica(member.Node); !m.missing(r, member) {
			c.survivors = append(c.survivors, r)
		}
	}
	for _, r := range m.replicas {
		lateButTime := late && m.ticks >= r.lateAfter
		may := m.admissible(r) || lateButTime
		if m.caught(r) && may {
			c.joiners = append(c.joiners, r)
		}
	}
	return c
}

// improves reports whether a change would make a better view of the same members, and perhaps
// others: a view whose members hear each other where these do not, or a view with all of these
// members and more.
func (m *Machine) improves() bool {
	if !m.deaf && !slices.ContainsFunc(m.replicas, m.caught) {
		return false
	}
	c := m.expected(false)
	members := &candidates{survivors: c.survivors}
	if a, _ := m.parted(members); a != nil {
		return m.together(c) != nil || m.together(m.expected(true)) != nil
	}
	next := m.together(c)
	return next != nil && len(next.survivors) == len(c.survivors) && len(next.joiners) > 0
}

// met reports whether r and each member that works have heard each other.
func (m *Machine) met(r *Replica) bool {
	return !slices.ContainsFunc(m.replicas, func(o *Replica) bool { return m.Works(o) && !o.Suspected && !m.acquainted(r, o) })
}

// Apart lists which replicas do not hear which, members and replicas that are to be members.
func (m *Machine) Apart() []Pair {
	var pairs []Pair
	for _, r := range m.replicas {
		for i := range r.ears {
			if e := &r.ears[i]; e.deaf && m.Replica(e.of) != nil {
				pairs = append(pairs, Pair{Deaf: r.Node, Of: e.of})
			}
		}
	}
	return pairs
}

// whyApart says which members do not hear each other, or "".
func (m *Machine) whyApart() string {
	var list []string
	for i, a := range m.record.Members {
		for _, b := range m.record.Members[i+1:] {
			if what := m.unheard(m.Replica(a.Node), m.Replica(b.Node)); what != "" {
				list = append(list, what)
			}
		}
	}
	return strings.Join(list, ", ")
}

// unheard says which of two replicas does not hear the other, or "".
func (m *Machine) unheard(a, b *Replica) string {
	switch {
	case a == nil || b == nil || !m.apart(a, b):
		return ""
	case !b.deafTo(a):
		return fmt.Sprintf("%s does not hear %s", a.Node, b.Node)
	case !a.deafTo(b):
		return fmt.Sprintf("%s does not hear %s", b.Node, a.Node)
	}
	return fmt.Sprintf("%s and %s do not hear each other", a.Node, b.Node)
}
