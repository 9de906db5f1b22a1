//go:build long

package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus/testkit"
	"quartet/client"
	"quartet/client/recipes"
)

// holderURL is set in the environment of a process that takes a lock again and again.
const holderURL = "QUARTET_E2E_HOLDER"

const (
	heldKey  = "locks/judged"
	lastKey  = "last token"
	heldTTL  = 2 * time.Second
	perTerm  = 40 // writes, before the lock is given back
	holdings = 3  // processes
)

func init() { lives[holderURL] = hold }

// hold is the life of such a process. It is careless: it writes until it is refused, and never asks
// whether it still holds the lock. Of each write that took effect it prints the revision, its own
// token, and the token that stood there.
func hold(url string) int {
	ctx := context.Background()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.ReconnectBufSize(-1))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c, err := client.New(nc, client.WithTimeout(3*time.Second))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	lock := recipes.NewLock(c, heldKey, os.Getenv(holderURL+"_NAME"), recipes.WithTTL(heldTTL))
	for {
		held, err := lock.Take(ctx)
		if err != nil { // the cluster is down for the moment
			continue
		}
		isHeld := true
		for n := 0; isHeld && n < perTerm; n++ {
			isHeld = writeFenced(ctx, c, held)
		}
		_ = held.Release(ctx)
	}
}

// writeFenced leaves the holder's token, and reports whether the lock was held.
func writeFenced(ctx context.Context, c *client.Client, held *recipes.Held) bool {
	write := c.Txn().If(held.Fence())
	last := write.Then().Get(lastKey)
	write.Then().Set(lastKey, strconv.AppendUint(nil, held.Token(), 10))
	done, err := write.Commit(ctx)
	for err != nil { // until it is known
		done, err = write.Commit(ctx)
		if errors.Is(err, client.ErrGone) {
			return true
		}
	}
	if done.Succeeded {
		fmt.Println(done.Revision, held.Token(), "after", string(append([]byte("0"), last.Value...)))
	}
	return done.Succeeded
}

// holder is a process of that kind, as its parent sees it.
type holder struct {
	name   string
	cmd    *exec.Cmd
	stdout bytes.Buffer
}

// startHolder starts this test binary as a process that takes the lock again and again.
func startHolder(t *testing.T, url, name string) *holder {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	h := &holder{name: name, cmd: exec.Command(self)}
	h.cmd.Env = append(os.Environ(), holderURL+"="+url, holderURL+"_NAME="+name)
	h.cmd.Stdout, h.cmd.Stderr = &h.stdout, os.Stderr
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.end)
	return h
}

// end kills the process; what it has printed is whole then.
func (h *holder) end() {
	if h.cmd.ProcessState == nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait() // says that it was killed
	}
}

func (h *holder) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Holders of a lock that are stopped, and killed, while they hold it, and a cluster whose replicas
// and master are killed: no holder's write takes effect after one of a later holder.
func TestFencedWritesOfHoldersThatAreStoppedAndKilled(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	args := []string{"--dir", filepath.Join(p.tmp, "data"), "--listen", testkit.FreeAddress(t)}
	m := startIn(t, p, args...)
	nc := outlives(t, m.url)
	killLeftovers(t, pids(mustStatus(t, nc)))
	c, err := client.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lock := recipes.NewLock(c, heldKey, "judge")

	holders := map[string]*holder{}
	begun := 0
	begin := func() {
		begun++
		name := fmt.Sprintf("holder%d", begun)
		holders[name] = startHolder(t, m.url, name)
	}
	for range holdings {
		begin()
	}
	// current is a holder other than not, once there is one.
	current := func(not string) (h *holder) {
		t.Helper()
		testkit.Eventually(t, restLimit, "somebody else takes the lock", func() error {
			owner, err := lock.Owner(t.Context())
			if h = holders[owner]; h == nil || owner == not {
				return fmt.Errorf("%q has it, %v", owner, err)
			}
			return nil
		})
		return h
	}

	// goesOn waits until there is some more in the order.
	goesOn := func() {
		t.Helper()
		began := uint64(0)
		testkit.Eventually(t, restLimit, "holders write", func() error {
			r, err := c.Get(t.Context(), lastKey)
			if began == 0 {
				began = r.Revision
			}
			if began == 0 || r.Revision < began+2*perTerm {
				return fmt.Errorf("revision %d, %d at first, %v", r.Revision, began, err)
			}
			return nil
		})
	}

	for range 2 {
		goesOn()
		stopped := current("")
		stopped.signal(t, syscall.SIGSTOP)
		current(stopped.name)
		stopped.signal(t, syscall.SIGCONT) // and it goes on writing
		killed := current(stopped.name)
		killed.end()
		begin()
		current(killed.name)
	}

	goesOn()
	pid := replicaOf(mustStatus(t, nc), "r1").PID
	kill(t, pid)
	stopped := current("")
	stopped.signal(t, syscall.SIGSTOP)
	awaitMember(t, nc, "r1", pid)
	current(stopped.name)
	m.Kill()
	m = startIn(t, p, args...)
	stopped.signal(t, syscall.SIGCONT)
	goesOn()
	for _, h := range holders {
		h.end()
	}
	judgeFenced(t, holders)
}

// fenced is a write that took effect.
type fenced struct{ revision, token, last uint64 }

// judgeFenced holds the writes against each other in the order of their revisions.
func judgeFenced(t *testing.T, holders map[string]*holder) {
	t.Helper()
	var writes []fenced
	terms := map[uint64]string{}
	for name, h := range holders {
		for line := range bytes.Lines(h.stdout.Bytes()) {
			var w fenced
			isWhole := bytes.HasSuffix(line, []byte("\n")) // or its process was killed within the line
			if n, err := fmt.Sscanf(string(line), "%d %d after %d\n", &w.revision, &w.token, &w.last); isWhole && n < 3 {
				t.Fatalf("%q: %v", line, err)
			}
			if !isWhole {
				continue
			}

			if by, found := terms[w.token]; found && by != name {
				t.Errorf("%s and %s have one token, %d", by, name, w.token)
			}
			terms[w.token] = name
			writes = append(writes, w)
		}
	}

	slices.SortFunc(writes, func(a, b fenced) int { return cmp.Compare(a.revision, b.revision) })
	greatest := uint64(0)
	for _, w := range writes {
		if w.token < greatest || w.token < w.last {
			t.Errorf("a write of the holder %d took effect at %d, after one of %d, %d", w.token, w.revision, greatest, w.last)
		}
		greatest = max(greatest, w.token)
	}
	if len(terms) < 6 {
		t.Errorf("only %d holders have written", len(terms))
	}
	t.Logf("%d writes of %d holders", len(writes), len(terms))
}
