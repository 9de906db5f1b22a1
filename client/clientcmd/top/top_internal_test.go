package top

import (
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/client/clientcmd/console"
)

func TestTopComparesTwoLooks(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := &sample{
		at: began,
		status: bus.Status{
			Replicas: []bus.ReplicaStatus{
				{ID: "r1", Member: true, Position: 100}, {ID: "r2", Member: true, Position: 90},
			},
		},
	}
	before.stats = bus.Report{
		Started: began,
		Groups:  []bus.ReportGroup{{Consistency: "causal", Request: "get", Count: 12, Timed: 10, Failed: 1, Mean: 100}},
	}
	now := &sample{at: began.Add(2 * time.Second), status: bus.Status{
		Ready: true, Master: bus.MasterStatus{ID: "m1", Last: 50},
		Replicas: []bus.ReplicaStatus{
			{ID: "r1", Member: true, Position: 300, Safe: 50},
			{ID: "r2", Member: true, Position: 250, Safe: 43, Queue: 7}, {ID: "r4", Phase: "learning", Position: 5},
		},
	}}
	now.stats = bus.Report{
		Started: began,
		Groups: []bus.ReportGroup{
			{Consistency: "causal", Request: "get", Count: 32, Timed: 30, Failed: 5, Mean: 200},
			{Consistency: "eventual", Request: "set", Count: 8, Timed: 8, Mean: 50},
		},
	}

	v := compare(before, now)
	r2, r4 := v.Replicas[1], v.Replicas[2]
	if r2.Rate != 80 || r2.Behind != 50 || r2.Lag != 7 || r4.Rate != 0 || r4.Lag != 50 || r4.Behind != 295 {
		t.Errorf("replicas %+v", v.Replicas)
	}
	if get, set := v.Requests[0], v.Requests[1]; get.Rate != 10 || get.Failed != 2 || get.Mean != 250 ||
		set.Rate != 4 || set.Mean != 50 || v.Master.Rate != 14 {
		t.Errorf("requests %+v", v.Requests)
	}

	text := v.table(console.Palette{})
	for _, want := range []string{"ready", "no, learning", "250µs", "QUEUE"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	// A master that was started anew counts from 0; nothing becomes negative or endless.
	now.stats.Started = began.Add(time.Second)
	if v := compare(before, now); v.Requests[0].Rate != 16 {
		t.Errorf("of a new master: %+v", v.Requests)
	}
	if v := compare(now, now); v.Master.Rate != 0 || v.Requests[0].Mean != 0 {
		t.Errorf("of one moment: %+v", v.Requests)
	}
}

func TestFit(t *testing.T) {
	for line, want := range map[string]string{
		"abc": "abc", "abcdefg": "abcde", "\x1b[31mabcdefg\x1b[0m": "\x1b[31mabcde\x1b[0m", "äöüßxy": "äöüßx",
	} {
		if got := fit(line, 5); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
