package page_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/master/ledger"
	"quartet/master/ledger/page"
)

// written lets a real ledger write the page of what record tells it.
func written(t *testing.T, record func(*ledger.Ledger)) string {
	t.Helper()
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Options{Dir: dir, Page: page.Write})
	if err != nil {
		t.Fatal(err)
	}
	record(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parsed reads a page as a browser does, and sees to it that it asks for nothing and runs
// nothing.
func parsed(t *testing.T, text string) *html.Node {
	t.Helper()
	if len(text) > page.Most {
		t.Errorf("%d bytes; %d are the most", len(text), page.Most)
	}
	for _, bad := range []string{"ZgotmplZ", "NaN", "Inf", "url(", "@import"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}

	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{
			"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image",
			"foreignobject", "foreignObject",
		}, n.Data) {
			t.Errorf("an element %s", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || slices.Contains([]string{"src", "href", "srcset", "action", "style"}, a.Key) {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	return root
}

// all are the elements of a name, in the order of the page.
func all(root *html.Node, name string) (list []*html.Node) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			list = append(list, n)
		}
	}
	return list
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// words are an element's texts, with single spaces.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ") // a no-break space is one, too
}

func wants(t *testing.T, where, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", where, w, text)
		}
	}
}

// story is a run with something of everything.
func story(l *ledger.Ledger) {
	start := time.Now()
	l.Describe(ledger.Cluster{Prefix: "quartet", URL: "nats://127.0.0.1:4222", Data: "in memory; survives nothing", Version: "1.2.3"})

	three := []string{"r1", "r2", "r3"}
	l.Changed(ledger.View{At: start, Epoch: 1, Members: three, Configured: three})
	l.Changed(ledger.View{At: start.Add(30 * time.Second), Epoch: 2, Members: three[:2], Configured: three})
	rid := uint64(0)

	add := func(m model.Consistency, typ model.Type, after, taken time.Duration, change func(*ledger.Entry)) {
		rid++
		e := ledger.Entry{
			RID: rid, Client: "Client1", Model: m, Type: typ, Key: fmt.Sprintf("key%d", rid), Replica: lamport.Replica(1),
			Code: model.OK, Received: start.Add(after), Taken: taken,
		}
		if change != nil {
			change(&e)
		}
		l.Record(e)
	}

	for i := range 60 {
		for _, m := range model.All[:3] { // and no eventual one
			add(m, model.Set, time.Duration(i)*time.Second, time.Millisecond, nil)
			add(m, model.Get, time.Duration(i)*time.Second+time.Microsecond, time.Duration(i)*time.Microsecond, nil)
		}
	}

	add(model.Linearizable, model.Set, 31*time.Second, 2*time.Second, func(e *ledger.Entry) { // 361
		e.Position, e.Clock = 4711, lamport.Timestamp{Time: 99, Node: lamport.Replica(2)}
		e.Replica, e.Forwarded, e.Heard = lamport.Replica(2), 500*time.Millisecond, 1500*time.Millisecond
	})
	add(model.Linearizable, model.Set, 31*time.Second+1, time.Second, func(e *ledger.Entry) { // the same message as the one before
		e.Replica = lamport.Replica(2)
	})
	add(model.Causal, model.Set, 32*time.Second, time.Second, func(e *ledger.Entry) { // 363
		e.Replica, e.Timestamp, e.Forwarded = 0, 77, 250*time.Millisecond
	})
	add(model.Sequential, model.Get, 33*time.Second, 5*time.Second, func(e *ledger.Entry) { // 364
		e.Replica, e.Code, e.Forwarded, e.Sent = 0, model.Unknown, time.Second, lamport.Replica(3)
	})
	add(model.Causal, model.Get, 34*time.Second, time.Second/2, func(e *ledger.Entry) { e.Code = model.NotFound })
	add(0, 0, 35*time.Second, time.Microsecond, func(e *ledger.Entry) { e.Code, e.Replica, e.Key = model.Malformed, 0, "" })
	add(model.Sequential, model.Get, 36*time.Second, 30*time.Millisecond, func(e *ledger.Entry) { e.Code = 599 })
}

func TestPage(t *testing.T) {
	root := parsed(t, written(t, story))
	var ids []string
	for _, h := range all(root, "h2") {
		ids = append(ids, attr(h, "id"))
	}
	if want := []string{"groups", "requests", "failures", "times", "replicas", "views", "slowest", "list"}; !slices.Equal(ids, want) {
		t.Errorf("sections %q", ids)
	}
	wants(t, "the heading", words(all(root, "dl")[0]), "quartet at nats://127.0.0.1:4222",
		"r1, r2 of r1, r2, r3 at the end", "in memory; survives nothing", "1.2.3")

	var rows []string
	for _, r := range all(all(root, "table")[0], "tr") {
		rows = append(rows, words(r))
	}
	want := []string{
		"– – – 1 0 0 0 1 0 – – – –",
		"linearizable set set 62 62 0 0 0 0 1 ms 1 ms 1 s 2 s",
		"sequential get get 62 60 0 0 1 1 30 µs 55 µs 30 ms 5 s",
		"all 367 363 1 0 2 1",
	}
	table := strings.Join(rows, "\n")
	wants(t, "the table", table, want...)
	if len(rows) != 1+7+1 {
		t.Errorf("%d rows:\n%s", len(rows), table)
	}

	figures := all(root, "figure")
	if len(figures) != 2+3 { // requests, failures, three models
		t.Fatalf("%d figures", len(figures))
	}
	wants(t, "requests over time", words(figures[0]), "view 1", "view 2", "linearizable 122", "none named 1", "each step is 1 s")
	wants(t, "failures over time", words(figures[1]), "400 malformed 1", "504 unknown outcome 1", "another code 1")
	wants(t, "linearizable times", words(figures[2]), "set 62; p50 1 ms, p99 1 s, max 2 s", "get 60", "10 s")
	for i, f := range figures {
		if paths := all(f, "path"); len(paths) != []int{4, 3, 2, 2, 2}[i] {
			t.Errorf("figure %d has %d layers", i, len(paths))
		}
	}
	wants(t, "views", words(all(root, "table")[2]), "2 30 s r1, r2 r3")
}

// What is refused at sight neither has a picture nor changes those of others: the axis that
// they share, and the share of each step, are as without it.
func TestMalformedRequestsLeaveThePicturesAlone(t *testing.T) {
	times := func(malformed bool) (text string) {
		root := parsed(t, written(t, func(l *ledger.Ledger) {
			for i := range 40 {
				l.Record(ledger.Entry{
					RID: uint64(i), Model: model.All[i%4], Type: model.Types[i/4%2], Key: "k", Replica: lamport.Replica(1),
					Code: model.OK, Received: time.Now(), Taken: time.Duration(2+i) * time.Millisecond,
				})
			}
			for i := range 5 * 3 {
				if !malformed {
					break
				}
				l.Record(ledger.Entry{
					RID: 100, Model: model.Consistency(i % 5), Type: model.Type(i / 5), Received: time.Now(),
					Taken: time.Microsecond, Code: []model.Code{model.Malformed, model.TooLarge}[i%2],
				})
			}
		}))

		for _, s := range all(root, "section") {
			for d := range s.Descendants() {
				if d.Data == "path" {
					text += attr(d, "d") + "\n"
				}
			}
			text += words(s) + "\n"
		}
		return text
	}

	with, without := times(true), times(false)
	if with != without || strings.Count(with, "\n") != 4+8 {
		t.Errorf("with malformed requests:\n%s\nwithout:\n%s", with, without)
	}
}

// A colour has one meaning on a page, by day and by night: that of a model is of no failure.
func TestColoursMeanOneThing(t *testing.T) {
	text := written(t, story)
	value := regexp.MustCompile(`--(m[0-4]|f[1-8]): (#[0-9a-f]{6});`)
	day, night, _ := strings.Cut(text, "prefers-color-scheme: dark")
	for _, theme := range []string{day, night} {
		of := map[string]string{}
		for _, m := range value.FindAllStringSubmatch(theme, -1) {
			if was := of[m[2]]; was != "" {
				t.Errorf("%s is both %s and %s", m[2], was, m[1])
			}
			of[m[2]] = m[1]
		}
		if len(of) != 5+8 {
			t.Errorf("%d colours", len(of))
		}
	}
	for class, family := range map[string]string{"m": "m", "c": "f"} {
		for _, m := range regexp.MustCompile(`\.`+class+`[0-9]+ \{ --c: var\(--([a-z]+)[0-9]*\)`).FindAllStringSubmatch(text, -1) {
			if m[1] != family && m[0] != ".c0 { --c: var(--faint)" {
				t.Errorf("%s", m[0])
			}
		}
	}
}

// Every failure that has a name has a colour: what has none is drawn in black.
func TestEveryFailureHasAColour(t *testing.T) {
	root := parsed(t, written(t, func(l *ledger.Ledger) {
		for code := model.Code(400); code < 600; code++ {
			if !code.Answered() {
				l.Record(ledger.Entry{Model: model.Causal, Type: model.Set, Code: code, Received: time.Now()})
			}
		}
	}))

	style := words(all(root, "style")[0])
	for _, key := range all(all(root, "figure")[1], "span") {
		if class := strings.TrimPrefix(attr(key, "class"), "key "); !strings.Contains(style, "."+class+" { --c:") && class != "faint" {
			t.Errorf("%s has no colour", class)
		}
	}
}

// Requests of every type have rows, lines of their own in the pictures, and cards that say where
// their time went. A condition that did not hold is no failure.
func TestPageOfOperations(t *testing.T) {
	root := parsed(t, written(t, func(l *ledger.Ledger) {
		add := func(typ model.Type, change func(*ledger.Entry)) {
			e := ledger.Entry{
				RID: uint64(typ), Model: model.Linearizable, Type: typ, Key: "k", Replica: lamport.Replica(1), Code: model.OK,
				Received: time.Now().Add(time.Duration(typ) * time.Second), Taken: 4 * time.Millisecond,
				Forwarded: time.Millisecond, Heard: 3 * time.Millisecond,
			}
			change(&e)
			l.Record(e)
		}
		for _, typ := range model.Types {
			add(typ, func(e *ledger.Entry) {})
		}

		add(model.Add, func(e *ledger.Entry) { e.RID, e.Code, e.Taken = 21, model.Failed, 9*time.Millisecond })
		add(model.Txn, func(e *ledger.Entry) {
			e.RID, e.ReadOnly = 22, true
			e.Received = e.Received.Add(time.Minute)
		})
		add(model.Delete, func(e *ledger.Entry) { e.RID, e.Model, e.Replica, e.Timestamp = 23, model.Causal, 0, 5 })
	}))

	var rows []string
	for _, r := range all(all(root, "table")[0], "tr") {
		rows = append(rows, words(r))
	}
	wants(t, "the table", strings.Join(rows, "\n"),
		"linearizable delete delete 1 1 0 0 0 0", "linearizable add add 2 1 0 1 0 0", "linearizable txn txn 2 2 0 0", "all 10 9 0 1 0 0")

	kinds := map[string]bool{}
	times := all(root, "figure")[1] // after the requests over time: nothing has failed
	for _, path := range all(times, "path") {
		kinds[attr(path, "class")] = true
	}
	if len(kinds) != len(model.Types) {
		t.Errorf("%d kinds of lines for %d types: %v", len(kinds), len(model.Types), kinds)
	}

	cards := map[string]string{}
	for _, c := range all(root, "article") {
		cards[attr(c, "data-rid")] = words(c)
		if bad := len(all(c, "span")) > 0 && strings.Contains(attr(all(c, "span")[2], "class"), "bad"); bad {
			t.Errorf("it is shown as a failure: %s", words(c))
		}
	}
	wants(t, "a delete", cards["3"], "the broadcast between replicas included")
	wants(t, "a condition that did not hold", cards["21"], "412 condition unmet", "the broadcast between replicas included")
	wants(t, "a transaction of gets", cards["22"], "until the fence confirmed what was read")
	wants(t, "a causal delete", cards["23"], "left for all replicas")
}

// Requests come one by one: no line of a picture of counts lies between two of them.
func TestFailuresAreCountedInWholes(t *testing.T) {
	root := parsed(t, written(t, func(l *ledger.Ledger) {
		l.Record(ledger.Entry{Model: model.Causal, Type: model.Set, Code: model.Unavailable, Received: time.Now()})
	}))
	for _, label := range all(all(root, "figure")[1], "text") {
		if attr(label, "dy") != "" && strings.Contains(words(label), ".") { // of a line from left to right
			t.Errorf("a line at %s failures", words(label))
		}
	}
}

func TestSlowestRequests(t *testing.T) {
	root := parsed(t, written(t, story))
	cards := map[string]*html.Node{}
	var rids []string
	for _, c := range all(root, "article") {
		rids = append(rids, attr(c, "data-rid"))
		cards[attr(c, "data-rid")] = c
	}
	if len(rids) != 3*ledger.SlowestKept || rids[0] != "361" || rids[10] != "364" || rids[20] != "363" {
		t.Fatalf("cards of %q", rids)
	}
	if cards["362"] != nil {
		t.Error("two requests of one message are shown")
	}
	wants(t, "a set", words(cards["361"]),
		"1. 2 s set key361 ok rID 361, of Client1, received", "served by r2", "position 4711", "clock 99.r2",
		"500 ms in the master, until it left for r2", "1 s with r2, the broadcast between replicas included",
		"500 ms in the master, until the answer left")
	var bars []string
	for _, r := range all(cards["361"], "rect") {
		bars = append(bars, attr(r, "class")+" "+attr(r, "x")+" "+attr(r, "width"))
	}
	if want := []string{"here 0% 25%", "there 25% 50%", "here 75% 25%"}; !slices.Equal(bars, want) {
		t.Errorf("bars %q", bars)
	}
	wants(t, "a causal set", words(cards["363"]), "timestamp 77", "left for all replicas", "750 ms until so many had it that it is safe")
	wants(t, "an unknown outcome", words(cards["364"]), "504 unknown outcome", "sent to r3",
		"1 s in the master, until it left for r3", "4 s in which no replica answered it")
	wants(t, "what was not seen to leave", words(cards[rids[1]]), "it left for no replica")
}

// Keys and names are the users' bytes: on the page they are text, and only that.
func TestHostileKeys(t *testing.T) {
	hostile := []string{
		`</style><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `{{.Title}}`,
		`</code></article><a href="javascript:x">`,
		`<!--`, `]]>`, `&lt;script&gt;`, "\u202egnp.exe", "a\xff\xfeb", "line\nbreak", strings.Repeat("é", 80),
	}
	shown := slices.Clone(hostile)
	shown[8], shown[9], shown[10], shown[11] = `"\u202egnp.exe"`, `"a\xff\xfeb"`, `"line\nbreak"`, strings.Repeat("é", 30)+"…"
	text := written(t, func(l *ledger.Ledger) {
		for i, key := range hostile {
			l.Record(ledger.Entry{
				RID: uint64(i), Client: key, Model: model.All[i%4], Type: model.Get, Key: key,
				Replica: lamport.Replica(1), Code: model.OK,
				Received: time.Now().Add(time.Duration(i) * time.Second), Taken: time.Second,
			})
		}
	})
	var keys []string
	for _, c := range all(parsed(t, text), "article") {
		keys = append(keys, all(c, "code")[0].FirstChild.Data)
	}
	slices.Sort(keys)
	slices.Sort(shown)
	if !slices.Equal(keys, shown) {
		t.Errorf("keys\n%q, want\n%q", keys, shown)
	}
}

func TestEmptyRun(t *testing.T) {
	root := parsed(t, written(t, func(*ledger.Ledger) {}))
	wants(t, "the page", words(root), "No request was answered.")
	if len(all(root, "svg")) > 0 || len(all(root, "article")) > 0 {
		t.Error("there are pictures of nothing")
	}
}

// The page of a long and bad run is no larger than it may be.
func TestSizeIsBounded(t *testing.T) {
	const n = 100_000
	many := make([]string, 9)

	for i := range many {
		many[i] = lamport.Replica(i + 1).String()
	}
	codes := []model.Code{
		model.OK, model.Malformed, model.NotFound, model.Conflict, model.TooLarge, model.TooEarly, model.Unavailable,
		model.Unknown, 999,
	}
	start := time.Now()
	text := written(t, func(l *ledger.Ledger) {
		for i := range 1000 {
			l.Changed(ledger.View{At: start.Add(time.Duration(i) * time.Hour), Epoch: uint64(i), Members: many[:1+i%9], Configured: many})
		}
		for i := range n {
			l.Record(ledger.Entry{
				RID: 1 << 60, Client: strings.Repeat("\x01", 100), Model: model.Consistency(i % 5),
				Type: model.Type(i % 3), Key: strings.Repeat("\xff", 100),
				Replica: lamport.Replica(1 + i%9), Code: codes[i%len(codes)], Received: start.Add(time.Duration(i) * time.Minute),
				Taken: time.Duration(i%977*i%997) * time.Millisecond, Forwarded: time.Millisecond, Heard: 2 * time.Millisecond,
				Position: 1 << 62, Timestamp: 1 << 62, Clock: lamport.Timestamp{Time: 1 << 62, Node: lamport.Replica(9)}, Duplicate: true,
			})
		}
	})
	root := parsed(t, text)
	wants(t, "the title", words(all(root, "h1")[0]), "100,000")
	wants(t, "the page", words(root), "936 earlier ones are left out")
	if len(all(root, "article")) != 4*ledger.SlowestKept {
		t.Errorf("%d cards", len(all(root, "article")))
	}
	t.Logf("%d bytes", len(text))
}

// A clock that jumps makes an odd page, and no broken one.
func TestClocksThatJump(t *testing.T) {
	for _, year := range []int{1, 1970, 9999} {
		text := written(t, func(l *ledger.Ledger) {
			for i, at := range []time.Time{time.Now(), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)} {
				l.Changed(ledger.View{At: at, Epoch: uint64(i), Members: []string{"r1"}, Configured: []string{"r1"}})
				l.Record(ledger.Entry{
					RID: 1, Model: model.Causal, Type: model.Set, Code: model.OK, Received: at, Taken: 90 * time.Minute,
					Forwarded: time.Hour,
				})
			}
		})
		root := parsed(t, text)
		if len(all(root, "article")) != 2 {
			t.Errorf("year %d: %d cards", year, len(all(root, "article")))
		}
		for _, n := range slices.Concat(all(root, "rect"), all(root, "line")) {
			for _, key := range []string{"x", "x1", "width"} {
				v, isShare := strings.CutSuffix(attr(n, key), "%")
				f, err := strconv.ParseFloat(v, 64)
				within := err == nil && f >= 0 && f <= 100
				if isShare && !within {
					t.Errorf("year %d: %s=%q", year, key, attr(n, key))
				}
			}
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// What the files of a run tell is a page, too: of one that goes on, or was killed.
func TestPageOfTheList(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(ledger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	story(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.ReadRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	root := parsed(t, b.String())
	wants(t, "the page", words(root), "367 requests", "which holds no steps", "key361")
	if len(all(root, "figure")) != 5 || len(all(root, "rect")) > 300 {
		t.Error("another page")
	}
	if err := page.Write(failing{}, r); err == nil {
		t.Error("what cannot be written is no error")
	}
}
