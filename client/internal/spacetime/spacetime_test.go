package spacetime_test

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quartet/client/internal/spacetime"
)

// wellFormed reads all of an XML document and returns its texts.
func wellFormed(t *testing.T, document string) []string {
	t.Helper()
	var texts []string
	dec := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return texts
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
}

func has(texts []string, want string) bool {
	for _, text := range texts {
		if text == want {
			return true
		}
	}
	return false
}

func TestBars(t *testing.T) {
	bars := []spacetime.Bar{
		{Lane: "a", From: 0, To: 10, Label: `set <x> = "1" & more`},
		{Lane: "a", From: 5, To: 5, Label: "at once", Class: spacetime.Doubtful},
		{Lane: "b", From: 1 << 40, To: 1<<40 + 1, Label: "much later", Class: spacetime.Wrong},
	}
	var b strings.Builder
	if err := spacetime.Bars(&b, "a <title>", []string{"a line"}, bars, []spacetime.Link{{From: 0, To: 2}},
		func(int64) string { return "now" }); err != nil {
		t.Fatal(err)
	}
	texts := wellFormed(t, b.String())
	for _, want := range []string{"a <title>", "a line", "a", "b", `set <x> = "1" & more`, "at once", "much later", "now"} {
		if !has(texts, want) {
			t.Errorf("no text %q", want)
		}
	}
	if n := strings.Count(b.String(), "<rect"); n != 3 {
		t.Errorf("%d bars", n)
	}
	// Two bars of one lane whose labels would overlap stand in two rows.
	if first, second := height(t, b.String(), 0), height(t, b.String(), 1); first == second {
		t.Errorf("both at %s", first)
	}
	if err := spacetime.Bars(failing{}, "", nil, nil, nil, nil); err == nil {
		t.Error("what cannot be written is no error")
	}
}

// The elements of a picture that must not cross.
var (
	textElement = regexp.MustCompile(`<text x="([\d.]+)" y="([\d.]+)" class="halo[^"]*"( text-anchor="middle")?>([^<]*)<`)
	laneElement = regexp.MustCompile(`<line x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)" class="lane"`)
)

// No line of a lane runs through a text, be it of an operation or of a message.
func TestLinesLeaveTextsAlone(t *testing.T) {
	bars := []spacetime.Bar{
		{Lane: "a", From: 0, To: 10, Label: "an operation with a long label"}, {Lane: "a", From: 300, To: 300, Label: "a moment"},
		{Lane: "b", From: 10, To: 20, Label: "short"}, {Lane: "b", From: 400, To: 410, Label: "later in the same row"},
	}
	for i := range 30 { // moments that make room
		bars = append(bars, spacetime.Bar{Lane: "c", From: int64(20 + 10*i), To: int64(25 + 10*i), Label: "x"})
	}

	var operations, messages strings.Builder
	if err := spacetime.Bars(&operations, "t", nil, bars, nil, func(int64) string { return "" }); err != nil {
		t.Fatal(err)
	}

	lanes := []string{"client", "m1", "r1", "r2", "r3"}
	var list []spacetime.Message
	for _, from := range lanes {
		for _, to := range lanes {
			if from != to {
				list = append(list, spacetime.Message{When: "1 ms", From: from, To: to, Label: "ANSWERS @12345678901234"})
			}
		}
	}
	if err := spacetime.Messages(&messages, "t", nil, lanes, list); err != nil {
		t.Fatal(err)
	}

	for name, svg := range map[string]string{"operations": operations.String(), "messages": messages.String()} {
		texts := textElement.FindAllStringSubmatch(svg, -1)
		lines := laneElement.FindAllStringSubmatch(svg, -1)
		if len(texts) < 10 || len(lines) < 5 {
			t.Fatalf("%s: %d texts, %d lines", name, len(texts), len(lines))
		}

		for _, text := range texts {
			x, y, wide := number(t, text[1]), number(t, text[2]), 7.8*float64(len(text[4]))
			if text[3] != "" {
				x -= wide / 2
			}

			for _, line := range lines {
				x1, y1, x2, y2 := number(t, line[1]), number(t, line[2]), number(t, line[3]), number(t, line[4])
				if x1 < x+wide && x2 > x && y1 < y && y2 > y-10 {
					t.Errorf("%s: a line from %v,%v to %v,%v runs through %q at %v,%v", name, x1, y1, x2, y2, text[4], x, y)
				}
			}
		}
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// height is where the nth bar stands.
func height(t *testing.T, svg string, n int) string {
	t.Helper()
	parts := strings.Split(svg, "<rect ")
	_, after, found := strings.Cut(parts[n+1], `y="`)
	if !found {
		t.Fatal("a bar without a place")
	}
	y, _, _ := strings.Cut(after, `"`)
	return y
}

func TestMessages(t *testing.T) {
	lanes := []string{"client", "m1", "r1"}
	messages := []spacetime.Message{
		{When: "0 ms", From: "client", To: "m1", Label: "REQUEST", Class: spacetime.Loud},
		{When: "1 ms", From: "r1", To: "client", Label: "<odd>", Note: "a note"},
	}
	var b strings.Builder
	if err := spacetime.Messages(&b, "title", nil, lanes, messages); err != nil {
		t.Fatal(err)
	}
	texts := wellFormed(t, b.String())
	for _, want := range []string{"client", "m1", "r1", "REQUEST", "<odd>", "a note", "1 ms"} {
		if !has(texts, want) {
			t.Errorf("no text %q", want)
		}
	}
	for _, wrong := range []spacetime.Message{{From: "nobody", To: "m1"}, {From: "m1", To: "nobody"}} {
		if err := spacetime.Messages(io.Discard, "title", nil, lanes, []spacetime.Message{wrong}); err == nil {
			t.Errorf("%+v was drawn", wrong)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no") }

func TestSchedule(t *testing.T) {
	lanes := []string{"processor 0", "a <lane>"}
	stretches := []spacetime.Stretch{
		{Lane: 0, From: 100, To: 900, Label: "runs"},
		{Lane: 0, From: 950, To: 951, Label: "no room for this"},
		{Lane: 1, From: 0, To: 100, Class: spacetime.Doubtful},
		{Lane: 1, From: 1001, To: 2000, Label: "outside"},
	}
	arrows := []spacetime.Arrow{{FromLane: 0, ToLane: 1, From: 100, To: 200}, {FromLane: 0, ToLane: 1, From: 900, To: 1200}}
	var b strings.Builder
	err := spacetime.Schedule(&b, "a title", []string{"a line"}, lanes, stretches, arrows, 0, 1000, func(at int64) string {
		return strconv.FormatInt(at, 10) + " µs"
	})
	if err != nil {
		t.Fatal(err)
	}

	texts := wellFormed(t, b.String())
	for _, want := range []string{"a title", "a line", "processor 0", "a <lane>", "runs", "0 µs", "500 µs", "1000 µs"} {
		if !has(texts, want) {
			t.Errorf("no text %q", want)
		}
	}
	for _, no := range []string{"no room for this", "outside", "1100 µs"} {
		if has(texts, no) {
			t.Errorf("text %q", no)
		}
	}

	// To scale: eight times as long is eight times as wide.
	var widths []float64
	for _, m := range regexp.MustCompile(`<rect [^>]*width="([0-9.]+)"`).FindAllStringSubmatch(b.String(), -1) {
		width, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		widths = append(widths, width)
	}
	if len(widths) != 3 || widths[1] < 7.9*widths[0] || widths[1] > 8.1*widths[0] {
		t.Errorf("widths %v: the thin stretch of 100, that of 800, that of 1", widths)
	}
	if n := strings.Count(b.String(), "marker-end"); n != 1 {
		t.Errorf("%d arrows", n)
	}
}
