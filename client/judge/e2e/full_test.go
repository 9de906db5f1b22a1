package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/room"
	"quartet/bus/testkit"
)

// smallDisk is a folder on a disk of its own, of so many bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	testkit.MountDisk(t, dir, bytes)
	return dir
}

// reserves are the files that hold room for a start on a full disk.
func reserves(t *testing.T, dir string) int {
	t.Helper()
	of, err := filepath.Glob(filepath.Join(dir, "replicas", "*", room.Name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, room.Name)); err == nil {
		return len(of) + 1
	}
	return len(of)
}

// A cluster that is started on a full disk, after a clean stop or kill -9 of everything, serves
// gets of all models and refuses sets. When there is room it takes sets again, and has room in
// reserve for the next such start.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 192<<20)
	p, dir, others := newFolder(t), filepath.Join(disk, "data"), filepath.Join(disk, "others")
	run := func() (*master, *nats.Conn) {
		m := startIn(t, p, "--dir", dir, "--listen", "127.0.0.1:-1", "--suspect", calm)
		return m, connect(t, m.url)
	}
	reserved := func() {
		t.Helper()
		testkit.Eventually(t, restLimit, "room in reserve for a master and three replicas", func() error {
			if n := reserves(t, dir); n != 4 {
				return fmt.Errorf("%d have some", n)
			}
			return nil
		})
	}
	m, nc := run()
	for model := 1; model <= 4; model++ {
		mustOK(t, nc, fmt.Sprintf("%d, 1, key%d ::: before", model, model))
	}
	for _, clean := range []bool{true, false} {
		was := atRest(t, nc)
		reserved()
		if clean {
			m.stop(t, os.Interrupt)
		} else {
			m.Kill()
			for _, pid := range pids(was) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		awaitDead(t, deadLimit, pids(was)...)
		testkit.FillDisk(t, others, 0)

		m, nc = run()
		testkit.Eventually(t, startLimit, "a view on the full disk", func() error {
			if s := mustStatus(t, nc); !s.Ready {
				return errors.New(s.Reason)
			}
			return nil
		})
		for key := 1; key <= 4; key++ {
			for model := 1; model <= 4; model++ {
				if got := mustOK(t, nc, fmt.Sprintf("%d, 2, key%d", model, key)); string(got.Data) != "before" {
					t.Errorf("clean %t: a get of key%d in model %d: %q", clean, key, model, got.Data)
				}
			}
		}

		// A start makes room, too: it removes the last process's logs. Others take that as well.
		testkit.FillDisk(t, others, 0)
		testkit.Eventually(t, restLimit, "the master sees that the disk is full again", func() error {
			if s := mustStatus(t, nc); !strings.Contains(s.Reason, "full") {
				return fmt.Errorf("reason %q", s.Reason)
			}
			return nil
		})
		for model := 1; model <= 4; model++ {
			got := ask(t, nc, fmt.Sprintf("%d, 1, key%d ::: full", model, model))
			if why := got.Header.Get(bus.HeaderError); code(got) != "503" || !strings.Contains(why, "disk") ||
				!strings.Contains(why, "full") {
				t.Errorf("clean %t: a set of model %d on the full disk: %s %q", clean, model, code(got), why)
			}
		}

		if err := os.Remove(others); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, restLimit, "sets are taken again", func() error {
			for model := 1; model <= 4; model++ {
				if got := ask(t, nc, fmt.Sprintf("%d, 1, key%d ::: before", model, model)); code(got) != "" {
					return fmt.Errorf("model %d: %s", model, got.Data)
				}
			}
			return nil
		})
	}
	reserved()
}

// With little room sets are refused, and deletes of all models are taken, which make some; with
// nearly none deletes are refused, too.
func TestDeletesOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 192<<20)
	m := startIn(t, newFolder(t), "--dir", filepath.Join(disk, "data"), "--listen", "127.0.0.1:-1", "--suspect", calm)
	nc := connect(t, m.url)
	for model := 1; model <= 4; model++ {
		mustOK(t, nc, fmt.Sprintf("%d, set, gone%d ::: v", model, model))
		mustOK(t, nc, fmt.Sprintf("%d, set, stays%d ::: v", model, model))
	}
	atRest(t, nc)

	levels := room.LevelsOf(192 << 20)
	testkit.FillDisk(t, filepath.Join(disk, "others"), (levels.Sets+levels.Cleanup)/2)
	noRoomFor(t, nc, "set, other ::: v", "deletes go on")
	for model := 1; model <= 4; model++ {
		mustOK(t, nc, fmt.Sprintf("%d, delete, gone%d", model, model))
	}
	for model := 1; model <= 4; model++ {
		if got := ask(t, nc, fmt.Sprintf("%d, get, gone%d", model, model)); code(got) != "404" {
			t.Errorf("a deleted key in model %d: %q %s", model, code(got), got.Data)
		}
	}

	testkit.FillDisk(t, filepath.Join(disk, "others"), levels.Cleanup/2)
	noRoomFor(t, nc, "delete, other", "for deletes, too")
	for model := 1; model <= 4; model++ {
		if got := mustOK(t, nc, fmt.Sprintf("%d, get, stays%d", model, model)); string(got.Data) != "v" {
			t.Errorf("a get of model %d on the full disk: %q", model, got.Data)
		}
	}
}

// noRoomFor waits until a write is refused in every model for want of room, with a reason.
func noRoomFor(t *testing.T, nc *nats.Conn, write, reason string) {
	t.Helper()
	testkit.Eventually(t, restLimit, write+" is refused", func() error {
		for model := 1; model <= 4; model++ {
			got := ask(t, nc, fmt.Sprintf("%d, %s", model, write))
			if why := got.Header.Get(bus.HeaderError); code(got) != "503" || !strings.Contains(why, reason) {
				return fmt.Errorf("model %d: %q %s", model, code(got), got.Data)
			}
		}
		return nil
	})
}

// A disk that is small holds a cluster, too: sets are taken there, also after kill -9 of every
// process, and where they are not it is said how much is left and how much is wanted.
func TestOnASmallDisk(t *testing.T) {
	t.Parallel()
	for _, size := range []int{16 << 20, 24 << 20, 64 << 20} {
		t.Run(room.Text(uint64(size)), func(t *testing.T) {
			disk := smallDisk(t, size)
			p := newFolder(t)
			run := func() (*master, *nats.Conn) {
				m := startIn(t, p, "--dir", filepath.Join(disk, "data"), "--listen", "127.0.0.1:-1", "--suspect", calm)
				return m, connect(t, m.url)
			}
			m, nc := run()
			for model := 1; model <= 4; model++ {
				mustOK(t, nc, fmt.Sprintf("%d, 1, key%d ::: kept", model, model))
			}
			if s := mustStatus(t, nc); len(s.Warnings) > 0 || s.Reason != "" {
				t.Errorf("reason %q, warnings %q", s.Reason, s.Warnings)
			}

			was := atRest(t, nc)
			m.Kill()
			for _, pid := range pids(was) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			awaitDead(t, deadLimit, pids(was)...)
			_, nc = run()
			for model := 1; model <= 4; model++ {
				if got := mustOK(t, nc, fmt.Sprintf("%d, 2, key%d", model, model)); string(got.Data) != "kept" {
					t.Errorf("a get of model %d: %q", model, got.Data)
				}
				mustOK(t, nc, fmt.Sprintf("%d, 1, key%d ::: again", model, model))
			}

			testkit.FillDisk(t, filepath.Join(disk, "others"), uint64(size)/16)
			said := regexp.MustCompile(`the disk is full: ([1-9][0-9]*) ([KM])iB left, ([1-9][0-9]*) ([KM])iB wanted; gets and deletes go on`)
			testkit.Eventually(t, restLimit, "it is said what is left and what is wanted", func() error {
				s := mustStatus(t, nc)
				got := said.FindStringSubmatch(s.Reason)
				if got == nil || got[1]+got[2] == got[3]+got[4] {
					return fmt.Errorf("reason %q", s.Reason)
				}
				return nil
			})
			if got := ask(t, nc, "1, 1, key1 ::: full"); code(got) != "503" || !said.MatchString(got.Header.Get(bus.HeaderError)) {
				t.Errorf("a set on the full disk: %s %q", code(got), got.Header.Get(bus.HeaderError))
			}
			mustOK(t, nc, "1, 3, key1")
		})
	}
}
