package masternode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/server"
	"quartet/master/succession"
)

// lookout finds out at once that the process of another node has ended (rule M8): where its server
// was found for the others' routes nobody listens any more. A machine that is gone, or cut off,
// refuses no connection, and is noticed by its silence.
type lookout struct {
	remotes func() int // with how many others our server is connected
	join    []string   // where the others listen for routes
	busy    atomic.Bool
	before  int               // remotes at the last tick
	looks   int               // so many may follow yet
	looked  time.Time         // when the last began
	silent  int               // masters that were silent at the last tick
	found   map[string]string // by address: the node that was found there last; of the look that is under way
}

const (
	mostLooks  = 20                     // after a server has come or gone, or a master has fallen silent
	lookPause  = 25 * time.Millisecond  // between two
	lookSilent = 250 * time.Millisecond // that makes a master silent
	lookWait   = 300 * time.Millisecond // for the answer of one
)

// newLookout is nil where this process is no node.
func (n *node) newLookout() *lookout {
	if n.opts.Node == nil || n.server == nil {
		return nil
	}
	return &lookout{remotes: n.server.Remotes, join: n.opts.Node.Join, found: map[string]string{}, looks: mostLooks}
}

// look begins a look at the other nodes' servers when one of them has come or gone, or a master has
// fallen silent. h.mu is held.
func (h *herald) look(now time.Time) {
	l := h.lookout
	if l == nil || l.busy.Load() {
		return
	}
	remotes, silent := l.remotes(), h.silentMasters()
	isNews := remotes != l.before || silent > l.silent
	if l.before, l.silent = remotes, silent; isNews {
		l.looks = mostLooks
	}
	if l.looks == 0 || now.Sub(l.looked) < lookPause {
		return
	}
	l.looked = now
	l.looks--

	lives := map[string]uint64{}
	for _, p := range h.machine.Peers() {
		lives[p.Name] = p.Life
	}
	l.busy.Store(true)
	go func() {
		ended, isSure := l.ended()
		for _, name := range ended {
			h.hasEnded(name, lives[name])
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		switch {
		case isSure && len(ended) == 0:
			l.looks = 0
		case isSure: // what it has said last may still be on its way
			l.looks = min(l.looks, 2)
		}
		l.busy.Store(false)
	}()
}

// silentMasters is how many masters that have not ended are silent. h.mu is held.
func (h *herald) silentMasters() (n int) {
	for _, p := range h.machine.Peers() {
		isSilent := p.Silent*tickMillis >= uint64(lookSilent/time.Millisecond)
		if isSilent && p.Role != succession.Gone {
			n++
		}
	}
	return n
}

// ended looks at all addresses, and returns the nodes that were found there and are not any more,
// and whether that is known of all.
func (l *lookout) ended() (names []string, isSure bool) {
	ctx, cancel := context.WithTimeout(context.Background(), lookWait)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	there, known := map[string]bool{}, 0
	for _, address := range l.join {
		all.Go(func() {
			name, err := server.NameAt(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			was := l.found[address]
			switch {
			case err == nil:
				l.found[address], there[name] = name, true
				known++
			case errors.Is(err, server.ErrNobody) && was != "":
				names = append(names, was)
				known++
			}
		})
	}
	all.Wait()

	hasMoved := func(name string) bool { return there[name] }
	return slices.DeleteFunc(names, hasMoved), known == len(l.join)
}

// hasEnded takes note that the process of a node has ended, which life was that of its master when
// that was seen; 0: it had said nothing.
func (h *herald) hasEnded(name string, life uint64) {
	h.do(func(m *succession.Machine) {
		if p := h.said[name]; p.Life != life || life == 0 {
			return
		}
		if m.Ended(name, life) {
			h.log.Info("another node's process has ended: nobody listens any more where its server did", "node", name)
		}
		h.tellSilent(name)
	})
}

// tellSilent tells the machine of this term that a node's replica does not answer any more. h.mu is
// held.
func (h *herald) tellSilent(name string) {
	number, err := ReplicaOfNode(name)
	if err == nil && h.silent != nil {
		h.silent(lamport.Replica(number))
	}
}

// silentNodes are the replicas of nodes whose masters have ended, or have been silent for so long
// that they count as gone: master and replica of a node are one process.
func (h *herald) silentNodes(suspect time.Duration) (list []lamport.Node) {
	if h == nil || h.lookout == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.machine.Peers() {
		number, err := ReplicaOfNode(p.Name)
		isOver := p.Role == succession.Gone || p.Silent*tickMillis >= uint64(suspect/time.Millisecond)
		if err == nil && isOver {
			list = append(list, lamport.Replica(number))
		}
	}
	return list
}

// sayLed tells clients that this master leads now: what they had sent to the one before was lost,
// unless that one has handed over, and answered it.
func (n *node) sayLed() {
	if n.handedOver {
		return
	}
	body := fmt.Appendf(nil, `{"master":%q,"incarnation":%d}`, n.opts.Name, n.machine.Incarnation())
	if err := n.clients.Publish(n.subjects.Led(), body); err != nil {
		n.opts.Log.Debug("clients were not told that this master leads", "error", err)
	}
}
