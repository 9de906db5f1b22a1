package clientcmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/internal/responder"
)

// end is what a program reads of a command's end.
type end struct {
	Ack, Error, Key, Value string
	Code                   int
}

// Whatever stops a command early, who asked for JSON has an object that says so: of each
// command as the real program runs it, in both formats.
func TestEarlyErrorsAreObjects(t *testing.T) {
	t.Parallel()
	binary := built(t)
	nobody := "nats://127.0.0.1:1"
	alone := responder.Server(t).ClientURL() // a server without a cluster
	large := strings.Repeat("v", model.MaxKeyValue+1)
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, []byte("1, 1, k ::: "+large+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		what   string
		args   []string
		stdin  string
		status int
		code   int
	}{
		{"no server", []string{"set", "k", "v", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"get", "k", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"client", "1, 2, k", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"status", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"recover", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"remove", "r1", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no server", []string{"report", "--nats", nobody}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"set", "k", "v", "--retries", "0", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"get", "k", "--retries", "0", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"client", "1, 2, k", "1, 2, l", "--retries", "0", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"client", "--async", "1, 2, k", "--retries", "0", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"status", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"recover", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"remove", "r1", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"no cluster", []string{"report", "--nats", alone}, "", exit.StatusNoCluster, 503},
		{"too large", []string{"set", "k", "-", "--nats", alone}, large, exit.StatusUsage, 413},
		{"too large", []string{"set", "k", "-", "--nats", alone}, large[1:], exit.StatusUsage, 413}, // with its key
		{"too large", []string{"client", file, "--nats", alone}, "", exit.StatusUsage, 413},
		{"malformed", []string{"get", strings.Repeat("k", 1025), "--nats", alone}, "", exit.StatusUsage, 400},
		{"malformed", []string{"set", "a:::b", "v", "--nats", alone}, "", exit.StatusUsage, 400},
		{"malformed", []string{"set", "k"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"get", "k", "--session", "none"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"client", "5, 2, k"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"status", "x"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"recover", "--timeout", "0"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"remove"}, "", exit.StatusUsage, 400},
		{"malformed", []string{"report", "--wrong"}, "", exit.StatusUsage, 400},
		{"no report", []string{"report", "--log-dir", t.TempDir()}, "", exit.StatusFailed, 0},
	} {
		for _, out := range []string{"json", "jsonl"} {
			cmd := exec.Command(binary, append(test.args[:len(test.args):len(test.args)], "-o", out)...)
			cmd.Stdin = strings.NewReader(test.stdin)
			c := testkit.Launch(t, cmd)
			status, stderr := c.Wait(t, limit), c.Stderr.String()
			if status != test.status || stderr == "" {
				t.Errorf("%s, %.80q -o %s: status %d, want %d; stderr %.200q", test.what, test.args, out, status, test.status, stderr)
			}

			stdout := c.Stdout.String()
			got := one(t, []byte(stdout), out == "json" && test.args[0] == "client")
			if got.Ack != bus.AckFail || got.Code != test.code || got.Error == "" {
				t.Errorf("%s, %.80q -o %s: %.300s", test.what, test.args, out, stdout)
			}
		}
	}
}

// one reads the only object of a document.
func one(t *testing.T, document []byte, list bool) end {
	t.Helper()
	all := make([]end, 1)
	into := any(&all[0])
	if list {
		all, into = nil, &all
	}
	if err := json.Unmarshal(document, into); err != nil || len(all) != 1 {
		t.Errorf("%v, %d objects: %.300q", err, len(all), document)
		return end{}
	}
	return all[0]
}

// What a reply to a JSON request says, the command's object says in the same words; what
// only the command knows stands beside.
func TestObjectsAreThoseOfJSONRequests(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.Request.Key == "refused" {
			return responder.Action{Code: 503}
		}
		return responder.Action{}
	})

	quartet(t, r.URL, "set", "text", "<v>\n")
	quartet(t, r.URL, "set", "bytes", "\xff\n")
	quartet(t, r.URL, "set", "escaped", strings.Repeat("\x01", 120_000)) // six times as long in JSON
	for _, key := range []string{"text", "bytes", "escaped", "none", "refused"} {
		for _, m := range model.All {
			request, err := json.Marshal(map[string]string{"consistency": m.Word(), "request": "get", "key": key})
			if err != nil {
				t.Fatal(err)
			}
			reply, err := r.Conn.Request("quartet.request", request, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}

			w := quartet(t, r.URL, "get", "-o", "json", "--retries", "0", "--consistency", m.Word(), key)
			want, got := object(t, reply.Data), object(t, []byte(w.stdout))
			for _, changing := range []string{"rID", "clock", "replica", "position"} { // each request has its own
				if wanted, has := want[changing], got[changing]; (wanted == nil) != (has == nil) {
					t.Errorf("%s %s: %s is %v, want one like %v", m.Word(), key, changing, has, wanted)
				}
				delete(want, changing)
				delete(got, changing)
			}

			for _, beside := range []string{"client", "key", "attempts"} {
				if got[beside] == nil {
					t.Errorf("%s %s: no %s", m.Word(), key, beside)
				}
				delete(got, beside)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s (-NATS +command):\n%.1000s", m.Word(), key, diff)
			}
		}
	}
}

func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("%v: %.200q", err, text)
	}
	return o
}

// An unknown outcome is none of a definite reply's: not where no reply came, and not where
// only a later sending of the set was refused.
func TestUnknownOutcomesAreObjects(t *testing.T) {
	lost := responder.Start(t, func(responder.Call) responder.Action { return responder.Action{Silent: true} })
	later := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Silent: call.N == 1, Code: map[bool]model.Code{false: 503}[call.N == 1]}
	})
	for _, url := range []string{lost.URL, later.URL} {
		w := quartet(t, url, "set", "k", "v", "-o", "json", "--timeout", "200ms", "--retries", "1")
		got := one(t, []byte(w.stdout), false)
		if w.status != exit.StatusUnknown || got.Ack != "UNKNOWN" || got.Code != 504 || got.Error == "" || got.Key != "k" {
			t.Errorf("status %d: %s%s", w.status, w.stdout, w.err)
		}
	}
}

// Who has an object already gets no second one; a failure that is no request's has no code.
func TestWhatIsPrintedIsNotFollowedByAnError(t *testing.T) {
	r := responder.Start(t, nil)
	for _, args := range [][]string{{"get", "none"}, {"client", "1, 2, none"}} {
		w := quartet(t, r.URL, append(args, "-o", "jsonl")...)
		if got := one(t, []byte(w.stdout), false); got.Code != 404 || got.Ack != bus.AckFail {
			t.Errorf("%q: %s", args, w.stdout)
		}
	}
	if w := quartet(t, r.URL, "client", "-o", "json", "1, 2, k", "--record", "/dev/null/no"); w.status == 0 {
		t.Errorf("recorded into nothing: %s", w.stdout)
	} else if got := one(t, []byte(w.stdout), true); got.Ack != bus.AckFail || got.Code != 0 {
		t.Errorf("a failure that is no request's: %s", w.stdout)
	}
}
