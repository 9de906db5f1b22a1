package masternode

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/master/succession"
)

// noted counts what a log is told.
type noted struct{ lines int }

func (n *noted) Write(p []byte) (int, error) {
	n.lines++
	return len(p), nil
}

// However many masters have come and gone, each of another name, the next one is known: with its
// process and host, and as new only once.
func TestMastersThatHaveGoneAreForgotten(t *testing.T) {
	var log noted
	h := &herald{
		machine: succession.New(succession.Config{Name: "a", Life: 1, Suspect: 10, Beat: beatTicks}),
		said:    map[string]bus.MasterBeat{}, log: slog.New(slog.NewTextHandler(&log, nil)), acts: make(chan succession.Act, manyActs),
		self: bus.MasterBeat{Name: "a", Life: 1},
	}
	hear := func(name, role string) {
		t.Helper()
		body, err := json.Marshal(&bus.MasterBeat{Name: name, Life: 7, Role: role, Hears: "z", PID: 4712})
		if err != nil {
			t.Fatal(err)
		}
		h.hear(&nats.Msg{Data: body})
	}
	for i := range 2 * mostHeard {
		hear(fmt.Sprintf("host-%d", i), bus.RoleGone)
		for range 20 {
			h.do((*succession.Machine).Tick)
		}
	}

	before := log.lines
	for range 10 {
		hear("b", bus.RoleStandsBy)
	}
	if n := log.lines - before; n != 1 {
		t.Errorf("the log tells of a new master %d times", n)
	}
	if pid := h.pidOf("b"); pid != 4712 {
		t.Errorf("its process is said to be %d", pid)
	}
	if n := len(h.said); n > mostHeard {
		t.Errorf("%d masters are remembered", n)
	}
}
