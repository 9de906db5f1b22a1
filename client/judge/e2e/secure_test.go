//go:build long

package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus/host/exit"
	"quartet/bus/secure"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
	"quartet/client"
)

// certificates makes, by the command, those of three nodes and of clients, and one of a writer that
// has ended.
func certificates(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	made := quartet(t, "secure", "init", dir, "--nodes", "n1=127.0.0.1,n2=127.0.0.1,n3=127.0.0.1")
	if made.status != 0 {
		t.Fatalf("status %d\n%s%s", made.status, made.stdout, made.stderr)
	}
	a, err := secure.OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(secure.Asked{Name: "late", Role: secure.Write, For: -time.Minute}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asClient are the arguments with which a command connects as the client of this name.
func asClient(certs, name, url string, args ...string) []string {
	file := func(f string) string { return filepath.Join(certs, name, f) }
	return append(args, "--nats", url, "--tlscert", file(secure.CertificateFile), "--tlskey", file(secure.KeyFile),
		"--tlsca", file(secure.AuthorityFile))
}

// secureNodes are three nodes of these certificates, ready, and a client of the role write.
func secureNodes(t testing.TB, certs string) (*nodes, *nats.Conn, *tls.Config) {
	t.Helper()
	c := newNodes(t, 3, "--suspect", calm)
	c.more = func(i int) []string { return []string{"--secure", filepath.Join(certs, fmt.Sprintf("n%d", i+1))} }
	for i := range c.all {
		c.launch(t, i)
	}
	writer, err := secure.Open(filepath.Join(certs, "write"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.options = []nats.Option{nats.Secure(writer.Client())}
	nc := c.connect(t)
	c.awaitWhole(t, nc, 3)
	return c, nc, writer.Client()
}

// Three nodes that are closed: who has no certificate, one that has ended, or one of another role
// is refused with a reason, and so is a node with a client's or another node's certificate; and
// nobody else notices, under load.
func TestAClosedClusterRefuses(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	c, nc, config := secureNodes(t, certs)
	load := startAdder(t, c.url(), client.WithTLS(config))
	load.awaitMore(t, 20)
	before := mustStatus(t, nc)
	testkit.Await(t, "a banner whose command brings a certificate", func() bool {
		return slices.ContainsFunc(c.all, func(m *master) bool {
			return m.Stdout.Has("--tlsca ca.crt --tlscert tls.crt --tlskey tls.key req quartet.request")
		})
	})

	for _, args := range [][]string{{"secure", "client", certs, "gone", "--role", "write"}, {"secure", "revoke", certs, "gone"}} {
		if end := quartet(t, args...); end.status != 0 || !strings.Contains(end.stdout, "gone") {
			t.Fatalf("%q: status %d\n%s%s", args, end.status, end.stdout, end.stderr)
		}
	}

	url := "nats://" + c.listen[0]
	node := func(name, identity string) []string {
		return []string{
			"node", "--name", name, "--listen", testkit.FreeAddress(t), "--routes", testkit.FreeAddress(t),
			"--join", c.routes[0] + "," + c.routes[1] + "," + c.routes[2], "--dir", t.TempDir(), "--log-dir", t.TempDir(),
			"--secure", filepath.Join(certs, identity),
		}
	}
	for _, try := range []struct {
		what   string
		args   []string
		status int
		says   string
	}{
		{"no credentials", []string{"get", "sum", "--nats", url}, exit.StatusFailed, "certificate"},
		{"a certificate that has ended", asClient(certs, "late", url, "get", "sum"), exit.StatusFailed, "that of late ended at"},
		{"a reader writes", asClient(certs, "read", url, "set", "sum", "0"), exit.StatusRefused, "quartet.request"},
		{"a reader operates", asClient(certs, "read", url, "lead", "n2"), exit.StatusRefused, "role operate"},
		{"a writer operates", asClient(certs, "write", url, "recover"), exit.StatusRefused, "role operate"},
		{"an operator writes", asClient(certs, "operate", url, "set", "sum", "0"), exit.StatusRefused, "quartet.request"},
		{"a node's certificate reads", asClient(certs, "n1", url, "get", "sum"), exit.StatusFailed, "Authorization Violation"},
		{"a node with a client's", node("n4", "write"), exit.StatusUsage, "is a client's (write)"},
		{"a node with another's", node("n4", "n2"), exit.StatusUsage, "is of n2"},
		{"a node with one that has ended", node("n4", "late"), exit.StatusUsage, "that of late ended at"},
	} {
		end := quartet(t, try.args...)
		if end.status != try.status || !strings.Contains(end.stderr, try.says) {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", try.what, end.status, try.status, try.says, end.stdout, end.stderr)
		}
	}

	if end := quartet(t, asClient(certs, "gone", url, "get", "sum")...); end.status == 0 || end.stdout != "" {
		t.Errorf("a certificate that was revoked: status %d\n%s", end.status, end.stdout)
	}

	// What is said of a certificate that lacks comes with the end of the connection, or after it.
	if end := quartet(t, "get", "sum", "--nats", url, "--tlsca", filepath.Join(certs, "ca.crt")); end.status == 0 || end.stdout != "" {
		t.Errorf("the authority alone: status %d\n%s", end.status, end.stdout)
	}

	for _, try := range [][]string{
		asClient(certs, "read", url, "get", "sum"), asClient(certs, "read", url, "list"), asClient(certs, "operate", url, "get", "sum"),
		asClient(certs, "operate", url, "lead", "n2"), asClient(certs, "operate", url, "backup", filepath.Join(t.TempDir(), "all.backup")),
	} {
		if end := quartet(t, try...); end.status != 0 {
			t.Errorf("%q: status %d\n%s%s", try, end.status, end.stdout, end.stderr)
		}
	}
	load.awaitMore(t, 20)
	after := mustStatus(t, nc)
	isUndisturbed := after.Ready && len(after.Replicas) == 3 && after.Master.Name == "n2"
	if !isUndisturbed {
		t.Errorf("%+v\nthen %+v", before, after)
	}
	load.end(t)
}

// The certificates of nodes and of a client are renewed while they run: connections that begin then
// are made with the new ones, and none ends.
func TestCertificatesAreRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	c, nc, config := secureNodes(t, certs)
	load := startAdder(t, c.url(), client.WithTLS(config))
	load.awaitMore(t, 20)

	ends := func() time.Time {
		other, err := nats.Connect("nats://"+c.listen[0], nats.Secure(config))
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		state, err := other.TLSConnectionState()
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].NotAfter
	}
	before := ends()
	if end := quartet(t, "secure", "renew", certs, "n1", "n2", "n3", "write", "--days", "700"); end.status != 0 {
		t.Fatalf("status %d\n%s%s", end.status, end.stdout, end.stderr)
	}
	if after := ends(); after.Sub(before) < 300*24*time.Hour {
		t.Errorf("a node shows a certificate until %s, and before one until %s", after, before)
	}

	// A node that is started again takes its routes with the new one.
	c.all[2].Kill()
	c.all[2].Wait(t, restLimit)
	c.launch(t, 2)
	c.awaitWhole(t, nc, 3)
	load.awaitMore(t, 20)
	load.end(t)

	end := quartet(t, asClient(certs, "write", c.url(), "doctor", "-o", "json")...)
	if found := findings(t, end); len(found) > 0 {
		t.Errorf("doctor: %q", found)
	}
}

// findings are what doctor finds, but for processes that this test has ended.
func findings(t testing.TB, end commandEnd) (found []string) {
	t.Helper()
	var diagnosis struct {
		Checks []struct{ What, State, Text string }
	}
	if err := json.Unmarshal([]byte(end.stdout), &diagnosis); err != nil {
		t.Fatalf("%v\n%s%s", err, end.stdout, end.stderr)
	}
	for _, c := range diagnosis.Checks {
		if c.State == "finding" && !strings.Contains(c.Text, "its process ended") {
			found = append(found, c.What+": "+c.Text)
		}
	}
	return found
}

// A NATS server with what `quartet secure nats-config` prints, and a master with replicas there:
// doctor proves that each role may do what it needs, and no more; and finds it where one may.
func TestRolesOnANATSServer(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	printed := quartet(t, "secure", "nats-config", filepath.Join(certs, "n1"))
	if printed.status != 0 {
		t.Fatalf("status %d\n%s", printed.status, printed.stderr)
	}

	serve := func(config string) string {
		file := filepath.Join(t.TempDir(), "nats.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := server.ProcessConfigFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if o.PingInterval*time.Duration(o.MaxPingsOut+1) > 5*time.Second {
			t.Errorf("%d pings of %s have to be missed", o.MaxPingsOut+1, o.PingInterval)
		}
		o.JetStream, o.StoreDir = true, t.TempDir()
		return "nats://" + servertest.Start(t, o).Addr().String()
	}

	for what, lax := range map[string]bool{"as it is printed": false, "with no denials": true} {
		config := printed.stdout
		if lax {
			config = regexp.MustCompile(`, subscribe: \{ deny: \[[^]]*\] \}`).ReplaceAllString(config, "")
			config = strings.ReplaceAll(config, " deny: ", " allow: ")
			config = strings.ReplaceAll(config, `allow: [ "quartet.node.>"`, `allow: [ ">"`)
		}
		url := serve(config)
		p := newFolder(t)
		m := startIn(t, p, asClient(certs, "n1", url, "--memory", "--in-process", "--suspect", calm)...)
		for _, role := range secure.Clients {
			doctor := quartet(t, asClient(certs, string(role), url, "doctor", "-o", "json")...)
			found := findings(t, doctor)
			if strings.Contains(doctor.stdout, context.Canceled.Error()) {
				t.Errorf("%s, role %s: a refusal is no cancellation\n%s", what, role, doctor.stdout)
			}
			isWrong := len(found) > 0
			if isWrong != lax { // whoever may hear requests in place of a master, too
				t.Errorf("%s, role %s: %q", what, role, found)
			}
		}
		for role, want := range map[secure.Role]int{secure.Write: 0, secure.Read: exit.StatusRefused, secure.Operate: exit.StatusRefused} {
			if end := quartet(t, asClient(certs, string(role), url, "set", "k", "v")...); end.status != want {
				t.Errorf("%s, role %s sets: status %d\n%s", what, role, end.status, end.stderr)
			}
			if end := quartet(t, asClient(certs, string(role), url, "get", "k", "--consistency", "causal")...); end.status > exit.StatusNoValue {
				t.Errorf("%s, role %s gets: status %d\n%s", what, role, end.status, end.stderr)
			}
		}
		if status := m.stop(t, syscall.SIGTERM); status != 0 {
			t.Errorf("the master ended with status %d\n%s", status, &m.Stderr)
		}
	}
}
