package clientcmd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/client/internal/responder"
)

// world is what one command sees, and what came of it.
type world struct {
	stdin  string
	env    map[string]string
	stdout string
	stderr string

	completed string // what cobra itself prints: completions
	status    int
	err       string
}

// TestMain refuses to run the tests for a command of quartet: should a command ever
// execute the test binary, that ends here and not in a process that starts itself for ever.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		fmt.Fprintln(os.Stderr, "the test binary was run as quartet:", os.Args[1:])
		os.Exit(97)
	}
	status := m.Run()
	if dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(status)
}

// completion returns what cobra tells a shell.
func (w *world) completion(t *testing.T, args ...string) string {
	t.Helper()
	w.run(t, append([]string{cobra.ShellCompRequestCmd}, args...)...)
	return w.completed
}

func (w *world) run(t *testing.T, args ...string) {
	t.Helper()
	w.runIn(t.Context(), new(testkit.Buffer), args...)
}

// runIn runs a command until ctx ends, which is Ctrl-C to it; what it prints is in written at once.
func (w *world) runIn(ctx context.Context, written *testkit.Buffer, args ...string) {
	var stderr, completed testkit.Buffer
	stdout := console.NewOutput(written)
	root := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	root.SetOut(&completed)
	root.SetErr(&stderr)
	root.AddCommand(clientcmd.Commands(console.Env{
		Stdin: strings.NewReader(w.stdin), Stdout: stdout, Stderr: &stderr,
		Getenv:   func(name string) string { return w.env[name] },
		Requests: os.DirFS("../../testdata/requests"),
		Program:  "no-such-program", // what starts a cluster is tested by processes
	})...)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	stdout.Failed(cmd, args, err, exit.Status(err))
	w.completed = completed.String()
	w.stdout, w.stderr, w.status, w.err = written.String(), stderr.String(), exit.Status(err), ""
	if err != nil {
		w.err = err.Error()
	}
}

// quartet runs a command against url.
func quartet(t *testing.T, url string, args ...string) world {
	t.Helper()
	w := world{env: map[string]string{"NATS_URL": url}}
	w.run(t, args...)
	return w
}

func wantOut(t *testing.T, w world, status int, want string) {
	t.Helper()
	if w.status != status {
		t.Errorf("exit status %d, want %d (%s)", w.status, status, w.err)
	}
	if diff := cmp.Diff(want, w.stdout); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
}

func TestClientPrintsReplies(t *testing.T) {
	r := responder.Start(t, nil)
	w := quartet(t, r.URL, "client", "1, 1, key ::: value", "3,set,k ::: two\nlines", "causal, get, k", "4, 2, missing")
	wantOut(t, w, exit.StatusOK, `client: Client1     replica: r2     consistency: LINEARIZABLE  request: SET    ack: OK
data: key ::: value
l_Clock: 1.r2       rID: 1          position: 1

client: Client1     replica: r3     consistency: CAUSAL        request: SET    ack: OK
data: "k ::: two\nlines"
l_Clock: 2.r3       rID: 2          timestamp: 1

client: Client1     replica: r1     consistency: CAUSAL        request: GET    ack: OK
data: "two\nlines"
l_Clock: 3.r1       rID: 3          timestamp: 1

client: Client1     replica: r2     consistency: EVENTUAL      request: GET    ack: FAIL
data: no value under key missing
l_Clock: 4.r2       rID: 4          code: 404
`)
	want := `Client1 sent a request! linearizable, set, key ::: value
Client1 sent a request! "causal, set, k ::: two\nlines"
Client1 sent a request! causal, get, k
Client1 sent a request! eventual, get, missing
`
	if diff := cmp.Diff(want, w.stderr); diff != "" {
		t.Errorf("stderr (-want +got):\n%s", diff)
	}
	calls := r.Calls()
	if calls[2].Options.MinTimestamp != 1 {
		t.Error("the requests are no session: the causal get has no minimum")
	}
}

func TestClientJSON(t *testing.T) {
	r := responder.Start(t, nil)
	w := quartet(t, r.URL, "client", "-o", "jsonl", "--name", "C<9>", "1, 1, a ::: <b>", "1, 2, a", "2, 2, none")
	wantOut(t, w, exit.StatusOK, `{"ack":"OK","code":200,"consistency":"LINEARIZABLE","request":"SET","rID":1,"clock":"1.r2","replica":"r2","position":1,"client":"C<9>","key":"a","echo":"a ::: <b>","attempts":1}
{"ack":"OK","code":200,"consistency":"LINEARIZABLE","request":"GET","value":"<b>","rID":2,"clock":"2.r3","replica":"r3","position":2,"client":"C<9>","key":"a","attempts":1}
{"ack":"FAIL","code":404,"error":"no value under key none","consistency":"SEQUENTIAL","request":"GET","rID":3,"clock":"3.r1","replica":"r1","position":3,"client":"C<9>","key":"none","attempts":1}
`)
	if w := quartet(t, r.URL, "set", "bin", "\xff\n"); w.status != 0 {
		t.Fatal(w.err)
	}
	w = quartet(t, r.URL, "client", "-o", "jsonl", "1, 2, bin")
	if !strings.Contains(w.stdout, `"value_base64":"/wo="`) || strings.Contains(w.stdout, `"value":`) {
		t.Errorf("bytes that are no UTF-8: %s", w.stdout)
	}
}

// Every file, in both orders of sending: all requests, in their order, under the model
// that the file names.
func TestRequestFiles(t *testing.T) {
	for i, name := range []string{"linear1", "linear2", "seq1", "seq2", "causal1", "causal2", "event1", "event2"} {
		for _, flags := range [][]string{nil, {"--async"}} {
			r := responder.Start(t, nil)
			w := quartet(t, r.URL, append(append([]string{"client"}, flags...), name)...)
			if w.status != 0 || strings.Count(w.stdout, "\ndata: ") != 9 {
				t.Fatalf("%s %v: status %d, %s\n%s", name, flags, w.status, w.err, w.stdout)
			}

			var sent strings.Builder
			for _, call := range r.Calls() {
				if call.Request.Model != model.All[i/2] {
					t.Errorf("%s: sent under %v", name, call.Request.Model)
				}
				sent.WriteString(call.Request.Type.Word()[:1] + call.Request.Key[3:] + string(call.Request.Value) + " ")
			}

			sets, gets := "s1first s2second s3third s1firstOW s1firstOOW ", "g1 g3 g2 g1 "
			want, data := sets+gets, []string{"firstOOW", "third", "second", "firstOOW"}
			if i%2 == 1 {
				want = gets + sets
				data = []string{"no value under key key1", "no value under key key3", "no value under key key2", "no value under key key1"}
			}
			if sent.String() != want {
				t.Errorf("%s %v: sent %s, want %s", name, flags, sent.String(), want)
			}

			var got []string
			for _, block := range strings.Split(w.stdout, "\n\n") {
				if strings.Contains(block, "request: GET") {
					line := strings.Split(block, "\n")[1]
					got = append(got, strings.TrimPrefix(line, "data: "))
				}
			}
			if diff := cmp.Diff(data, got); diff != "" {
				t.Errorf("%s %v: data of the gets (-want +got):\n%s", name, flags, diff)
			}

			if !strings.Contains(w.stderr, "Client1 reads ../../") && !strings.Contains(w.stderr, "Client1 reads "+name) {
				t.Errorf("%s: stderr does not name the file: %s", name, w.stderr)
			}
		}
	}
}

// Wrong usage and malformed requests: status 2, a sentence that says where, and nothing
// is sent, not even what was right.
func TestNothingIsSentAfterAMistake(t *testing.T) {
	r := responder.Start(t, nil)
	file := t.TempDir() + "/bad"
	if err := os.WriteFile(file, []byte("1, 2, fine\n\n1, 8, k\n1, 1, k\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	watch := t.TempDir() + "/watch"
	if err := os.WriteFile(watch, []byte("1, 2, fine\n1, watch, k/\n1, add, n ::: 1\n"), 0o666); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"client"}, []string{"nothing to send"}},
		{[]string{"client", "1, 2, fine", "5, 2, k"}, []string{"argument 2, column 1: unknown consistency"}},
		{[]string{"client", "nowhere"}, []string{"argument 1", "no such request file", `"nowhere"`}},
		{[]string{"client", "--also", "1, 1, k", "1, 2, fine"}, []string{"--also 1, column 8", ":::"}},
		{[]string{"client", file}, []string{file + ":3:4: unknown request", file + ":4:8: ", "want 1 set, 2 get, 3 delete"}},
		{[]string{"client", watch}, []string{watch + `:2: linearizable, watch "k/": a watch has no one answer`}},
		{[]string{"client", "--check", "1, 2, fine", "1, watch, k/"}, []string{`linearizable, watch "k/": `}},
		{[]string{"client", "--consistency", "causal", watch}, []string{watch + `:3: causal, add "n": no add in model causal`}},
		{[]string{"client", "--consistency", "4", `{"consistency":1,"request":"set","key":"k","value":"","if_revision":0}`},
			[]string{`eventual, set "k": no condition in model eventual`}},
		{[]string{"client", "--consistency", "strong", "1, 2, fine"}, []string{"want 1 linearizable"}},
		{[]string{"client", "-o", "xml", "1, 2, fine"}, []string{"want table, json, jsonl or raw"}},
		{[]string{"client", "--wrong", "1, 2, fine"}, []string{"unknown flag"}},
		{[]string{"client", "--name", "a\nb", "1, 2, fine"}, []string{"Quartet-Client"}},
		{[]string{"client", "--prefix", "a b", "1, 2, fine"}, []string{"prefix"}},
		{[]string{"set", "k"}, []string{"accepts 2 arg", "usage: quartet set"}},
		{[]string{"set", "a:::b", "v"}, []string{":::"}},
		{[]string{"set", "", "v"}, []string{"empty key"}},
		{[]string{"set", "k", strings.Repeat("v", model.MaxKeyValue)}, []string{"at most 524288"}},
		{[]string{"set", "--replica", "", "k", "v"}, []string{"--replica", "want r1"}},
		{[]string{"set", "--id", "", "k", "v"}, []string{"--id", "empty"}},
		{[]string{"set", "--timeout", "0", "k", "v"}, []string{"--timeout", "at least 10ms"}},
		{[]string{"set", "--timeout", "-1s", "k", "v"}, []string{"--timeout", "at least 10ms"}},
		{[]string{"set", "--retries", "-1", "k", "v"}, []string{"--retries", "from 0 to 1000"}},
		{[]string{"get"}, []string{"accepts 1 arg"}},
		{[]string{"get", "k", "--consistency", "9"}, []string{"want 1 linearizable"}},
		{[]string{"status", "x"}, []string{"takes no arguments", `"x"`}},
		{[]string{"remove", ""}, []string{"which replica?"}},
		{[]string{"lead", ""}, []string{"which master?"}},
		{[]string{"demo", "x"}, []string{"takes no arguments"}},
	} {
		w := quartet(t, r.URL, test.args...)
		if w.status != exit.StatusUsage || w.stdout != "" {
			t.Errorf("%q: status %d, stdout %q, %s", test.args, w.status, w.stdout, w.err)
		}
		for _, want := range test.want {
			if !strings.Contains(w.err, want) {
				t.Errorf("%q: %q does not hold %q", test.args, w.err, want)
			}
		}
	}

	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// A value too large on stdin is refused before it is sent, and told in no size that it has not.
func TestAValueTooLargeOnStdin(t *testing.T) {
	r := responder.Start(t, nil)
	w := world{stdin: strings.Repeat("v", 3<<20), env: map[string]string{"NATS_URL": r.URL}}
	w.run(t, "set", "k", "-")
	if w.status != exit.StatusUsage || !strings.Contains(w.err, "more than 524288 bytes") || len(r.Calls()) != 0 {
		t.Errorf("status %d, %s, %d requests were sent", w.status, w.err, len(r.Calls()))
	}
}

// The codes of the contract as exit statuses; of several the greatest counts.
func TestExitStatuses(t *testing.T) {
	statuses := map[model.Code]int{
		200: 0, 404: 0, 400: exit.StatusRefused, 409: exit.StatusRefused, 413: exit.StatusRefused, 425: exit.StatusRefused,
		503: exit.StatusRefused, 504: exit.StatusUnknown,
	}

	for code, want := range statuses {
		r := responder.Start(t, func(call responder.Call) responder.Action {
			if call.Request.Key == "bad" {
				return responder.Action{Code: code}
			}
			return responder.Action{}
		})
		for _, flags := range [][]string{{"--retries", "0"}, {"--retries", "0", "--async"}} {
			args := append(append([]string{"client"}, flags...), "1, 1, good ::: a", "1, 1, bad ::: b", "1, 2, good")
			w := quartet(t, r.URL, args...)
			if w.status != want || strings.Count(w.stdout, "ack: OK") < 2 || strings.Count(w.stdout, "data: ") != 3 {
				t.Errorf("%d %v: status %d, want %d\n%s%s", code, flags, w.status, want, w.stdout, w.err)
			}
		}

		w := quartet(t, r.URL, "set", "bad", "v", "--retries", "0")
		if w.status != map[bool]int{true: exit.StatusNoValue, false: want}[code == 404] {
			t.Errorf("set, %d: status %d", code, w.status)
		}
		if code == 504 && !strings.Contains(w.err, "send it again with --id ") {
			t.Errorf("set, 504: %s", w.err)
		}
	}

	r := responder.Start(t, func(call responder.Call) responder.Action {
		return responder.Action{Ignore: call.Request.Type == model.Set, Code: 409}
	})
	w := quartet(t, r.URL, "client", "--timeout", "20ms", "--retries", "1", "1, 1, k ::: v", "1, 2, k")
	if w.status != exit.StatusUnknown || !strings.Contains(w.stdout, "ack: UNKNOWN\ndata: client: outcome unknown") {
		t.Errorf("no reply: status %d\n%s", w.status, w.stdout)
	}
}

func TestNoCluster(t *testing.T) {
	s := responder.Server(t)
	url := s.ClientURL()
	for _, args := range [][]string{
		{"client", "1, 1, k ::: v", "1, 2, k"}, {"client", "--async", "1, 1, k ::: v"}, {"set", "k", "v"}, {"get", "k"},
		{"trace", "1, 2, k"}, {"status"}, {"bench"}, {"demo", "--nats", url},
	} {
		if args[0] != "status" && args[0] != "bench" {
			args = append(args, "--retries", "1")
		}
		if w := quartet(t, url, args...); w.status != exit.StatusNoCluster || w.stdout != "" || w.err == "" {
			t.Errorf("%q without a cluster: status %d, stdout %q, %s", args, w.status, w.stdout, w.err)
		}
	}
	s.Shutdown()
	s.WaitForShutdown()
	for _, args := range [][]string{{"client", "1, 1, k ::: v"}, {"get", "k"}, {"trace", "1, 2, k"}, {"status"}, {"bench"}} {
		w := quartet(t, url, args...)
		if w.status != exit.StatusNoCluster || !strings.Contains(w.err, "quartet master") {
			t.Errorf("%q without a server: status %d, %s", args, w.status, w.err)
		}
	}
}

// What will fail at the next fault is said while all is well; what is not ready is refused.
func TestStatusSaysWhatIsSo(t *testing.T) {
	const failing = "the next change of the view will fail: nothing can be written"
	for _, test := range []struct {
		status bus.Status
		exit   int
		line   string
	}{
		{bus.Status{Ready: true}, exit.StatusOK, "ready\n"},
		{bus.Status{Ready: true, Warnings: []string{failing}}, exit.StatusOK, "ready, but " + failing + "\n"},
		{bus.Status{Reason: "the view is being changed"}, exit.StatusRefused, "not ready: the view is being changed\n"},
		{bus.Status{Reason: "why", Warnings: []string{failing}}, exit.StatusRefused, "not ready: why; and " + failing + "\n"},
	} {

		s := responder.Server(t)
		nc, err := nats.Connect(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()

		body, err := json.Marshal(test.status)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Subscribe("quartet.status", func(m *nats.Msg) { _ = m.Respond(body) }); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}

		if w := quartet(t, s.ClientURL(), "status"); w.status != test.exit || !strings.HasPrefix(w.stdout, test.line) || w.err != "" {
			t.Errorf("%+v: status %d, %q, %s", test.status, w.status, w.stdout, w.err)
		}
		w := quartet(t, s.ClientURL(), "status", "-o", "raw")
		if w.status != test.exit || strings.TrimSuffix(w.stdout, "\n") != string(body) {
			t.Errorf("raw: status %d, %q", w.status, w.stdout)
		}
	}
}

func TestStatus(t *testing.T) {
	r := responder.Start(t, nil)
	quartet(t, r.URL, "set", "k", "v")
	wantOut(t, quartet(t, r.URL, "status"), 0, `ready
epoch 1, data: memory, version test

  NODE   PID  MEMBER  CLOCK  POSITION  TIMESTAMP  KEYS  PENDING
    m1  4711  master      1         -          0     -        0
    r1  4712     yes      1         1          0     1        0
    r2  4713     yes      1         1          0     1        0
    r3  4714      no      1         1          0     1        0
`)
	w := quartet(t, r.URL, "status", "-o", "jsonl")
	if !strings.HasPrefix(w.stdout, `{"ready":true,`) || strings.Count(w.stdout, "\n") != 1 {
		t.Errorf("JSON %s", w.stdout)
	}
}
