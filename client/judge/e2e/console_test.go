//go:build long

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quartet/bus/secure"
	"quartet/bus/testkit"
	"quartet/client"
)

// browser is a page of a console, as the holder of a certificate has it; nobody has none.
type browser struct {
	t   testing.TB
	url string
	by  *http.Client
}

func newBrowser(t testing.TB, url, identity string) *browser {
	t.Helper()
	if identity == "" {
		return &browser{t, url, http.DefaultClient}
	}
	i, err := secure.Open(identity, nil)
	if err != nil {
		t.Fatal(err)
	}
	by := &http.Transport{TLSClientConfig: i.Client()}
	t.Cleanup(by.CloseIdleConnections)
	return &browser{t, url, &http.Client{Transport: by}}
}

func (b *browser) read(reply *http.Response, err error) (int, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply.StatusCode, string(text)
}

// await waits until the first page shows a text.
func (b *browser) await(text string) {
	b.t.Helper()
	testkit.Eventually(b.t, startLimit, "the page shows "+text, func() error {
		if _, body := b.read(b.by.Get(b.url)); !strings.Contains(body, text) {
			return fmt.Errorf("it shows %s", body)
		}
		return nil
	})
}

// set has the page set a key.
func (b *browser) set(key, value string) (int, string) {
	b.t.Helper()
	_, body := b.read(b.by.Get(b.url + "/keys/one?key=" + key))
	token := regexp.MustCompile(`data-token="([^"]+)"`).FindStringSubmatch(body)
	if token == nil {
		b.t.Fatalf("a page without a token: %s", body)
	}
	form := url.Values{"token": {token[1]}, "key": {key}, "value": {value}, "model": {"1"}, "request": {"set"}}
	return b.read(b.by.PostForm(b.url+"/keys/one", form))
}

// console starts the command console, and returns where it is.
func console(t testing.TB, args ...string) string {
	t.Helper()
	c := testkit.Launch(t, exec.Command(binary, append([]string{"console", "--listen", "127.0.0.1:-1"}, args...)...))
	t.Cleanup(func() {
		if status := c.Stop(t, os.Interrupt, stopLimit); status != 0 {
			t.Errorf("the console ended with status %d\n%s", status, &c.Stderr)
		}
	})
	var url string
	c.AwaitStdout(t, startLimit, "its address", func(said string) bool {
		found := regexp.MustCompile(`(?m)^console (https?://\S+)$`).FindStringSubmatch(said)
		if found != nil {
			url = found[1]
		}
		return found != nil
	})
	return url
}

// The consoles of a closed cluster: beside its nodes, beside them by a certificate of its own, and
// on a client's own machine as that client. Each visitor changes what the role allows, and no
// console lends more than it has.
func TestTheConsolesOfAClosedCluster(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	at := func(name string) string { return filepath.Join(certs, name) }
	if made := quartet(t, "secure", "console", certs, "desk", "127.0.0.1", "--role", "write"); made.status != 0 {
		t.Fatalf("status %d\n%s", made.status, made.stderr)
	}
	c := newNodes(t, 3, "--suspect", calm)
	c.more = func(i int) []string {
		return []string{"--secure", at(fmt.Sprintf("n%d", i+1)), "--console", "127.0.0.1:-1", "--console-write"}
	}
	for i := range c.all {
		c.launch(t, i)
	}
	writer, err := secure.Open(at("write"), nil)
	if err != nil {
		t.Fatal(err)
	}
	consoles := map[string]string{}
	for i, m := range c.all {
		m.AwaitStdout(t, startLimit, "a banner with a console", func(said string) bool {
			found := regexp.MustCompile(`(?m)^  console +(https://\S+)$`).FindStringSubmatch(said)
			if found != nil {
				consoles[fmt.Sprintf("n%d", i+1)] = found[1]
			}
			return found != nil
		})
	}
	kv, err := client.Connect(t.Context(), c.url(), client.WithTLS(writer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer kv.Close()

	consoles["desk"] = console(t, "--secure", at("desk"), "--nats", c.url(), "--write")
	for where, url := range consoles {
		for _, role := range secure.Clients {
			b, key := newBrowser(t, url, at(string(role))), where+"-"+string(role)
			b.await("All four models are served")
			status, says := b.set(key, "v")
			may, want, text := role == secure.Write, http.StatusForbidden, "keys are changed by the role write"
			if may {
				want, text = http.StatusOK, "Written"
			}
			if status != want || !strings.Contains(says, text) {
				t.Errorf("%s on the console of %s: %d %s", role, where, status, says)
			}
			if got, err := kv.Get(t.Context(), key); got.Found != may {
				t.Errorf("%s on the console of %s: found %t, %v", role, where, got.Found, err)
			}
		}
		node := newBrowser(t, url, at("n1"))
		if status, says := node.read(node.by.Get(url)); status != http.StatusForbidden || !strings.Contains(says, "is a node's") {
			t.Errorf("a node on the console of %s: %d %s", where, status, says)
		}
	}

	// Without certificates for browsers a console is its own client, on this machine alone.
	for _, role := range secure.Clients {
		url, key := console(t, append(asClient(certs, string(role), c.url()), "--write")...), "alone-"+string(role)
		b := newBrowser(t, url, "")
		b.await("All four models are served")
		_, says := b.set(key, "v")
		if want := map[bool]string{true: "Written", false: "Nothing was changed"}[role == secure.Write]; !strings.Contains(says, want) {
			t.Errorf("a console as %s: %s", role, says)
		}
		if got, _ := kv.Get(t.Context(), key); got.Found != (role == secure.Write) {
			t.Errorf("a console as %s: found %t", role, got.Found)
		}
	}
	newBrowser(t, console(t, asClient(certs, "n1", c.url())...), "").await("Authorization Violation")
}
