// Package figure is pictures of measurements: how models and systems compare ([Comparison]), and
// how cost grows with the work ([Growth]). It promises pictures that can be read at a glance and
// printed. It draws SVG and PNG; colours are told apart by the colour-blind too, and what a figure
// must say is also written in it as numbers. An SVG takes the width that it is given, can be read
// on a telephone, and is dark where its reader wants that.
package figure

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
)

// Format is what a figure is written as.
type Format uint8

// The formats.
const (
	SVG Format = iota
	PNG        // at twice the size, for screens of today
)

// Errors of this package.
var (
	ErrFormat = errors.New("figure: unknown format")
	ErrEmpty  = errors.New("figure: nothing to draw")
)

// FormatOf returns the format that a file's extension names.
func FormatOf(name string) (Format, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".svg":
		return SVG, nil
	case ".png":
		return PNG, nil
	}
	return 0, fmt.Errorf("%w: %q ends in neither .svg nor .png", ErrFormat, name)
}

// palette is made after Okabe and Ito's, of colours that the colour-blind can tell apart. Each is
// a consistency model's, in the order of their numbers, and nothing else has a colour: so a colour
// means the same in every figure, and on the page that a master writes (master/ledger/page).
var palette = [...]drawing.Color{
	{R: 0x00, G: 0x72, B: 0xB2, A: 255}, {R: 0xC4, G: 0x7A, B: 0x00, A: 255},
	{R: 0x00, G: 0x9E, B: 0x73, A: 255}, {R: 0xCC, G: 0x79, B: 0xA7, A: 255},
}

// alphas tell apart sides of one colour: the first system that is compared, and its peers.
var alphas = [...]uint8{255, 140, 80}

var (
	ink   = drawing.Color{R: 0x22, G: 0x22, B: 0x22, A: 255}
	faint = drawing.Color{R: 0x6B, G: 0x6B, B: 0x6B, A: 255}
	rule  = drawing.Color{R: 0xDD, G: 0xDD, B: 0xDD, A: 255}
	paper = drawing.Color{R: 0xFF, G: 0xFF, B: 0xFF, A: 255}
)

// colour returns a model's colour, the paler the more it is faded.
func colour(n, faded int) drawing.Color {
	return palette[(n%len(palette)+len(palette))%len(palette)].WithAlpha(alphas[min(max(faded, 0), len(alphas)-1)])
}

// canvas draws in units of its own, whatever the format's pixels.
type canvas struct {
	r     chartdraw.Renderer
	scale float64
	css   bool // texts have classes, which say size, colour and anchor
}

// dpi makes a font's points the canvas's units.
const dpi = 72

func newCanvas(f Format, width, height int) *canvas {
	c := &canvas{scale: 1}
	if f == PNG {
		c.scale = 2
		c.r = chartdraw.PNG(2*width, 2*height)
	} else {
		c.css = true
		c.r = chartdraw.SVGWithCSS(css(), "")(width, height)
	}

	c.r.SetDPI(dpi)
	c.r.SetFont(chartdraw.GetDefaultFont())
	c.box(0, 0, float64(width), float64(height), paper)
	return c
}

func (c *canvas) px(v float64) int { return int(v*c.scale + 0.5) }

func (c *canvas) save(w io.Writer) error {
	if err := c.r.Save(w); err != nil {
		return fmt.Errorf("figure: %w", err)
	}
	return nil
}

func (c *canvas) box(x0, y0, x1, y1 float64, fill drawing.Color) {
	c.r.SetFillColor(fill)
	c.r.MoveTo(c.px(x0), c.px(y0))
	c.r.LineTo(c.px(x1), c.px(y0))
	c.r.LineTo(c.px(x1), c.px(y1))
	c.r.LineTo(c.px(x0), c.px(y1))
	c.r.Close()
	c.r.Fill()
}

// point is a place on the canvas.
type point struct{ x, y float64 }

// line draws through points; dash may be nil.
func (c *canvas) line(stroke drawing.Color, width float64, dash []float64, points ...point) {
	if len(points) < 2 {
		return
	}
	scaled := make([]float64, len(dash))
	for i := range dash {
		scaled[i] = dash[i] * c.scale
	}

	c.r.SetStrokeColor(stroke)
	c.r.SetStrokeWidth(width * c.scale)
	c.r.SetStrokeDashArray(scaled)

	c.r.MoveTo(c.px(points[0].x), c.px(points[0].y))
	for _, p := range points[1:] {
		c.r.LineTo(c.px(p.x), c.px(p.y))
	}
	c.r.Stroke()
	c.r.SetStrokeDashArray(nil)
}

// dot draws a disc, or, hollow, a ring.
func (c *canvas) dot(p point, radius float64, hue drawing.Color, hollow bool) {
	fill := hue
	if hollow {
		fill = paper
	}
	c.r.SetFillColor(fill)
	c.r.SetStrokeColor(hue)
	c.r.SetStrokeWidth(1.5 * c.scale)
	c.r.Circle(radius*c.scale, c.px(p.x), c.px(p.y))
	c.r.FillStroke()
}

// align says where text stands, relative to the point that it is given.
type align uint8

const (
	left   align = iota // begins there
	right               // ends there
	centre              // has its middle there
)

func (c *canvas) text(s string, p point, size float64, hue drawing.Color, a align) {
	c.r.SetFontSize(size * c.scale)
	c.r.SetFontColor(hue)

	x := c.px(p.x)
	if c.css { // the reader's font may be another one, so only the reader can align
		c.r.SetClassName(classOf(size, hue, a))
		c.r.Text(s, x, c.px(p.y))
		c.r.SetClassName("") // shapes have none
		return
	}

	switch a {
	case right:
		x -= c.r.MeasureText(s).Width()
	case centre:
		x -= c.r.MeasureText(s).Width() / 2
	}
	c.r.Text(s, x, c.px(p.y))
}

// label writes text over lines, which end where it stands.
func (c *canvas) label(s string, p point, hue drawing.Color, a align) {
	const above, below, beside = smallSize - 3, 4, 3
	wide, from := c.width(s, smallSize), p.x
	switch a {
	case right:
		from -= wide
	case centre:
		from -= wide / 2
	}

	c.box(from-beside, p.y-above, from+wide+beside, p.y+below, paper)
	c.text(s, p, smallSize, hue, a)
}

// wider is how many times wider than ours the font of an SVG's reader may be.
const wider = 1.15

// width returns how wide a text is at most, in the canvas's units.
func (c *canvas) width(s string, size float64) float64 {
	c.r.SetFontSize(size * c.scale)
	w := float64(c.r.MeasureText(s).Width()) / c.scale
	if c.css {
		w *= wider
	}
	return w
}

const (
	width     = 800 // so that letters are 7 pixels high and more on a telephone
	titleSize = 22
	textSize  = 16
	smallSize = 15
	noteLine  = 21
	margin    = 20
)

// head draws the title and the notes under it, and returns where they end.
func (c *canvas) head(title string, notes []string) float64 {
	y := float64(margin + 16)
	c.text(title, point{margin, y}, titleSize, ink, left)
	y += 4
	for _, note := range notes {
		y += noteLine
		c.text(note, point{margin, y}, smallSize, faint, left)
	}
	return y + 16
}

func headHeight(notes []string) float64 { return margin + 36 + noteLine*float64(len(notes)) }

// wrap breaks lines that are too long for the picture.
func (c *canvas) wrap(lines []string) []string {
	var all []string
	for _, line := range lines {
		row := ""
		for _, word := range strings.Fields(line) {
			longer := strings.TrimPrefix(row+" "+word, " ")
			if row == "" || c.width(longer, smallSize) <= width-2*margin {
				row = longer
				continue
			}
			all = append(all, row)
			row = word
		}
		all = append(all, row)
	}
	return all
}
