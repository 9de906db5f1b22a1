package webconsole_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/bus/testkit"
	"quartet/client/internal/responder"
	"quartet/client/webconsole"
)

// site is a console in a test, of a cluster that a responder plays.
type site struct {
	t     *testing.T
	url   string
	token string
	by    http.RoundTripper // nil: the usual one
}

func start(t *testing.T, o webconsole.Options, to string) *site {
	t.Helper()
	c := listen(t, o, to, nil)
	c.enter()
	return c
}

// listen starts a console, which is found to know the cluster by whoever comes by a transport.
func listen(t *testing.T, o webconsole.Options, to string, by http.RoundTripper) *site {
	t.Helper()
	o.Listen, o.Prefix, o.Version = "127.0.0.1:0", bus.DefaultPrefix, "test"
	s, err := webconsole.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &site{t: t, url: s.URL(), by: by}
	if to != "" {
		s.Attach(bus.DialOptions{URL: to}, bus.DialOptions{URL: to})
		testkit.Eventually(t, time.Minute, "the console has found the cluster", func() error {
			if body := c.get("/").body; !strings.Contains(body, "nats://127.0.0.1") {
				return errors.New(body)
			}
			return nil
		})
	}
	return c
}

// enter takes the token of a page; where no page is shown there is none.
func (c *site) enter() {
	c.t.Helper()
	if found := regexp.MustCompile(`data-token="([^"]+)"`).FindStringSubmatch(c.get("/").body); found != nil {
		c.token = found[1]
	}
}

// answer is what came of a request.
type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends a request with some headers, and follows no redirection.
func (c *site) ask(method, address string, body io.Reader, headers map[string]string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+address, body)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range headers {
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	alone := http.Client{Transport: c.by, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := alone.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{reply.StatusCode, string(text), reply.Header}
}

func (c *site) get(address string) answer {
	c.t.Helper()
	return c.ask(http.MethodGet, address, nil, nil)
}

// post sends a form as a page of the console does.
func (c *site) post(address string, fields map[string]string, headers map[string]string) answer {
	c.t.Helper()
	form := url.Values{"token": {c.token}}
	for name, value := range fields {
		form.Set(name, value)
	}
	all := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
	for name, value := range headers {
		all[name] = value
	}
	return c.ask(http.MethodPost, address, strings.NewReader(form.Encode()), all)
}

// It listens on this machine alone, and says what to do instead.
func TestItListensOnThisMachineAlone(t *testing.T) {
	for listen, want := range map[string]error{
		"0.0.0.0:0": webconsole.ErrOpen, "192.0.2.1:8222": webconsole.ErrOpen, ":8222": webconsole.ErrAddress, "127.0.0.1:http": webconsole.ErrAddress,
	} {
		s, err := webconsole.Listen(webconsole.Options{Listen: listen})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", listen, err, want)
		}
		if s != nil {
			t.Errorf("%s: it listens", listen)
		}
	}
	c := start(t, webconsole.Options{}, "")
	if _, err := webconsole.Listen(webconsole.Options{Listen: strings.TrimPrefix(c.url, "http://")}); !errors.Is(err, webconsole.ErrListen) {
		t.Errorf("twice at one address: %v", err)
	}
}

// What asks, and where it comes from, decides whether it is answered at all.
func TestWhoIsLetIn(t *testing.T) {
	r := responder.Start(t, nil)
	c := start(t, webconsole.Options{Write: true}, r.URL)
	_, port, _ := strings.Cut(strings.TrimPrefix(c.url, "http://"), ":")
	set := map[string]string{"key": "k", "value": "v", "model": "1", "request": "set"}

	for name, test := range map[string]struct {
		answer answer
		want   int
	}{
		"localhost":                        {c.ask("GET", "/", nil, map[string]string{"Host": "localhost:" + port}), 200},
		"IPv6":                             {c.ask("GET", "/", nil, map[string]string{"Host": "[::1]:" + port}), 200},
		"a name led to this machine":       {c.ask("GET", "/", nil, map[string]string{"Host": "evil.example:" + port}), 421},
		"another port":                     {c.ask("GET", "/", nil, map[string]string{"Host": "127.0.0.1:1"}), 421},
		"a number that begins as loopback": {c.ask("GET", "/", nil, map[string]string{"Host": "127.0.0.1.evil.example:" + port}), 421},
		"a link from elsewhere": {c.ask("GET", "/", nil, map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}), 200},
		"a frame elsewhere": {c.ask("GET", "/", nil, map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}), 403},
		"a script elsewhere":             {c.ask("GET", "/live", nil, map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}), 403},
		"a script on another port":       {c.ask("GET", "/keys", nil, map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}), 403},
		"its own page":                   {c.post("/keys/one", set, nil), 200},
		"a form elsewhere":               {c.post("/keys/one", set, map[string]string{"Sec-Fetch-Site": "cross-site"}), 403},
		"a form on another port":         {c.post("/keys/one", set, map[string]string{"Sec-Fetch-Site": "same-site"}), 403},
		"an old browser, elsewhere":      {c.post("/keys/one", set, map[string]string{"Sec-Fetch-Site": "", "Origin": "http://evil.example"}), 403},
		"an old browser, its own page":   {c.post("/keys/one", set, map[string]string{"Sec-Fetch-Site": "", "Origin": c.url}), 200},
		"a program without the token":    {c.post("/keys/one", map[string]string{"key": "k", "token": ""}, nil), 403},
		"a page of an earlier console":   {c.post("/keys/one", map[string]string{"key": "k", "token": strings.Repeat("A", 26)}, nil), 403},
		"a method that nobody speaks of": {c.ask("DELETE", "/keys/one", nil, nil), 403},
	} {
		if test.answer.status != test.want {
			t.Errorf("%s: %d, want %d: %s", name, test.answer.status, test.want, test.answer.body)
		}
	}
	if n := r.Executed(); n != 2 {
		t.Errorf("%d sets were executed, want 2", n)
	}

	for name, want := range map[string]string{
		"Content-Security-Policy": "script-src 'self'", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer",
	} {
		if got := c.get("/").header.Get(name); !strings.Contains(got, want) || strings.Contains(got, "unsafe") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A form that is too large is refused as such, however it is sent.
func TestAFormThatIsTooLarge(t *testing.T) {
	c := start(t, webconsole.Options{Write: true}, "")
	form := url.Values{"token": {c.token}, "value": {strings.Repeat("x", 3<<20)}}.Encode()
	parted := "--b\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\n" + strings.Repeat("x", 3<<20) + "\r\n--b--\r\n"
	for kind, body := range map[string]string{"application/x-www-form-urlencoded": form, "multipart/form-data; boundary=b": parted} {
		a := c.ask(http.MethodPost, "/keys/one", strings.NewReader(body), map[string]string{"Content-Type": kind, "Sec-Fetch-Site": "same-origin"})
		if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.body, "too large") {
			t.Errorf("%s: %d %s", kind, a.status, a.body)
		}
	}
}

// Without the operator's word nothing changes a key, and no page offers to.
func TestAConsoleThatReadsOnly(t *testing.T) {
	r := responder.Start(t, nil)
	c := start(t, webconsole.Options{}, r.URL)
	for address, fields := range map[string]map[string]string{
		"/keys/one": {"key": "k", "value": "v", "model": "1", "request": "set"},
		"/four/try": {"key": "k", "value": "v", "do": "set:all"},
		"/story":    {"key": "k", "value": "v", "model": "1", "request": "delete"},
	} {
		if a := c.post(address, fields, nil); a.status != http.StatusForbidden || !strings.Contains(a.body, "--write") {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	if a := c.post("/demo/kill", map[string]string{"pid": "1"}, nil); a.status != http.StatusForbidden {
		t.Errorf("a replica was to be killed: %d %s", a.status, a.body)
	}
	if n := r.Executed(); n != 0 {
		t.Errorf("%d writes were executed", n)
	}
	for _, address := range []string{"/four", "/story", "/keys/one?key=k"} {
		if body := c.get(address).body; strings.Contains(body, ">Set<") || strings.Contains(body, ">delete<") {
			t.Errorf("%s offers to change a key", address)
		}
	}
}

// Each view is served, and what is not there is said to be so.
func TestAddresses(t *testing.T) {
	runs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(runs, "one"), 0o755); err != nil {
		t.Fatal(err)
	}
	history := `{"id":1,"model":"eventual","type":"set","key":"k","value":"v","call":1,"return":2,"outcome":"ok","code":200}` + "\n"
	for name, text := range map[string]string{"one/history.jsonl": history, "secret": "secret"} {
		if err := os.WriteFile(filepath.Join(runs, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	c := start(t, webconsole.Options{Runs: runs}, responder.Start(t, nil).URL)
	for address, want := range map[string]string{
		"/": "200", "/four": "200 A key, four ways", "/story": "200 Stories", "/keys": "200 Keys", "/keys/one?key=k": "200 No value",
		"/runs": "200 /runs/one", "/runs/one": "200 Judge it", "/story/17": "404 not known", "/story/x.svg": "404", "/nothing": "404",
		"/runs/two": "404 no such run", "/runs/..": "404", "/runs/%2e%2e": "404", "/runs/secret": "404", "/runs/..%2fone": "404",
		"/runs/one/picture/0": "404", "/runs/one/report": "404", "/assets/console.js": "200", "/assets/console.css": "200",
		"/favicon.ico": "200 <svg", "/assets/../server.go": "404",
	} {
		code, text, _ := strings.Cut(want, " ")
		a := c.get(address)
		isMoved := code == "404" && a.status/100 == 3 // to the address without dots
		if fmt.Sprint(a.status) != code && !isMoved {
			t.Errorf("%s: %d, want %s", address, a.status, want)
		}
		if !strings.Contains(a.body, text) {
			t.Errorf("%s: no %q in %s", address, text, a.body)
		}
	}
	if a := c.post("/runs/one/judge", nil, nil); a.status != http.StatusSeeOther || a.header.Get("Location") != "/runs/one" {
		t.Errorf("judging: %d %v %s", a.status, a.header, a.body)
	}
	if a := c.get("/runs/one"); !strings.Contains(a.body, `id="verdict">ok<`) {
		t.Errorf("judged: %s", a.body)
	}
}

// parts are what a page is answered that has asked for parts.
func (a *answer) parts(t *testing.T) map[string]string {
	t.Helper()
	var parts map[string]string
	if err := json.Unmarshal([]byte(a.body), &parts); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return parts
}

// A key is asked for in all four models at once; each answer stands in its own place.
func TestAKeyIsTriedFourWays(t *testing.T) {
	var mu sync.Mutex
	refusing := false
	r := responder.Start(t, func(c responder.Call) responder.Action {
		mu.Lock()
		defer mu.Unlock()
		if refusing && c.Request.Model == model.Linearizable {
			return responder.Action{Code: model.Unavailable, Reply: bus.Reply{Answer: model.Answer{Reason: "no majority"}}}
		}
		return responder.Action{}
	})
	r.TakeBatches(t, 8)
	c := start(t, webconsole.Options{Write: true}, r.URL)
	parts := map[string]string{"Quartet-Parts": "1"}

	a := c.post("/four/try", map[string]string{"key": "k", "value": "<v>", "do": "set:2"}, parts)
	if got := a.parts(t)["result-2"]; !strings.Contains(got, "written") || !strings.Contains(got, "&lt;v&gt;") {
		t.Errorf("a set: %s", a.body)
	}
	mu.Lock()
	refusing = true
	mu.Unlock()
	all := c.post("/four/try", map[string]string{"key": "k", "do": "get:all", "replica": "r2"}, parts)
	got := all.parts(t)
	for n := 2; n <= 4; n++ {
		if html := got[fmt.Sprintf("result-%d", n)]; !strings.Contains(html, "answered") || !strings.Contains(html, "<dd>r2</dd>") ||
			!strings.Contains(html, "<dt>age</dt>") {
			t.Errorf("model %d: %s", n, html)
		}
	}
	if html := got["result-1"]; !strings.Contains(html, "refused (503)") || !strings.Contains(html, "no majority") {
		t.Errorf("model 1: %s", html)
	}

	auto := c.post("/four/try", map[string]string{"key": "k", "model": "4", "request": "get", "auto": "1"}, parts)
	if cell := auto.parts(t)["cell"]; !strings.Contains(cell, `class="cell ok`) {
		t.Errorf("a cell: %s", cell)
	}
	if a := c.post("/four/try", map[string]string{"key": "k", "do": "get:3"}, nil); a.status != 200 || !strings.Contains(a.body, "</html>") {
		t.Errorf("without a script there is no page: %d", a.status)
	}
	for _, do := range []string{"delete:1", "get:9", "", "watch:all"} {
		if a := c.post("/four/try", map[string]string{"key": "k", "do": do}, parts); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", do, a.status, a.body)
		}
	}
}

// A change says what came of it, in place of what the page showed of the key.
func TestChangesOfAKey(t *testing.T) {
	r := responder.Start(t, func(c responder.Call) responder.Action {
		if c.Request.HasIf {
			failed := model.Answer{HasRevision: true, Revision: 12, Reason: "its revision is another"}
			return responder.Action{Code: model.Failed, Reply: bus.Reply{Answer: failed}}
		}
		return responder.Action{}
	})
	c := start(t, webconsole.Options{Write: true}, r.URL)

	for name, test := range map[string]struct {
		fields map[string]string
		want   string
	}{
		"a set":             {map[string]string{"request": "set", "value": "a\r\nb", "id": "one"}, "Written"},
		"a failed one":      {map[string]string{"request": "set", "if": "revision", "revision": "3"}, "its revision is 12"},
		"a create":          {map[string]string{"request": "set", "if": "missing"}, "the condition did not hold"},
		"a delete":          {map[string]string{"request": "delete", "model": "causal"}, "Deleted"},
		"no revision":       {map[string]string{"request": "set", "if": "revision", "revision": "x"}, "a revision is a whole number"},
		"no time":           {map[string]string{"request": "set", "ttl": "soon"}, "a time is written like"},
		"too small a unit":  {map[string]string{"request": "set", "ttl": "1000000us"}, "a time is written like"},
		"too short a time":  {map[string]string{"request": "set", "ttl": "1ms"}, "Nothing was changed"},
		"a type of another": {map[string]string{"request": "list"}, "Nothing was changed"},
	} {
		test.fields["key"] = "k"
		a := c.post("/keys/one", test.fields, map[string]string{"Quartet-Parts": "1"})
		if html := a.parts(t)["one"]; !strings.Contains(html, test.want) {
			t.Errorf("%s: no %q in %s", name, test.want, html)
		}
	}
	for _, call := range r.Calls() {
		if call.Options.Identity == "one" && string(call.Request.Value) != "a\nb" {
			t.Errorf("a line end became %q", call.Request.Value)
		}
	}
}

// A page hears what has changed, and nothing else; when the console ends its stream does.
func TestLiveParts(t *testing.T) {
	r := responder.Start(t, nil)
	c := start(t, webconsole.Options{}, r.URL)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/live?only=state", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if kind := reply.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("it is %s", kind)
	}

	heard := json.NewDecoder(events{reply.Body})
	var parts map[string]string
	r.Tell(func(s *bus.Status) { s.Ready, s.Reason = false, "the view is being changed" })
	for {
		parts = nil
		if err := heard.Decode(&parts); err != nil {
			t.Fatal(err)
		}
		if len(parts) != 1 {
			t.Errorf("parts that were not asked for: %v", parts)
		}
		if strings.Contains(parts["state"], "The view is being changed.") && strings.Contains(parts["state"], "within seconds") {
			return
		}
	}
}

// events leaves of a stream what is data.
type events struct{ from io.Reader }

func (e events) Read(p []byte) (int, error) {
	n, err := e.from.Read(p)
	text := strings.NewReplacer("data: ", "", ": there\n", "").Replace(string(p[:n]))
	return copy(p, text), err
}

// Whoever leaves while a history is judged cancels that: nothing is kept of it, and the next one
// need not wait.
func TestJudgingIsCancelled(t *testing.T) {
	runs := t.TempDir()
	operation := func(client, what string, call, end int) string {
		return fmt.Sprintf(`{"client":%q,"model":"linearizable",%s,"key":"k","call":%d,"return":%d,"outcome":"ok"}`+"\n", client, what, call, end)
	}
	hard := "" // forty sets at once, and gets that no order of them explains
	for i := range 40 {
		hard += operation(fmt.Sprint("w", i), fmt.Sprintf(`"type":"set","value":"%d"`, i), 0, 1000)
	}
	for i, value := range []string{"1", "2", "1"} {
		hard += operation("r", fmt.Sprintf(`"type":"get","output":%q,"found":true`, value), 10+20*i, 20+20*i)
	}
	for name, history := range map[string]string{"hard": hard, "easy": operation("w", `"type":"set","value":"v"`, 1, 2)} {
		if err := os.MkdirAll(filepath.Join(runs, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(runs, name, "history.jsonl"), []byte(history), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := start(t, webconsole.Options{Runs: runs}, "")

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { leave() }})
	form := url.Values{"token": {c.token}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/runs/hard/judge", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if reply, err := http.DefaultClient.Do(r); !errors.Is(err, context.Canceled) {
		t.Fatalf("the one who has left was answered: %v, %v", reply, err)
	}

	if a := c.post("/runs/easy/judge", nil, nil); a.status != http.StatusSeeOther {
		t.Errorf("the next one: %d %s", a.status, a.body)
	}
	if a := c.get("/runs/hard"); !strings.Contains(a.body, "Judge it") {
		t.Errorf("something was kept of what was cancelled: %s", a.body)
	}
}
