package mastercmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/bus/server"
	"quartet/bus/server/servertest"
	"quartet/master/ledger"
)

// report runs the command and returns what it printed and the exit status.
func report(t *testing.T, args ...string) (string, int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	cmd := Report(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(ctx)
	return out.String(), exit.Status(err), err
}

// finishedRun leaves the files of a master that answered two requests.
func finishedRun(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	record(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func record(l *ledger.Ledger) {
	for rid := range uint64(2) {
		l.Record(ledger.Entry{RID: rid + 1, Model: model.Causal, Type: model.Set, Key: "key1", Replica: lamport.Replica(2),
			Code: model.OK, Received: time.Now(), Taken: time.Millisecond})
	}
}

func TestReportOfAFinishedRun(t *testing.T) {
	dir := finishedRun(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "causal       set          2   2         0      0       0   1ms  1ms  1ms  1ms  1ms"},
		{[]string{"-o", "csv"}, "causal,set,2,2,0,0,1000.0,1000,1000,1000,1000,,0,2,0\n"},
		{[]string{"-o", "json"}, `"p99_us": 1000`},
		{[]string{"-o", "jsonl"}, `"p99_us":1000`},
		{[]string{"-o", "raw"}, `"p99_us":1000`},
		{[]string{"--requests", "-o", "jsonl"}, `{"rid":2,"client":"","consistency":"causal"`},
		{[]string{"--requests", "-o", "raw"}, "\n2,,causal,set,key1,r2,200,"},
		{[]string{"--requests"}, "1             -             causal        set      key1"},
		{[]string{"--requests", "-o", "csv"}, "\n2,,causal,set,key1,r2,200,"},
		{[]string{"-o", "html"}, "<code>key1</code>"},
		{[]string{"--requests", "-o", "json"}, `{"rid":2,"client":"","consistency":"causal"`},
	} {
		got, status, err := report(t, append([]string{"--log-dir", dir}, c.args...)...)
		if status != exit.StatusOK || !strings.Contains(got, c.want) {
			t.Errorf("%q: status %d, %v\n%s\nwant in it: %s", c.args, status, err, got, c.want)
		}
	}
}

func TestReportOfARunningCluster(t *testing.T) {
	s, err := server.Start(t.Context(), server.Options{Listen: "127.0.0.1:-1", StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)

	if out, status, err := report(t, "--nats", s.ClientURL()); status != exit.StatusNoCluster || out != "" ||
		!strings.Contains(err.Error(), `prefix "quartet"`) {
		t.Errorf("a server without a master: status %d, %q, %v", status, out, err)
	}

	l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	record(l)
	answer := func(subject string, reply func() *nats.Msg) {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.RespondMsg(reply()) }); err != nil {
			t.Fatal(err)
		}
	}
	answer("quartet.report", func() *nats.Msg {
		text, _ := json.Marshal(l.Summary())
		return &nats.Msg{Data: text}
	})
	answer("other.report", func() *nats.Msg { return &nats.Msg{Data: []byte("no JSON")} })
	answer("busy.report", func() *nats.Msg {
		return &nats.Msg{Header: nats.Header{bus.HeaderErrorCode: {"503"}, bus.HeaderError: {"not now"}}}
	})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	if got, status, err := report(t, "--nats", s.ClientURL()); status != exit.StatusOK || !strings.Contains(got, "2 requests so far") {
		t.Errorf("status %d, %v\n%s", status, err, got)
	}
	if _, status, err := report(t, "--nats", s.ClientURL(), "--prefix", "other"); status != exit.StatusUnknown ||
		!strings.Contains(err.Error(), "no master of quartet") {
		t.Errorf("an answer that is no report: status %d, %v", status, err)
	}
	if _, status, err := report(t, "--nats", s.ClientURL(), "--prefix", "busy"); status != exit.StatusRefused ||
		!strings.Contains(err.Error(), "not now") {
		t.Errorf("a refusal: status %d, %v", status, err)
	}
	url := s.ClientURL()
	nc.Close()
	s.Shutdown()
	if out, status, err := report(t, "--nats", url); status != exit.StatusNoCluster || out != "" || !errors.Is(err, bus.ErrDial) {
		t.Errorf("no server: status %d, %q, %v", status, out, err)
	}
}

func TestReportWrongUse(t *testing.T) {
	dir := finishedRun(t)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--log-dir", dir, "-o", "xml"}, exit.StatusUsage},
		{[]string{"--nats", "nats://127.0.0.1:1", "--requests"}, exit.StatusUsage},
		{[]string{"--nats", "nats://127.0.0.1:1", "-o", "html"}, exit.StatusUsage},
		{[]string{"--log-dir", dir, "--requests", "-o", "html"}, exit.StatusUsage},
		{[]string{"--log-dir", t.TempDir(), "-o", "html"}, exit.StatusFailed},
		{[]string{"--nats", "nats://127.0.0.1:1", "--log-dir", dir}, exit.StatusUsage},
		{[]string{"--nats", "nats://127.0.0.1:1", "--prefix", "a..b"}, exit.StatusUsage},
		{[]string{"--log-dir", t.TempDir()}, exit.StatusFailed},
		{[]string{"--log-dir", t.TempDir(), "--requests"}, exit.StatusFailed},
	} {
		if out, status, err := report(t, c.args...); status != c.want || out != "" {
			t.Errorf("%q: status %d (%v), printed %q; want status %d", c.args, status, err, out, c.want)
		}
	}
	if _, _, err := report(t, "--log-dir", t.TempDir()); !errors.Is(err, ledger.ErrNoRun) {
		t.Errorf("an empty directory: %v", err)
	}
}

// What the NATS server's permissions refuse is said at once, and is no silence of the master's.
func TestReportThatPermissionsRefuse(t *testing.T) {
	allow := func(subject string) *natsserver.SubjectPermission {
		return &natsserver.SubjectPermission{Allow: []string{subject}}
	}
	s := servertest.Start(t, &natsserver.Options{Users: []*natsserver.User{
		{Username: "mute", Password: "p", Permissions: &natsserver.Permissions{Publish: allow("elsewhere")}},
		{Username: "deaf", Password: "p", Permissions: &natsserver.Permissions{Subscribe: allow("elsewhere")}},
	}})
	for user, subject := range map[string]string{"mute": "publish to quartet.report", "deaf": "subscribe to _INBOX."} {
		out, status, err := report(t, "--nats", s.ClientURL(), "--user", user, "--password", "p")
		if status != exit.StatusRefused || !errors.Is(err, bus.ErrPermission) || !strings.Contains(err.Error(), subject) || out != "" {
			t.Errorf("%s: status %d, %v, printed %q", user, status, err, out)
		}
	}
}
