package register

import (
	"net"
	"net/url"
	"strconv"
	"testing"

	nats "github.com/nats-io/nats-server/v2/server"

	"quartet/bus"
	"quartet/bus/bustest"
	"quartet/bus/server/servertest"
	"quartet/bus/testkit"
)

// startLeaf starts a hub with JetStream in the domain "hub", and a server that reaches it over
// a leaf node, with JetStream in a domain of its own, or with none where that is "". It
// returns the URLs of both.
func startLeaf(t *testing.T, domain string) (hub, leaf string) {
	t.Helper()
	options := &nats.Options{
		ServerName: "hub", JetStream: true, StoreDir: t.TempDir(), JetStreamDomain: "hub", DisableJetStreamBanner: true,
		LeafNode: nats.LeafNodeOpts{Host: "127.0.0.1", Port: nats.RANDOM_PORT},
	}
	h := servertest.Start(t, options)
	remote := &url.URL{Scheme: "nats-leaf", Host: leafAddress(t, h)}
	options = &nats.Options{
		ServerName: "leaf",
		LeafNode:   nats.LeafNodeOpts{Remotes: []*nats.RemoteLeafOpts{{URLs: []*url.URL{remote}}}},
	}
	if domain != "" {
		options.JetStream, options.StoreDir = true, t.TempDir()
		options.JetStreamDomain, options.DisableJetStreamBanner = domain, true
	}
	l := servertest.Start(t, options)
	testkit.Await(t, "the leaf node connects", func() bool { return h.NumLeafNodes() == 1 && l.NumLeafNodes() == 1 })
	return h.ClientURL(), l.ClientURL()
}

// leafAddress is where a server takes leaf nodes.
func leafAddress(t *testing.T, s *nats.Server) string {
	t.Helper()
	v, err := s.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port))
}

// A cluster whose JetStream is behind a leaf node, in a domain of its own, reads and writes
// its record as any other.
func TestRecordOverALeafNode(t *testing.T) {
	hub, leaf := startLeaf(t, "")
	far := open(t, bustest.Dial(t, bus.DialOptions{URL: leaf}), Options{Domain: "hub"})
	if rec, revision := read(t, far); rec != nil || revision != 0 {
		t.Fatalf("at first: %+v, revision %d", rec, revision)
	}
	if got := propose(t, far, of(1, 11), 0); got != Won {
		t.Fatalf("the first proposal over the leaf node: %s", got)
	}
	if got := propose(t, far, of(1, 12), 0); got != Lost {
		t.Fatalf("a second one: %s", got)
	}
	if err := far.Try(t.Context()); err != nil {
		t.Fatal(err)
	}

	// It stands where whoever is at the hub finds it, with the domain's name and without.
	for _, domain := range []string{"", "hub"} {
		near := open(t, bustest.Dial(t, bus.DialOptions{URL: hub}), Options{Domain: domain})
		rec, revision := read(t, near)
		if rec == nil || rec.Nonce != 11 {
			t.Fatalf("at the hub, domain %q: %+v", domain, rec)
		}
		if domain == "" {
			continue
		}
		if got := propose(t, near, of(rec.Epoch+1, 13), revision); got != Won {
			t.Fatalf("at the hub, domain %q: %s", domain, got)
		}
	}
}

// A leaf node with JetStream of its own has two records of one name: the domain that is asked
// for says which is meant, and what is written to one is never in the other.
func TestRecordsOfTwoDomains(t *testing.T) {
	hub, leaf := startLeaf(t, "edge")
	far := open(t, bustest.Dial(t, bus.DialOptions{URL: leaf}), Options{Domain: "hub"})
	own := open(t, bustest.Dial(t, bus.DialOptions{URL: leaf}), Options{Domain: "edge"})
	if got := propose(t, far, of(1, 11), 0); got != Won {
		t.Fatalf("the first proposal in the hub's domain: %s", got)
	}
	if rec, revision := read(t, own); rec != nil || revision != 0 {
		t.Fatalf("in the leaf's own domain, where nothing was written: %+v, revision %d", rec, revision)
	}
	if got := propose(t, own, of(1, 21), 0); got != Won {
		t.Fatalf("the first proposal in the leaf's own domain: %s", got)
	}

	// Without a domain it is that of the server that one is connected to.
	for _, at := range []struct {
		url, domain string
		nonce       uint64
	}{{hub, "", 11}, {hub, "hub", 11}, {hub, "edge", 21}, {leaf, "", 21}, {leaf, "hub", 11}, {leaf, "edge", 21}} {
		s := open(t, bustest.Dial(t, bus.DialOptions{URL: at.url}), Options{Domain: at.domain})
		if rec, _ := read(t, s); rec == nil || rec.Nonce != at.nonce {
			t.Errorf("at %s, domain %q: %+v, want nonce %d", at.url, at.domain, rec, at.nonce)
		}
		if err := s.Try(t.Context()); err != nil {
			t.Errorf("at %s, domain %q: %v", at.url, at.domain, err)
		}
	}
}
