//go:build long

package e2e_test

import (
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus/testkit"
)

// Damage to the file of the record of the views, while the cluster is down, stops nothing: the
// replicas hold the record, and the next start makes it anew.
func TestRecordsFileIsDamaged(t *testing.T) {
	t.Parallel()
	for how, spoil := range map[string]func(string) error{
		"a byte changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[100] ^= 0x40
			return os.WriteFile(path, b, 0o600)
		},
		"cut in half": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/2)
		},
	} {
		t.Run(how, func(t *testing.T) { damageRecord(t, spoil) })
	}
}

// damageRecord spoils the file of the record while the cluster is down, and wants that two starts
// after it serve what was acknowledged.
func damageRecord(t *testing.T, spoil func(string) error) {
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	args := []string{"--dir", dir, "--listen", "127.0.0.1:-1", "--suspect", calm}
	m := startIn(t, p, args...)
	mustOK(t, connect(t, m.url), "1, 1, key ::: kept")
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d\n%s", status, m.Stderr.String())
	}
	if err := spoil(messagesOf(t, dir)); err != nil {
		t.Fatal(err)
	}

	for range 2 { // and what was made anew is there at the next start
		m = startIn(t, p, args...)
		nc := connect(t, m.url)
		if s := mustStatus(t, nc); !s.Ready {
			t.Errorf("not ready: %s", s.Reason)
		}
		if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "kept" {
			t.Errorf("got %q", got.Data)
		}
		if status := m.stop(t, os.Interrupt); status != 0 {
			t.Fatalf("status %d\n%s", status, m.Stderr.String())
		}
	}
}

// messagesOf finds the file in which the embedded server of a directory keeps the record.
func messagesOf(t *testing.T, dir string) (found string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "jetstream"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "1.blk" {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file of the record: %v", err)
	}
	return found
}

// paused stands a replica's process still, until the test ends.
func paused(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // it may be gone
}

// The record is lost on three servers of somebody else's, while its view works: it is written
// again within seconds, and nobody notices; with a replica that dies in the same moment, too,
// since the master that leads knows that nobody else has gone on.
func TestRecordIsLostOnACluster(t *testing.T) {
	t.Parallel()
	urls := threeServers(t)
	m := startIn(t, newFolder(t), "--memory", "--nats", strings.Join(urls, ","), "--suspect", suspicion.String())
	nc := connect(t, urls[1])
	mustOK(t, nc, "1, 1, key ::: kept")
	s := atRest(t, nc)
	loseRecord(t, nc)
	awaitRecord(t, nc)
	if now := mustStatus(t, nc); !now.Ready || now.Epoch != s.Epoch {
		t.Errorf("epoch %d, was %d; %s", now.Epoch, s.Epoch, now.Reason)
	}

	loseRecord(t, nc)
	paused(t, replicaOf(s, "r2").PID)
	testkit.Eventually(t, restLimit, "the others go on", func() error {
		if now := mustStatus(t, nc); !now.Ready || now.Epoch <= s.Epoch || replicaOf(now, "r2").Member {
			return fmt.Errorf("ready %v, epoch %d: %s", now.Ready, now.Epoch, now.Reason)
		}
		return nil
	})
	awaitRecord(t, nc)
	if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "kept" {
		t.Errorf("got %q", got.Data)
	}
	mustOK(t, nc, "1, 1, key ::: changed")
	if said := m.Stderr.String(); strings.Contains(said, "backup") || strings.Contains(said, "restore") {
		t.Errorf("what mends itself is to be mended by hand: %s", said)
	}
}

// A master that starts and finds the record lost and a replica away cannot know whether that one
// has gone on: it names it, and an operator decides.
func TestRecoverALostRecord(t *testing.T) {
	t.Parallel()
	server := externalServer(t, true)
	p := newFolder(t)
	args := []string{"--memory", "--nats", server.ClientURL(), "--suspect", suspicion.String(), "--orphan-timeout", "1m"}
	first := startIn(t, p, args...)
	nc := connect(t, server.ClientURL())
	mustOK(t, nc, "1, 1, key ::: kept")
	s := atRest(t, nc)
	killLeftovers(t, pids(s))
	first.Kill()
	paused(t, replicaOf(s, "r2").PID)
	loseRecord(t, nc)

	again := launch(t, p, args...)
	testkit.Eventually(t, startLimit, "it says who is missing", func() error {
		now, err := status(nc)
		if err != nil {
			return err
		}
		saysIt := strings.Contains(now.Reason, "the record of the views is lost") &&
			strings.Contains(now.Reason, "r2, which may know of a later one")
		if now.Ready || !saysIt {
			return fmt.Errorf("ready %v: %s", now.Ready, now.Reason)
		}
		return nil
	})
	if o := quartet(t, "recover", "--nats", server.ClientURL()); o.status != 1 || !strings.Contains(o.stdout, "r2") ||
		!strings.Contains(o.stderr, "--yes") {
		t.Errorf("without --yes: status %d\n%s%s", o.status, o.stdout, o.stderr)
	}
	if r := recovered(t, server.ClientURL(), 0, "--yes"); !r.Ready || !r.Done || r.Epoch <= s.Epoch ||
		!slices.Equal(r.Missing, []string{"r2"}) {
		t.Errorf("with --yes: %+v", r)
	}
	if got := mustOK(t, nc, "1, 2, key"); string(got.Data) != "kept" {
		t.Errorf("got %q", got.Data)
	}
	serves(t, nc)
	awaitRecord(t, nc)
	again.awaitReady(t)
}

// threeServers are three servers of somebody else's that are one cluster with JetStream.
func threeServers(t *testing.T) (urls []string) {
	t.Helper()
	var ports []int
	var routes []*url.URL
	for range 6 {
		_, port, _ := net.SplitHostPort(testkit.FreeAddress(t))
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, n)
	}
	for _, port := range ports[3:] {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}

	for i := range 3 {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("s%d", i+1), Host: "127.0.0.1", Port: ports[i], NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i+3]}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
		urls = append(urls, s.ClientURL())
	}

	nc := connect(t, urls[0], nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	testkit.Eventually(t, startLimit, "JetStream has a leader", func() error {
		js, err := jetstream.New(nc)
		if err == nil {
			_, err = js.AccountInfo(t.Context())
		}
		return err
	})
	return urls
}
