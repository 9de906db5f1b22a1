package succession

import (
	"errors"
	"slices"
	"testing"
)

// at returns a machine named n2 that has heard these beats and then nothing for some ticks.
func at(ticks uint64, heard ...Beat) *Machine {
	cfg := testConfig
	cfg.Name, cfg.Life = "n2", 2
	m := New(cfg)
	for _, b := range heard {
		m.Hear(b)
	}
	for range ticks {
		m.Tick()
	}
	return m
}

func TestM1WhenAWaitingMasterTakesOver(t *testing.T) {
	leads := Beat{Name: "n1", Life: 1, Role: Leading, Incarnation: 7}
	unable, gone := leads, leads
	unable.Unable, gone.Role = true, Gone
	another := Beat{Name: "n1", Life: 9, Role: Waiting}
	for _, c := range []struct {
		what  string
		heard []Beat
		ticks uint64
		takes bool
	}{
		{"alone, before the suspicion time", nil, 99, false},
		{"alone", nil, 100, true},
		{"one leads", []Beat{leads}, 99, false},
		{"it is silent", []Beat{leads}, 100, true},
		{"it says that it ends", []Beat{leads, gone}, 1, true},
		{"its process is another", []Beat{leads, another}, 49, false},
		{"its process is another, which comes first by name", []Beat{leads, another}, 50, true},
		{"it forms no view", []Beat{unable}, 99, false},
		{"it has formed none for long", []Beat{unable}, 100, true},
		{"a later one by name waits, too", []Beat{{Name: "n3", Life: 3, Role: Waiting}}, 100, true},
		{"another hears one", []Beat{{Name: "n3", Life: 3, Role: Waiting, Hears: "n1"}}, 99, false},
		{"another takes this one for it", []Beat{{Name: "n3", Life: 3, Role: Waiting, Hears: "n2"}}, 100, true},
		{"another comes", []Beat{leads, gone, {Name: "n3", Life: 3, Role: Coming}}, 99, false},
	} {

		m := at(c.ticks, c.heard...)
		if takes := slices.Contains(m.Acts(), Take); takes != c.takes {
			t.Errorf("%s, %d ticks: takes over: %t", c.what, c.ticks, takes)
		}
	}
}

// Whose process has ended is not waited for, whatever it was; but what is known of an earlier
// process says nothing of the one that is there.
func TestM8AProcessThatHasEnded(t *testing.T) {
	leads := Beat{Name: "n1", Life: 1, Role: Leading, Incarnation: 7}
	for _, c := range []struct {
		what        string
		life, ticks uint64
		before      []Beat
		isNews      bool
		takes       bool
	}{
		{"of the one that leads", 1, 1, []Beat{leads}, true, true},
		{"of an earlier one of that name", 9, 99, []Beat{leads}, false, false},
		{"of the one that would take over first", 1, 100, []Beat{{Name: "n1", Life: 1, Role: Waiting}}, true, true},
		{"of nobody who was heard", 1, 99, nil, false, false},
		{"that it has said itself", 1, 1, []Beat{leads, {Name: "n1", Life: 1, Role: Gone}}, false, true},
	} {
		m := at(0, c.before...)
		if isNews := m.Ended("n1", c.life); isNews != c.isNews {
			t.Errorf("the end %s: news: %t", c.what, isNews)
		}
		for range c.ticks {
			m.Tick()
		}
		if takes := slices.Contains(m.Acts(), Take); takes != c.takes {
			t.Errorf("the end %s, %d ticks: takes over: %t", c.what, c.ticks, takes)
		}
	}

	m := at(0, leads)
	m.Ended("n1", 1)
	m.Hear(leads) // it was not true
	m.Tick()
	if slices.Contains(m.Acts(), Take) {
		t.Error("one that leads is not believed since it was said that it had ended")
	}
}

func TestM4WhenALeaderStepsBack(t *testing.T) {
	for _, c := range []struct {
		what  string
		own   uint64
		heard Beat
		steps bool
	}{
		{"one with a greater incarnation", 5, Beat{Name: "n1", Life: 1, Role: Leading, Incarnation: 6}, true},
		{"one with a lesser", 5, Beat{Name: "n1", Life: 1, Role: Leading, Incarnation: 4}, false},
		{"one that has only begun", 5, Beat{Name: "n1", Life: 1, Role: Leading}, false},
		{"both have only begun, it is the first by name", 0, Beat{Name: "n1", Life: 1, Role: Leading}, true},
		{"both have only begun, this is the first by name", 0, Beat{Name: "n3", Life: 1, Role: Leading}, false},
		{"one that leaves, with a greater incarnation", 5, Beat{Name: "n1", Life: 1, Role: Leaving, Incarnation: 6}, true},
		{"one that waits", 5, Beat{Name: "n1", Life: 1, Role: Waiting, Incarnation: 6}, false},
		{"its own beat", 5, Beat{Name: "n2", Life: 2, Role: Leading, Incarnation: 6}, false},
		{"one without a name", 5, Beat{Life: 1, Role: Leading, Incarnation: 6}, false},
		{"no role", 5, Beat{Name: "n1", Life: 1, Role: 77, Incarnation: 6}, false},
	} {
		m := at(100)
		if m.Led(c.own, 1); m.Role() != Leading {
			t.Fatal(m.Role())
		}
		m.Acts()
		m.Hear(c.heard)
		if steps := slices.Contains(m.Acts(), StepBack); steps != c.steps || (m.Role() == Waiting) != c.steps {
			t.Errorf("%s: steps back: %t, %s", c.what, steps, m.Role())
		}
	}
}

// Who was deposed is more patient each time, and as at first after a calm time.
func TestM5PatienceGrows(t *testing.T) {
	m := at(100)
	for _, want := range []uint64{200, 400, 800, 1600, 3200, 3200} {
		m.Led(5, 1)
		m.Superseded()
		n := uint64(0)
		for m.Role() == Waiting {
			m.Tick()
			if n++; n > 10_000 {
				t.Fatal("it never takes over again")
			}
		}
		if n != want {
			t.Errorf("it takes over after %d ticks: want %d", n, want)
		}
	}
}

func TestLeadIsRefused(t *testing.T) {
	third := Beat{Name: "n3", Life: 3, Role: Waiting}
	if err := at(0, third).Lead("n3"); !errors.Is(err, ErrNotLeading) {
		t.Errorf("while it waits: %v", err)
	}
	m := at(100)
	if err := m.Lead("n3"); !errors.Is(err, ErrUnknown) {
		t.Errorf("to one that was never heard: %v", err)
	}
	if err := m.Lead("n2"); err != nil || m.Role() != Leading {
		t.Errorf("to itself: %v, %s", err, m.Role())
	}
	m.Hear(third)
	if err := m.Lead("n3"); err != nil {
		t.Error(err)
	}
	if err := m.Lead("n3"); !errors.Is(err, ErrHandsOver) {
		t.Errorf("twice: %v", err)
	}
	for range testConfig.Handover {
		m.Tick()
	}
	if m.Role() != Leading {
		t.Errorf("the next one is never ready, and this one %s", m.Role())
	}
}

// A master that stops tries each that stands by, and ends without them.
func TestStoppingTriesAll(t *testing.T) {
	m := at(100)
	for _, name := range []string{"n1", "n3"} {
		m.Hear(Beat{Name: name, Life: 4, Role: Waiting})
	}
	m.Acts()
	m.Stop()
	var tried []string
	for range 5 * testConfig.Handover {
		if b, _ := m.Beat(); b.Role == Leaving && !slices.Contains(tried, b.Next) {
			tried = append(tried, b.Next)
		}
		for _, name := range []string{"n1", "n3"} {
			m.Hear(Beat{Name: name, Life: 4, Role: Waiting})
		}
		m.Tick()
	}
	if !slices.Equal(tried, []string{"n1", "n3", ""}) || !slices.Equal(m.Acts(), []Act{Release}) {
		t.Errorf("tried %q", tried)
	}
	m.Released()
	if !slices.Equal(m.Acts(), []Act{End}) || m.Role() != Gone {
		t.Errorf("it has answered all that was left, and is not at its end: %s", m.Role())
	}
}
