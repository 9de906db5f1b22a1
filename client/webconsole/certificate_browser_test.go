//go:build chromium

package webconsole_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"quartet/bus/secure"
	"quartet/bus/testkit"
)

// ran runs a program, which must end well.
func ran(t testing.TB, name string, args ...string) string {
	t.Helper()
	said, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, said)
	}
	return string(said)
}

// holder is a browser of its own, in a home of its own, which trusts an authority and, of a
// client's identity, holds what quartet secure browser has written; "" for none.
func holder(t testing.TB, url, certs, identity string) *tab {
	t.Helper()
	home := t.TempDir()
	db := "sql:" + filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(strings.TrimPrefix(db, "sql:"), 0o700); err != nil {
		t.Fatal(err)
	}
	ran(t, "certutil", "-N", "-d", db, "--empty-password")
	ran(t, "certutil", "-A", "-d", db, "-n", "authority", "-t", "C,,", "-i", filepath.Join(certs, secure.AuthorityFile))
	if identity != "" {
		dir := filepath.Join(certs, identity)
		password := strings.TrimSpace(ran(t, built, "secure", "browser", dir, "-o", "raw"))
		ran(t, "pk12util", "-i", filepath.Join(dir, secure.BrowserFile), "-d", db, "-W", password)
	}

	// What the policy AutoSelectCertificateForUrls sets for a machine, for this profile alone:
	// which certificate is taken, where a person would be asked.
	profile := filepath.Join(home, "profile")
	prefs, err := json.Marshal(map[string]any{"profile": map[string]any{"content_settings": map[string]any{"exceptions": map[string]any{
		"auto_select_certificate": map[string]any{url + ",*": map[string]any{"setting": map[string]any{"filters": []any{map[string]any{}}}}},
	}}}})
	if err == nil {
		err = os.MkdirAll(filepath.Join(profile, "Default"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(profile, "Default", "Preferences"), prefs, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return browser(t, url, chromedp.UserDataDir(profile), chromedp.Env("HOME="+home))
}

// A page of a closed cluster is opened by a browser that holds a client's certificate: it says
// whose, is kept up to date, and changes keys if the role may; a browser without is told why not.
func TestAPageIsOpenedWithACertificate(t *testing.T) {
	certs := filepath.Join(t.TempDir(), "certs")
	ran(t, built, "secure", "init", certs, "--nodes", "n1=127.0.0.1")
	m := testkit.Launch(t, exec.Command(built, "master", "--memory", "--in-process", "--listen", "127.0.0.1:-1", "--log-dir", t.TempDir(),
		"--secure", filepath.Join(certs, "n1"), "--console", "127.0.0.1:-1", "--console-write"))
	t.Cleanup(func() { m.Stop(t, os.Interrupt, limit) })
	var url string
	m.AwaitStdout(t, limit, "its console", func(said string) bool {
		found := regexp.MustCompile(`(?m)^  console +(https://\S+)$`).FindStringSubmatch(said)
		if found != nil {
			url = found[1]
		}
		return found != nil
	})

	for _, role := range []string{"read", "write"} {
		b := holder(t, url, certs, role)
		b.open(url)
		b.await("whose it is", `document.querySelector("#visitor")?.textContent === "`+role+`, role `+role+`"`)
		b.await("three members", `document.querySelectorAll("#nodes .node.good").length === 3`)
		js[int](b, `new Promise(done => new MutationObserver((_, o) => { o.disconnect(); done(1); }).observe(
			document.querySelector("#nodes"), {childList: true}))`)
		if protocol := js[string](b, `performance.getEntriesByType("navigation")[0].nextHopProtocol`); protocol != "h2" {
			t.Errorf("it is spoken %q", protocol)
		}

		b.open(url + "/keys/one?key=seat")
		b.await("the key", `document.querySelector("#value-title")`)
		if may := js[bool](b, `document.querySelector("textarea[name=value]") !== null`); may != (role == "write") {
			t.Errorf("%s: it offers to change a key: %t", role, may)
		}
		if role == "write" {
			b.set("textarea[name=value]", "ann")
			b.click(`button[value=set]`)
			b.await("the new value", `document.querySelector("#value")?.textContent === "ann"`)
		}
		b.shoot("certificate-" + role)
	}

	b := holder(t, url, certs, "")
	b.open(url)
	b.await("what to do", `document.body.innerText.includes("the browser has shown none") && document.body.innerText.includes("quartet secure browser")`)
	b.mu.Lock()
	b.faults = nil // the refusal itself is an error in the browser's log
	b.mu.Unlock()
}
