package main

import (
	"bytes"
	"strings"
	"testing"

	"quartet/bus/host/exit"
	"quartet/client/measure/peers"
)

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"--help", exit.StatusOK, ""},
		{"extra", exit.StatusUsage, "unknown command"},
		{"--loads", exit.StatusUsage, "needs an argument"},
		{"--loads scan", exit.StatusUsage, `unknown load "scan"`},
		{"--peers etcd", exit.StatusUsage, `unknown peer "etcd"`},
		{"-o csv", exit.StatusUsage, `unknown format "csv"`},
		{"--rounds 0", exit.StatusUsage, "0 rounds"},
		{"--quartet /none/quartet", exit.StatusFailed, "the quartet program"},
	} {
		var out, talk bytes.Buffer
		cmd := command(&out, &talk)
		cmd.SetArgs(strings.Fields(c.args))
		err := cmd.ExecuteContext(t.Context())
		if got := exit.Status(err); got != c.status {
			t.Errorf("%s: status %d, want %d; %v", c.args, got, c.status, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.args, err, c.says)
		}
		if err == nil && !strings.Contains(out.String(), "quartet-peers --peers nats-r1,nats-r3") {
			t.Errorf("%s: no examples in\n%s", c.args, out.String())
		}
	}
}

// A peer that was named must be there, and one that is installed must start.
func TestAbsent(t *testing.T) {
	report := &peers.Report{Missing: []peers.Missing{{Peer: "redis"}}}
	if err := absent(report, false); err != nil {
		t.Error(err)
	}
	if err := absent(report, true); err == nil || !strings.Contains(err.Error(), "redis") {
		t.Errorf("%v", err)
	}
	report.Missing[0].Installed = true
	if err := absent(report, false); err == nil {
		t.Error("one that did not start is no error")
	}
}
