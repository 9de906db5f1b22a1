package figure

import (
	"fmt"
	"strings"

	"github.com/go-analyze/charts/chartdraw/drawing"
)

// dark says what a colour of ours is where the paper is dark. The palette stays as it is: its
// colours can be told from both papers.
var dark = map[drawing.Color]drawing.Color{
	paper: {R: 0x16, G: 0x18, B: 0x1B, A: 255},
	ink:   {R: 0xE6, G: 0xE6, B: 0xE6, A: 255},
	faint: {R: 0xA8, G: 0xA8, B: 0xA8, A: 255},
	rule:  {R: 0x3A, G: 0x3D, B: 0x41, A: 255},
}

// The classes of texts, beside those of the library: stroke, fill and text.
var (
	sizeClass   = map[float64]string{titleSize: "title", textSize: "body", smallSize: "small"}
	colourClass = map[drawing.Color]string{ink: "ink", faint: "faint"}
	alignClass  = map[align]string{left: "", right: "end", centre: "middle"}
)

func classOf(size float64, hue drawing.Color, a align) string {
	return strings.TrimSpace(sizeClass[size] + " " + colourClass[hue] + " " + alignClass[a])
}

// css returns the style of an SVG. Texts are told apart by their classes. Shapes have their
// colours in attributes, as the library writes them; the selectors are made of the same words, so
// that a library that wrote others would cost the dark picture and nothing else.
func css() string {
	var b, night strings.Builder
	b.WriteString("text{font-family:Roboto,'Helvetica Neue',Arial,sans-serif}.end{text-anchor:end}.middle{text-anchor:middle}")

	for _, size := range []float64{titleSize, textSize, smallSize} {
		fmt.Fprintf(&b, ".%s{font-size:%gpx}", sizeClass[size], size)
	}
	for _, hue := range []drawing.Color{ink, faint} {
		fmt.Fprintf(&b, ".%s{fill:%s}", colourClass[hue], hue)
		fmt.Fprintf(&night, ".%s{fill:%s}", colourClass[hue], dark[hue])
	}

	for _, hue := range []drawing.Color{paper, faint, rule} {
		for _, part := range []string{"fill", "stroke"} {
			fmt.Fprintf(&night, `[style*="%s:%s"]{%s:%s!important}`, part, hue, part, dark[hue])
		}
	}

	// Where the window has another shape than the picture, the rest of it is paper, too.
	fmt.Fprintf(&b, "svg{background:%s}", paper)
	fmt.Fprintf(&night, "svg{background:%s}", dark[paper])
	fmt.Fprintf(&b, "@media screen and (prefers-color-scheme:dark){%s}", night.String())
	return b.String()
}
