//go:build chromium

package webconsole_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"quartet/bus/testkit"
	"quartet/client"
)

// loadBound is how long a page may take to load on a machine that is busy; what it takes on one
// that is not is printed, and is to be below a second.
const loadBound = 10 * time.Second

// addresses are the views, and a story and a run.
func addresses(t *testing.T, b *tab, d *demo) map[string]string {
	t.Helper()
	record := filepath.Join(d.runs, "a-b-a")
	history, err := os.ReadFile("../../testdata/histories/eventual-a-b-a.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(record, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(record, "history.jsonl"), history, 0o644); err != nil {
		t.Fatal(err)
	}

	b.open(d.url + "/story")
	b.set(`select[name=request]`, "set")
	b.click(`form[action="/story"] button.primary`)
	b.await("the story", `document.querySelector("#diagram")`)
	story := strings.TrimPrefix(js[string](b, "location.href"), d.url)
	return map[string]string{
		"cluster": "/", "four": "/four", "stories": "/story", "story": story, "keys": "/keys", "key": "/keys/one?key=colour",
		"runs": "/runs", "run": "/runs/a-b-a",
	}
}

// Every view loads soon, at each width, in light and dark, and is no wider than the window; nothing
// is said in the browser's console, and nothing is asked of elsewhere (see browser).
func TestPagesAtEachWidth(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	all := addresses(t, b, d)
	fill(t, d)
	b.open(d.url + "/runs/a-b-a")
	b.click("form button.primary")
	b.await("a verdict", `document.querySelector("#verdict")`)

	var loads []float64
	for _, width := range []int64{widthNarrow, widthMiddle, widthWide} {
		for _, scheme := range []string{"light", "dark"} {
			b.look(width, scheme)
			for name, address := range all {
				b.open(d.url + address)
				b.await("the end of loading", `performance.getEntriesByType("navigation")[0].loadEventEnd > 0`)
				took := js[float64](b, `performance.getEntriesByType("navigation")[0].loadEventEnd`)
				loads = append(loads, took)
				if took > float64(loadBound.Milliseconds()) {
					t.Errorf("%s at %d: loaded after %.0f ms", name, width, took)
				}
				b.await("a heading", `document.querySelector("main h1")?.textContent && document.querySelector("footer")`)
				if name == "cluster" {
					b.await("figures of two looks", `document.querySelectorAll(".sparks path").length === 4`)
				}
				if wide := js[int64](b, "document.documentElement.scrollWidth"); wide > width {
					t.Errorf("%s at %d pixels is %d wide: %s", name, width, wide, js[string](b, widest))
				}
				if pale := js[[]string](b, contrast); len(pale) > 0 {
					t.Errorf("%s, %s: too little contrast: %s", name, scheme, strings.Join(pale, "; "))
				}
				b.shoot(fmt.Sprintf("%s-%d-%s", name, width, scheme))
			}
		}
	}
	slices.Sort(loads)
	t.Logf("%d pages loaded: half within %.0f ms, all within %.0f ms", len(loads), loads[len(loads)/2], loads[len(loads)-1])
}

// fill gives the cluster something to show.
func fill(t *testing.T, d *demo) {
	t.Helper()
	c, err := client.Connect(t.Context(), d.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 40 {
		m := []client.Consistency{client.Linearizable, client.Sequential, client.Causal, client.Eventual}[i%4]
		key := fmt.Sprintf("orders/%d", i)
		if _, err := c.Set(t.Context(), key, []byte(fmt.Sprintf(`{"tea": %d, "state": "paid"}`, i)), client.With(m)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), key, client.With(m)); err != nil && m != client.Causal && m != client.Eventual {
			t.Fatal(err)
		}
	}
}

// widest names what is wider than the window.
const widest = `[...document.querySelectorAll("main *, header *, footer *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 &&
	!e.closest(".scroll, .value-box, nav, .strip")).map(e => e.tagName + "." + e.className).slice(0, 5).join(" ")`

// contrast names texts that have less of it than WCAG 2.2 AA asks for.
const contrast = `(() => {
	const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
	const light = ([r, g, b]) => { const f = [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255]; };
	const bad = new Set();
	for (const e of document.querySelectorAll("body *")) {
		const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
		const style = getComputedStyle(e), box = e.getBoundingClientRect();
		if (!own || !box.width || style.visibility === "hidden" || e.closest("svg, :disabled, .busy")) continue;
		const [a, b] = [light(parse(style.color)), light(behind(e))].sort((x, y) => y - x);
		const big = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
		const ratio = (a + .05) / (b + .05);
		if (ratio < (big ? 3 : 4.5)) bad.add(e.tagName + "." + e.className + " " + ratio.toFixed(2));
	}
	return [...bad];
})()`

// What moves stands still for whoever has asked for that, and moves for others.
func TestMotionIsReduced(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.open(d.url)
	b.await("a page", `document.querySelector("main h1")`)
	js[int](b, `document.querySelector("main").classList.add("busy"); 0`)
	for asked, want := range map[string]string{"no-preference": "0.2s", "reduce": "0s"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: asked}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		if got := js[string](b, `getComputedStyle(document.querySelector("main")).transitionDuration`); got != want {
			t.Errorf("with %s what is busy fades for %s, want %s", asked, got, want)
		}
	}
}

// A replica that is killed is seen at once, and its return.
func TestAKilledReplicaShows(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthMiddle, "light")
	b.open(d.url)
	b.await("three members", `document.querySelectorAll("#nodes .node.good").length === 3`)

	pid, err := strconv.Atoi(strings.TrimPrefix(js[string](b, `document.querySelector("[data-node=r3] .who .faint").textContent`), "pid "))
	if err != nil {
		t.Fatal(err)
	}
	js[int](b, `window.seen = new Promise(done => new MutationObserver(() => {
		if (document.querySelector("#events").innerText.includes("r3")) done(Date.now());
	}).observe(document.querySelector("#events"), {childList: true, subtree: true})); 0`)
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	took := time.UnixMilli(js[int64](b, "window.seen")).Sub(killed)
	t.Logf("the kill was shown after %s", took.Round(time.Millisecond))
	if took > loadBound {
		t.Errorf("the kill was shown after %s", took)
	}
	b.await("its return", `document.querySelectorAll("#nodes .node[data-node]").length === 4 &&
		document.querySelector("#events").innerText.includes("r3 is a member")`)
	b.shoot("killed")
}

var ofMessages = regexp.MustCompile(`<text [^>]*>([^<]*)</text>`)

// texts are the words of a diagram, but for times: each listener has its own.
func texts(svg string) []string {
	var list []string
	for _, found := range ofMessages.FindAllStringSubmatch(svg, -1) {
		if !strings.Contains(found[1], " ms") {
			list = append(list, found[1])
		}
	}
	slices.Sort(list)
	return list
}

// The diagram of a request is that of quartet trace, which has listened to the same request.
func TestTheDiagramIsThatOfTrace(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthWide, "light")
	b.open(d.url + "/story")

	drawn := filepath.Join(t.TempDir(), "trace.svg")
	follow := testkit.Launch(t, exec.Command(d.program, "trace", "--nats", d.nats, "--follow", "--count", "1", "--svg", drawn))
	testkit.Eventually(t, limit, "trace listens", func() error {
		if !follow.Stderr.Has("listening") {
			return fmt.Errorf("it says %q", follow.Stderr.String())
		}
		return nil
	})
	b.set(`select[name=request]`, "set")
	b.click(`form[action="/story"] button.primary`)
	b.await("the diagram", `document.querySelector("#diagram")?.naturalWidth > 0`)
	shown := js[string](b, `fetch(document.querySelector("#diagram").src).then(r => r.text())`)
	follow.Wait(t, limit)

	rid := strings.TrimPrefix(js[string](b, "location.pathname"), "/story/")
	want, err := os.ReadFile(strings.TrimSuffix(drawn, ".svg") + "-" + rid + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(texts(string(want)), texts(shown)); diff != "" {
		t.Errorf("the diagrams differ (-trace +page):\n%s", diff)
	}
	for _, rule := range []string{"S1", "S4 (A)", "S4 (B)", "S5"} {
		b.await("rule "+rule, fmt.Sprintf(`[...document.querySelectorAll(".rules .number")].some(e => e.textContent === %q)`, rule))
	}
}

// Two replicas of three stand still: models 1 and 2 refuse or wait, 3 and 4 go on; then all is well
// again.
func TestTheLessonOfFourModels(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthWide, "light")
	b.open(d.url + "/four")
	b.click("#play")
	for n := 1; n <= 4; n++ {
		b.await("answers", fmt.Sprintf(`document.querySelectorAll("#set-%d .ok").length > 2 && document.querySelectorAll("#get-%d .ok").length > 2`, n, n))
	}
	b.shoot("four-well")

	for _, id := range []string{"r2", "r3"} {
		b.press(fmt.Sprintf(`[data-keep="pause-%s"]`, id))
		b.await(id+" is out", fmt.Sprintf(`document.querySelector("#replicas [data-node=%s]").innerText.includes("paused")`, id))
	}
	js[int](b, `window.before = document.querySelectorAll("#set-4 .ok").length; 0`)
	b.await("refusals of model 1", `document.querySelectorAll("#set-1 .refused, #set-1 .unknown").length > 1`)
	b.await("model 4 goes on", `document.querySelectorAll("#set-4 .ok").length > window.before + 2`)
	b.shoot("four-paused")

	for _, id := range []string{"r2", "r3"} {
		b.press(fmt.Sprintf(`[data-keep="pause-%s"]`, id))
	}
	js[int](b, `window.before = document.querySelectorAll("#set-1 .ok").length; 0`)
	b.await("model 1 goes on", `document.querySelectorAll("#set-1 .ok").length > window.before + 2`)
	if n := js[int](b, `document.querySelectorAll("#get-1 .stale").length`); n > 0 {
		t.Errorf("model 1 was stale %d times: %s", n, js[string](b, `document.querySelector("#get-1 .stale").title`))
	}
	b.click("#play")
}

// Keys are written with conditions, and a watch shows it.
func TestKeysInABrowser(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthMiddle, "light")
	b.open(d.url + "/keys?prefix=seat/")
	b.click("#watch")
	b.await("a watch that has caught up", `document.querySelector("#feed").innerText.includes("CAUGHT-UP")`)

	answer := b.posted("/keys/one", map[string]string{"key": "seat/7", "value": "ann", "model": "linearizable", "request": "set", "if": "missing"})
	if !strings.HasPrefix(answer, "200 ") || !strings.Contains(answer, "Written") {
		t.Errorf("a set: %s", answer)
	}
	b.await("the change", `document.querySelector("#feed").innerText.includes("seat/7")`)
	answer = b.posted("/keys/one", map[string]string{"key": "seat/7", "value": "eve", "model": "linearizable", "request": "set", "if": "missing"})
	if !strings.Contains(answer, "the condition did not hold") || !strings.Contains(answer, ">ann<") {
		t.Errorf("a set whose condition fails: %s", answer)
	}

	answer = b.posted("/keys/one", map[string]string{"key": "seat/7", "model": "linearizable", "request": "delete"})
	if !strings.HasPrefix(answer, "200 ") || !strings.Contains(answer, "Deleted") {
		t.Errorf("a delete: %s", answer)
	}
	b.await("the delete", `document.querySelector("#feed").innerText.includes("DELETE")`)

	// A watch that was ended stays so when the page is hidden and seen again.
	js[int](b, `window.opened = 0; window.EventSource = class extends EventSource { constructor(a) { super(a); window.opened++; } }; 0`)
	b.click("#watch")
	js[int](b, `document.dispatchEvent(new Event("visibilitychange")); 0`)
	if n := js[int](b, "window.opened"); n > 0 {
		t.Errorf("a watch that was ended has begun again")
	}
	b.open(d.url + "/keys/one?key=seat/7")
	b.set("textarea", "bob")
	b.press(`[data-keep=set]`)
	b.await("the value", `document.querySelector("#value").textContent === "bob"`)
}

// Whoever has no mouse reaches everything, sees where they are, and can do it.
func TestTheKeyboardIsEnough(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthMiddle, "light")
	for _, address := range []string{"/", "/four", "/story", "/keys", "/keys/one?key=k", "/runs"} {
		b.open(d.url + address)
		wanted := js[int](b, `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
			.filter(e => e.getClientRects().length && !e.disabled).length`)
		js[int](b, `window.reached = new Set(); window.unseen = []; document.addEventListener("focusin", (e) => {
			window.reached.add(e.target.dataset.keep || e.target);
			if (getComputedStyle(e.target).outlineStyle === "none") window.unseen.push(e.target.outerHTML.slice(0, 80));
		}); 0`)
		for range wanted + 5 {
			b.key(kb.Tab)
		}
		if got := js[int](b, "window.reached.size"); got < wanted {
			t.Errorf("%s: %d of %d places are reached", address, got, wanted)
		}
		if unseen := js[[]string](b, "window.unseen"); len(unseen) > 0 {
			t.Errorf("%s: it cannot be seen where the keyboard is: %v", address, unseen)
		}
	}

	// The first stop skips to the content.
	b.open(d.url + "/four")
	b.key(kb.Tab)
	b.key(kb.Enter)
	b.await("the content has the keyboard", `document.activeElement.id === "main"`)
	b.key(kb.Tab)
	b.await("its first field has it", `document.activeElement.id === "key"`)
	b.key(kb.Enter) // sends the form: its first button gets in all four
	for n := 1; n <= 4; n++ {
		b.await("an answer", fmt.Sprintf(`document.querySelector("#result-%d .verdict")`, n))
	}
}

// Where the keyboard is stays when what is there is made anew.
func TestTheKeyboardStaysWhereItIs(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(widthMiddle, "light")
	b.open(d.url + "/four")
	b.await("its button", `document.querySelector('[data-keep="pause-r3"]')`)
	js[int](b, `document.querySelector('[data-keep="pause-r3"]').focus(); 0`)
	for _, word := range []string{"Wake r3", "Pause r3"} {
		b.key(kb.Enter)
		b.await("the other button", fmt.Sprintf(`document.activeElement.textContent.trim() === %q`, word))
	}
	b.await("all members", `[...document.querySelectorAll("#replicas .tag")].every(e => e.innerText === "member")`)
	b.await("the keyboard is there", `document.activeElement.dataset.keep === "pause-r3"`)
}

// A page that is left open holds its memory, and that of the browser.
func TestAPageLeftOpenHoldsItsMemory(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.open(d.url)
	b.await("three members", `document.querySelectorAll("#nodes .node.good").length === 3`)
	rounds := `new Promise(done => { let n = 0; new MutationObserver((_, o) => { if (++n >= %d) { o.disconnect(); done(n); } }).observe(
		document.querySelector("#nodes"), {childList: true}); })`
	js[int](b, fmt.Sprintf(rounds, 4))
	before := js[int](b, `document.querySelectorAll("*").length`)
	held := used(b)
	js[int](b, fmt.Sprintf(rounds, int(*openFor/(250*time.Millisecond))))
	if after := js[int](b, `document.querySelectorAll("*").length`); after > before+50 {
		t.Errorf("%d elements, and %d after %s", before, after, *openFor)
	}
	grown := used(b) - held
	t.Logf("after %s the page's own memory has grown by %d KiB", *openFor, grown>>10)
	if grown > 4<<20 {
		t.Errorf("the page's own memory has grown by %d KiB in %s", grown>>10, *openFor)
	}
}

// A page of another site changes nothing, whatever it tries.
func TestAnotherSiteCannotChangeAnything(t *testing.T) {
	d := startDemo(t)
	b := browser(t, "") // of anywhere
	var host bytes.Buffer
	fmt.Fprintf(&host, `<!doctype html><form method=post action="%s/keys/one" enctype="application/x-www-form-urlencoded">
		<input name=key value=evil><input name=value value=1><input name=request value=set><input name=model value=1></form>`, d.url)
	b.open("data:text/html," + strings.ReplaceAll(host.String(), "#", "%23"))
	js[int](b, `document.querySelector("form").submit(); 0`)
	b.await("a refusal", `document.body.innerText.length > 0 && location.href.startsWith("http")`)
	b.open(d.url + "/keys/one?key=evil")
	b.await("no value", `document.querySelector("#value-title").textContent === "No value"`)
	b.mu.Lock()
	b.faults = nil // the refusal itself is an error in the browser's log
	b.mu.Unlock()
}
