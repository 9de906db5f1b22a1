package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// reply is a line of `quartet client -o jsonl`, as far as these tests read it.
type reply struct {
	Replica     string  `json:"replica"`
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Key         string  `json:"key"`
	Ack         string  `json:"ack"`
	Code        int     `json:"code"`
	Data        *string `json:"value"`
	Clock       string  `json:"clock"`
	Echo        string  `json:"echo"`
	RID         uint64  `json:"rID"`
	Position    *uint64 `json:"position"`
	Timestamp   uint64  `json:"timestamp"`
}

// data is the value of a get, the echo of a set.
func (r reply) data() string {
	if r.Data == nil {
		return r.Echo
	}
	return *r.Data
}

// replies reads what a command has written with -o jsonl.
func replies(t testing.TB, stdout string) []reply {
	t.Helper()
	var all []reply
	for line := range strings.Lines(stdout) {
		var r reply
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// All eight request files, one after the other on one cluster, through the program. What
// must appear follows from the files, since no other client is there.
func TestRequestFiles(t *testing.T) {
	t.Parallel()
	m := start(t)
	sets := []string{"key1 ::: first", "key2 ::: second", "key3 ::: third", "key1 ::: firstOW", "key1 ::: firstOOW"}
	gets := []string{"firstOOW", "third", "second", "firstOOW"} // of key1, key3, key2, key1
	for _, file := range []string{"linear1", "linear2", "seq1", "seq2", "causal1", "causal2", "event1", "event2"} {
		o := quartet(t, "client", "--nats", m.url, "-o", "jsonl", file)
		if o.status != 0 {
			t.Fatalf("%s: status %d\n%s", file, o.status, o.stderr)
		}

		consistency := map[string]string{"li": "LINEARIZABLE", "se": "SEQUENTIAL", "ca": "CAUSAL", "ev": "EVENTUAL"}[file[:2]]
		want, firstGet := append(append([]string{}, sets...), gets...), len(sets)
		if strings.HasSuffix(file, "2") {
			want, firstGet = append(append([]string{}, gets...), sets...), 0
		}

		got := replies(t, o.stdout)
		if len(got) != len(want) {
			t.Fatalf("%s: %d replies, want %d\n%s", file, len(got), len(want), o.stdout)
		}
		for i, r := range got {
			kind := "SET"
			if i >= firstGet && i < firstGet+len(gets) {
				kind = "GET"
			}
			if r.Consistency != consistency || r.Request != kind {
				t.Errorf("%s, reply %d: %s %s, want %s %s", file, i+1, r.Consistency, r.Request, consistency, kind)
			}
			// Another session wrote last: of the weak models a get may be late where its own
			// session has not written, and the eventual model promises a get no more at all.
			mayBeLate := file == "causal2" || strings.HasPrefix(file, "event")
			if kind == "GET" && mayBeLate {
				checkWeak(t, file, i, r)
			} else if r.data() != want[i] || r.Ack != "OK" {
				t.Errorf("%s, reply %d: %s %q, want OK %q", file, i+1, r.Ack, r.data(), want[i])
			}
			checkNumbers(t, file, i, r)
		}

		atRest(t, connect(t, m.url)) // so that the next file's session begins where this ended
	}

	s := atRest(t, connect(t, m.url))
	for _, r := range s.Replicas {
		// Ordered are twenty strong and ten eventual sets, and the marker of the causal ones.
		if r.Keys != 3 || r.Position < 6*5+1 || !r.Member {
			t.Errorf("%s: %d keys at position %d, member %v", r.ID, r.Keys, r.Position, r.Member)
		}
	}

	for _, key := range []string{"key1 firstOOW", "key2 second", "key3 third"} {
		name, value, _ := strings.Cut(key, " ")
		for _, model := range []string{"linearizable", "sequential", "causal", "eventual"} {
			o := quartet(t, "get", "--nats", m.url, "--consistency", model, name)
			if strings.TrimSpace(o.stdout) != value || o.status != 0 {
				t.Errorf("get %s %s: %q, status %d, want %q\n%s", model, name, o.stdout, o.status, value, o.stderr)
			}
		}
	}
}

// checkWeak: an answer out of what was ever written under the key.
func checkWeak(t testing.TB, file string, i int, r reply) {
	t.Helper()
	ever := map[string]string{"key1": " first firstOW firstOOW ", "key2": " second ", "key3": " third "}
	if r.Ack != "OK" || !strings.Contains(ever[r.Key], " "+r.data()+" ") {
		t.Errorf("%s, reply %d: %s %q", file, i+1, r.Ack, r.data())
	}
}

// checkNumbers: every reply names its request and clock, and a strong one its position,
// a causal one its timestamp.
func checkNumbers(t testing.TB, file string, i int, r reply) {
	t.Helper()
	strong := r.Consistency == "LINEARIZABLE" || r.Consistency == "SEQUENTIAL"
	if r.RID == 0 || r.Clock == "" || (r.Position != nil) != strong {
		t.Errorf("%s, reply %d: rID %d, clock %q, position %v", file, i+1, r.RID, r.Clock, r.Position)
	}
	if r.Consistency == "CAUSAL" && r.Request == "SET" && r.Timestamp == 0 {
		t.Errorf("%s, reply %d: no timestamp", file, i+1)
	}
}
