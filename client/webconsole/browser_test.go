//go:build chromium

package webconsole_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"quartet/bus/testkit"
	"quartet/client/internal/program"
)

// These tests need a Chromium, and real processes: `task test:console`.

var (
	chromium = flag.String("console.chromium", "chromium", "the browser")
	shots    = flag.String("console.shots", "", "folder for screenshots; \"\": none are taken")
	openFor  = flag.Duration("console.open", 5*time.Second, "how long a page is left open")
)

const (
	widthNarrow, widthMiddle, widthWide = 375, 900, 1600

	// limit is for what takes a second or two on a machine with time for it.
	limit = time.Minute
)

// demo is a console with a cluster of its own.
type demo struct {
	*testkit.Child
	program, url, nats, runs string
}

// built is the program under test, which TestMain builds.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "quartet-browser")
	if err == nil {
		defer os.RemoveAll(dir)
		built, err = program.Build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

var (
	consoleLine = regexp.MustCompile(`(?m)^console (http://\S+)$`)
	clusterLine = regexp.MustCompile(`ready at (nats://[0-9.:]+)`)
)

func startDemo(t testing.TB) *demo {
	t.Helper()
	d := &demo{program: built, runs: t.TempDir()}
	cmd := exec.Command(built, "console", "--demo", "--listen", "127.0.0.1:-1", "--runs", d.runs)
	d.Child = testkit.Launch(t, cmd)
	d.AwaitStdout(t, limit, "its address", func(said string) bool {
		found := consoleLine.FindStringSubmatch(said)
		if found != nil {
			d.url = found[1]
		}
		return found != nil
	})
	testkit.Eventually(t, limit, "where its cluster is", func() error {
		found := clusterLine.FindStringSubmatch(d.Stderr.String())
		if found == nil {
			return fmt.Errorf("it says %q", d.Stderr.String())
		}
		d.nats = found[1]
		return nil
	})
	t.Cleanup(func() { d.Stop(t, os.Interrupt, limit) })
	return d
}

// tab is a page in a browser, and what it should not have done.
type tab struct {
	t   testing.TB
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// browser starts a browser, whose pages must ask for nothing but what is at url, and say no error.
func browser(t testing.TB, url string, more ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	if _, err := exec.LookPath(*chromium); err != nil {
		t.Fatalf("these tests need a browser (apt-get install chromium): %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(*chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(limit),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"))
	options = append(options, more...)
	ctx, cancel := context.WithTimeout(t.Context(), 5*limit+*openFor)
	ctx, endBrowser := chromedp.NewExecAllocator(ctx, options...)
	ctx, endTab := chromedp.NewContext(ctx)
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		endTab()
		endBrowser()
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, fault := range b.faults {
			t.Error(fault)
		}
	})

	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, url) && !strings.HasPrefix(e.Request.URL, "data:") {
				b.fault("a request to elsewhere: " + e.Request.URL)
			}
		case *runtime.EventExceptionThrown:
			b.fault("an exception: " + e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				b.fault(fmt.Sprintf("the page's console: %s", e.Type))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				b.fault(fmt.Sprintf("the browser's log: %s %s", e.Entry.Text, e.Entry.URL))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// do runs actions in the page.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) open(address string) { b.t.Helper(); b.do(chromedp.Navigate(address)) }

func (b *tab) click(selector string) { b.t.Helper(); b.do(chromedp.Click(chromedp.CSS(selector))) }

// press clicks what may be made anew at any moment: it is found and clicked in one step.
func (b *tab) press(selector string) {
	b.t.Helper()
	b.await(selector, fmt.Sprintf("document.querySelector(%q)", selector))
	js[int](b, fmt.Sprintf("document.querySelector(%q).click(); 0", selector))
}

func (b *tab) set(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(selector), value))
}

func (b *tab) key(key string) { b.t.Helper(); b.do(chromedp.KeyEvent(key)) }

// look sets the width, and whether it is dark.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
}

// js returns what an expression comes to.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	got, err := evaluate[T](b, expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return got
}

func evaluate[T any](b *tab, expression string) (T, error) {
	return chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// await waits until an expression is true, on whatever page there is by then.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, what, func() error {
		is, err := evaluate[bool](b, "Boolean("+expression+")")
		if err != nil || !is {
			says, _ := evaluate[string](b, "document.querySelector('main')?.innerText.slice(0, 600)")
			return fmt.Errorf("not so: %s (%v); the page says %q", expression, err, says)
		}
		return nil
	})
}

// shoot takes a picture of the whole page, if pictures are wanted.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if *shots == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// used is the memory that the page's own script holds, in bytes, without what is no longer needed.
func used(b *tab) int64 {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
		b.t.Fatal(err)
	}
	usage, err := chromedp.Call(b.ctx, runtime.GetHeapUsage, cdp.Empty{})
	if err != nil {
		b.t.Fatal(err)
	}
	return int64(usage.UsedSize)
}

// posted has the page send something as its own script would.
func (b *tab) posted(address string, fields map[string]string) string {
	b.t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		b.t.Fatal(err)
	}
	return js[string](b, fmt.Sprintf(`(async () => {
		const body = new URLSearchParams(%s);
		body.set("token", document.body.dataset.token);
		const r = await fetch(%q, {method: "POST", body, headers: {"Quartet-Parts": "1"}});
		return r.status + " " + await r.text();
	})()`, text, address))
}
