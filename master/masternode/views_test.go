package masternode

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/server"
	"quartet/bus/testkit"
	"quartet/master"
	"quartet/master/membership/register"
)

// shell is a node without a bus, which knows a record.
func shell(t *testing.T, newest *message.Record, change func(*Options)) (*node, *bytes.Buffer) {
	t.Helper()
	s := supervised(t, "mute", change)
	var said bytes.Buffer
	s.opts.Log = slog.New(slog.NewTextHandler(&said, nil))
	subjects, err := bus.NewSubjects(s.opts.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	return &node{
		opts: s.opts, subjects: subjects, dir: s.dir, super: s, views: views{newest: newest},
		phases: map[lamport.Node]message.Phase{},
	}, &said
}

func recordOf(epoch uint64, replicas ...lamport.Node) *message.Record {
	r := &message.Record{View: message.View{Epoch: epoch}, Configured: replicas}
	for _, n := range replicas {
		r.Members = append(r.Members, message.Member{Node: n, Incarnation: 1})
	}
	return r
}

// At its first start a cluster has the replicas that the options say, and they are this
// master's own; later the record says which there are.
func TestReplicaSet(t *testing.T) {
	n, _ := shell(t, nil, nil)
	set, err := n.replicaSet()
	if err != nil || !slices.Equal(set, []lamport.Node{1, 2}) {
		t.Errorf("%v, %v", set, err)
	}
	if kept := readRecord(t, n.dir.path); !slices.Equal(kept.Own, []string{"r1", "r2"}) {
		t.Errorf("before anything is started it is kept that they are %v", kept.Own)
	}
	n, said := shell(t, recordOf(7, 1, 3, 4), nil)
	n.dir.record.Own = []string{"r1", "r3"}
	if set, err = n.replicaSet(); err != nil || !slices.Equal(set, []lamport.Node{1, 3, 4}) {
		t.Errorf("%v, %v", set, err)
	}
	if own := n.super.own(); !slices.Equal(own, []lamport.Node{1, 3}) {
		t.Errorf("a replica from elsewhere is started here, or one of our own is not: %v", own)
	}
	if !strings.Contains(said.String(), "another number of replicas") {
		t.Errorf("nothing is said of --replicas: %s", said)
	}
}

// A cluster in memory is gone when no replica of it can run any more, and not before.
func TestLostClusters(t *testing.T) {
	there, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Shutdown()
	nc, err := nats.Connect(there.NodeURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()

	for name, c := range map[string]struct {
		newest *message.Record
		own    []string
		dir    bool
		lives  bool
		want   bool
	}{
		"all dead":               {recordOf(3, 1, 2), []string{"r1", "r2"}, false, false, true},
		"there was none":         {nil, []string{"r1", "r2"}, false, false, false},
		"one lives":              {recordOf(3, 1, 2), []string{"r1", "r2"}, false, true, false},
		"one runs elsewhere":     {recordOf(3, 1, 2, 3), []string{"r1", "r2"}, false, false, false},
		"all run elsewhere":      {recordOf(3, 1, 2), nil, false, false, false},
		"the data are on a disk": {recordOf(3, 1, 2), []string{"r1", "r2"}, true, false, false},
	} {
		n, _ := shell(t, c.newest, func(o *Options) {
			if c.dir {
				o.Memory, o.Dir = false, t.TempDir()
			}
		})

		n.dir.record.Own = c.own
		n.nodes = nc
		if c.lives {
			started(t, n.super, 1)
		}
		if got := n.lost(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}

		// This directory may be a copy of the one whose replicas they are.
		sub, err := nc.SubscribeSync("quartet.node.r2")
		if err != nil {
			t.Fatal(err)
		}
		if n.lost() {
			t.Errorf("%s: lost, although r2 is there", name)
		}
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}

// The process of a replica that a record does not have any more ends, and stays so.
func TestRemovedReplicaEnds(t *testing.T) {
	n, _ := shell(t, recordOf(3, 1, 2), nil)
	n.dir.record.Own = []string{"r1", "r2"}
	stays, pid := started(t, n.super, 1), started(t, n.super, 2)
	n.learn(recordOf(2, 1)) // old news
	if own := n.super.own(); len(own) != 2 {
		t.Fatalf("an older record counts: %v", own)
	}
	n.learn(recordOf(4, 1))
	testkit.Await(t, "r2 has ended and that is kept", func() bool {
		n.super.step(time.Now())
		kept := readRecord(t, n.dir.path)
		return !alive(pid) && slices.Equal(kept.Own, []string{"r1"})
	})
	if !alive(stays) {
		t.Error("r1 has ended, too")
	}
}

// What status says of a replica whose process does not stay.
func TestStatusOfProcesses(t *testing.T) {
	n, _ := shell(t, recordOf(3, 1, 2), func(o *Options) { t.Setenv(role, "") }) // it says "no replica today" and ends
	if err := n.super.spawn(1); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, "r1 has ended", func() bool { return len(n.super.step(time.Now())) > 0 })
	n.noteHello(&message.Hello{Header: message.Header{From: 2}, Phase: message.PhaseLearning})
	n.noteHello(&message.Report{Header: message.Header{From: 1}})
	s := n.statusOf(&master.Status{
		Ready: true, Epoch: 3,
		Replicas: []master.ReplicaStatus{{Node: 1, PID: 77, Reason: "it is gone"}, {Node: 2, PID: 78, Reason: "it is being loaded"}},
	})
	r1, r2 := s.Replicas[0], s.Replicas[1]
	if r1.Restarts != 1 || !strings.Contains(r1.LastError, "no replica today") ||
		!strings.Contains(r1.Reason, "ended") || r1.Phase != "member" {
		t.Errorf("%+v", r1)
	}
	if r2.Restarts != 0 || r2.LastError != "" || r2.Reason != "it is being loaded" || r2.Phase != "learning" {
		t.Errorf("%+v", r2)
	}
	if !s.Ready || s.Data != "" || s.Sync != "" { // no member has said it yet
		t.Errorf("%+v", s)
	}
}

// With --memory the newest record outlives its master three times over: a later one takes the
// newest that can be read, and the directory itself is made again if a cleaner took it.
func TestRecordOfViewsInMemoryIsKept(t *testing.T) {
	there, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Shutdown()

	n, _ := shell(t, nil, nil)
	n.server = there
	whole := func(epoch uint64) *message.Record {
		r := recordOf(epoch, 1, 2)
		r.Cut, r.Master, r.Nonce = []uint64{}, 1, epoch
		return r
	}

	for i, spoil := range []func(path string) error{
		func(string) error { return nil },
		func(path string) error { return os.Truncate(filepath.Join(path, viewFile), 3) },
		func(path string) error { return os.Remove(filepath.Join(path, viewFile)) },
		func(path string) error {
			return errors.Join(os.Remove(filepath.Join(path, recordFile)), os.Truncate(filepath.Join(path, copyFile), 0))
		},
	} {
		if err := os.RemoveAll(n.dir.path); err != nil {
			t.Fatal(err)
		}
		n.keepView(whole(uint64(3 + i)))
		if err := spoil(n.dir.path); err != nil {
			t.Fatal(err)
		}

		next, _ := shell(t, nil, nil)
		next.server, next.dir = there, &runDir{path: n.dir.path}
		if err := next.dir.load(); err != nil {
			t.Fatal(err)
		}
		next.restoreView()
		if got := next.views.newest; got == nil || got.Epoch != uint64(3+i) {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

// On an embedded server a bucket that met a full disk is opened again once there is room, by
// nobody but the master; before that, and while all is well, nothing is restarted.
func TestTheRecordHealsAfterAFullDisk(t *testing.T) {
	dir := t.TempDir()
	testkit.MountDisk(t, dir, 16<<20)
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1", StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc := bustest.Dial(t, bus.DialOptions{URL: s.NodeURL()})
	n, _ := shell(t, nil, func(o *Options) { o.Memory, o.Dir = false, t.TempDir() })
	n.server = s
	if n.views.store, err = register.Open(t.Context(), nc, register.Options{Timeout: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	try := func() error {
		err := n.views.store.Try(t.Context())
		n.noteStore(err)
		n.heal(time.Now())
		return err
	}
	if err := try(); err != nil || n.views.healed != nil {
		t.Fatalf("all is well: %v, restarted: %v", err, n.views.healed != nil)
	}

	others := filepath.Join(dir, "others")
	testkit.FillDisk(t, others, 0)
	n.room.why = "the disk is full"
	for deadline := time.Now().Add(20 * time.Second); try() == nil; { // the last page takes some
		if time.Now().After(deadline) {
			t.Fatal("the full disk takes all")
		}
	}
	if n.views.healed != nil {
		t.Fatal("JetStream is restarted on a full disk")
	}

	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	n.room.why = ""
	for deadline := time.Now().Add(30 * time.Second); try() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("there is room, and the record cannot be written")
		}
	}
	if n.views.failing != "" || n.views.filled {
		t.Errorf("it has healed: %q, %v", n.views.failing, n.views.filled)
	}
}

// Two masters that start by one clock, which was set back, and hear of the same later one, go on
// above it under two incarnations (rule F12).
func TestTwoMastersDrawTwoIncarnations(t *testing.T) {
	later := uint64(time.Now().Add(time.Hour).UnixNano())
	drawn := map[uint64]bool{}
	for range 2 {
		n, _ := shell(t, nil, nil)
		m := master.New(n.machineConfig([]lamport.Node{1, 2}))
		hello := &message.Hello{Header: message.Header{From: 1, Incarnation: 5}, Phase: message.PhaseBoot, Master: later}
		m.Step(hello, &master.Output{})
		if now := m.Snapshot().Incarnation; now <= later {
			t.Errorf("incarnation %d, and one of %d is known", now, later)
		} else {
			drawn[now] = true
		}
	}
	if len(drawn) != 2 {
		t.Errorf("both go on as %v", drawn)
	}
}
