package glance_test

import (
	"testing"
	"time"

	"quartet/bus"
	"quartet/client/glance"
)

func TestTwoLooksAreCompared(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	before := &glance.Look{
		At: began,
		Status: bus.Status{
			Replicas: []bus.ReplicaStatus{
				{ID: "r1", Member: true, Position: 100}, {ID: "r2", Member: true, Position: 90},
			},
		},
	}
	before.Report = bus.Report{
		Started: began,
		Groups:  []bus.ReportGroup{{Consistency: "causal", Request: "get", Count: 12, Timed: 10, Failed: 1, Mean: 100}},
	}
	now := &glance.Look{At: began.Add(2 * time.Second), Status: bus.Status{
		Ready: true, Master: bus.MasterStatus{ID: "m1", Last: 50},
		Replicas: []bus.ReplicaStatus{
			{ID: "r1", Member: true, Position: 300, Safe: 50},
			{ID: "r2", Member: true, Position: 250, Safe: 43, Queue: 7}, {ID: "r4", Phase: "learning", Position: 5},
		},
	}}
	now.Report = bus.Report{
		Started: began,
		Groups: []bus.ReportGroup{
			{Consistency: "causal", Request: "get", Count: 32, Timed: 30, Failed: 5, Mean: 200},
			{Consistency: "eventual", Request: "set", Count: 8, Timed: 8, Mean: 50},
		},
	}

	v := glance.Compare(before, now)
	r2, r4 := v.Replicas[1], v.Replicas[2]
	if r2.Rate != 80 || r2.Behind != 50 || r2.Lag != 7 || r4.Rate != 0 || r4.Lag != 50 || r4.Behind != 295 {
		t.Errorf("replicas %+v", v.Replicas)
	}
	if get, set := v.Requests[0], v.Requests[1]; get.Rate != 10 || get.Failed != 2 || get.Mean != 250 ||
		set.Rate != 4 || set.Mean != 50 || v.Master.Rate != 14 {
		t.Errorf("requests %+v", v.Requests)
	}

	// A master that was started anew counts from 0; nothing becomes negative or endless.
	now.Report.Started = began.Add(time.Second)
	if v := glance.Compare(before, now); v.Requests[0].Rate != 16 {
		t.Errorf("of a new master: %+v", v.Requests)
	}
	if v := glance.Compare(now, now); v.Master.Rate != 0 || v.Requests[0].Mean != 0 {
		t.Errorf("of one moment: %+v", v.Requests)
	}
}
