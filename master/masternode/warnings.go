package masternode

import (
	"strings"
	"time"

	"quartet/bus/host/room"
	"quartet/bus/secure"
	"quartet/bus/trouble"
	"quartet/master"
)

const (
	restartsOften = 3 // ends of a process in a row that are worth a warning
	roomNarrow    = 2 // times the room below which sets are refused
)

// warnings says, a line each, what is served now and will not be after the next fault, and
// who may do what nobody should. The likeliest to hurt comes first.
func (n *node) warnings(s *master.Status) []string {
	var list []string
	add := func(k *trouble.Kind, particulars ...any) { list = append(list, k.Say(particulars...)) }

	if why, _ := n.trouble(); why != "" {
		add(trouble.NextChangeFails, strings.Join(strings.Fields(why), " "))
	}

	if r := n.views.newest; r != nil && s.Ready {
		working := 0
		for i := range s.Replicas {
			if s.Replicas[i].Member {
				working++
			}
		}

		needed := len(r.Configured) - r.Missing
		oneFewerIsTooFew := working > 0 && working-1 < needed
		if oneFewerIsTooFew {
			add(trouble.NoSpare, working, len(r.Configured), needed)
		}
	}

	if free, need := n.room.free, n.room.need; n.room.why == "" && free > 0 && free < roomNarrow*need {
		add(trouble.DiskNarrow, room.Text(free), n.dir.path, room.Text(need))
	}

	processes := n.super.restarts()
	for i := range s.Replicas {
		node := s.Replicas[i].Node
		switch p := processes[node]; {
		case !p.Yields.IsZero():
			add(trouble.Doubled, node, n.pid(&s.Replicas[i]), p.Yields.UTC().Format(time.RFC3339))
		case p.InARow >= restartsOften:
			add(trouble.KeepsEnding, node, p.InARow)
		}
	}

	if n.server != nil && n.server.Open() {
		add(trouble.Open, n.server.Address())
	}
	if id := n.opts.Secure; id != nil && time.Until(id.Ends()) < secure.Soon {
		add(trouble.CertificateEnds, id.Name(), id.Dir(), id.Ends().UTC().Format(time.RFC3339))
	}
	return list
}
