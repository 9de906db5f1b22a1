//go:build long

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
)

// plainServers are three servers that form a cluster, and have no JetStream.
func plainServers(t *testing.T) (servers []*server.Server, urls string) {
	t.Helper()
	var list []string
	routes := ""
	for i := range 3 {
		o := &server.Options{
			ServerName: fmt.Sprintf("p%d", i+1),
			Cluster:    server.ClusterOpts{Name: "plain", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		}

		if routes != "" {
			o.Routes = server.RoutesFromStr(routes)
		}
		s := servertest.Start(t, o)
		if routes == "" {
			routes = "nats://" + s.ClusterAddr().String()
		}

		servers, list = append(servers, s), append(list, s.ClientURL())
	}

	testkit.Eventually(t, startLimit, "the servers know each other", func() error {
		for _, s := range servers {
			if n := s.NumRoutes(); n == 0 {
				return fmt.Errorf("%s has no route", s.Name())
			}
		}
		return nil
	})
	return servers, strings.Join(list, ",")
}

// voter launches a master whose replicas decide the record, in a folder.
func voter(t testing.TB, p folder, urls, name string, args ...string) *master {
	t.Helper()
	args = append([]string{"--nats", urls, "--record", "replicas", "--name", name, "--dir", filepath.Join(p.tmp, "data"),
		"--suspect", "2s", "--orphan-timeout", "1m"}, args...)
	return launch(t, p, args...)
}

// Three servers without JetStream, and a cluster whose replicas decide the record of the views: a
// replica is killed, the master that leads, a server, a replica is taken out, and everything is
// killed and started again. Each add that is acknowledged counts once, and none fails.
func TestTheReplicasDecideTheRecord(t *testing.T) {
	t.Parallel()
	servers, urls := plainServers(t)
	p := newFolder(t)
	m1 := voter(t, p, urls, "m1", "--standby", "--replicas", "4")
	m1.awaitReady(t)
	nc := connect(t, urls, nats.MaxReconnects(-1))
	running := pids(atRest(t, nc))
	killLeftovers(t, running)
	m2 := voter(t, newFolder(t), urls, "m2", "--standby")
	m2.awaitStandingBy(t)

	load := startAdder(t, urls)
	load.awaitMore(t, 50)

	if err := syscall.Kill(running[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	load.awaitMore(t, 50)
	killLeftovers(t, pids(atRest(t, nc)))

	m1.Kill()
	m1.Wait(t, restLimit)
	awaitLeader(t, nc, "m2")
	load.awaitMore(t, 50)

	servers[2].Shutdown()
	load.awaitMore(t, 50)

	if end := quartet(t, "remove", "--nats", urls, "r4"); end.status != 0 {
		t.Errorf("remove: %+v", end)
	}
	load.awaitMore(t, 50)
	load.end(t)
	sum := mustOK(t, nc, "1, 2, sum")

	left := pids(atRest(t, nc))
	if len(left) != 3 {
		t.Errorf("%d replicas are left", len(left))
	}
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	m2.Kill()
	m2.Wait(t, restLimit)
	awaitDead(t, deadLimit, left...)

	m1 = voter(t, p, urls, "m1")
	m1.awaitReady(t)
	if again := mustOK(t, nc, "1, 2, sum"); string(again.Data) != string(sum.Data) {
		t.Errorf("the sum is %q, and was %q before everything was killed", again.Data, sum.Data)
	}
}

// A cluster keeps its record where it began, and is told so by name.
func TestD9ARecordStaysWhereItIs(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	m := startIn(t, p, "--listen", "127.0.0.1:-1", "--dir", dir, "--record", "replicas", "--replicas", "1")
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d", status)
	}
	said := quartet(t, "master", "--listen", "127.0.0.1:-1", "--dir", dir, "--log-dir", p.logs)
	if said.status != 2 || !strings.Contains(said.stderr, "--record replicas") {
		t.Errorf("another place for the record: %+v", said)
	}

	many := quartet(t, "master", "--dir", t.TempDir(), "--log-dir", p.logs, "--record", "replicas", "--missing", "2")
	if many.status != 2 || !strings.Contains(many.stderr, "--record jetstream") {
		t.Errorf("a record that the rest cannot decide: %+v", many)
	}
	serves(t, connect(t, startIn(t, p, "--listen", "127.0.0.1:-1", "--dir", dir, "--record", "replicas").url))
}

// Two of three replicas lose their data: nobody can decide, the reason says who is missing, and an
// operator goes on with the third.
func TestRecoverWhereTheReplicasDecide(t *testing.T) {
	t.Parallel()
	p := newFolder(t)
	dir := filepath.Join(p.tmp, "data")
	address := testkit.FreeAddress(t)
	url := "nats://" + address
	begin := func() *master {
		return launch(t, p, "--listen", address, "--dir", dir, "--record", "replicas", "--suspect", "2s")
	}
	m := begin()
	m.awaitReady(t)
	mustOK(t, connect(t, url), "1, 1, k ::: v")
	if status := m.stop(t, os.Interrupt); status != 0 {
		t.Fatalf("status %d", status)
	}
	for _, r := range []string{"r2", "r3"} {
		if err := os.RemoveAll(filepath.Join(dir, "replicas", r)); err != nil {
			t.Fatal(err)
		}
	}

	m = begin()
	nc := connect(t, url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	testkit.Eventually(t, restLimit, "it says that too few can vote", func() error {
		s, err := status(nc)
		if err == nil && !strings.Contains(s.Reason, "cannot vote on the record") {
			err = fmt.Errorf("ready %t: %s", s.Ready, s.Reason)
		}
		return err
	})
	if end := quartet(t, "recover", "--nats", url, "--yes"); end.status != 0 {
		t.Errorf("recover: %+v", end)
	}
	m.awaitReady(t)
	if got := mustOK(t, nc, "1, 2, k"); string(got.Data) != "v" {
		t.Errorf("%q", got.Data)
	}
	atRest(t, nc)
}
