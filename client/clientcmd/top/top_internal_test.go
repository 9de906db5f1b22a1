package top

import (
	"strings"
	"testing"
	"time"

	"quartet/bus"
	"quartet/client/clientcmd/console"
	"quartet/client/glance"
)

func TestTheTableOfTwoLooks(t *testing.T) {
	before := &glance.Look{}
	now := &glance.Look{At: before.At.Add(time.Second)}
	now.Status = bus.Status{Ready: true, Replicas: []bus.ReplicaStatus{{ID: "r1", Member: true}, {ID: "r4", Phase: "learning"}}}
	now.Report.Groups = []bus.ReportGroup{{Consistency: "causal", Request: "get", Count: 20, Timed: 20, Mean: 250}}

	text := table(glance.Compare(before, now), console.Palette{})
	for _, want := range []string{"ready", "no, learning", "250µs", "QUEUE"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestFit(t *testing.T) {
	for line, want := range map[string]string{
		"abc": "abc", "abcdefg": "abcde", "\x1b[31mabcdefg\x1b[0m": "\x1b[31mabcde\x1b[0m", "äöüßxy": "äöüßx",
	} {
		if got := fit(line, 5); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
