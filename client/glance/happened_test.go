package glance_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/trouble"
	"quartet/client/glance"
)

func TestWhatHasHappened(t *testing.T) {
	well := func() *glance.Look {
		return &glance.Look{Status: bus.Status{
			Ready: true, Epoch: 3, Master: bus.MasterStatus{ID: "m1", Incarnation: 1},
			Replicas: []bus.ReplicaStatus{{ID: "r1", Member: true}, {ID: "r2", Member: true}, {ID: "r3", Member: true}},
		}}
	}

	for name, test := range map[string]struct {
		change func(before, now *bus.Status)
		want   []string
	}{
		"nothing": {func(_, _ *bus.Status) {}, nil},
		"a process has ended, and its replica is out": {func(_, now *bus.Status) {
			now.Epoch = 4
			now.Replicas[1] = bus.ReplicaStatus{ID: "r2", Restarts: 1, LastError: "signal: killed", Reason: "it is being loaded"}
		}, []string{
			"2 the process of r2 has ended: signal: killed", "2 r2 is out of the view: it is being loaded", "0 view 4: r1, r3",
		}},
		"it is back": {func(before, now *bus.Status) {
			before.Replicas[1].Member, now.Epoch = false, 5
		}, []string{"1 r2 is a member", "0 view 5: r1, r2, r3"}},
		"it was out and is back, with its disk": {func(before, now *bus.Status) {
			before.Replicas[1].PID, now.Replicas[1].PID, now.Replicas[1].Restarts, now.Epoch = 17, 18, 1, 5
		}, []string{"2 the process of r2 has ended", "1 r2 is a member again", "0 view 5: r1, r2, r3"}},
		"it was out and is back, elsewhere": {func(before, now *bus.Status) {
			before.Replicas[1].Incarnation, now.Replicas[1].Incarnation, now.Epoch = 1, 2, 5
		}, []string{"1 r2 is a member again", "0 view 5: r1, r2, r3"}},
		"no majority": {func(_, now *bus.Status) {
			now.Ready, now.Reason = false, "only one can be reached"
		}, []string{"2 not ready: only one can be reached"}},
		"ready again": {func(before, _ *bus.Status) { before.Ready = false }, []string{"1 ready: all four models are served"}},
		"another master": {func(_, now *bus.Status) {
			now.Master = bus.MasterStatus{ID: "m1", Incarnation: 2, PID: 17}
		}, []string{"0 another master leads: m1, pid 17"}},
		"one more, one less": {func(_, now *bus.Status) {
			now.Replicas[2] = bus.ReplicaStatus{ID: "r4"}
		}, []string{"0 r4 has come to the cluster", "0 r3 has been removed from the cluster"}},
	} {
		before, now := well(), well()
		now.At = time.Unix(1, 0)
		test.change(&before.Status, &now.Status)
		var got []string
		for _, h := range append(glance.Ended(before, now), glance.Happened(before, now)...) {
			got = append(got, string('0'+rune(h.Grave))+" "+h.Text)
			if !h.At.Equal(now.At) {
				t.Errorf("%s: at %s", name, h.At)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Between two views nobody is a member, which is no news.
func TestWhatIsSettled(t *testing.T) {
	for reason, want := range map[string]bool{
		"": true, trouble.Changing.Say(): false, trouble.Installing.Say("r1, r2"): false, trouble.TooFew.Say(1, 3, 2, "r2, r3"): true,
		"something that a later version says": true,
	} {
		if got := glance.Settled(&bus.Status{Reason: reason}); got != want {
			t.Errorf("%q: %t", reason, got)
		}
	}
}

func TestRemarks(t *testing.T) {
	for want, r := range map[string]bus.ReplicaStatus{
		"":                                      {},
		"it is being loaded; does not hear r2":  {Reason: "it is being loaded", Unheard: []string{"r2"}},
		"ended lately: killed":                  {Restarts: 1, LastError: "killed"},
		"it was killed; ended 3 times in a row": {Reason: "it was killed", Restarts: 3, LastError: "killed"},
	} {
		if got := glance.Remark(&r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
