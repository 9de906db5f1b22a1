package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/testkit"
)

// The pace of a link that comes and goes: it is silent for the greater part of the time, and never
// for as long as the suspicion time.
const (
	linkDown = 900 * time.Millisecond
	linkUp   = 200 * time.Millisecond
)

// subjectOf is where a replica listens.
func subjectOf(id string) string { return "quartet.node." + id }

// cutLink cuts what the target says to another replica and, both ways, what that one says to it.
// The master hears both all the time.
func (tr *trial) cutLink(both bool) {
	tr.c.filters[tr.target].cut(subjectOf(tr.another()))
	if both {
		tr.c.filters[tr.another()].cut(subjectOf(tr.target))
	}
}

func (tr *trial) mendLinks() {
	for _, p := range tr.c.filters {
		p.cut()
	}
}

// deaf reports whether a status says that a replica does not hear another one.
func deaf(s bus.Status, id, other string) bool {
	return slices.Contains(find(s, id).Unheard, other)
}

// cutPair: a link between two replicas is cut, and the master hears both. The next view is of
// replicas that hear each other; who does not hear whom is said wherever one may look.
func cutPair(t *testing.T, tr *trial, both bool) {
	tr.cutLink(both)
	tr.goesOnWithout(t, both)
	tr.saysWho(t)

	tr.mendLinks()
	tr.over = now()
	tr.c.await(t, healLimit, "nobody is said not to hear another one", allHear)
	tr.logs(t, "a replica is no longer known not to hear another one", tr.another(), tr.target)
	for id, p := range tr.c.filters {
		theOther := both && id == tr.another()
		if hit := id == tr.target || theOther; hit != (p.dropped() > 0) {
			t.Errorf("%d messages of %s were lost", p.dropped(), id)
		}
	}
}

// flapPair: the link comes and goes.
func flapPair(t *testing.T, tr *trial) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for down := true; ; down = !down {
			phase := linkUp
			if tr.mendLinks(); down {
				tr.cutLink(true)
				phase = linkDown
			}
			timer := time.NewTimer(phase)
			select {
			case <-timer.C:
			case <-stop:
				timer.Stop()
				tr.mendLinks()
				return
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
		tr.over = now()
	}()
	tr.goesOnWithout(t, true)
}

// goesOnWithout waits until the pair is not in one view any more, and then for answers to every
// session, of the strong models too, while the fault lasts.
func (tr *trial) goesOnWithout(t *testing.T, both bool) {
	t.Helper()
	a, b := tr.target, tr.another()
	tr.c.await(t, outLimit, a+" and "+b+" are not in one view, and it is said who does not hear whom", func(s bus.Status) error {
		apart := find(s, a).Member != find(s, b).Member
		said := deaf(s, b, a)
		if both {
			said = said && deaf(s, a, b)
		}
		if !s.Ready || !apart || !said {
			return fmt.Errorf("ready %t (%s), members %t and %t, %s does not hear %v, %s does not hear %v", s.Ready, s.Reason,
				find(s, a).Member, find(s, b).Member, a, find(s, a).Unheard, b, find(s, b).Unheard)
		}
		return nil
	})
	if !tr.idle {
		tr.load.more(t, 10, func(w *worker) bool { return w.pinned == "" })
	}
}

// allHear is a status in which nobody is said not to hear another one.
func allHear(s bus.Status) error {
	for _, r := range s.Replicas {
		if len(r.Unheard) > 0 {
			return fmt.Errorf("%s does not hear %v", r.ID, r.Unheard)
		}
	}
	return nil
}

// saysWho: the pair is named by the master's log, by quartet doctor, and by the table of quartet
// status.
func (tr *trial) saysWho(t *testing.T) {
	t.Helper()
	tr.logs(t, "a replica does not hear another one, and the master hears both", tr.another(), tr.target)

	finding := fmt.Sprintf("%s does not hear %s", tr.another(), tr.target)
	o := tr.c.quartet(t, "doctor", "-o", "json")
	var diagnosis struct {
		Checks []struct{ What, State, Text, Remedy string }
	}
	if err := json.Unmarshal([]byte(o.stdout), &diagnosis); err != nil {
		t.Fatalf("quartet doctor: %v\n%s%s", err, o.stdout, o.stderr)
	}
	named, strong := false, false
	for _, c := range diagnosis.Checks {
		switch {
		case c.What == "network" && c.State == "finding":
			if strings.HasPrefix(c.Text, finding) && strings.Contains(c.Remedy, "network") {
				named = true
			}
		case c.What == "linearizable" && c.State == "ok":
			strong = true
		}
	}
	if !named || !strong || o.status != 1 {
		t.Errorf("quartet doctor: status %d, it names the pair: %t, a linearizable get is answered: %t\n%s", o.status,
			named, strong, o.stdout)
	}

	if o := tr.c.quartet(t, "status"); !strings.Contains(o.stdout, "does not hear "+tr.target) {
		t.Errorf("quartet status does not say %q:\n%s", finding, o.stdout)
	}
}

// logs waits for a line of the master's log that names one replica and the other.
func (tr *trial) logs(t *testing.T, what, id, other string) {
	t.Helper()
	name := filepath.Join(tr.c.logs, "m1.log")
	testkit.Eventually(t, healLimit, name+" says: "+what, func() error {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			names := strings.Contains(line, "replica="+id) && strings.HasSuffix(strings.TrimSpace(line), "="+other)
			if strings.Contains(line, what) && names {
				return nil
			}
		}
		return fmt.Errorf("no such line of %s and %s", id, other)
	})
}
