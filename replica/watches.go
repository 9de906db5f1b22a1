package replica

import (
	"fmt"
	"strconv"

	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/changes"
	"quartet/replica/layers"
	"quartet/replica/watching"
)

// A watch begins at this replica, and is told by it for as long as it is a member (rules O20 to
// O27). Of model 1 it takes a place in the order, as an ordered get does, and begins there: so it
// begins not before it was asked for, and no fence has to be awaited before its first event
// leaves. Of model 2 it takes a turn in the queue, of model 3 it waits for what its session has
// seen, of model 4 it begins at once. One that goes on after a revision waits in any model until
// this replica has come as far (rule O22).

// watch takes a watch on its way.
func (m *Machine) watch(r *message.Request) {
	d := m.disciplines[r.Model]
	switch {
	case m.cast == nil: // the master sends it again in the next epoch
		m.pending--
	case d.mayAnswer(r, m.seen(false)):
		m.beginWatch(r)
	default:
		d.wait(r, false)
	}
}

// beginWatch begins a watch whose turn has come, unless this replica is behind what it goes on
// from.
func (m *Machine) beginWatch(r *message.Request) {
	after, _ := r.After()
	switch {
	case m.cast == nil: // its epoch has ended meanwhile
		m.pending--
		return
	case m.layers.Position() < after:
		m.sequential.hold(r)
		return
	}

	refusal := m.watches.Begin(r)
	if refusal.Code != 0 {
		m.fail(r, refusal.Code, refusal.Reason)
		return
	}
	m.answer(model.Answer{RID: r.RID, Code: model.OK, Position: m.layers.Position()})
}

// watchWaits goes on with a watch that waits for a position: it begins, is refused, or stays.
func (m *Machine) watchWaits(w waiting) (stays bool) {
	after, _ := w.request.After()
	hasComeAsFar := m.layers.Position() >= max(after, w.request.Min)
	switch {
	case hasComeAsFar:
		m.beginWatch(w.request)
	case m.ticks < w.until:
		return true
	default:
		position := m.layers.Position()
		m.answer(model.Answer{
			RID: w.request.RID, Code: model.TooEarly, Position: position,
			Reason: fmt.Sprintf("replica %s has applied %d ordered operations, the watch is to go on after revision %d; ask again later",
				m.cfg.Self, position, max(after, w.request.Min)),
		})
	}
	return false
}

// endWatches ends all watches: this replica does not know the newest any more.
func (m *Machine) endWatches(reason string) {
	m.events = append(m.events, m.watches.End(model.Unavailable, reason)...)
}

// Acknowledged takes a watcher's word that it has all events up to a sequence, and reports whether
// there is such a watch: an earlier process of this replica may have served it.
func (m *Machine) Acknowledged(watch, sequence uint64) bool { return m.watches.Ack(watch, sequence) }

// Unheard says that nobody listens to a watch's events any more.
func (m *Machine) Unheard(watch uint64) { m.watches.Gone(watch) }

// Rejoined says that the connection on which this replica speaks to watchers was away: they are
// told in this turn how far they are.
func (m *Machine) Rejoined() { m.watches.Rejoined() }

// Busy reports whether there is something to tell watchers, or of lists, that waits for the next
// turn alone.
func (m *Machine) Busy() bool {
	hasMore := m.watches.Busy() || m.lists.Jobs() > 0
	return m.fault == "" && hasMore
}

// Changes is the log that watches are told from: for the simulation.
func (m *Machine) Changes() *changes.Log { return m.layers.Changes() }

// EndWatches ends all watches, since the process ends, and returns what is to be sent.
func (m *Machine) EndWatches() []watching.Event {
	return m.watches.End(model.Unavailable, fmt.Sprintf("replica %s ends: go on at another one", m.cfg.Self))
}

// tellWatchers ends a turn for the watches.
func (m *Machine) tellWatchers(out *Output) {
	out.Events = append(out.Events, m.events...)
	m.events = m.events[:0]
	out.Events = m.watches.EndTurn(out.Events)
}

// streamNames is what the names of this process's streams begin with (rule O29).
func streamNames(c *Config) string {
	return c.Self.String() + "." + strconv.FormatUint(c.Life, 36) + "."
}

// watched is this replica as its watches see it.
type watched struct {
	layers *layers.Layers
	record *message.Record
}

func (s watched) Position() uint64                         { return s.layers.Position() }
func (s watched) History() message.History                 { return s.record.History() }
func (s watched) Collected() uint64                        { return s.layers.Collection().Position }
func (s watched) Changes() *changes.Log                    { return s.layers.Changes() }
func (s watched) Visible() *changes.Log                    { return s.layers.Visible() }
func (s watched) Follow(on bool)                           { s.layers.Follow(on) }
func (s watched) Snapshot() watching.Snapshot              { return s.layers.Snapshot() }
func (s watched) Newest(key string) (message.Change, bool) { return s.layers.NewestChange(key) }
func (s watched) Tentative(prefix string) []string         { return s.layers.TentativeKeys(prefix) }

func (s watched) Ascend(from string, f func(key string) bool) { s.layers.AscendKeys(from, f) }
