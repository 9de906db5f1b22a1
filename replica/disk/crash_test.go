package disk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"quartet/bus/message"
	"quartet/bus/testkit"
	"quartet/replica/durable"
)

const (
	crashTurns = 400
	crashEvery = 40
)

// A power cut in Always mode, kill -9 in either: all is there, and nothing of the turn that
// was not committed.
func TestCrashLosesNothing(t *testing.T) {
	for _, mode := range []Sync{Interval, Always} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%v/%d", mode, seed), func(t *testing.T) {
				fs := vfs.NewCrashableMem()
				w, rnd := newWorld(seed, 50), rand.New(rand.NewPCG(seed, 2))
				o := inMemory(fs)
				o.Sync = mode
				d, _ := mustOpen(t, o)

				for i := range crashTurns {
					mustCommit(t, d, w.turn(d))
					if i%crashEvery != crashEvery-1 {
						continue
					}

					want := w.snapshot()
					w.turn(d) // not committed
					cut := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rnd}
					if mode == Always && rnd.IntN(3) > 0 {
						cut.UnsyncedDataPercent = []int{0, 50}[rnd.IntN(2)]
						o.BootID = fmt.Sprint(i)
					}

					fs = fs.CrashClone(cut)
					o.fs = fs
					var saved *durable.Saved
					if d, saved = mustOpen(t, o); d.TailMayBeMissing() {
						t.Fatal("nothing can be missing")
					}
					if diff := want.differs(d, saved); diff != "" {
						t.Fatalf("turn %d: %s", i, diff)
					}

					w.reborn(want)
				}
			})
		}
	}
}

// A power cut in Interval mode: what is there is what some turn left, one that was
// committed after the last sync or that very one; and it is said that more may be missing,
// until there is a new incarnation.
func TestPowerCutInIntervalMode(t *testing.T) {
	t.Parallel()
	lost := 0
	for seed := range uint64(40) {
		fs := vfs.NewCrashableMem()
		w, rnd := newWorld(seed, 50), rand.New(rand.NewPCG(seed, 3))
		o := inMemory(fs)
		d, _ := mustOpen(t, o)

		var all []snapshot
		synced := 0
		for i := range 20 + rnd.IntN(150) {
			mustCommit(t, d, w.turn(d))
			all = append(all, w.snapshot())
			if i == 9 || rnd.IntN(50) == 0 {
				d.sync()
				synced = i
			}
		}

		unsynced := []int{0, 30, 70, 95}[rnd.IntN(4)]
		o.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rnd})
		o.BootID = "boot 2"

		for range 2 { // and again, as when the replica is killed before it has done anything
			d, saved := mustOpen(t, o)
			if !d.TailMayBeMissing() {
				t.Fatalf("seed %d: it is not said that something may be missing", seed)
			}
			at := int(saved.State.Position) - 1
			if at < synced {
				t.Fatalf("seed %d: turn %d is the last, %d was synced", seed, at, synced)
			}
			if diff := all[at].differs(d, saved); diff != "" {
				t.Fatalf("seed %d: turn %d of %d: %s", seed, at, len(all), diff)
			}
			if at < len(all)-1 {
				lost++
			}
			w.reborn(all[at])
			mustClose(t, d)
		}

		d, _ = mustOpen(t, o)
		w.state.Incarnation++
		mustCommit(t, d, w.turn(d))
		if d.TailMayBeMissing() {
			t.Fatal("the new incarnation has lost nothing")
		}
		mustClose(t, d)
		if d, _ = mustOpen(t, o); d.TailMayBeMissing() {
			t.Fatal("the new incarnation has lost nothing, not after a restart either")
		}
	}
	if lost < 10 {
		t.Errorf("only %d of the power cuts lost anything: they show nothing", lost)
	}
}

// A causal write that came behind a gap is not given back, so it does not stay either: its
// number may be void by now.
func TestForgetsWhatCameBehindAGap(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := inMemory(fs)
	d, _ := mustOpen(t, o)
	w := newWorld(1, 50)

	turn := &durable.Turn{Changed: true, State: durable.State{Watermark: 1}}
	for _, number := range []uint64{1, 3} {
		turn.Writes = append(turn.Writes, &message.CausalWrite{Number: number, Request: w.request()})
	}
	mustCommit(t, d, turn)
	mustClose(t, d)

	d, saved := mustOpen(t, o)
	if len(saved.Writes) != 1 || saved.Writes[0].Number != 1 {
		t.Fatalf("%+v was given back", saved.Writes)
	}

	mustCommit(t, d, &durable.Turn{Changed: true, State: saved.State})
	if err := d.scan(t.Context(), above(0), func(key, _ []byte) error {
		if number, _ := numberOf(key); number != 1 {
			t.Errorf("causal write %d is still there", number)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Which stops may have lost something.
func TestTailMayBeMissing(t *testing.T) {
	for name, c := range map[string]struct {
		mode  Sync
		clean bool
		boot  string
		want  bool
	}{
		"kill -9":                       {Interval, false, "boot 1", false},
		"the machine stopped":           {Interval, false, "boot 2", true},
		"clean, and the machine":        {Interval, true, "boot 2", false},
		"always, the machine stopped":   {Always, false, "boot 2", false},
		"clean, and the same machine":   {Interval, true, "boot 1", false},
		"always, kill -9":               {Always, false, "boot 1", false},
		"boot ids that nobody told us":  {Interval, false, "", true},
		"always, clean and the machine": {Always, true, "boot 2", false},
	} {
		fs := vfs.NewCrashableMem()
		o := inMemory(fs)
		o.Sync = c.mode
		d, _ := mustOpen(t, o)

		w := newWorld(1, 50)
		mustCommit(t, d, w.turn(d))
		if c.clean {
			mustClose(t, d)
			o.fs = fs.CrashClone(vfs.CrashCloneCfg{}) // the medium has all of it
		} else {
			o.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		}

		o.BootID = c.boot
		o.Sync = Always // what counts is how it was used
		d, saved := mustOpen(t, o)
		if diff := w.snapshot().differs(d, saved); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if d.TailMayBeMissing() != c.want {
			t.Errorf("%s: TailMayBeMissing = %t", name, d.TailMayBeMissing())
		}
	}
}

// The background does what sync does, without being asked.
func TestSyncsInTheBackground(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := inMemory(fs)
	o.SyncEvery = 1
	d, _ := mustOpen(t, o)
	w := newWorld(1, 50)
	mustCommit(t, d, w.turn(d))
	testkit.Await(t, "the log is synced", func() bool {
		m, err := readMark(fs, "/r1/mark")
		return err == nil && m.synced == 1
	})
	o.fs = fs.CrashClone(vfs.CrashCloneCfg{})
	d, saved := mustOpen(t, o)
	if diff := w.snapshot().differs(d, saved); diff != "" {
		t.Error(diff)
	}
}
