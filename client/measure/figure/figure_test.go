package figure_test

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"quartet/client/measure/figure"
)

func comparison() figure.Comparison {
	side := func(name string, faded int, rate, p50 float64) figure.Side {
		return figure.Side{Name: name, Faded: faded, Rate: rate, P50: p50, P90: 2 * p50, P99: 6 * p50}
	}
	return figure.Comparison{
		Title: "quartet <&> NATS key-value", Notes: []string{
			"64 at once, connections shared, 1000 keys of 16 bytes, values of 100 bytes", "medians of 5 rounds of 2s",
		},
		Groups: []figure.Group{
			{
				"linearizable set", 0, 0,
				[]figure.Side{
					side("quartet", 0, 23_912, 2500), side("kv", 1, 39_400, 1500), side("kv raw", 2, 61_000, 1100),
				},
			},
			{
				"eventual get", 3, 0,
				[]figure.Side{
					side("quartet", 0, 38_200, 1600), side("kv", 1, 34_500, 1900), side("kv raw", 2, 57_000, 900),
				},
			},
			{"nothing", 1, 0, []figure.Side{{Name: "quartet"}}},
		},
	}
}

// shares has a third panel.
func shares() figure.Comparison {
	f := comparison()
	f.Share = "stale gets"
	for i := range f.Groups {
		for j := range f.Groups[i].Sides {
			f.Groups[i].Sides[j].Share = []float64{0, 0.004, -1}[j] + float64(i)*1.26
			f.Groups[i].Sides[j].Note = "1 behind"
		}
	}
	return f
}

func growth() figure.Growth {
	return figure.Growth{
		Title: "cost as work grows", Notes: []string{"a note"}, Quantity: "requests at once",
		Series: []figure.Series{
			{
				Name: "linearizable set",
				Points: []figure.Point{
					{1, 3000, 300, 900}, {4, 9000, 410, 1300}, {16, 18_000, 800, 2600}, {64, 25_000, 2500, 7000},
					{256, 52_000, 4700, 11_000}, {1024, 70_000, 14_000, 41_000},
				},
			},
			{
				Name: "linearizable get", Dash: 1,
				Points: []figure.Point{
					{1, 3300, 290, 700}, {4, 11_000, 350, 1100}, {16, 21_000, 700, 2100}, {64, 38_000, 1600, 4000},
					{256, 90_000, 2500, 9000}, {1024, 0, 0, 0},
				},
			},
			{Name: "eventual set", Colour: 3, Points: []figure.Point{{1, 6000, 150, 400}}},
		},
	}
}

// written returns the figure as a file would hold it; FIGURE_DIR keeps it to look at.
func written(t *testing.T, name string, write func(io.Writer, figure.Format) error, format figure.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, format); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("FIGURE_DIR"); dir != "" {
		if err := os.WriteFile(dir+"/"+name+map[figure.Format]string{figure.SVG: ".svg", figure.PNG: ".png"}[format],
			b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestFiguresAreWellFormed(t *testing.T) {
	for name, f := range map[string]struct {
		write func(io.Writer, figure.Format) error
		says  []string
	}{
		"comparison": {comparison().Write, []string{
			"quartet <&> NATS key-value", "linearizable set", "kv raw", "medians of 5 rounds", "23.9k", "2.5 ms", "900 µs", "p99",
		}},
		"shares": {shares().Write, []string{"stale gets", "0 %, 1 behind", "<0.01 %, 1 behind", "1.26 %, 1 behind", "requests/s"}},
		"growth": {growth().Write, []string{"cost as work grows", "requests at once", "1024", "linearizable get", "requests a second"}},
	} {

		texts := ""
		decoder := xml.NewDecoder(bytes.NewReader(written(t, name, f.write, figure.SVG)))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: no XML: %v", name, err)
			}
			if chars, ok := token.(xml.CharData); ok {
				texts += string(chars) + "\n"
			}
		}

		for _, want := range f.says {
			if !strings.Contains(texts, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, texts)
			}
		}
		if strings.Contains(texts, "NaN") || strings.Contains(texts, "Inf") {
			t.Errorf("%s: %s", name, texts)
		}

		img, err := png.Decode(bytes.NewReader(written(t, name, f.write, figure.PNG)))
		if err != nil {
			t.Fatalf("%s: no PNG: %v", name, err)
		}
		hues := map[[3]uint32]bool{}
		for y := 0; y < img.Bounds().Dy(); y += 2 {
			for x := 0; x < img.Bounds().Dx(); x += 2 {
				r, g, b, _ := img.At(x, y).RGBA()
				hues[[3]uint32{r >> 8, g >> 8, b >> 8}] = true
			}
		}

		if img.Bounds().Dx() != 1600 || !hues[[3]uint32{0x00, 0x72, 0xB2}] || !hues[[3]uint32{0xCC, 0x79, 0xA7}] ||
			!hues[[3]uint32{255, 255, 255}] {
			t.Errorf("%s: a picture of %v without its colours", name, img.Bounds())
		}
	}
}

// An SVG is as wide as there is room, and where its reader wants it dark, every colour that
// would not do there has another one.
func TestSVGIsForEveryScreen(t *testing.T) {
	bodies, css := "", ""
	for name, write := range map[string]func(io.Writer, figure.Format) error{
		"comparison": comparison().Write, "shares": shares().Write, "growth": growth().Write,
	} {
		text := string(written(t, name, write, figure.SVG))
		head, body, styled := strings.Cut(text, "</style>")
		root, _, _ := strings.Cut(head, ">")
		if !styled || !strings.Contains(root, `viewBox="0 0 800 `) || strings.Contains(root, "width=") ||
			!strings.Contains(head, "(prefers-color-scheme:dark)") {
			t.Fatalf("%s: %s", name, head)
		}
		for _, element := range regexp.MustCompile(`<text [^>]*>`).FindAllString(body, -1) {
			if !regexp.MustCompile(`class="(title|body|small) (ink|faint)( middle| end)?( stroke)?( fill)? text"`).MatchString(element) {
				t.Errorf("%s: %s has no style", name, element)
			}
		}
		bodies, css = bodies+body, head
	}

	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\[style\*="(?:fill|stroke):([^"]+)"\]`).FindAllStringSubmatch(css, -1) {
		used[m[1]] = used[m[1]] || strings.Contains(bodies, "fill:"+m[1]) || strings.Contains(bodies, "stroke:"+m[1])
	}

	for colour, seen := range used {
		if !seen {
			t.Errorf("nothing has the colour %s: the library writes another one", colour)
		}
	}
	if len(used) != 3 || !used["white"] {
		t.Errorf("colours that change: %v", used)
	}
}

// drawn are the parts of an SVG in the order in which they are drawn.
type drawn struct {
	text           string  // of a text; "" of a shape
	x0, x1, y0, y1 float64 // its ends; of a text, as wide as a usual font makes it
	style          string
}

func parts(t *testing.T, svg []byte) (all []drawn) {
	t.Helper()
	_, body, _ := strings.Cut(string(svg), "</style>")

	element := regexp.MustCompile(`(?s)<path d="([^"]*)" style="([^"]*)"/>|<text x="(\d+)" y="(\d+)" class="([^"]*)">([^<]*)</text>`)
	number := regexp.MustCompile(`[ML] (-?\d+) (-?\d+)`)
	value := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}

	for _, m := range element.FindAllStringSubmatch(body, -1) {
		if m[1] == "" {
			x, y, wide := value(m[3]), value(m[4]), 7.5*float64(utf8.RuneCountInString(m[6]))
			switch {
			case strings.Contains(m[5], "middle"):
				x -= wide / 2
			case strings.Contains(m[5], "end"):
				x -= wide
			}
			all = append(all, drawn{m[6], x, x + wide, y - 8, y, m[5]})
			continue
		}

		p := drawn{x0: math.Inf(1), x1: math.Inf(-1), y0: math.Inf(1), y1: math.Inf(-1), style: m[2]}
		for _, at := range number.FindAllStringSubmatch(m[1], -1) {
			x, y := value(at[1]), value(at[2])
			p.x0, p.x1, p.y0, p.y1 = min(p.x0, x), max(p.x1, x), min(p.y0, y), max(p.y1, y)
		}
		all = append(all, p)
	}
	return all
}

// No line runs through a text: what was drawn there before is covered by paper.
func TestLabelsAreClearOfLines(t *testing.T) {
	crossed := 0
	for name, f := range map[string]figure.Comparison{"comparison": comparison(), "shares": shares()} {
		all := parts(t, written(t, name, f.Write, figure.SVG))
		for i, text := range all {
			if text.text == "" {
				continue
			}
			for j, line := range all[:i] {
				through := line.text == "" && strings.Contains(line.style, "fill:none") && // a line, not a box
					line.x0 < text.x1 && line.x1 > text.x0 && line.y0 < text.y1 && line.y1 > text.y0
				if !through {
					continue
				}
				crossed++
				if !slices.ContainsFunc(all[j:i], func(box drawn) bool {
					return strings.Contains(box.style, "fill:white") && box.x0 <= max(line.x0, text.x0) &&
						box.x1 >= min(line.x1, text.x1) && box.y0 <= text.y0 && box.y1 >= text.y1
				}) {
					t.Errorf("%s: a line runs through %q", name, text.text)
				}
			}
		}
	}
	if crossed == 0 {
		t.Error("no text stands where a line was: the figures test nothing")
	}
}

// Every line of a grid has its name, and names stand apart.
func TestGridsAreNamed(t *testing.T) {
	f := shares()
	all := parts(t, written(t, "shares", f.Write, figure.SVG))
	bottom, ticks := 0.0, []drawn(nil)
	for _, p := range all {
		if p.text != "" {
			bottom = max(bottom, p.y1)
		}
	}
	for _, p := range all {
		if p.text != "" && p.y1 == bottom {
			ticks = append(ticks, p)
		}
	}
	slices.SortFunc(ticks, func(a, b drawn) int { return cmp.Compare(a.x0, b.x0) })
	lines := 0
	for _, p := range all {
		if p.text == "" && p.x0 == p.x1 && strings.Contains(p.style, "rgb(221,221,221)") {
			lines++
		}
	}
	if lines != len(ticks) || lines < 5 {
		t.Errorf("%d lines from top to bottom and %d names: %+v", lines, len(ticks), ticks)
	}
	for i := range ticks[1:] {
		if ticks[i].x1 > ticks[i+1].x0 {
			t.Errorf("%q lies on %q", ticks[i].text, ticks[i+1].text)
		}
	}
}

// What is measured of two types together has one bar.
func TestRateOfAGroup(t *testing.T) {
	f := figure.Comparison{Title: "t", Groups: []figure.Group{{Name: "causal", Colour: 2, Rate: 4711, Sides: []figure.Side{
		{Name: "set", P50: 100, P90: 200, P99: 300}, {Name: "get", P50: 100, P90: 200, P99: 300},
	}}}}
	bars, names := 0, ""
	for _, p := range parts(t, written(t, "rate", f.Write, figure.SVG)) {
		if strings.Contains(p.style, "fill:rgb(0,158,115)") {
			bars++
		}
		names += p.text + "\n"
	}
	if bars != 1 || strings.Count(names, "4.71k") != 1 || !strings.Contains(names, "set\n") || !strings.Contains(names, "get\n") {
		t.Errorf("%d bars; texts\n%s", bars, names)
	}
}

func TestNothingToDraw(t *testing.T) {
	if err := (figure.Comparison{}).Write(io.Discard, figure.SVG); !errors.Is(err, figure.ErrEmpty) {
		t.Error(err)
	}
	if err := (figure.Growth{Series: []figure.Series{{Name: "a"}}}).Write(io.Discard, figure.PNG); !errors.Is(err, figure.ErrEmpty) {
		t.Error(err)
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]figure.Format{"a.svg": figure.SVG, "b/c.PNG": figure.PNG} {
		if got, err := figure.FormatOf(name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"a", "svg", "a.pdf", ""} {
		if _, err := figure.FormatOf(name); !errors.Is(err, figure.ErrFormat) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
