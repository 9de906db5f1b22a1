package masternode

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/server"
	"quartet/bus/testkit"
	"quartet/bus/trouble"
	"quartet/master"
	"quartet/master/masternode/supervise"
)

// said are the kinds of a status' warnings, in their order. A warning that is of no kind, or is
// no line, fails the test.
func said(t *testing.T, n *node, s *master.Status) (kinds []*trouble.Kind, lines []string) {
	t.Helper()
	lines = n.statusOf(s).Warnings
	for _, line := range lines {
		k := trouble.Of(line)
		if k == nil || strings.ContainsAny(line, "\n\t") {
			t.Errorf("nothing is known of the warning %q", line)
		}
		kinds = append(kinds, k)
	}
	return kinds, lines
}

// identity is that of a node, for so long.
func identity(t *testing.T, valid time.Duration) *secure.Identity {
	t.Helper()
	return securetest.Begin(t).Identity(secure.Asked{Name: "n1", Role: secure.Node, For: valid})
}

// A status says of its next fault what is so, and nothing else.
func TestWarnings(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		missing int // replicas that may be missing, of three
		change  func(*node, *master.Status)
		want    []*trouble.Kind
		words   string // in the first of them
	}{
		"all is well": {1, func(*node, *master.Status) {}, nil, ""},

		"the record cannot be written": {1, func(n *node, _ *master.Status) { n.noteStore(errors.New("no\n\tquorum")) },
			[]*trouble.Kind{trouble.NextChangeFails}, "will fail: no quorum"},
		"it can again": {1, func(n *node, _ *master.Status) { n.noteStore(errors.New("no")); n.noteStore(nil) }, nil, ""},

		"one of three is away, and two are needed": {1, func(_ *node, s *master.Status) { s.Replicas[2].Member = false },
			[]*trouble.Kind{trouble.NoSpare}, "2 of 3 replicas work, and 2 are needed"},
		"one of three is away, and one is needed": {2, func(_ *node, s *master.Status) { s.Replicas[2].Member = false }, nil, ""},
		"two of three are away, and the reason says it": {1, func(_ *node, s *master.Status) {
			s.Ready, s.Replicas[1].Member, s.Replicas[2].Member = false, false, false
		}, nil, ""},

		"the disk is nearly full": {1, func(n *node, _ *master.Status) { n.room.free, n.room.need = 100*mib, 64*mib },
			[]*trouble.Kind{trouble.DiskNarrow}, "100 MiB left in "},
		"the disk is full, and the reason says it": {1, func(n *node, _ *master.Status) {
			n.room.free, n.room.need, n.room.why = 10*mib, 64*mib, trouble.DiskFull.Say("10 MiB", "64 MiB")
		}, nil, ""},
		"there is room": {1, func(n *node, _ *master.Status) { n.room.free, n.room.need = 128*mib, 64*mib }, nil, ""},

		"the certificate ends in thirteen days": {1, func(n *node, _ *master.Status) { n.opts.Secure = identity(t, 13*24*time.Hour) },
			[]*trouble.Kind{trouble.CertificateEnds}, "the certificate of n1 in "},
		"it ends in fifteen": {1, func(n *node, _ *master.Status) { n.opts.Secure = identity(t, 15*24*time.Hour) }, nil, ""},

		"two things": {1, func(n *node, s *master.Status) {
			s.Replicas[2].Member = false
			n.noteStore(errors.New("no quorum"))
		}, []*trouble.Kind{trouble.NextChangeFails, trouble.NoSpare}, "no quorum"},
	} {
		n, _ := shell(t, recordOf(3, 1, 2, 3), nil)
		n.views.newest.Missing = c.missing
		s := members(0, 0, 0)
		c.change(n, s)

		kinds, lines := said(t, n, s)
		wrong := len(lines) > 0 && !strings.Contains(lines[0], c.words)
		if !slices.Equal(kinds, c.want) || wrong {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

// A replica whose process ends again and again is warned of at the third time.
func TestAProcessThatKeepsEndingIsWarnedOf(t *testing.T) {
	n, _ := shell(t, recordOf(3, 1), func(o *Options) { t.Setenv(role, "") }) // it says "no replica today" and ends
	if err := n.super.spawn(1); err != nil {
		t.Fatal(err)
	}
	ends := 0
	testkit.Await(t, "r1 has ended three times", func() bool {
		for _, e := range n.super.step(time.Now()) {
			if e.Kind == supervise.Started {
				continue
			}
			ends++
			kinds, lines := said(t, n, members(0))
			if warned := slices.Contains(kinds, trouble.KeepsEnding); warned != (ends >= restartsOften) {
				t.Errorf("after %d ends: %q", ends, lines)
			}
		}
		return ends > restartsOften
	})
}

// A replica that another process speaks as, beside which the master starts none, is warned of.
func TestASecondProcessOfANameIsWarnedOf(t *testing.T) {
	n, _ := shell(t, recordOf(3, 1), func(o *Options) { t.Setenv(role, "") }) // it ends at once
	others := true
	n.super = newSupervisor(n.opts, n.dir, func(lamport.Node, int) bool { return others })
	if err := n.super.spawn(1); err != nil {
		t.Fatal(err)
	}
	s := members(0)
	s.Replicas[0].PID = 77
	testkit.Await(t, "r1 has ended, and yields", func() bool {
		n.super.step(time.Now())
		return !n.super.restarts()[1].Yields.IsZero()
	})
	kinds, lines := said(t, n, s)
	at := slices.Index(kinds, trouble.Doubled)
	if at < 0 || !strings.Contains(lines[at], "pid 77") || slices.Contains(kinds, trouble.KeepsEnding) {
		t.Errorf("%q", lines)
	}
	s.Replicas[0].Member, s.Replicas[0].Reason = false, "it is being loaded"
	if got := n.reason(&s.Replicas[0]); !strings.HasPrefix(got, "it is being loaded (its process is another") {
		t.Errorf("reason %q", got)
	}

	others = false
	testkit.Await(t, "it is started again", func() bool {
		n.super.step(time.Now())
		return n.super.restarts()[1].Yields.IsZero()
	})
	n.super.dismiss(1)
	if kinds, lines := said(t, n, members(0)); slices.Contains(kinds, trouble.Doubled) {
		t.Errorf("alone: %q", lines)
	}
}

// Who listens beyond this machine without asking who comes says so for as long as it is so.
func TestAnOpenBindIsWarnedOf(t *testing.T) {
	for listen, open := range map[string]bool{"127.0.0.1:-1": false, "0.0.0.0:-1": true} {
		there, err := server.Start(t.Context(), server.Options{Listen: listen, AllowInsecureBind: true})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := shell(t, recordOf(3, 1), nil)
		n.server = there
		kinds, lines := said(t, n, members(0))
		if slices.Contains(kinds, trouble.Open) != open {
			t.Errorf("%s: %q", listen, lines)
		}
		if address := there.Address(); open != strings.Contains(strings.Join(lines, "\n"), "reaches 0.0.0.0:") {
			t.Errorf("it listens at %s, and says %q", address, lines)
		}
		there.Shutdown()
	}
}
