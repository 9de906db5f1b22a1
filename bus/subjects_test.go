package bus

import (
	"errors"
	"strings"
	"testing"

	"quartet/bus/lamport"
)

func TestSubjects(t *testing.T) {
	for _, prefix := range []string{DefaultPrefix, "my.kv"} {
		s, err := NewSubjects(prefix)
		if err != nil {
			t.Fatal(err)
		}
		for got, want := range map[string]string{
			s.Prefix(): prefix, s.Request(): prefix + ".request", s.Status(): prefix + ".status",
			s.Report(): prefix + ".report", s.Recover(): prefix + ".recover", s.Remove(): prefix + ".remove",
			s.Nodes(): prefix + ".node.*", s.All(): prefix + ".>",
			s.Node(lamport.Replica(1)): prefix + ".node.r1", s.Node(lamport.Replica(9)): prefix + ".node.r9",
			s.Node(lamport.Replica(10)): prefix + ".node.r10", s.Node(lamport.Master(1)): prefix + ".node.m1",
		} {
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
	s, _ := NewSubjects(DefaultPrefix)
	if n := testing.AllocsPerRun(100, func() { _ = s.Node(3) + s.Request()[:0] }); n != 0 {
		t.Errorf("a replica's subject allocates %v times", n)
	}
}

func TestBadPrefixes(t *testing.T) {
	for _, prefix := range []string{
		"", ".", "a.", ".a", "a..b", "*", ">", "a.*", "a.>", "a*", "a b", "a\tb", "a\n", "$JS", "$", "_INBOX", "_x",
		"a\x00", "a\x7f", "a\xff", "a\u00a0b", strings.Repeat("a", MaxPrefix+1),
	} {
		if _, err := NewSubjects(prefix); !errors.Is(err, ErrPrefix) {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

func TestReserved(t *testing.T) {
	s, err := NewSubjects("my.kv")
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]bool{
		"_INBOX.abc.1": false, "answers": false, "my": false, "my.kvx": false, "my.other": false, "a.my.kv.node.r1": false,
		"MY.KV.node.r1": false, "a.$b": false, "über": false,
		"my.kv": true, "my.kv.request": true, "my.kv.node.r1": true, "my.kv.x": true, "my.kv.": true,
		"$JS.API.STREAM.DELETE.x": true, "$SYS.x": true, "$": true,
		"": true, ".": true, "a.": true, ".a": true, "a..b": true, "*": true, ">": true, "a.*": true, "a.>": true, "a.*.b": true,
		"a b": true, " a": true, "a\t": true, "a\r\nPUB x": true, "a\x00": true, "a\xff": true,
	} {
		if got := s.Reserved(subject); got != want {
			t.Errorf("%q: %v", subject, got)
		}
	}
}
