package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
)

// behindALeaf starts a hub with JetStream in the domain "hub", and a server without JetStream that
// reaches it over a leaf node.
func behindALeaf(t *testing.T) (hub, leaf *server.Server) {
	t.Helper()
	hub = servertest.Start(t, &server.Options{
		ServerName: "hub", JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "hub",
		LeafNode: server.LeafNodeOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT},
	})

	v, err := hub.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := &url.URL{Scheme: "nats-leaf", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port))}
	leaf = servertest.Start(t, &server.Options{
		ServerName: "leaf",
		LeafNode:   server.LeafNodeOpts{Remotes: []*server.RemoteLeafOpts{{URLs: []*url.URL{remote}}}},
	})

	testkit.Eventually(t, startLimit, "the leaf node connects", func() error {
		if hub.NumLeafNodes() != 1 || leaf.NumLeafNodes() != 1 {
			return errors.New("it does not")
		}
		return nil
	})
	return hub, leaf
}

// A cluster on a server whose JetStream is another domain's, behind a leaf node: its record stands
// in that domain, it serves all models, views change, and doctor finds nothing.
func TestClusterBehindALeafNode(t *testing.T) {
	t.Parallel()
	hub, leaf := behindALeaf(t)
	startIn(t, newFolder(t), "--memory", "--nats", leaf.ClientURL(), "--js-domain", "hub", "--suspect", calm)
	nc := connect(t, leaf.ClientURL())
	serves(t, nc)

	js, err := jetstream.New(connect(t, hub.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.KeyValue(t.Context(), "quartet_views"); err != nil {
		t.Errorf("the record does not stand in the domain: %v", err)
	}

	before := mustStatus(t, nc)
	victim := before.Replicas[1].PID
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := awaitWhole(t, func() (bus.Status, error) { return status(nc) }, victim)
	if after.Epoch <= before.Epoch {
		t.Errorf("the view has not changed: epoch %d, then %d", before.Epoch, after.Epoch)
	}

	o := quartet(t, "doctor", "--nats", leaf.ClientURL(), "--js-domain", "hub", "-o", "json")
	var diagnosis struct {
		Checks []struct{ What, State, Text string }
	}
	if err := json.Unmarshal([]byte(o.stdout), &diagnosis); err != nil {
		t.Fatalf("%v\n%s%s", err, o.stdout, o.stderr)
	}
	domain := false
	for _, c := range diagnosis.Checks {
		lately := strings.Contains(c.Text, "its process ended") // that was this test
		if c.State == "finding" && !lately {
			t.Errorf("doctor finds %s: %s", c.What, c.Text)
		}
		if c.What == "JetStream" && c.State == "ok" && strings.Contains(c.Text, "domain hub") {
			domain = true
		}
	}
	if !domain || o.status > exit.StatusFailed {
		t.Errorf("status %d\n%s", o.status, o.stdout)
	}

	// Who says nothing of the domain finds no JetStream, which doctor says and is no finding: a
	// client needs none.
	o = quartet(t, "doctor", "--nats", leaf.ClientURL(), "-o", "jsonl")
	if !strings.Contains(o.stdout, `{"what":"JetStream","state":"note"`) ||
		!strings.Contains(o.stdout, `{"what":"linearizable","state":"ok"`) {
		t.Errorf("without the domain: status %d\n%s", o.status, o.stdout)
	}
}

// A start to which JetStream does not answer, or not to this user, says why, and what to look at.
func TestAStartWithoutJetStreamSaysWhy(t *testing.T) {
	t.Parallel()
	hub := externalServerOf(t, &server.Options{JetStream: true, Users: []*server.User{
		{Username: "all", Password: "all"},
		{Username: "some", Password: "some", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.>", "$KV.>"}},
		}},
	}})
	without := externalServer(t, false)

	for _, c := range []struct {
		name string
		args []string
		says string
		not  string
	}{
		{
			"permissions", []string{"--nats", hub.ClientURL(), "--user", "some", "--password", "some"},
			"do not let this user publish to $JS.API.STREAM.INFO.KV_quartet_views", "deadline",
		},
		{
			"another domain", []string{"--nats", hub.ClientURL(), "--user", "all", "--password", "all", "--js-domain", "nowhere"},
			`is there JetStream in the domain "nowhere"`, "are the servers up",
		},
		{"none", []string{"--nats", without.ClientURL()}, "is JetStream enabled on them?", "domain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := launch(t, newFolder(t), append([]string{"--memory"}, c.args...)...)
			if code := m.Wait(t, startLimit); code != exit.StatusFailed {
				t.Errorf("status %d", code)
			}
			lines := strings.Split(strings.TrimSpace(m.Stderr.String()), "\n")
			if last := lines[len(lines)-1]; !strings.Contains(last, c.says) || strings.Contains(last, c.not) {
				t.Errorf("its last words: %s", last)
			}
		})
	}
}

// awaitWhole waits until the cluster is ready, with every replica a member, and none of them the
// process that was killed.
func awaitWhole(t *testing.T, look func() (bus.Status, error), killed int) bus.Status {
	t.Helper()
	var s bus.Status
	testkit.Eventually(t, time.Minute, "every replica is a member again", func() (err error) {
		if s, err = look(); err != nil {
			return err
		}
		for _, r := range s.Replicas {
			if !r.Member || r.PID == killed {
				return fmt.Errorf("%s: process %d, member %t: %s", r.ID, r.PID, r.Member, r.Reason)
			}
		}
		if !s.Ready {
			return errors.New(s.Reason)
		}
		return nil
	})
	return s
}
