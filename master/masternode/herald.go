package masternode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/loop"
	"quartet/bus/lamport"
	"quartet/master/succession"
)

// herald is what this process says to other masters and hears of them, beside the loop: the shell
// of a [succession.Machine]. A nil herald is that of a master that can have no others.
type herald struct {
	nc      *nats.Conn
	subject string
	self    bus.MasterBeat // without what the machine says
	log     *slog.Logger
	acts    chan succession.Act
	sub     *bus.Subscription
	cancel  context.CancelFunc
	done    chan struct{}
	lookout *lookout // nil: this process is no node

	mu      sync.Mutex // guards what follows
	machine *succession.Machine
	said    map[string]bus.MasterBeat // by name
	turned  time.Time                 // when the loop of the machine that leads has turned last; zero: it has not begun
	bad     uint64                    // beats that could not be read
	ends    []endedAt                 // of this process's replicas, lately
	endings uint64                    // so many so far
	tell    func(lamport.Node, int)   // of others' replicas that end; nil: nobody is told
	silent  func(lamport.Node)        // of others' replicas that do not answer any more; nil as above
}

// endedAt is the end of a replica's process.
type endedAt struct {
	bus.EndedReplica
	at time.Time
}

// endsFor is how long others are told of an end.
const endsFor = 2 * time.Second

// ended has others be told that a process of a replica has ended, at once.
func (h *herald) ended(r lamport.Node, pid int) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endings++
	h.ends = append(h.ends, endedAt{bus.EndedReplica{Number: h.endings, Replica: r.String(), PID: pid}, time.Now()})
	b, _ := h.machine.Beat()
	h.say(&b)
}

// onEnded says who is told of the ends of other masters' replicas, and of those that do not answer
// any more; nil, nil: nobody.
func (h *herald) onEnded(tell func(lamport.Node, int), silent func(lamport.Node)) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tell, h.silent = tell, silent
}

// hearEnds hands on the ends that a beat tells of for the first time.
func (h *herald) hearEnds(was, in *bus.MasterBeat) {
	last := uint64(0)
	if n := len(was.Ended); n > 0 && was.Life == in.Life {
		last = was.Ended[n-1].Number
	}
	for _, e := range in.Ended {
		r, err := lamport.ParseNode(e.Replica)
		isNews := e.Number > last && err == nil && r.IsReplica()
		if isNews && h.tell != nil {
			h.log.Info("a replica's process has ended, says its master", "replica", r, "pid", e.PID, "master", in.Name)
			h.tell(r, e.PID)
		}
	}
}

const (
	beatTicks     = 10  // 100 ms
	staggerTicks  = 50  // 500 ms
	handoverTicks = 500 // 5 s
	unableTimes   = 10  // suspicion times without a view
	manyActs      = 64
)

// newHerald joins the other masters of the bus. It stands by, unless it is at once to lead.
func (n *node) newHerald(ctx context.Context, leads bool) (*herald, error) {
	o := n.opts
	suspect := uint64(o.Suspect / loop.Tick)
	cfg := succession.Config{
		Name: o.Name, Life: rand.Uint64() | 1, Suspect: suspect, Beat: beatTicks, Stagger: staggerTicks,
		Handover: handoverTicks, Unable: unableTimes * suspect,
	}
	h := &herald{
		nc: n.nodes, subject: n.subjects.Beats(), log: o.Log, acts: make(chan succession.Act, manyActs), done: make(chan struct{}),
		self:    bus.MasterBeat{Name: o.Name, Life: cfg.Life, Host: host(), PID: os.Getpid(), URL: bus.Redact(n.url())},
		machine: succession.New(cfg), said: map[string]bus.MasterBeat{}, lookout: n.newLookout(),
	}
	if leads {
		h.machine.Begin()
	}

	var err error
	if h.sub, err = bus.Subscribe(n.nodes, h.subject, h.hear); err != nil {
		return nil, err
	}
	ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go h.run(ctx)
	return h, nil
}

// defaultName is that of a master that was given none.
func defaultName() string {
	name := strings.Map(func(r rune) rune {
		if bus.IsMasterName(string(r)) {
			return r
		}
		return '-'
	}, host())
	suffix := fmt.Sprintf("-%d", os.Getpid())
	return strings.TrimPrefix(name[:min(len(name), bus.MaxMasterName-len(suffix))]+suffix, "-")
}

// run ticks and says beats until ctx ends.
func (h *herald) run(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTicker(loop.Tick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			h.do(func(m *succession.Machine) {
				m.Tick()
				h.look(now)
			})
		case <-ctx.Done():
			return
		}
	}
}

// do changes the machine, hands out what it wants done, and says what is to be said.
func (h *herald) do(change func(*succession.Machine)) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.machine.Role()
	change(h.machine)
	if is := h.machine.Role(); is != was {
		h.turned = time.Time{}
		h.log.Info("this master "+is.String(), "name", h.self.Name, "before", was.String(), "leader", h.machine.Leader())
	}
	for _, a := range h.machine.Acts() {
		h.acts <- a // they are few: whoever stands by or leads takes each at once
	}
	if b, due := h.machine.Beat(); due && !h.hangs() {
		h.say(&b)
	}
}

// hangs reports whether this master leads and its loop stands still: then nothing is said for it,
// and another takes over.
func (h *herald) hangs() bool {
	return h.machine.Role() == succession.Leading && !h.turned.IsZero() && time.Since(h.turned) > hangsAfter
}

// hangsAfter is longer than any turn that ends.
const hangsAfter = time.Second

func (h *herald) say(b *succession.Beat) {
	out := h.self
	out.Number = b.Number
	out.Role, out.Incarnation, out.Epoch, out.Unable = b.Role.String(), b.Incarnation, b.Epoch, b.Unable
	out.Hears, out.Next, out.Ready = b.Hears, b.Next, b.Ready
	h.ends = slices.DeleteFunc(h.ends, func(e endedAt) bool { return time.Since(e.at) > endsFor })
	for _, e := range h.ends {
		out.Ended = append(out.Ended, e.EndedReplica)
	}
	body, err := json.Marshal(&out)
	if err == nil {
		err = h.nc.Publish(h.subject, body)
	}
	if err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) { // of the connection's loss others tell
		h.log.Debug("other masters were not told", "error", err)
	}
}

// hear takes another master's beat, on the bus's goroutine.
func (h *herald) hear(msg *nats.Msg) {
	in, err := bus.ParseMasterBeat(msg.Data)
	role := succession.ParseRole(in.Role)
	isOwn := in.Name == h.self.Name && in.Life == h.self.Life
	switch {
	case err != nil || role == 0:
		h.mu.Lock()
		h.bad++
		first := h.bad == 1
		h.mu.Unlock()
		if first {
			h.log.Warn("what came on the subject of masters' beats is none, and is dropped", "subject", msg.Subject, "error", err)
		}
		return
	case isOwn:
		return
	}

	h.do(func(m *succession.Machine) {
		was, met := h.said[in.Name]
		if !met || was.Life != in.Life {
			h.log.Info("another master is there", "name", in.Name, "role", in.Role, "host", in.Host, "pid", in.PID)
		}
		h.hearEnds(&was, &in)
		m.Hear(succession.Beat{
			Name: in.Name, Life: in.Life, Number: in.Number, Role: role, Incarnation: in.Incarnation, Epoch: in.Epoch,
			Unable: in.Unable, Hears: in.Hears, Next: in.Next, Ready: in.Ready,
		})
		h.keep(&in)
	})
}

// mostHeard is how many beats of others are kept, before those are forgotten whose masters have
// gone.
const mostHeard = 64

// keep keeps a beat: it says more of a master than the machine needs to know.
func (h *herald) keep(in *bus.MasterBeat) {
	h.said[in.Name] = *in
	if len(h.said) <= mostHeard {
		return
	}
	peers := h.machine.Peers()
	maps.DeleteFunc(h.said, func(name string, _ bus.MasterBeat) bool {
		return !slices.ContainsFunc(peers, func(p succession.Peer) bool { return p.Name == name })
	})
}

// led tells at each tick under which incarnation this master leads, and the epoch of the view that
// stands; 0: none does.
func (h *herald) led(incarnation, epoch uint64) {
	h.do(func(m *succession.Machine) {
		m.Led(incarnation, epoch)
		h.turned = time.Now()
	})
}

// role is what this master does.
func (h *herald) role() succession.Role {
	if h == nil {
		return succession.Leading
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.machine.Role()
}

// leader is the name of the master that leads, as far as is known; "": none.
func (h *herald) leader() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.machine.Leader()
}

// epoch is that of the view of the master that leads, as it has said itself; 0: not known.
func (h *herald) epoch() (epoch uint64) {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.machine.Peers() {
		epoch = max(epoch, p.Epoch)
	}
	return epoch
}

// pidOf is the process of the master of that name; 0: it is not known.
func (h *herald) pidOf(name string) int {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said[name].PID
}

// lead hands over to another master, by an operator's word.
func (h *herald) lead(name string) (err error) {
	h.do(func(m *succession.Machine) { err = m.Lead(name) })
	return err
}

// masters are all masters that lead or stand by, this one among them; nil: there can be but one.
func (h *herald) masters() []bus.MasterPeer {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []bus.MasterPeer{{
		Name: h.self.Name, Role: h.machine.Role().String(), PID: h.self.PID, Host: h.self.Host, URL: h.self.URL,
	}}
	for _, p := range h.machine.Peers() {
		said := h.said[p.Name]
		one := bus.MasterPeer{Name: p.Name, Role: p.Role.String(), PID: said.PID, Host: said.Host, URL: said.URL}
		if p.Silent >= silentTicks {
			one.Silent = p.Silent * tickMillis
		}
		if p.Role != succession.Gone {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b bus.MasterPeer) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// names are all of them in words: "m1 leads, m2 stands by".
func (h *herald) names() string {
	var list []string
	for _, m := range h.masters() {
		list = append(list, m.Name+" "+m.Role)
	}
	return strings.Join(list, ", ")
}

// silentTicks is a silence that is worth a word.
const silentTicks = 10 * beatTicks

// close says a last beat, and no more.
func (h *herald) close() {
	if h == nil {
		return
	}
	h.cancel()
	<-h.done
	_ = h.sub.Close() // the connection is closed next
	h.mu.Lock()
	defer h.mu.Unlock()
	b, _ := h.machine.Beat()
	b.Role, b.Next = succession.Gone, ""
	h.say(&b)
	_ = h.nc.FlushTimeout(time.Second) // others hear it, or miss this master later
}
