package masternode

import (
	"fmt"
	"strings"

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
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }

	if why, _ := n.trouble(); why != "" {
		add("the next change of the view will fail: %s", strings.Join(strings.Fields(why), " "))
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
			add("the next death of a replica stops models 1 and 2 and causal sets: %d of %d replicas work, and %d are needed", working, len(r.Configured), needed)
		}
	}

	if free, need := n.room.free, n.room.need; n.room.why == "" && free > 0 && free < roomNarrow*need {
		add("the disk is nearly full: %d MiB left in %s; with less than %d MiB sets are refused", free>>20, n.dir.path, need>>20)
	}

	processes := n.super.restarts()
	for i := range s.Replicas {
		node := s.Replicas[i].Node
		if p := processes[node]; p.InARow >= restartsOften {
			add("replica %s keeps ending: %d times in a row", node, p.InARow)
		}
	}

	if n.server != nil && n.server.Open() {
		add("everybody who reaches %s can read and write: it listens beyond this machine, and asks for no credentials", n.url())
	}
	return list
}
