//go:build chromium && pictures

package webconsole_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// pictures is where the README's pictures are: `task pictures` makes them anew.
const pictures = "../../testdata/pictures"

// The README's pictures are of the real thing: a cluster two of whose three replicas stand still,
// under each model, and the story of a set.
func TestPictures(t *testing.T) {
	d := startDemo(t)
	b := browser(t, d.url)
	b.look(1240, "light")
	b.open(d.url + "/four")
	b.click("#play")
	b.await("answers", `document.querySelectorAll("#set-1 .ok").length > 9`)
	for _, id := range []string{"r2", "r3"} {
		b.press(fmt.Sprintf(`[data-keep="pause-%s"]`, id))
		b.await(id+" stands still", fmt.Sprintf(`document.querySelector("#replicas [data-node=%s]").innerText.includes("not in the view")`, id))
	}
	b.await("refusals", `document.querySelectorAll("#set-1 .refused").length > 5`)
	b.click("#play")
	js[int](b, "window.scrollTo(0, 0); 0")
	b.await("the last answers", `document.querySelector("#play").textContent.startsWith("Go on")`)

	picture, err := chromedp.Run(b.ctx, chromedp.Screenshot(chromedp.CSS("main")))
	if err != nil {
		t.Fatal(err)
	}
	write(t, "four-models.png", picture)

	for _, id := range []string{"r2", "r3"} {
		b.press(fmt.Sprintf(`[data-keep="pause-%s"]`, id))
	}
	b.await("all members", `[...document.querySelectorAll("#replicas .tag")].every(e => e.innerText === "member")`)
	b.open(d.url + "/story")
	b.set(`select[name=request]`, "set")
	b.click(`form[action="/story"] button.primary`)
	b.await("the diagram", `document.querySelector("#diagram")?.naturalWidth > 0`)
	write(t, "trace.svg", []byte(js[string](b, `fetch(document.querySelector("#diagram").src).then(r => r.text())`)))
}

func write(t *testing.T, name string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pictures, name), body, 0o644); err != nil {
		t.Fatal(err)
	}
}
