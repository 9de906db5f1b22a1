package shell

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quartet/bus/model"
	"quartet/client/clientcmd/console"
)

func TestCompletionsAndHints(t *testing.T) {
	s := shell{replicas: []string{"r1", "r2"}, model: console.Consistency{Consistency: model.Causal}}
	for _, key := range []string{"old", "two words", "new", "old"} {
		s.keys.add(key)
	}

	for line, want := range map[string]string{
		"get ": "old new", "set n": "old  new ", "set old v": "", ".replica ": "r1 r2 any",
		".consistency c": "linearizable sequential causal eventual",
		".session ":      "new", "1, 1, ": "",
	} {
		var got []string
		for _, c := range s.complete(line) {
			got = append(got, c.word)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}

	for word, want := range map[string]bool{"get ": true, "set ": true, ".consistency ": true, ".status": true, ".quit": true} {
		if got := slices.ContainsFunc(s.complete(""), func(c candidate) bool { return c.word == word }); got != want {
			t.Errorf("%q is offered: %v", word, got) // with a blank where something follows
		}
	}
	if first := s.complete("."); !slices.ContainsFunc(first, func(c candidate) bool { return c.word == ".status" }) {
		t.Errorf("at the beginning: %v", first)
	}

	for line, want := range map[string]string{
		"": "", "get": "get KEY", "get k": "causal get: never older", "set k": "set KEY VALUE",
		"set k v": "causal set: ", ".re": ".replica r1,", ".nope": "no such command",
		"1, 1": "CONSISTENCY, REQUEST", "1, 1, k ::: v": "linearizable set: ", "what": "get KEY · set KEY VALUE",
	} {
		got := s.hint(line)
		tooMuch := want == "" && got != ""
		if !strings.Contains(got, want) || tooMuch {
			t.Errorf("hint of %q: %q, want %q", line, got, want)
		}
	}

	for range 2 * maxWords {
		s.keys.add(strings.Repeat("k", len(s.keys)%7+1) + string(rune('a'+len(s.keys)%26)))
	}
	if len(s.keys) > maxWords {
		t.Errorf("%d keys are kept", len(s.keys))
	}
}

// The history is the user's alone, is cut when it has grown long, and can be left out.
func TestHistoryFile(t *testing.T) {
	dir := t.TempDir()
	getenv := func(name string) string { return map[string]string{"XDG_STATE_HOME": dir}[name] }
	file, err := historyFile(getenv)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || file != filepath.Join(dir, "quartet", "history") {
		t.Errorf("%s: %v, %v", file, info, err)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("{}\n", historyMost+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := historyFile(getenv); err != nil {
		t.Fatal(err)
	}
	if body, err := os.ReadFile(file); err != nil || strings.Count(string(body), "\n") > historyKept {
		t.Errorf("%d lines, %v", strings.Count(string(body), "\n"), err)
	}
	if file, err := historyFile(func(string) string { return "none" }); file != "" || err != nil {
		t.Errorf("none: %q, %v", file, err)
	}
}
