package succession

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// world is some masters on a network that loses, cuts and pauses, with the replicas' part in short:
// a master that leads is superseded when one with a greater incarnation reaches a replica that it
// reaches, too.
type world struct {
	t     *testing.T
	seed  uint64
	rand  *rand.Rand
	now   uint64
	nodes []*master
	cut   map[[2]int]bool // from, to
	loss  float64
	mail  map[uint64][]letter // by the tick of their arrival
	log   []string
	takes int // how often a master has begun to lead
}

// master is a process, as the shell of package masternode runs a machine.
type master struct {
	m       *Machine
	name    string
	dead    bool
	paused  bool
	inc     uint64 // 0: it does not lead
	unable  bool   // to form a view
	leadAt  uint64 // when its machine is made; 0: it leads or does not
	doors   bool   // clients' requests come to it
	readyAt uint64 // of Prepare; 0: none
	drained uint64 // when it has answered what was left; 0: it does not drain
}

// view is the epoch of what the master has formed; 0: nothing.
func (n *master) view() uint64 {
	if n.unable {
		return 0
	}
	return n.inc
}

type letter struct {
	to   int
	beat Beat
}

var testConfig = Config{Suspect: 100, Beat: 10, Stagger: 50, Handover: 300, Unable: 1000}

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 15)), cut: map[[2]int]bool{}, mail: map[uint64][]letter{}}
	for i := range n {
		w.nodes = append(w.nodes, &master{name: fmt.Sprintf("n%d", i+1)})
		w.start(i)
	}
	return w
}

func (w *world) start(i int) {
	cfg := testConfig
	cfg.Name, cfg.Life = w.nodes[i].name, w.rand.Uint64()
	*w.nodes[i] = master{m: New(cfg), name: cfg.Name}
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, tick %d: %s\n%s", w.seed, w.now, fmt.Sprintf(format, args...),
		strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
}

// step is one tick of all.
func (w *world) step() {
	w.now++
	for _, l := range w.mail[w.now] {
		if n := w.nodes[l.to]; !n.dead && !n.paused {
			n.m.Hear(l.beat)
			w.act(l.to)
		}
	}
	delete(w.mail, w.now)
	for i, n := range w.nodes {
		if n.dead || n.paused {
			continue
		}
		w.shell(i)
		n.m.Tick()
		w.act(i)
		if b, due := n.m.Beat(); due {
			w.spread(i, b)
		}
	}
	w.obey()
}

func (w *world) spread(from int, b Beat) {
	for to := range w.nodes {
		if to == from || w.cut[[2]int{from, to}] || w.rand.Float64() < w.loss {
			continue
		}
		at := w.now + 1 + w.rand.Uint64N(3)
		w.mail[at] = append(w.mail[at], letter{to: to, beat: b})
	}
}

// shell brings to an end what acts have begun.
func (w *world) shell(i int) {
	n := w.nodes[i]
	if n.leadAt > 0 && w.now >= n.leadAt {
		n.leadAt, n.inc, n.doors = 0, w.now<<8+uint64(i)+1, true
		w.say("%s leads as %d", n.name, n.inc)
	}
	if n.inc > 0 {
		n.m.Led(n.inc, n.view())
	}
	if n.readyAt > 0 && w.now >= n.readyAt {
		n.readyAt, n.doors = 0, true
		n.m.Prepared()
		w.act(i)
	}
	if n.drained > 0 && w.now >= n.drained {
		n.drained, n.inc = 0, 0
		n.m.Released()
		w.act(i)
	}
}

func (w *world) act(i int) {
	n := w.nodes[i]
	for _, a := range n.m.Acts() {
		w.say("%s does %d, now %s", n.name, a, n.m.Role())
		switch a {
		case Take:
			w.takes++
			n.leadAt = w.now + 1 + w.rand.Uint64N(20)
		case Prepare:
			n.readyAt = w.now + 1 + w.rand.Uint64N(20)
		case Abandon:
			n.readyAt, n.doors = 0, false
		case Release:
			n.doors, n.drained = false, w.now+1+w.rand.Uint64N(50)
			if n.inc == 0 {
				n.leadAt = 0
			}
		case StepBack:
			n.inc, n.leadAt, n.doors, n.drained = 0, 0, false, 0
		case End:
			n.dead, n.inc, n.doors = true, 0, false
			b, _ := n.m.Beat()
			w.spread(i, b)
		}
	}
}

// obey has masters be superseded. There is a replica beside each master.
func (w *world) obey() {
	for i, a := range w.nodes {
		if a.inc == 0 || a.dead || a.paused {
			continue
		}
		for j, b := range w.nodes {
			if b.inc <= a.inc || b.dead || b.paused {
				continue
			}
			for r := range w.nodes {
				reaches := !w.cut[[2]int{i, r}] && !w.cut[[2]int{r, i}] && !w.cut[[2]int{j, r}] && !w.cut[[2]int{r, j}]
				if reaches && a.inc > 0 {
					w.say("%s is superseded by %s", a.name, b.name)
					a.inc, a.leadAt, a.doors, a.drained = 0, 0, false, 0
					a.m.Superseded()
					w.act(i)
				}
			}
		}
	}
}

func (w *world) leaders() (list []int) {
	for i, n := range w.nodes {
		if n.inc > 0 && !n.dead && !n.paused {
			list = append(list, i)
		}
	}
	return list
}

// rest runs without faults and asks for one that leads, and goes on to.
func (w *world) rest() {
	w.t.Helper()
	w.cut, w.loss = map[[2]int]bool{}, 0
	for i, n := range w.nodes {
		n.paused = false
		if n.dead {
			w.start(i)
		}
	}
	w.say("rest")
	const limit = 40 * 100 // the patience of who was deposed often
	for range limit {
		w.step()
	}
	was := w.leaders()
	if len(was) != 1 {
		w.fail("%v lead at rest", was)
	}
	for range 20 * 100 {
		w.step()
		if now := w.leaders(); len(now) != 1 || now[0] != was[0] {
			w.fail("%v lead at rest, and %v did", now, was)
		}
	}
}

// tell has the others find out that a process has ended, or believe so though it has not.
func (w *world) tell(i int) {
	life := w.nodes[i].m.cfg.Life
	for k, n := range w.nodes {
		if k == i || n.dead || n.paused {
			continue
		}
		w.say("%s finds that %s has ended: %t", n.name, w.nodes[i].name, n.m.Ended(w.nodes[i].name, life))
		w.act(k)
	}
}

// fault is one of what can happen.
func (w *world) fault() {
	i, j := w.rand.IntN(len(w.nodes)), w.rand.IntN(len(w.nodes))
	n := w.nodes[i]

	switch w.rand.IntN(11) {
	case 0:
		w.say("%s dies", n.name)
		n.dead, n.inc, n.doors = true, 0, false
	case 9:
		w.say("%s dies, and that is found", n.name)
		n.dead, n.inc, n.doors = true, 0, false
		w.tell(i)
	case 10:
		w.tell(i)
	case 1:
		if n.dead {
			w.say("%s starts", n.name)
			w.start(i)
		}
	case 2:
		w.say("%s is cut off", n.name)
		for k := range w.nodes {
			w.cut[[2]int{i, k}], w.cut[[2]int{k, i}] = k != i, k != i
		}
	case 3:
		w.say("%s does not reach %s", n.name, w.nodes[j].name)
		w.cut[[2]int{i, j}] = i != j
	case 4, 5:
		w.say("heals")
		w.cut = map[[2]int]bool{}
	case 6:
		w.say("%s is paused or goes on", n.name)
		n.paused = !n.paused
	case 7:
		if !n.dead && !n.paused {
			w.say("%s is asked to hand over to %s: %v", n.name, w.nodes[j].name, n.m.Lead(w.nodes[j].name))
		}
	case 8:
		if !n.dead && !n.paused {
			w.say("%s stops", n.name)
			n.m.Stop()
			w.act(i)
		}
	}
	w.loss = []float64{0, 0, 0.05, 0.3}[w.rand.IntN(4)]
}

// Whatever happens, one leads when it is over, and goes on to.
func TestOneLeadsInTheEnd(t *testing.T) {
	for seed := range uint64(400) {
		w := newWorld(t, seed, 2+int(seed%4))
		for range 30 {
			w.fault()
			for range w.rand.IntN(400) {
				w.step()
			}
		}
		w.rest()
	}
}

// While nothing fails nobody is deposed; who leads may be told to hand over, and may stop: then a
// door is open in each moment, and another leads soon.
func TestM6HandingOverKeepsADoorOpen(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed, 2+int(seed%4))
		for len(w.leaders()) == 0 {
			if w.step(); w.now > 1000 {
				w.fail("nobody leads")
			}
		}
		for range 200 {
			w.step()
		}

		for range 5 {
			was := w.leaders()[0]
			next := (was + 1) % len(w.nodes)
			stops := w.rand.IntN(2) == 0
			if stops {
				w.nodes[was].m.Stop()
			} else if err := w.nodes[was].m.Lead(w.nodes[next].name); err != nil {
				w.fail("%v", err)
			}
			w.act(was)

			begun := w.now
			for {
				w.step()
				open := false
				for _, n := range w.nodes {
					open = open || n.doors
				}
				now := w.leaders()
				switch {
				case !open:
					w.fail("no door is open")
				case len(now) > 1:
					w.fail("%v lead", now)
				case w.now-begun > 150:
					w.fail("nobody has taken over: %v lead", now)
				}
				isAnother := len(now) == 1 && now[0] != was
				isWanted := stops || slices.Equal(now, []int{next})
				if isAnother && isWanted {
					break
				}
			}
			for range 50 {
				w.step()
			}
			if w.nodes[was].dead {
				w.start(was)
			}
			for range 150 {
				w.step()
			}
			if now := w.leaders(); len(now) != 1 || now[0] == was {
				w.fail("%v lead", now)
			}
		}
	}
}

// oneSucceeds wants that somebody leads after limit ticks at the most, and that no other one has
// taken over by 200 ticks later.
func (w *world) oneSucceeds(limit uint64) {
	for begun := w.now; len(w.leaders()) == 0; w.step() {
		if w.now-begun > limit {
			w.fail("nobody leads after %d ticks", w.now-begun)
		}
	}
	for range 200 {
		w.step()
	}
	if w.takes != 1 {
		w.fail("%d masters have taken over", w.takes)
	}
}

// The death of who leads is over after the suspicion time and little more, if no beat is lost; that
// of the one that would be the next, too, after one stagger more.
func TestM3DeathsAreNoticedInTime(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed, 3+int(seed%3))
		for range 600 {
			w.step()
		}
		was := w.leaders()[0]
		limit := testConfig.Suspect + testConfig.Beat + 30
		w.nodes[was].dead, w.nodes[was].inc = true, 0
		if seed%2 == 1 {
			for i, n := range w.nodes {
				if i != was {
					n.dead, limit = true, 2*testConfig.Suspect+testConfig.Stagger+30
					break
				}
			}
		}

		w.takes = 0
		w.oneSucceeds(limit)
	}
}

// The death of who leads is over at once if it is found out; its successor's, too.
func TestM8DeathsThatAreFound(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed, 3+int(seed%3))
		for range 600 {
			w.step()
		}
		for range 2 {
			was := w.leaders()[0]
			w.nodes[was].dead, w.nodes[was].inc = true, 0
			for range 4 { // what it has said last is on its way
				w.step()
			}
			w.tell(was)
			const limit = 40 // what it takes to begin, and the others to say that they hear nobody lead
			w.takes = 0
			w.oneSucceeds(limit)
		}
	}
}

// A link between two of three that is cut changes nothing: the third one hears both.
func TestM2ACutLinkDeposesNobody(t *testing.T) {
	for seed := range uint64(100) {
		w := newWorld(t, seed, 3)
		for range 600 {
			w.step()
		}
		was := w.leaders()[0]
		other := (was + 1 + int(seed%2)) % 3
		w.cut[[2]int{was, other}], w.cut[[2]int{other, was}] = true, seed%4 < 2
		for range 3000 {
			w.step()
			if now := w.leaders(); len(now) != 1 || now[0] != was {
				w.fail("%v lead, and %d did", now, was)
			}
		}
	}
}

// A master that can form no view is replaced by one that can; while none can they take turns, more
// rarely each time.
func TestM7MastersThatFormNoView(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed, 3)
		for range 600 {
			w.step()
		}
		was := w.leaders()[0]
		w.nodes[was].unable = true
		for begun := w.now; slices.Equal(w.leaders(), []int{was}); w.step() {
			if w.now-begun > testConfig.Unable+3*testConfig.Suspect {
				w.fail("%d forms no view, and still leads", was)
			}
		}
		w.rest()

		for _, n := range w.nodes {
			n.unable = true
		}
		changes, last := 0, w.leaders()
		for range 600 * 100 {
			w.step()
			if now := w.leaders(); len(now) == 1 && !slices.Equal(now, last) {
				changes, last = changes+1, now
			}
		}
		if changes == 0 || changes > 50 {
			w.fail("%d changes in 10 minutes in which nobody could form a view", changes)
		}
	}
}
