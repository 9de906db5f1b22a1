package faults_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/bus/trouble"
	"quartet/client"
)

const (
	shorter = 400 * time.Millisecond // than the suspicion time, which is a second
	longer  = 3 * time.Second
	// outLimit is when a replica that does not take part any more must be out of the view:
	// the suspicion time and a change, with much room for a busy machine, and less than the
	// half minute after which the client library's own pings would end the connection.
	outLimit = 15 * time.Second
)

var scenarios = []scenario{
	{name: "kill a replica", memory: true, dir: true, inject: killOne},
	{name: "kill two of three", dir: true, inject: killTwo},
	{name: "kill two, recover", memory: true, inject: killTwoAndRecover},
	{name: "kill two of five", shape: shape{replicas: 5}, memory: true, dir: true, inject: killTwo},
	{name: "kill the master", memory: true, dir: true, inject: killMaster},
	{name: "kill everything", dir: true, inject: killEverything},
	{name: "pause a replica, short", memory: true, dir: true, inject: pauseShort},
	{name: "pause a replica, long", memory: true, dir: true, inject: pauseLong},
	{name: "pause the master, short", memory: true, inject: func(t *testing.T, tr *trial) { pauseMaster(t, tr, shorter) }},
	{name: "pause the master, long", memory: true, dir: true, inject: func(t *testing.T, tr *trial) { pauseMaster(t, tr, longer) }},
	{
		name: "pause master beside bus", shape: shape{external: true}, memory: true,
		inject: func(t *testing.T, tr *trial) { pauseMaster(t, tr, longer) },
	},
	{name: "cut off: to it", proxied: true, memory: true, dir: true, inject: func(t *testing.T, tr *trial) { cut(t, tr, toReplica) }},
	{name: "cut off: from it", proxied: true, memory: true, dir: true, inject: func(t *testing.T, tr *trial) { cut(t, tr, fromReplica) }},
	{
		name: "cut off: both ways", proxied: true, memory: true, dir: true,
		inject: func(t *testing.T, tr *trial) { cut(t, tr, toReplica, fromReplica) },
	},
	{
		name: "cut link: both ways", shape: shape{filtered: true}, memory: true, dir: true,
		inject: func(t *testing.T, tr *trial) { cutPair(t, tr, true) },
	},
	{
		name: "cut link: one way", shape: shape{filtered: true}, memory: true, dir: true,
		inject: func(t *testing.T, tr *trial) { cutPair(t, tr, false) },
	},
	{name: "cut link: flapping", shape: shape{filtered: true}, memory: true, dir: true, inject: flapPair},
	{name: "restart the bus", shape: shape{external: true}, memory: true, dir: true, inject: restartBus},
	{name: "kill master beside bus", shape: shape{external: true}, memory: true, dir: true, inject: killMaster},
	{name: "master without the record", shape: shape{servers: 3}, memory: true, dir: true, inject: masterWithoutRecord},
	{name: "rolling restart", memory: true, dir: true, inject: rollingRestart},
	{name: "join and remove", memory: true, dir: true, inject: joinAndRemove},
}

// short is what the default suite runs.
var short = []struct {
	name    string
	memory  bool
	traffic string
}{
	{"kill a replica", true, "mixed"},
	{"kill everything", false, "mixed"},
	{"cut off: both ways", true, "mixed"},
	{"pause a replica, long", false, "mixed"},
	{"cut link: both ways", true, "mixed"},
}

// under has the sessions get some more answers while the fault lasts.
func (tr *trial) under(t *testing.T, n int) {
	t.Helper()
	if !tr.idle {
		tr.load.more(t, n, func(w *worker) bool { return w.pinned == "" })
	}
}

// ended waits for the end of replicas' processes, and notes that their memory is lost.
func (tr *trial) ended(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		pid := find(tr.began, id).PID
		testkit.Eventually(t, stopLimit, id+"'s process has ended", func() error {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d still runs", pid)
			}
			return nil
		})
		if tr.c.memory {
			tr.lostAt[id] = now()
		}
	}
}

// anyhow is what any status is.
func anyhow(bus.Status) error { return nil }

func signal(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("signal %s to process %d: %v", sig, pid, err)
	}
}

// kill ends replicas as kill -9 does, all at once.
func (tr *trial) kill(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		signal(t, find(tr.began, id).PID, syscall.SIGKILL)
	}
	tr.ended(t, ids...)
}

// back waits until every replica is a member, those that were killed as new processes.
func (tr *trial) back(t *testing.T, killed ...string) {
	t.Helper()
	s := tr.c.await(t, healLimit, "the killed are members again", func(s bus.Status) error {
		for _, id := range killed {
			if find(s, id).PID == find(tr.began, id).PID {
				return fmt.Errorf("%s is the old process yet", id)
			}
		}
		return whole(tr.size)(s)
	})
	for _, id := range killed {
		if was, is := find(tr.began, id).Incarnation, find(s, id).Incarnation; tr.c.memory && is <= was {
			t.Errorf("%s lost its memory and has incarnation %d, had %d", id, is, was)
		}
	}
}

func killOne(t *testing.T, tr *trial) {
	tr.kill(t, tr.target)
	tr.under(t, 5)
	tr.back(t, tr.target)
}

// another is a replica that is not the target.
func (tr *trial) another() string {
	ids := tr.ids()
	return ids[(slices.Index(ids, tr.target)+1)%len(ids)]
}

func killTwo(t *testing.T, tr *trial) {
	tr.kill(t, tr.target, tr.another())
	if tr.size > 3 { // as many as may be missing
		tr.under(t, 5)
	}
	tr.back(t, tr.target, tr.another())
}

// killTwoAndRecover: with one of three left, and nothing of the others, everything strong
// is refused until an operator says that it is to go on.
func killTwoAndRecover(t *testing.T, tr *trial) {
	tr.reborn = now()
	tr.kill(t, tr.target, tr.another())
	tr.c.await(t, healLimit, "status says that it is not ready, and why", func(s bus.Status) error {
		if s.Ready || s.Reason == "" {
			return fmt.Errorf("ready %t: %q", s.Ready, s.Reason)
		}
		return nil
	})
	tr.refusals(t)
	if o := tr.c.quartet(t, "recover"); o.status != 1 || !strings.Contains(o.stdout, tr.target) ||
		!strings.Contains(o.stdout, tr.another()) {
		t.Errorf("quartet recover: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	tr.refusals(t) // it has only said what would be lost
	if o := tr.c.quartet(t, "recover", "--yes"); o.status != 0 {
		t.Errorf("quartet recover --yes: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	tr.back(t, tr.target, tr.another())
}

// refusals waits until strong requests and causal sets are refused as not executed, and
// sees that the others go on.
func (tr *trial) refusals(t *testing.T) {
	t.Helper()
	ask := tr.asker(t)
	for _, r := range []struct {
		model model.Consistency
		what  model.Type
	}{
		{model.Linearizable, model.Set}, {model.Linearizable, model.Get}, {model.Sequential, model.Set},
		{model.Sequential, model.Get}, {model.Causal, model.Set},
	} {
		testkit.Eventually(t, healLimit, fmt.Sprintf("a %s %s is refused", r.model.Word(), r.what.Word()), func() error {
			result, err := ask(r.model, r.what)
			if result.Code != model.Unavailable || !errors.Is(err, client.ErrUnavailable) || result.Reason == "" {
				return fmt.Errorf("code %d %q: %v", result.Code, result.Reason, err)
			}
			return nil
		})
	}
	tr.weak(t)
}

// weak sees that what needs no view is served.
func (tr *trial) weak(t *testing.T) {
	t.Helper()
	ask := tr.asker(t)
	for _, r := range []struct {
		model model.Consistency
		what  model.Type
	}{{model.Causal, model.Get}, {model.Eventual, model.Set}, {model.Eventual, model.Get}} {
		testkit.Eventually(t, healLimit, fmt.Sprintf("a %s %s goes on", r.model.Word(), r.what.Word()), func() error {
			_, err := ask(r.model, r.what)
			if errors.Is(err, client.ErrNotFound) {
				err = nil
			}
			return err
		})
	}
}

// asker returns what sends one request, in a session of its own, and does not send it again.
func (tr *trial) asker(t *testing.T) func(model.Consistency, model.Type) (client.Result, error) {
	t.Helper()
	c := connect(t, tr.c.url(), client.WithRetries(0), client.WithTimeout(patience))
	return func(m model.Consistency, what model.Type) (client.Result, error) {
		req := client.Request{Request: model.Request{Model: m, Type: what, Key: "mixed-a"}}
		if what == model.Set {
			req.Identity = fmt.Sprintf("refused-%d", now())
			req.Key, req.Value = once+req.Identity, []byte(req.Identity)
		}
		return tr.load.rec.do(context.Background(), c.Session(), fmt.Sprintf("probe%d", now()), req, false)
	}
}

func killMaster(t *testing.T, tr *trial) {
	tr.c.master.Kill()
	tr.masters++
	tr.c.start(t)
	tr.adopted(t)
}

// masterWithoutRecord: a master starts while the record of the views cannot be read, since two of
// three NATS servers are gone. What needs no view is served by the replicas that are at work; the
// rest is refused, with a reason, until the servers are back.
func masterWithoutRecord(t *testing.T, tr *trial) {
	for _, b := range tr.c.buses[1:] {
		b.p.Kill()
	}
	tr.awaitNoStore(t)
	tr.c.master.Kill()
	tr.masters++
	begun := now()
	tr.c.launch(t)
	tr.c.await(t, outLimit, "the new master says that the record is unread, and what will fail", func(s bus.Status) error {
		reason := trouble.Of(s.Reason) == trouble.RecordUnread
		warned := slices.ContainsFunc(s.Warnings, func(w string) bool { return trouble.Of(w) == trouble.NextChangeFails })
		if s.Ready || !reason || !warned || s.Master.PID != tr.c.master.PID() {
			return fmt.Errorf("ready %t, %q, warnings %q, process %d", s.Ready, s.Reason, s.Warnings, s.Master.PID)
		}
		return nil
	})
	tr.weak(t)
	tr.note("weak requests served %s after the start", time.Duration(now()-begun).Round(time.Millisecond))
	tr.refusals(t)
	if !tr.idle {
		tr.load.more(t, 5, func(w *worker) bool { return len(w.models) == 1 && w.models[0] == model.Eventual })
	}
	if tr.c.master.Gone() || readyLine.MatchString(tr.c.master.Stdout.String()) {
		t.Errorf("without the record the master has ended, or says that it is ready: %s", tr.c.master.Stdout.String())
	}

	for _, b := range tr.c.buses[1:] {
		b.start(t)
	}
	tr.over = now()
	tr.c.awaitReady(t)
	tr.adopted(t)
}

// awaitNoStore waits until the server that is left refuses what concerns streams: until it has
// found out that it is alone, which was seen to take 16 s, it may still answer reads.
func (tr *trial) awaitNoStore(t *testing.T) {
	t.Helper()
	js, err := jetstream.New(tr.c.nc)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, healLimit, "the store of the record is away", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := js.KeyValue(ctx, "quartet_views"); err == nil {
			return errors.New("it answers")
		}
		return nil
	})
}

// adopted sees that the new master goes on with the processes that it found.
func (tr *trial) adopted(t *testing.T) {
	t.Helper()
	s := tr.c.await(t, healLimit, "the cluster whole under the new master", whole(tr.size))
	if s.Master.PID != tr.c.master.PID() {
		t.Errorf("the master is %d, want %d", s.Master.PID, tr.c.master.PID())
	}
	for _, id := range tr.ids() {
		if was, is := find(tr.began, id), find(s, id); was.PID != is.PID || was.Incarnation != is.Incarnation {
			t.Errorf("%s was not adopted: process %d, incarnation %d; was %d, %d", id, is.PID, is.Incarnation, was.PID, was.Incarnation)
		}
	}
}

func killEverything(t *testing.T, tr *trial) {
	tr.c.master.Kill() // first: it would start the others again
	tr.kill(t, tr.ids()...)
	tr.masters++
	tr.c.start(t)
	tr.back(t, tr.ids()...)
}

// pause stops a process for a while. That is the fault; nothing else waits for it.
func pause(t *testing.T, pid int, d time.Duration) {
	t.Helper()
	signal(t, pid, syscall.SIGSTOP)
	wait(context.Background(), d)
	signal(t, pid, syscall.SIGCONT)
}

func pauseShort(t *testing.T, tr *trial) {
	pause(t, find(tr.began, tr.target).PID, shorter)
	tr.over = now()
	tr.under(t, 5)
}

func outside(id string) func(bus.Status) error {
	return func(s bus.Status) error {
		if r := find(s, id); r.Member || !s.Ready {
			return fmt.Errorf("ready %t (%s), %s a member: %t", s.Ready, s.Reason, id, r.Member)
		}
		return nil
	}
}

// pauseLong: the others go on without the paused one, which finds that out when it wakes.
func pauseLong(t *testing.T, tr *trial) {
	pid := find(tr.began, tr.target).PID
	signal(t, pid, syscall.SIGSTOP)
	tr.c.await(t, outLimit, tr.target+" is removed", outside(tr.target))
	tr.under(t, 10)
	tr.refusedAt(t, tr.target)
	signal(t, pid, syscall.SIGCONT)
	tr.over = now()
	s := tr.c.await(t, healLimit, tr.target+" is a member again", whole(tr.size))
	if is := find(s, tr.target).PID; is != pid {
		t.Errorf("%s is process %d, was %d: it was to wake and find out", tr.target, is, pid)
	}
}

// refusedAt sees that a replica which is no member is not asked for anything strong.
func (tr *trial) refusedAt(t *testing.T, id string) {
	t.Helper()
	c := connect(t, tr.c.url(), client.WithRetries(0), client.WithTimeout(patience))
	req := client.Request{Request: model.NewGet(model.Linearizable, "mixed-a"), Options: bus.Options{Replica: id}}
	result, err := tr.load.rec.do(context.Background(), c.Session(), fmt.Sprintf("probe%d", now()), req, false)
	if result.Code != model.Unavailable {
		t.Errorf("%s is out and is asked: code %d, %v", id, result.Code, err)
	}
}

// pauseMaster stops the master and, where it embeds it, the bus.
func pauseMaster(t *testing.T, tr *trial, d time.Duration) {
	pause(t, tr.c.master.PID(), d)
	tr.over = now()
	tr.under(t, 5)
}

// cut holds what goes to the fourth replica, or comes from it, until it is removed. In
// every other round what was held arrives after all; else the connection breaks.
func cut(t *testing.T, tr *trial, ways ...direction) {
	broken := tr.seed%2 == 1
	tr.proxy.hold(ways...)
	tr.c.await(t, outLimit, tr.target+" is removed", outside(tr.target))
	tr.under(t, 10)
	tr.refusedAt(t, tr.target)
	tr.proxy.release(broken)
	tr.over = now()
	if broken {
		tr.note("connection broken")
	} else {
		tr.note("held messages arrive late")
	}
}

func restartBus(t *testing.T, tr *trial) {
	tr.c.bus.p.Kill()
	tr.c.bus.start(t)
	tr.under(t, 5)
}

func rollingRestart(t *testing.T, tr *trial) {
	for _, id := range tr.ids() {
		tr.began = tr.c.await(t, healLimit, "a status", anyhow)
		signal(t, find(tr.began, id).PID, syscall.SIGTERM)
		tr.ended(t, id)
		tr.back(t, id)
		tr.under(t, 5)
	}
}

// joinAndRemove: a fourth replica comes while the others work, and is taken out again.
func joinAndRemove(t *testing.T, tr *trial) {
	p := tr.c.byHand(t, "r4", tr.c.url())
	tr.c.await(t, healLimit, "r4 is a member", whole(tr.size+1))
	tr.under(t, 10)
	if o := tr.c.quartet(t, "remove", "r4"); o.status != 0 {
		t.Errorf("quartet remove r4: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.Exited:
		if status := p.Status(); status != 0 {
			t.Errorf("the removed r4 ended with status %d\n%s", status, p.Stderr.String())
		}
		delete(tr.c.hands, "r4")
	case <-timer.C:
		t.Errorf("the removed r4 still runs after %s", stopLimit)
	}
}
