package sim

import (
	"fmt"
	"math/bits"
	"math/rand/v2"

	"quartet/bus/message"
	"quartet/bus/model"
)

// serving watches that strong requests are answered wherever they can be (rules H1 to H5 of
// replica/DESIGN.md). It is for runs of [LinksFromSeed], in which links between replicas are
// cut and nothing else happens, and says two things:
//
//   - Served: if some set of replicas that could form a view has heard one another and the
//     master for servedTicks, a strong request that has waited for as long was answered. A
//     session asks for nothing else, one request after the other, each until it is served.
//   - Settled: while no link changes there are at most settledViews changes of the view.
type serving struct {
	session *session
	since   int64     // the session's present request was sent first
	good    []int64   // by set of replicas, a bit each: since when it could form a view, and hears
	bad     [][]int64 // by from and to: when the link was cut last
	changed int64     // when a link was cut or mended last
	views   int       // records since then
	longest int64     // that a request has waited while there was such a set
}

const (
	// servedTicks is the suspicion time (7 ticks), what a silent link takes beyond it to be
	// noticed, the change of views, and the loading of a replica that was left out and is
	// needed now.
	servedTicks  = 60
	settledViews = 8
)

// LinksFromSeed draws a run in which links between replicas are cut: one way, both ways, for
// long, and again and again. The master reaches all replicas, nothing else is lost, and no
// process dies.
func LinksFromSeed(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 0x11f4))
	o := Options{
		Seed: seed, Replicas: 3 + r.IntN(3), Sessions: 2, Requests: 30, Keys: 1 + r.IntN(2), Delay: 5 + r.Int64N(40),
		Horizon: (300 + r.Int64N(500)) * tickUnits, Durable: r.IntN(2) == 0, OrderedGets: r.IntN(6) == 0,
		Links: 1 + r.IntN(6),
	}
	o.Mixes = r.Perm(len(mixes))
	return o
}

// planLinks draws which links are cut when.
func (c *cluster) planLinks() {
	r := c.rand
	for range c.opts.Links {
		a := r.IntN(c.opts.Replicas)
		b := (a + 1 + r.IntN(c.opts.Replicas-1)) % c.opts.Replicas
		both := r.IntN(2) == 0
		at := r.Int64N(c.opts.Horizon)
		length := func() int64 { return (1 + r.Int64N(20)) * tickUnits }
		switch r.IntN(3) {
		case 0: // for a moment, which need not be noticed
			c.planCut(a, b, both, at, length())
		case 1: // for long
			c.planCut(a, b, both, at, (30+r.Int64N(300))*tickUnits)
		default: // it comes and goes
			cut, open := length(), length()
			for range 2 + r.IntN(20) {
				c.planCut(a, b, both, at, cut)
				at += cut + open
			}
		}
	}
}

func (c *cluster) planCut(a, b int, both bool, at, length int64) {
	ways := [][2]int{{a, b}, {b, a}}
	if !both {
		ways = ways[:1]
	}
	for _, way := range ways {
		c.agenda.push(event{at: at, kind: faultBegins, fault: &fault{kind: CutOne, node: way[0], to: way[1], length: length}})
	}
}

// begin starts the session that asks all the time.
func (l *serving) begin(c *cluster) {
	if c.opts.Links == 0 {
		return
	}
	l.good = make([]int64, 1<<c.opts.Replicas)
	for range c.opts.Replicas {
		l.bad = append(l.bad, make([]int64, c.opts.Replicas))
	}
	l.session = &session{
		name: "steady", index: len(c.sessions), models: mixes[strongOnly], left: 1, steady: true,
		wrote: map[string]uint64{}, patience: c.clientTimeout(),
	}
	c.sessions = append(c.sessions, l.session)
	c.agenda.push(event{at: 5 * tickUnits, kind: goesOn, node: l.session.index})
}

// cut sees that a link is cut, or mended.
func (l *serving) cut(c *cluster, from, to int) {
	if l.session == nil || max(from, to) >= c.opts.Replicas {
		return
	}
	l.bad[from][to], l.changed, l.views = c.now, c.now, 0
}

// recorded sees the record of a new epoch.
func (l *serving) recorded(c *cluster) {
	if l.session == nil || c.healed {
		return
	}
	if l.views++; l.views > settledViews {
		c.fail("liveness", "no link has changed for %d ticks, and there were %d views since", (c.now-l.changed)/tickUnits, l.views)
	}
}

// tick looks whether the session waits for too long.
func (l *serving) tick(c *cluster) {
	if l.session == nil || c.healed {
		return
	}
	best := c.now
	for set := range l.good {
		if c.formable(uint(set)) && !l.parted(c, uint(set)) {
			best = min(best, max(l.good[set], l.apart(uint(set))))
		} else {
			l.good[set] = c.now
		}
	}
	if l.session.now == nil {
		return
	}
	waited := c.now - max(best, l.since)
	l.longest = max(l.longest, waited)
	if waited > servedTicks*tickUnits {
		c.fail("liveness", "%s has waited for %d ticks, and some that could form a view have heard one another for as long: %s",
			l.session.now, waited/tickUnits, c.links())
	}
}

// formable reports whether a set of replicas could form the next view (rule F3).
func (c *cluster) formable(set uint) bool {
	r := c.record()
	if r == nil {
		return false
	}
	members := 0
	for _, m := range r.Members {
		n := c.nodes[int(m.Node)-1]
		if set>>(m.Node-1)&1 == 1 && !n.dead && n.replica.Incarnation() == m.Incarnation {
			members++
		}
	}
	return members >= len(r.Members)-r.Faults && bits.OnesCount(set) >= len(r.Configured)-r.Missing
}

// parted reports whether a link between two of a set is cut now.
func (l *serving) parted(c *cluster, set uint) bool {
	for a := range l.bad {
		for b := range l.bad {
			if set>>a&1 == 1 && set>>b&1 == 1 && c.net.cuts[a][b] > 0 {
				return true
			}
		}
	}
	return false
}

// apart is when a link between two of a set was cut, or mended, last.
func (l *serving) apart(set uint) int64 {
	var last int64
	for a := range l.bad {
		for b, at := range l.bad[a] {
			if set>>a&1 == 1 && set>>b&1 == 1 {
				last = max(last, at)
			}
		}
	}
	return last
}

// links says what is cut now, and who is a member.
func (c *cluster) links() string {
	s := ""
	for a := range c.opts.Replicas {
		for b := range c.opts.Replicas {
			if c.net.cuts[a][b] > 0 {
				s += fmt.Sprintf("%s does not reach %s, ", c.nodes[a].id, c.nodes[b].id)
			}
		}
	}
	for _, n := range c.nodes[:c.opts.Replicas] {
		if st := n.replica.Stats(); !n.dead && st.Phase != message.PhaseMember {
			s += fmt.Sprintf("%s is in phase %d of epoch %d, ", n.id, st.Phase, st.Epoch)
		}
	}
	if r := c.record(); r != nil {
		s += describeRecord(r)
	}
	return s
}

// served reports whether a reply is what a steady session asks for.
func served(reply *reply) bool {
	if reply == nil {
		return false
	}
	executed, known := reply.Code.Executed()
	return executed && known
}

// inventSteady makes up the next request of a steady session.
func (s *session) inventSteady(c *cluster) *sending {
	w := s.invent(c)
	w.replica = 0
	if w.request.Type == model.Set {
		w.request.Identity = string(w.request.Value)
	}
	if s.weak {
		weaken(&w.request)
	}
	c.live.since, c.unread.since = c.now, c.now
	return w
}
