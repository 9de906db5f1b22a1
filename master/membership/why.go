package membership

import (
	"fmt"
	"slices"
	"strings"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/trouble"
)

// Why says why strong requests cannot be served now, or "".
func (m *Machine) Why() string {
	switch m.stage {
	case stopped:
		return trouble.NewerMaster.Say()
	case reading:
		if m.lost {
			return m.whyLost()
		}
		if why := m.whyMute(); why != "" {
			return why
		}
		return trouble.RecordUnread.Say()
	case booting:
		return m.whyBooting()
	case steady:
		if late := m.list(func(r *Replica) bool { return m.Member(r) && !r.installed }); late != "" {
			return trouble.Installing.Say(late)
		}
		return m.Split()
	}
	if short := m.Short(); short != "" {
		return short
	}
	return trouble.Changing.Say()
}

func (m *Machine) whyBooting() string {
	var silent []string
	for _, n := range m.cfg.Replicas {
		if r := m.Replica(n); r == nil || r.Phase == 0 || r.Lost {
			silent = append(silent, n.String())
		}
	}
	if len(silent) > 0 {
		return trouble.Booting.Say(strings.Join(silent, ", "))
	}
	return trouble.FirstView.Say()
}

// unfit are the configured replicas that no view can be formed of now: they cannot be reached,
// or are outside of the view and not loaded yet.
func (m *Machine) unfit() []string {
	var list []string
	for _, n := range m.record.Configured {
		r := m.Replica(n)
		lost := r == nil || !r.present()
		outside := !lost && !m.Member(r) && r.state == nil && r.Phase != message.PhaseCaught
		if lost || outside {
			list = append(list, n.String())
		}
	}
	return list
}

// Short says why no next view can be formed with the replicas that are there, or "". It
// is said while a change is under way only: requests are refused then, not kept waiting.
func (m *Machine) Short() string {
	if why := m.whyMute(); why != "" && !m.recover {
		return why
	}
	forming := m.stage == changing || m.stage == deciding
	if !forming || m.recover {
		return ""
	}

	var absent []string
	survivors, others := 0, 0
	away := trouble.Unreachable
	for _, member := range m.record.Members {
		switch r := m.Replica(member.Node); {
		case r == nil || r.Lost: // its process has ended
			absent = append(absent, member.Node.String())
		case r.Incarnation > member.Incarnation || r.Back != "": // it is there, and has less than it had
			absent = append(absent, member.Node.String())
			away = trouble.Emptied
		case r.Suspected, r.Incarnation == 0 && m.ticks-m.began >= m.cfg.SuspectTicks:
			absent = append(absent, member.Node.String())
		default:
			survivors++
		}
	}

	for _, r := range m.replicas {
		loaded := r.state != nil || r.Phase == message.PhaseCaught
		if !m.Member(r) && r.present() && loaded {
			others++
		}
	}

	need := len(m.record.Members) - m.record.Faults
	total := len(m.record.Configured) - m.mayMiss(len(m.record.Configured))
	switch {
	case survivors < need:
		return away.Say(strings.Join(absent, ", "), len(m.record.Members), need)
	case len(m.record.Configured) == 0:
		return trouble.FirstView.Say() // nobody is a member yet who could be missed
	case survivors+others < total:
		return trouble.TooFew.Say(survivors+others, len(m.record.Configured), total, strings.Join(m.unfit(), ", "))
	}
	return ""
}

// Split says which members of a view that stands do not hear each other, so that nothing is
// delivered in it, or "". A view of others is formed where one can be; it is said only where
// none can.
func (m *Machine) Split() string {
	if m.stage != steady || !m.deaf {
		return ""
	}
	apart := m.whyApart()
	if apart == "" {
		return ""
	}
	return trouble.Apart.Say(apart, len(m.record.Configured)-m.mayMiss(len(m.record.Configured)), len(m.record.Configured))
}

// list names the nodes that fit; "" if none does.
func (m *Machine) list(fits func(*Replica) bool) string {
	var names []string
	for _, r := range m.replicas {
		if fits(r) {
			names = append(names, r.Node.String())
		}
	}
	return strings.Join(names, ", ")
}

// WhyNot says why a replica does not serve requests, or "".
func (m *Machine) WhyNot(r *Replica) string {
	switch {
	case r.stranger != "":
		return r.stranger
	case r.Lost:
		return "its process has ended"
	case r.Incarnation == 0:
		return "it has not been heard"
	case r.Suspected:
		return "it does not answer"
	case m.Works(r):
		return ""

	// It answers, and does not work yet.
	case r.Back != "" && r.Phase == message.PhaseLearning:
		return fmt.Sprintf("it is being loaded (%d keys so far): %s", r.Keys, r.Back)
	case r.Back != "":
		return r.Back
	case m.Member(r):
		return "it has not installed the view yet"
	case r.Phase == message.PhaseLearning:
		return fmt.Sprintf("it is being loaded (%d keys so far)", r.Keys)
	case m.apartFrom(r, &m.record) != "":
		return m.apartFrom(r, &m.record)
	case m.ticks < r.admitAfter:
		return r.why
	case r.Phase == message.PhaseCaught && m.record.Epoch == r.Epoch && !m.met(r):
		return "it is loaded and waits until it and every member have heard each other"
	case r.Phase == message.PhaseCaught:
		return "it is loaded and waits for the next view"
	}
	return "it is not in the view"
}

// AtRisk says what may be lost if the cluster goes on with the replicas that are there: the members
// of the newest view that are not. Where the record is lost these are, too, all replicas of the
// newest one that is held which may know of a later one (rule F11).
func (m *Machine) AtRisk() (absent, present []lamport.Node) {
	record := &m.record
	var unsure []string
	if held, lost := m.LostRecord(); lost && held != nil {
		record = held
		if m.lost {
			unsure = m.unheardOf(held)
		}
	}

	for _, n := range record.Configured {
		r, i := m.Replica(n), record.Index(n)
		isMember := i >= 0
		isWhole := r != nil && !r.Lost && !r.Suspected && r.Back == "" && isMember && r.Incarnation == record.Members[i].Incarnation
		switch isUnsure := slices.Contains(unsure, n.String()); {
		case isUnsure, isMember && !isWhole:
			absent = append(absent, n)
		case isMember:
			present = append(present, n)
		}
	}
	return slices.Clip(absent), slices.Clip(present)
}
