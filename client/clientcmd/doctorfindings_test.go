package clientcmd_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/trouble"
	"quartet/client/internal/responder"
)

// allMembers is a status in which nothing is wrong, on disks.
func allMembers(s *bus.Status) {
	s.Data, s.Sync, s.Survives = bus.DataDisk, "interval", "survives kill -9 of every process"
	for i := range s.Replicas {
		r := &s.Replicas[i]
		r.Member, r.Supervised, r.Data, r.Sync = true, true, bus.DataDisk, "interval"
	}
}

// Whatever a status says is found, named, and advised on.
func TestDoctorReadsTheStatus(t *testing.T) {
	r := responder.Start(t, nil)
	for name, c := range map[string]struct {
		change func(*bus.Status)
		want   []string // checks
		remedy string   // a part of one
		status int
	}{
		"nothing": {func(*bus.Status) {}, []string{
			"ok cluster: ready", "ok durability: data: disk, sync interval; what is acknowledged survives kill -9 of every process",
		}, "", exit.StatusOK},
		"data in memory": {
			func(s *bus.Status) { s.Data, s.Sync = bus.DataMemory, "" },
			[]string{"note durability: data are in memory"}, "--dir", exit.StatusOK,
		},
		"one in memory": {func(s *bus.Status) {
			s.Data, s.Replicas[1].Data, s.Survives = bus.DataMixed, bus.DataMemory, "survives kill -9 of every process; in memory only: r2"
		}, []string{"note durability: members differ: in memory r2, the others on disk, sync interval; what is " +
			"acknowledged survives kill -9 of every process; in memory only: r2"}, "start those in memory anew", exit.StatusOK},
		"nobody has said it": {
			func(s *bus.Status) { s.Data, s.Sync, s.Survives = "", "", "" },
			[]string{"note durability: no member has said yet"}, "next view", exit.StatusOK,
		},
		"one has not said it": {
			func(s *bus.Status) { s.Replicas[2].Data = "" },
			[]string{"ok durability: ", "note durability: not said by r3"}, "flags", exit.StatusOK,
		},
		"a link is cut one way": {func(s *bus.Status) {
			s.Replicas[0].Unheard = []string{"r3"}
		}, []string{"finding network: r1 does not hear r3, and the master hears both"}, "nats server list", exit.StatusFailed},
		"two links are cut": {func(s *bus.Status) {
			s.Replicas[0].Unheard, s.Replicas[2].Unheard = []string{"r2", "r3"}, []string{"r1"}
		}, []string{
			"finding network: r1 does not hear r2, r3", "finding network: r3 does not hear r1",
		}, "nats server list", exit.StatusFailed},
		"the disk is full": {
			func(s *bus.Status) { s.Reason = trouble.DiskFull.Say("3 MiB", "64 MiB") },
			[]string{"finding cluster: the disk is full: 3 MiB left"}, "make room", exit.StatusFailed,
		},
		"the record is lost": {
			func(s *bus.Status) { s.Ready, s.Reason = false, trouble.RecordUnsure.Say(7, "r2") },
			[]string{"finding cluster: not ready: the record of the views is lost"}, "quartet recover",
			exit.StatusFailed,
		},
		"the next change fails": {
			func(s *bus.Status) { s.Warnings = []string{trouble.NextChangeFails.Say("no quorum")} },
			[]string{"finding next fault: the next change of the view will fail: no quorum"}, "JetStream bucket",
			exit.StatusFailed,
		},
		"the next death is much": {
			func(s *bus.Status) { s.Warnings = []string{trouble.NoSpare.Say(2, 3, 2)} },
			[]string{"finding next fault: the next death of a replica"}, "quartet replica --id", exit.StatusFailed,
		},
		"two of one name": {
			func(s *bus.Status) { s.Warnings = []string{trouble.Doubled.Say("r2", 77, "noon")} },
			[]string{"finding next fault: another process of replica r2 is at work (pid 77"}, "end that process",
			exit.StatusFailed,
		},
		"a replica is elsewhere": {
			func(s *bus.Status) { s.Replicas[1].Supervised = false },
			[]string{"note supervision: r2 was started elsewhere"}, "master that started", exit.StatusOK,
		},
		"a process keeps ending": {
			func(s *bus.Status) { s.Replicas[1].Restarts, s.Replicas[1].LastError = 4, "exit status 7" },
			[]string{"finding r2: its process ended 4 times lately: exit status 7"}, "r2.log", exit.StatusFailed,
		},
		"a process has ended": {
			func(s *bus.Status) { s.Replicas[1].Restarts, s.Replicas[1].LastError = 1, "signal: killed" },
			[]string{"finding r2: its process ended 1 time lately: signal: killed"}, "r2.log", exit.StatusFailed,
		},
		"one member": {
			func(s *bus.Status) { s.Replicas = s.Replicas[:1] }, []string{"note replicas: 1 member"},
			"quartet replica --id", exit.StatusOK,
		},
		"two members": {
			func(s *bus.Status) { s.Replicas = s.Replicas[:2] }, []string{"note replicas: 2 members"},
			"quartet replica --id", exit.StatusOK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.Tell(func(s *bus.Status) { allMembers(s); c.change(s) })
			w := world{env: map[string]string{"NATS_URL": r.URL}}
			d, lines := doctor(t, &w)
			for _, want := range c.want {
				if !strings.Contains(lines, want) {
					t.Errorf("no %q in\n%s", want, lines)
				}
			}

			remedies := ""
			for _, check := range d.Checks {
				remedies += check.Remedy + "\n"
			}
			if !strings.Contains(remedies, c.remedy) || w.status != c.status {
				t.Errorf("status %d; no %q among\n%s\n%s", w.status, c.remedy, remedies, lines)
			}
		})
	}
}

// What to do about a replica that is no member depends on why: for one that stands still, or waits
// with a cluster that waits for others, nothing comes of a moment's waiting.
func TestDoctorSaysWhatHelpsWhoIsNoMember(t *testing.T) {
	r := responder.Start(t, nil)
	for _, c := range []struct {
		ready                 bool
		phase, reason, remedy string
	}{
		{true, "member", "it does not answer (its process was started elsewhere)", "reaches the NATS server (r2.log)"},
		{true, "caught", "it is loaded and waits for the next view", "look again in a moment"},
		{false, "caught", "it is loaded and waits for the next view", "cluster above comes first"},
		{false, "wedged", "it has not installed the view yet", "cluster above comes first"},
	} {
		r.Tell(func(s *bus.Status) {
			allMembers(s)
			if s.Ready = c.ready; !c.ready {
				s.Reason = trouble.Emptied.Say("r1, r3", 3, 2)
			}
			s.Replicas[1].Member, s.Replicas[1].Phase, s.Replicas[1].Reason = false, c.phase, c.reason
		})

		w := world{env: map[string]string{"NATS_URL": r.URL}}
		d, lines := doctor(t, &w)
		said := false
		for _, check := range d.Checks {
			if check.What == "r2" {
				said = strings.Contains(check.Remedy, c.remedy)
			}
		}
		if !said || w.status != exit.StatusFailed {
			t.Errorf("%+v: status %d\n%s", c, w.status, lines)
		}
	}
}

// A stream that somebody has made on the cluster's subjects is named, with the subjects that
// it takes: it acknowledges requests that only the cluster should answer.
func TestDoctorFindsAStreamOnTheSubjects(t *testing.T) {
	r := responder.Start(t, nil)
	r.Tell(allMembers)
	r.TakeBatches(t, 8)
	nc, err := nats.Connect(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		subjects, takes []string
	}{
		{[]string{"quartet.>"}, []string{"quartet.request", "quartet.batch", "quartet.read", "quartet.status"}},
		{[]string{"quartet.request"}, []string{"quartet.request"}},
		{[]string{"quartets.>", "quartet"}, nil},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: "AUDIT", Subjects: c.subjects, Storage: jetstream.MemoryStorage,
		}); err != nil {
			t.Fatal(err)
		}
		w := world{env: map[string]string{"NATS_URL": r.URL}}
		_, lines := doctor(t, &w)
		for _, subject := range []string{"quartet.request", "quartet.batch", "quartet.read", "quartet.status"} {
			found := strings.Contains(lines, "finding streams: stream AUDIT takes "+subject+": ")
			wanted := strings.Contains(strings.Join(c.takes, " ")+" ", subject+" ")
			if found != wanted {
				t.Errorf("a stream of %q takes %s: found %t\n%s", c.subjects, subject, found, lines)
			}
		}

		// Its acknowledgements are passed over: the cluster itself is as well as ever.
		for _, want := range []string{"ok cluster: ready", "ok linearizable: a get was answered", "ok eventual: a get was answered"} {
			if !strings.Contains(lines, want) {
				t.Errorf("with a stream of %q there is no %q:\n%s", c.subjects, want, lines)
			}
		}
		if failed := w.status == exit.StatusFailed; failed != (len(c.takes) > 0) {
			t.Errorf("a stream of %q: status %d\n%s", c.subjects, w.status, lines)
		}
		if err := js.DeleteStream(ctx, "AUDIT"); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}

// One model that hangs is blamed alone: the others have time of their own.
func TestDoctorBlamesTheModelThatHangs(t *testing.T) {
	t.Parallel()
	r := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Ignore: call.Request.Model == model.Sequential}
	})
	r.Tell(allMembers)
	w := world{env: map[string]string{"NATS_URL": r.URL}}
	_, lines := doctor(t, &w)
	for _, want := range []string{
		"ok linearizable: a get was answered", "finding sequential: a get had no answer within",
		"ok causal: a get was answered", "ok eventual: a get was answered", "ok permissions",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	if strings.Count(lines, "finding") != 1 || w.status != exit.StatusFailed {
		t.Errorf("status %d\n%s", w.status, lines)
	}
}
