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
	"quartet/bus/secure"
	"quartet/bus/secure/securetest"
	"quartet/bus/server/servertest"
	"quartet/client/internal/responder"
)

// diagnosis is what `doctor -o json` prints, as far as these tests read it.
type diagnosis struct {
	Settings []struct{ Name, Value, From string }
	Checks   []struct{ What, State, Text, Remedy string }
}

// doctor runs it and returns its checks as lines "STATE WHAT: TEXT".
func doctor(t *testing.T, w *world, args ...string) (diagnosis, string) {
	t.Helper()
	w.run(t, append([]string{"doctor", "-o", "json"}, args...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(w.stdout), &d); err != nil {
		t.Fatalf("%v\n%s%s", err, w.stdout, w.err)
	}
	var lines strings.Builder
	for _, c := range d.Checks {
		if c.State == "finding" && c.Remedy == "" {
			t.Errorf("no remedy for %s: %s", c.What, c.Text)
		}
		lines.WriteString(c.State + " " + c.What + ": " + c.Text + "\n")
	}
	return d, lines.String()
}

func TestDoctorFindsAReplicaThatIsNoMember(t *testing.T) {
	r := responder.Start(t, nil)
	w := world{env: map[string]string{"NATS_URL": r.URL}}
	d, lines := doctor(t, &w)
	for _, want := range []string{
		"ok server: ", "ok cluster: ready", "finding r3: is no member", "ok r1: member",
		"ok linearizable: a get was answered", "ok eventual: a get", "ok permissions",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	if w.status != exit.StatusFailed || len(d.Settings) != 1 || d.Settings[0].From != "NATS_URL" {
		t.Errorf("status %d, settings %v", w.status, d.Settings)
	}
	for _, call := range r.Calls() {
		if call.Request.Value != nil {
			t.Errorf("the doctor has written %q", call.Body)
		}
	}
	for out, want := range map[string]string{
		"table": "  !!   r3           is no member", "raw": "finding\tr3\tis no member",
		"jsonl": `{"what":"r3","state":"finding",`,
	} {
		if w := quartet(t, r.URL, "doctor", "-o", out); w.status != exit.StatusFailed ||
			!strings.Contains(w.stdout, want) || strings.Contains(w.stdout, "\x1b") {
			t.Errorf("%s: status %d\n%s", out, w.status, w.stdout)
		}
	}
}

func TestDoctorWithoutACluster(t *testing.T) {
	s := responder.Server(t)
	w := world{env: map[string]string{"NATS_URL": s.ClientURL()}}
	if _, lines := doctor(t, &w); w.status != exit.StatusNoCluster ||
		!strings.Contains(lines, "finding cluster: nobody answers on quartet.status") {
		t.Errorf("no cluster: status %d\n%s", w.status, lines)
	}
	s.Shutdown()
	s.WaitForShutdown()
	if _, lines := doctor(t, &w); w.status != exit.StatusNoCluster || !strings.HasPrefix(lines, "finding server: ") {
		t.Errorf("no server: status %d\n%s", w.status, lines)
	}
}

// What the server refuses is found at once, not after a timeout, and secrets are not shown.
func TestDoctorFindsPermissions(t *testing.T) {
	allow := func(subjects ...string) *natsserver.SubjectPermission {
		return &natsserver.SubjectPermission{Allow: subjects}
	}

	s := servertest.Start(t, &natsserver.Options{Users: []*natsserver.User{
		{Username: "cluster", Password: "c"},
		{
			Username: "weak", Password: "hush",
			Permissions: &natsserver.Permissions{Publish: allow("quartet.status"), Subscribe: allow("_INBOX.>")},
		},
		{Username: "lone", Password: "hush", Permissions: &natsserver.Permissions{
			Publish: allow("quartet.request", "quartet.status", "quartet.report"), Subscribe: allow("_INBOX.>"),
		}},
		{Username: "deaf", Password: "hush", Permissions: &natsserver.Permissions{Publish: allow(">"), Subscribe: allow("x")}},
	}})
	responder.On(t, strings.Replace(s.ClientURL(), "://", "://cluster:c@", 1), nil)

	for user, want := range map[string]string{
		"weak": `for Publish to "quartet.request"`,
		"deaf": `for Subscription to "_INBOX.`,
		"none": "finding server: ",

		// Who may send no batches sends the requests one by one.
		"lone": "ok permissions: ",
	} {
		w := world{env: map[string]string{"NATS_URL": s.ClientURL(), "NATS_USER": user, "NATS_PASSWORD": "hush"}}
		_, lines := doctor(t, &w)
		if w.status != exit.StatusFailed || !strings.Contains(lines, want) || strings.Contains(w.stdout, "hush") {
			t.Errorf("%s: status %d\n%s", user, w.status, w.stdout)
		}
	}

	w := world{env: map[string]string{"NATS_URL": s.ClientURL(), "NATS_USER": "cluster", "NATS_PASSWORD": "c"}}
	if _, lines := doctor(t, &w, "--inbox-prefix", "quartet.in"); !strings.Contains(lines, "finding inbox prefix: ") {
		t.Errorf("an inbox under the prefix:\n%s", lines)
	}
}

// What a browser was given of our certificate is of the one before once that is renewed: doctor
// notes it, and says how to make it anew.
func TestDoctorNotesABrowsersOldCertificate(t *testing.T) {
	a := securetest.Begin(t)
	dir := a.Files(secure.Asked{Name: "ann", Role: secure.Read, For: 90 * 24 * time.Hour})
	ann, err := secure.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	w := world{env: map[string]string{
		"NATS_URL": "nats://127.0.0.1:1", "NATS_CERT": file(secure.CertificateFile), "NATS_KEY": file(secure.KeyFile), "NATS_CA": file(secure.AuthorityFile),
	}}
	notes := func() bool {
		t.Helper()
		d, lines := doctor(t, &w)
		if !strings.Contains(lines, "ok certificate: ann, role read") {
			t.Errorf("it has not looked: %s", lines)
		}
		return slices.ContainsFunc(d.Checks, func(c struct{ What, State, Text, Remedy string }) bool {
			return c.What == "browser" && c.State == "note" && strings.Contains(c.Remedy, "quartet secure browser "+dir)
		})
	}

	if notes() {
		t.Error("no browser was given any, and it notes that")
	}
	if _, _, err := ann.ForBrowser(); err != nil {
		t.Fatal(err)
	}
	if notes() {
		t.Error("what a browser was given is new, and it notes that")
	}
	earlier := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file(secure.BrowserFile), earlier, earlier); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Renew("ann", 90*24*time.Hour, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !notes() {
		t.Error("it does not note that a browser has the certificate before")
	}
}
