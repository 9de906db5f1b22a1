package gather

// state is that of what waits; the package's comment says what each means.
type state uint8

const (
	idle state = iota
	kept
	ordered
	sending
	states
)

var stateNames = [states]string{"idle", "kept", "ordered", "sending"}

func (s state) String() string { return stateNames[s] }

// event is what happens to what waits.
type event uint8

const (
	added    event = iota // a request has come
	answered              // a message has its first answer, or its end
	handed                // a train of replies has been handed out
	late                  // patience is over
	begun                 // a goroutine wants to send
	ended                 // and has sent
	events
)

var eventNames = [events]string{"added", "answered", "handed", "late", "begun", "ended"}

func (e event) String() string { return eventNames[e] }

// rule is what an event does in a state.
type rule func(*gate) Effect

// table has a rule for each event in each state.
var table = [states][events]rule{
	idle:    {added: settle, answered: stay, handed: stay, late: stay, begun: stay, ended: stay},
	kept:    {added: stay, answered: orderUnlessAway, handed: order, late: flush, begun: beginIfClosed, ended: stay},
	ordered: {added: stay, answered: stay, handed: stay, late: stay, begun: begin, ended: stay},
	sending: {added: stay, answered: stay, handed: stay, late: stay, begun: stay, ended: settle},
}

// gate is what the rules decide by: how much waits, and for what.
type gate struct {
	rules   *[states][events]rule
	state   state
	waiting int   // requests that wait
	away    int   // messages that have left, of which nothing has been answered
	due     int   // goroutines that replies have woken, and that have added nothing since
	handing bool  // replies are being handed out
	armed   bool  // the timer runs
	closed  bool  // there is no flusher any more
	usual   int64 // nanoseconds from a batch to its first answer, smoothed

	looked int   // how much waited when the flusher looked last; -1: it has not
	grown  int64 // when more waited than before
}

// Effect is what a shell has to do: at most one of Flush and Wake, and the timer.
type Effect struct {
	Flush bool  // send, in this goroutine: call [Core.Begin]
	Wake  bool  // wake the flusher: it calls [Core.Gathered] until that says so, and then Begin
	Arm   int64 // nanoseconds after which [Core.Late] is to be called; 0: leave the timer alone
	Stop  bool  // stop the timer
}

func (g *gate) happens(e event) Effect { return g.rules[g.state][e](g) }

func stay(*gate) Effect { return Effect{} }

// settle finds what that which waits has to wait for.
func settle(g *gate) Effect {
	switch {
	case g.waiting == 0:
		g.state = idle
		return Effect{}
	case g.closed: // nobody else would come
		return flush(g)
	case g.handing: // who is being told may add more
		g.state = kept
		return Effect{}
	case g.away > 0:
		g.state = kept
		return g.arm()
	case g.due > 0: // they are about to come
		return order(g)
	}
	return flush(g)
}

// arm bounds how long what waits is kept.
func (g *gate) arm() Effect {
	if g.armed {
		return Effect{}
	}
	g.armed = true
	return Effect{Arm: g.patience()}
}

func (g *gate) patience() int64 { return min(max(2*g.usual, LeastPatience), MostPatience) }

// orderUnlessAway has what waits sent if nothing is left to wait for.
func orderUnlessAway(g *gate) Effect {
	if g.away > 0 || g.handing {
		return Effect{}
	}
	return order(g)
}

// order has the flusher send, once those that are due have come.
func order(g *gate) Effect {
	if g.closed {
		return flush(g)
	}
	g.state, g.looked = ordered, -1
	return Effect{Wake: true}
}

// flush has the caller send.
func flush(g *gate) Effect {
	g.state = ordered
	return Effect{Flush: true}
}

// beginIfClosed lets whoever closes take what waits: no flusher will.
func beginIfClosed(g *gate) Effect {
	if !g.closed {
		return Effect{}
	}
	return begin(g)
}

// begin makes the caller the one goroutine that sends.
func begin(g *gate) Effect {
	stop := g.armed
	g.state, g.armed = sending, false
	return Effect{Stop: stop}
}
