package peers

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A gap counts if it ends after the machine was killed, of whichever client.
func TestGaps(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms ...int) (list []time.Time) {
		for _, m := range ms {
			list = append(list, start.Add(time.Duration(m)*time.Millisecond))
		}
		return list
	}
	clients := []*gapClient{
		{acked: at(0, 500, 510, 900)},     // its longest is before the kill
		{acked: at(490, 499, 700, 710)},   // 201
		{acked: at(480, 498, 1500, 1510)}, // 1002
	}
	worst, typical, service := gaps(clients, at(500)[0])
	if worst != 1002*time.Millisecond || typical != 390*time.Millisecond || service != 600*time.Millisecond {
		t.Errorf("%s, %s, %s", worst, typical, service)
	}
}

func TestWhoIsServedAgain(t *testing.T) {
	start := time.Unix(1000, 0)
	c := &gapClient{}
	for ms := 0; ms <= 3000; ms += 100 {
		c.acked = append(c.acked, start.Add(time.Duration(ms)*time.Millisecond))
	}
	for _, one := range []struct {
		now, since int
		want       bool
	}{
		{3000, 0, true}, {3000, 1900, true}, {3000, 2100, false}, {3300, 0, false}, {3200, 0, true},
	} {
		now, since := start.Add(time.Duration(one.now)*time.Millisecond), start.Add(time.Duration(one.since)*time.Millisecond)
		if got := c.isCalm(now, since); got != one.want {
			t.Errorf("at %d, since %d: %t", one.now, one.since, got)
		}
	}
}

func TestFailuresAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gaps.jsonl")
	one := Failure{System: failEtcd, Victim: VictimLeader, Worst: 2 * time.Second, Typical: time.Second, Service: time.Second}
	two := one
	two.Worst = 3 * time.Second
	if all, err := KeepFailures(file, []Failure{one}); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	all, err := KeepFailures(file, []Failure{two})
	if err != nil || len(all) != 2 || all[1] != two {
		t.Fatal(all, err)
	}
	table := FailureTable(all)
	if !strings.Contains(table, "3000 (2000-3000) ms") || strings.Contains(table, failNATS) {
		t.Error(table)
	}
}

func TestImpossibleFailovers(t *testing.T) {
	for _, change := range []func(*FailoverOptions){
		func(o *FailoverOptions) { o.Systems = nil },
		func(o *FailoverOptions) { o.Systems = []string{"redis"} },
		func(o *FailoverOptions) { o.Systems = []string{failEtcd, failEtcd} },
		func(o *FailoverOptions) { o.Rounds = 0 },
		func(o *FailoverOptions) { o.Talk = nil },
	} {
		o := FailoverDefaults()
		change(&o)
		if _, err := Failover(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
