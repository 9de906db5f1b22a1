package clientcmd_test

import (
	"encoding/json"
	"strings"
	"testing"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client/internal/responder"
)

// told is the token that a command has told on stderr.
func told(t *testing.T, w world) string {
	t.Helper()
	var token string
	for line := range strings.SplitSeq(w.stderr, "\n") {
		if found, ok := strings.CutPrefix(line, "session: "); ok && token == "" {
			token = found
		} else if ok {
			t.Errorf("told twice:\n%s", w.stderr)
		}
	}
	if _, err := bus.ParseSession(token); err != nil {
		t.Errorf("status %d, no token on stderr: %v\n%s%s", w.status, err, w.stderr, w.err)
	}
	return token
}

// A session goes from command to command, each in a process of its own.
func TestSessionFromCommandToCommand(t *testing.T) {
	r := responder.Start(t, nil)
	causal := []string{"--consistency", "causal", "--session"}
	w := quartet(t, r.URL, append([]string{"set", "k", "v"}, append(causal, "new")...)...)
	token := told(t, w)
	wantOut(t, w, 0, "")

	w = quartet(t, r.URL, append([]string{"get", "k"}, append(causal, token)...)...)
	token = told(t, w)
	wantOut(t, w, 0, "v\n")

	w = quartet(t, r.URL, "client", "--session", token, "2, 1, k ::: w", "3, 2, none", "2, 2, k")
	token = told(t, w)
	if w.status != 0 {
		t.Fatal(w.err)
	}

	w = quartet(t, r.URL, append([]string{"get", "none"}, append(causal, token)...)...) // not found: told all the same
	if again := told(t, w); again != token || w.status != exit.StatusNoValue {
		t.Errorf("status %d, token %s after %s", w.status, again, token)
	}

	w = shell(t, r.URL, "2, 2, k\n.session\n.session new\n2, 2, k\n.session "+token+"\n2, 2, k\n", "--session", token)
	if w.status != 0 || strings.Count(w.stdout, "\ntoken ") != 3 || !strings.Contains(w.stdout, "\ntoken "+token) ||
		!strings.Contains(w.stdout, "\ntoken "+bus.Session{}.Token()) {
		t.Errorf("status %d\n%s%s", w.status, w.stdout, w.stderr)
	}

	// What each has asked for: the minimum of the session before it.
	var asked []uint64
	for _, call := range r.Calls() {
		asked = append(asked, max(call.Options.MinPosition, call.Options.MinTimestamp))
	}
	//                set, get, three of the client, get, three of the shell
	want := []uint64{0, 1, 0, 1, 1, 1, 2, 0, 2}
	for i := range want {
		if i >= len(asked) || asked[i] != want[i] {
			t.Fatalf("the minimums asked for are %d, want %d", asked, want)
		}
	}
}

// Where objects are printed the token stands in each of them, and nowhere else.
func TestSessionInObjects(t *testing.T) {
	r := responder.Start(t, nil)
	for _, args := range [][]string{{"set", "k", "v"}, {"get", "k"}, {"get", "none"}, {"client", "2, 1, k ::: v", "2, 2, k"}, {"shell"}} {
		for _, given := range []bool{true, false} {
			args := append(args[:len(args):len(args)], "-o", "jsonl", "--consistency", "2")
			if given {
				args = append(args, "--session", "new")
			}

			w := world{env: map[string]string{"NATS_URL": r.URL}, stdin: "get k\nget k\n"}
			w.run(t, args...)

			last := ""
			for line := range strings.Lines(w.stdout) {
				var reply struct {
					Session  string
					Position uint64
				}
				if err := json.Unmarshal([]byte(line), &reply); err != nil {
					t.Fatalf("%q: %v in %q", args, err, line)
				}
				s, err := bus.ParseSession(reply.Session)
				goesOn := err == nil && s.Position == reply.Position && reply.Session != last
				if given && !goesOn {
					t.Errorf("%q: %s: token of %+v, %v", args, line, s, err)
				}
				if !given && reply.Session != "" {
					t.Errorf("%q: %s: token of %+v, %v", args, line, s, err)
				}
				last = reply.Session
			}
			if w.stdout == "" || strings.Contains(w.stderr, "session: ") {
				t.Errorf("%q: stdout %q, stderr %q", args, w.stdout, w.stderr)
			}
		}
	}
}

func TestSessionMistakes(t *testing.T) {
	r := responder.Start(t, nil)
	token := bus.Session{Position: 7}.Token()
	for _, args := range [][]string{
		{"set", "k", "v", "--session", ""}, {"get", "k", "--session", token[:6]},
		{"client", "1, 2, k", "--session", token + "="}, {"shell", "--session", "x"},
		{"client", "1, 2, k", "--async", "--session", token},
	} {
		if w := quartet(t, r.URL, args...); w.status != exit.StatusUsage || !strings.Contains(w.err, "session") {
			t.Errorf("%q: status %d, %s", args, w.status, w.err)
		}
	}
	w := shell(t, r.URL, ".session x\n.session\n")
	if w.status != exit.StatusUsage || !strings.Contains(w.stderr, "line 1: ") || !strings.Contains(w.stdout, "position seen 0") {
		t.Errorf("status %d\n%s%s", w.status, w.stdout, w.stderr)
	}
	if n := len(r.Calls()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	// A refusal, or no answer, tells the token too: the session goes on.
	late := responder.Start(t, func(responder.Call) responder.Action {
		return responder.Action{Code: 425, Reply: bus.Reply{Answer: model.Answer{Reason: "as scripted", Position: 3, HasPosition: true}}}
	})
	w = quartet(t, late.URL, "get", "k", "--consistency", "2", "--retries", "0", "--session", token)
	if told(t, w) != token || w.status != exit.StatusRefused {
		t.Errorf("status %d, %s", w.status, w.stderr)
	}
}
