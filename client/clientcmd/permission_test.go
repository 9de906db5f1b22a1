package clientcmd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"quartet/bus/host/exit"
	"quartet/bus/server/servertest"
	"quartet/client/internal/responder"
)

// strict is a server with a cluster and with users who may do little.
func strict(t *testing.T) string {
	t.Helper()
	allow := func(subjects ...string) *natsserver.SubjectPermission {
		return &natsserver.SubjectPermission{Allow: subjects}
	}
	s := servertest.Start(t, &natsserver.Options{Users: []*natsserver.User{
		{Username: "cluster", Password: "c"},
		{Username: "mute", Password: "c", Permissions: &natsserver.Permissions{Publish: allow("elsewhere"), Subscribe: allow(">")}},
		{Username: "deaf", Password: "c", Permissions: &natsserver.Permissions{Publish: allow(">"), Subscribe: allow("elsewhere")}},
	}})
	responder.On(t, strings.Replace(s.ClientURL(), "://", "://cluster:c@", 1), nil)
	return s.ClientURL()
}

// What the server's permissions refuse is said at once by every command, with the subject, and
// ends with status 4: it is neither silence nor an absent cluster. In JSON it is code 403.
func TestEveryCommandSaysWhatPermissionsRefuse(t *testing.T) {
	url := strict(t)
	file := filepath.Join(t.TempDir(), "requests.txt")
	if err := os.WriteFile(file, []byte("1, 2, key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    []string
		subject string // that mute may not publish
		listens bool   // it subscribes to more than an inbox
	}{
		{[]string{"get", "key"}, "quartet.request", false},
		{[]string{"set", "key", "value"}, "quartet.request", false},
		{[]string{"get", "key", "--session", "new"}, "quartet.request", false},
		{[]string{"client", "1, 2, key"}, "quartet.request", false},
		{[]string{"client", file}, "quartet.request", false},
		{[]string{"list", "k"}, "quartet.request", false},
		{[]string{"watch", "k"}, "quartet.request", false},
		{[]string{"status"}, "quartet.status", false},
		{[]string{"remove", "r3"}, "quartet.remove", false},
		{[]string{"lead", "m2"}, "quartet.lead", false},
		{[]string{"recover"}, "quartet.recover", false},
		{[]string{"recover", "--yes"}, "quartet.recover", false},
		{[]string{"top", "--once"}, "quartet.status", false},
		{[]string{"bench", "--duration", "1s"}, "quartet.status", false},
		{[]string{"compare", "--duration", "1s"}, "quartet.status", false},
		{[]string{"trace", "4, 2, key"}, "", true},
	} {
		for _, user := range []string{"mute", "deaf"} {
			if user == "mute" && c.subject == "" {
				continue
			}
			for _, out := range []string{"table", "json"} {
				args := append(append([]string{}, c.args...), "-o", out)
				w := world{env: map[string]string{"NATS_URL": url, "NATS_USER": user, "NATS_PASSWORD": "c"}}
				begun := time.Now()
				w.run(t, args...)
				what := user + ": " + strings.Join(args, " ")
				if w.status != exit.StatusRefused {
					t.Errorf("%s: status %d, want %d\n%s%s", what, w.status, exit.StatusRefused, w.stdout, w.err)
				}
				if took := time.Since(begun); took > 20*time.Second {
					t.Errorf("%s: it was said after %s", what, took)
				}

				names := "_INBOX"
				switch {
				case user == "mute":
					names = c.subject
				case c.listens:
					names = "quartet."
				}
				said := w.err + w.stdout // client and trace say it with what they print
				if out == "json" {
					said = forbidden(t, what, w.stdout)
				}
				isOperators := slices.Contains([]string{"remove", "recover", "lead"}, c.args[0])
				if isOperators && user == "mute" && out == "table" && !strings.Contains(said, "quartet-operator") {
					t.Errorf("%s: it is not said who may: %s", what, said)
				}
				if !strings.Contains(said, names) || !strings.Contains(strings.ToLower(said), "permission") {
					t.Errorf("%s: it is not said that permissions refuse %q: %s", what, names, said)
				}
			}
		}
	}
}

// forbidden returns the error of the one object that a command has printed, alone or in an array.
func forbidden(t *testing.T, what, stdout string) string {
	t.Helper()
	type object struct {
		Ack   string `json:"ack"`
		Code  int    `json:"code"`
		Error string `json:"error"`
	}
	var list []object
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		list = make([]object, 1)
		if err := json.Unmarshal([]byte(stdout), &list[0]); err != nil {
			t.Errorf("%s: %v\n%s", what, err, stdout)
			return ""
		}
	}
	if len(list) != 1 || list[0].Ack != "FAIL" || list[0].Code != 403 {
		t.Errorf("%s: %+v", what, list)
		return ""
	}
	return list[0].Error
}
