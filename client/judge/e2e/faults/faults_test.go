package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/judge/history"
)

const (
	warm  = 15 // answers for each session before the fault
	after = 25 // and once the cluster is whole again
)

// scenario is one kind of fault.
type scenario struct {
	name    string
	shape   shape // but for memory
	memory  bool  // is run with --memory
	dir     bool  // and with --dir
	proxied bool  // a fourth replica, r4, is there, behind a proxy; it is the one that is hit
	inject  func(*testing.T, *trial)
}

// trial is one run of a scenario.
type trial struct {
	c       *cluster
	load    *load
	last    *client.Client // patient, for what is asked at the end
	proxy   *proxy
	idle    bool
	size    int    // replicas that the cluster has
	target  string // the replica that is hit
	seed    uint64
	random  *rand.Rand
	began   bus.Status // before the fault
	hit     int64      // when the fault struck
	over    int64      // when a fault that lasts was over; 0: it is one of a moment
	lostAt  map[string]int64
	masters int
	reborn  int64 // when more replicas lost their memory than may; 0: never
	notes   []string
}

func (tr *trial) note(format string, args ...any) {
	tr.notes = append(tr.notes, fmt.Sprintf(format, args...))
}

// ids are the replicas that the cluster has.
func (tr *trial) ids() []string {
	list := make([]string, tr.size)
	for i := range list {
		list[i] = fmt.Sprintf("r%d", i+1)
	}
	return list
}

var kinds = []string{"mixed", model.Linearizable.Word(), model.Eventual.Word(), idle, model.Causal.Word(), model.Sequential.Word()}

// The real thing: with -faults.rounds, every scenario in each mode, rounds times; each
// time with other traffic and another replica that is hit. Six rounds go through all
// kinds of traffic. Else the short form.
func TestFaults(t *testing.T) {
	if *rounds == 0 {
		for _, s := range short {
			one(t, scenarioOf(t, s.name), s.memory, s.traffic, uint64(*first))
		}
		return
	}
	for round := *first; round < *first+*rounds; round++ {
		for i, s := range scenarios {
			traffic := *traffics
			if traffic == "" {
				traffic = kinds[(round+i)%len(kinds)]
			}
			for _, memory := range []bool{true, false} {
				asked, has := *mode != "memory", s.dir
				if memory {
					asked, has = *mode != "dir", s.memory
				}
				if asked && has {
					one(t, s, memory, traffic, uint64(round))
				}
			}
		}
	}
}

func scenarioOf(t *testing.T, name string) scenario {
	t.Helper()
	i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no scenario %q", name)
	}
	return scenarios[i]
}

// one runs a scenario once.
func one(t *testing.T, s scenario, memory bool, traffic string, seed uint64) {
	word := bus.DataDisk
	if memory {
		word = bus.DataMemory
	}
	t.Run(fmt.Sprintf("%s/%s/%s/%d", s.name, word, traffic, seed), func(t *testing.T) {
		begun := time.Now()
		r := &row{scenario: s.name, mode: word, traffic: traffic, failed: true}
		defer func() {
			r.failed, r.took = t.Failed(), time.Since(begun)
			table.add(r)
			fmt.Println(r)
		}()
		tr := set(t, s, memory, traffic, seed)
		tr.strike(t, s, r)
		tr.settle(t, r)
	})
}

// set starts the cluster and the sessions, and waits until all work.
func set(t *testing.T, s scenario, memory bool, traffic string, seed uint64) *trial {
	t.Helper()
	form := s.shape
	form.memory = memory
	tr := &trial{
		idle: traffic == idle, size: max(form.replicas, 3), seed: seed, lostAt: map[string]int64{}, masters: 1,
		random: rand.New(rand.NewPCG(seed, 1)),
	}
	tr.c = newCluster(t, form, "--orphan-timeout", "30s")
	t.Cleanup(func() { tr.save(t) })
	tr.target = fmt.Sprintf("r%d", 1+(seed+uint64(len(s.name)))%uint64(tr.size))
	if s.proxied {
		tr.proxy = startProxy(t, tr.c.address)
		tr.size, tr.target = tr.size+1, fmt.Sprintf("r%d", tr.size+1)
		tr.c.byHand(t, tr.target, tr.proxy.url())
	}
	tr.c.await(t, startLimit, "every replica a member", whole(tr.size))
	tr.last = connect(t, tr.c.url(), client.WithRetries(retries), client.WithTimeout(patience))
	tr.load = begin(t, tr.c.url(), cast(traffic, tr.target), seed)
	tr.load.more(t, warm, nil)
	return tr
}

// strike lets the fault happen and waits until the cluster is whole again.
func (tr *trial) strike(t *testing.T, s scenario, r *row) {
	t.Helper()
	if tr.idle {
		tr.load.rest(t)
	}
	tr.began = tr.c.await(t, healLimit, "a status", anyhow)
	epoch := tr.began.Epoch
	tr.hit = now()
	healed := tr.watch(t)
	s.inject(t, tr)
	is := tr.c.await(t, healLimit, "the cluster whole again", whole(tr.size))
	r.heal = time.Duration(max(0, healed()-max(tr.hit, tr.over)))
	r.epochs = is.Epoch - epoch
	if tr.idle {
		tr.load.resume()
	}
	tr.load.more(t, after, nil)
}

// watch looks at the status from now on. What it returns ends that, and says since when
// the cluster has been whole.
func (tr *trial) watch(t *testing.T) func() int64 {
	nc, err := tr.c.dial()
	if err != nil {
		t.Fatal(err)
	}
	since := now()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer nc.Close()
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			if s, err := ask(nc, look*10); err != nil || whole(tr.size)(s) != nil {
				since = now()
			}
		}
	}()
	end := sync.OnceFunc(func() { close(stop); <-done })
	t.Cleanup(end)
	return func() int64 { end(); return since }
}

// settle ends the load, asks what it wants to know in the end, and judges.
func (tr *trial) settle(t *testing.T, r *row) {
	t.Helper()
	tr.load.end(t)
	ended := now()
	rec := tr.load.rec

	tr.resend(t, tr.hit, tr.random)
	tr.answers(t)
	tr.command(t)
	tr.c.await(t, healLimit, "all replicas at one place", atRest(tr.size))

	r.pauses = pauses(rec.ops, tr.load.began, ended)
	for _, o := range rec.ops {
		r.requests++
		switch o.Outcome {
		case history.Unknown:
			r.unknown++
		case history.Fail:
			r.refused++
		}
	}

	r.notes = tr.notes
	for _, s := range rec.surprises {
		t.Errorf("no fault explains this answer: %s", s)
	}
	tr.judge(t, rec.ops, r)

	for id, hand := range tr.c.hands {
		if status := hand.Stop(t, os.Interrupt, stopLimit); status != 0 {
			t.Errorf("%s ended with status %d\n%s", id, status, hand.Stderr.String())
		}
	}
	if status := tr.c.master.Stop(t, os.Interrupt, stopLimit); status != 0 {
		t.Errorf("the master ended with status %d\n%s", status, tr.c.master.Stderr.String())
	}
}

// answers asks once more in every model: when all is whole everything is answered.
func (tr *trial) answers(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	for _, c := range model.All {
		s := tr.last.Session()
		req := client.Request{
			Request: model.NewSet(c, once+"last-"+c.Word(), []byte("last-"+c.Word())),
			Options: bus.Options{Identity: "last-" + c.Word()},
		}
		if _, err := tr.load.rec.do(ctx, s, req.Identity, req, false); err != nil {
			t.Errorf("a %s set at the end: %v", c.Word(), err)
		}
		get := client.NewGet(c, req.Key)
		// An eventual get may be answered by a replica that has not heard of the set yet.
		_, err := tr.load.rec.do(ctx, s, req.Identity, get, false)
		notYetThere := c == model.Eventual && errors.Is(err, client.ErrNotFound)
		if err != nil && !notYetThere {
			t.Errorf("a %s get at the end: %v", c.Word(), err)
		}
	}
}

// command compares what `quartet status -o json` says.
func (tr *trial) command(t *testing.T) {
	t.Helper()
	o := tr.c.quartet(t, "status", "-o", "json")
	var s bus.Status
	err := json.Unmarshal([]byte(o.stdout), &s)
	if err == nil {
		err = whole(tr.size)(s)
	}
	if err != nil || o.status != 0 {
		t.Errorf("quartet status: %d, %v\n%s%s", o.status, err, o.stdout, o.stderr)
	}
}

// save keeps the history and the logs of a run that failed.
func (tr *trial) save(t *testing.T) {
	if !t.Failed() || *keep == "" || tr.load == nil {
		return
	}
	dir := filepath.Join(*keep, t.Name())
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, fmt.Sprint("log-", time.Now().Unix())), os.DirFS(tr.c.logs))
	}
	if err == nil {
		var f *os.File
		if f, err = os.Create(filepath.Join(dir, "history.jsonl")); err == nil {
			tr.load.rec.mu.Lock()
			err = history.Encode(f, plain(tr.load.rec.ops))
			tr.load.rec.mu.Unlock()
			f.Close()
		}
	}
	t.Logf("kept in %s (%v)", dir, err)
}
