//go:build long

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/testkit"
	"quartet/bus/trouble"
)

// holdsAll waits until all three replicas are members, and expects each to have what was
// acknowledged, and none to have ended.
func holdsAll(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for _, id := range []string{"r1", "r2", "r3"} {
		awaitMember(t, nc, id, 0)
	}
	s := atRest(t, nc)
	for _, r := range s.Replicas {
		if r.Restarts != 0 || r.LastError != "" || r.Keys != uint64(len(acknowledged)) {
			t.Errorf("%+v", r)
		}
		for _, key := range acknowledged {
			if got := mustOK(t, nc, "4, 2, "+key, bus.HeaderReplica, r.ID); string(got.Data) != "new" {
				t.Errorf("%s of %s is %q", key, r.ID, got.Data)
			}
		}
	}
}

// told waits for a word in one of a cluster's logs, which come to their files once a second.
func (d *disks) told(t *testing.T, log, word string) {
	t.Helper()
	testkit.Eventually(t, restLimit, log+" says "+strconv.Quote(word), func() error {
		b, err := os.ReadFile(filepath.Join(d.logs, log))
		if err == nil && !strings.Contains(string(b), word) {
			err = errors.New(string(b))
		}
		return err
	})
}

// Directories that hold less than was acknowledged, or nothing: whoever has gone back is seen to
// have, and is loaded by the others; nothing that was acknowledged is lost, and nobody ends.
func TestDisksArePutBack(t *testing.T) {
	t.Parallel()
	const back = "were put back to an older copy" // whether seen by its incarnation or by its life
	for name, test := range map[string]struct {
		rest  bool
		spoil func(t *testing.T, d *disks)
		says  map[string]string // by log
	}{
		"a replica's, right after the sets": {false, func(t *testing.T, d *disks) {
			replace(t, d.home("r2"), filepath.Join(d.old, "replicas", "r2"))
		}, map[string]string{"r2.log": back, "m1.log": back}},
		"a replica's, after a while": {true, func(t *testing.T, d *disks) {
			replace(t, d.home("r2"), filepath.Join(d.old, "replicas", "r2"))
		}, map[string]string{"r2.log": back, "m1.log": back}},
		"a replica's is gone": {true, func(t *testing.T, d *disks) {
			replace(t, d.home("r2"), "")
		}, nil},
		"the master's own": {true, func(t *testing.T, d *disks) {
			kept := filepath.Join(d.tmp, "kept")
			replace(t, kept, filepath.Join(d.dir, "replicas"))
			replace(t, d.dir, d.old)
			replace(t, filepath.Join(d.dir, "replicas"), kept)
		}, nil},
	} {

		t.Run(name, func(t *testing.T) {
			d := aged(t, test.rest)
			test.spoil(t, d)
			_, nc := d.start(t)
			holdsAll(t, nc)
			for log, word := range test.says {
				d.told(t, log, word)
			}
			serves(t, nc)
		})
	}
}

// One machine's snapshot takes the record of the views back together with a replica that may have
// known of a later one: the cluster names it, and an operator goes on with the others, which have
// all of it.
func TestTheRecordIsPutBackWithAReplica(t *testing.T) {
	t.Parallel()
	d := aged(t, true)
	m, _ := d.start(t) // so the copy is of epochs before, and not of the last one
	stopped(t, m)
	kept := filepath.Join(d.tmp, "kept")
	replace(t, kept, filepath.Join(d.dir, "replicas"))
	replace(t, d.dir, d.old)
	for _, id := range []string{"r2", "r3"} {
		replace(t, d.home(id), filepath.Join(kept, id))
	}

	m = launch(t, d.folder, "--dir", d.dir, "--listen", testkit.FreeAddress(t), "--suspect", suspicion.String())
	nc := d.reach(t, m)
	testkit.Eventually(t, restLimit, "r1 is named, and nobody else", func() error {
		s := mustStatus(t, nc)
		isOnlyR1 := strings.Contains(s.Reason, ", and r1, which may know of a later one")
		if trouble.Of(s.Reason) != trouble.RecordUnsure || !isOnlyR1 {
			return fmt.Errorf("ready %v: %s", s.Ready, s.Reason)
		}
		return nil
	})
	url := nc.ConnectedUrl()
	if r := recovered(t, url, 1); !slices.Equal(r.Missing, []string{"r1"}) || !slices.Equal(r.Present, []string{"r2", "r3"}) {
		t.Errorf("without --yes: %+v", r)
	}
	if r := recovered(t, url, 0, "--yes"); !r.Ready || !slices.Equal(r.Missing, []string{"r1"}) {
		t.Errorf("with --yes: %+v", r)
	}
	holdsAll(t, nc)
	serves(t, nc)
}

// Directories that are not the replica's own: it does not serve them, and leaves them as they
// are; which is said, with what helps. The others go on, if they suffice.
func TestDisksAreMisplaced(t *testing.T) {
	t.Parallel()
	other := aged(t, true) // another cluster, some epochs further
	for range 2 {
		m, _ := other.start(t)
		stopped(t, m)
	}

	for name, test := range map[string]struct {
		spoil func(t *testing.T, d *disks)
		bad   []string // replicas
		says  string
		mend  func(t *testing.T, d *disks) // while all run; nil: as it was spoilt, while nothing does
	}{
		"another cluster's": {func(t *testing.T, d *disks) {
			replace(t, d.home("r2"), other.home("r2"))
		}, []string{"r2"}, "its data are of cluster", away},
		"another replica's, too": {func(t *testing.T, d *disks) {
			replace(t, d.home("r2"), d.home("r3"))
		}, []string{"r2"}, "is that of r3", away},
		"two were swapped": {swap, []string{"r2", "r3"}, "is that of r", nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := aged(t, true)
			test.spoil(t, d)

			m := launch(t, d.folder, "--dir", d.dir, "--listen", testkit.FreeAddress(t), "--suspect", suspicion.String())
			nc := d.reach(t, m)
			for _, id := range test.bad {
				testkit.Eventually(t, restLimit, id+" says what is wrong", func() error {
					r := replicaOf(mustStatus(t, nc), id)
					if r == nil || r.Member || !strings.Contains(r.Reason, test.says) || !strings.Contains(r.Reason, "move it away") {
						return fmt.Errorf("%+v", r)
					}
					return nil
				})
			}

			if len(test.bad) == 1 {
				testkit.Eventually(t, restLimit, "the others go on", func() error {
					if s := mustStatus(t, nc); !s.Ready {
						return fmt.Errorf("%s", s.Reason)
					}
					return nil
				})
				mustOK(t, nc, "1, 1, k1 ::: new")
			}

			if test.mend != nil {
				test.mend(t, d)
			} else {
				m.stop(t, os.Interrupt) // it never was ready, and says so
				test.spoil(t, d)
				_, nc = d.start(t)
			}

			for _, id := range test.bad {
				awaitMember(t, nc, id, 0)
			}

			for _, key := range acknowledged {
				for _, id := range []string{"r1", "r2", "r3"} {
					if got := mustOK(t, nc, "4, 2, "+key, bus.HeaderReplica, id); string(got.Data) != "new" {
						t.Errorf("%s of %s is %q", key, id, got.Data)
					}
				}
			}
			serves(t, nc)
		})
	}

	m, nc := other.start(t) // whose directory is as it was
	holdsAll(t, nc)
	stopped(t, m)
}

// away moves the directory of r2 away.
func away(t *testing.T, d *disks) {
	t.Helper()
	if err := os.Rename(d.home("r2"), d.home("r2")+".away"); err != nil {
		t.Fatal(err)
	}
}

// swap exchanges the directories of r2 and r3.
func swap(t *testing.T, d *disks) {
	t.Helper()
	a, b := d.home("r2"), d.home("r3")
	for _, move := range [][2]string{{a, a + ".away"}, {b, a}, {a + ".away", b}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// reach connects to a master that need not be ready.
func (d *disks) reach(t *testing.T, m *master) (nc *nats.Conn) {
	t.Helper()
	address := m.Args()[len(m.Args())-3]
	testkit.Eventually(t, startLimit, "its server answers", func() (err error) {
		if nc, err = nats.Connect("nats://" + address); err != nil {
			return err
		}
		if _, err = status(nc); err != nil {
			nc.Close()
		}
		return err
	})
	t.Cleanup(nc.Close)
	return nc
}
