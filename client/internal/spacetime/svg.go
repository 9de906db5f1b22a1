// Package spacetime is for space-time diagrams, as self-contained SVG: what ran when, of whom
// (Bars), who said what to whom (Messages), and who ran on a machine (Schedule). In the first two
// it promises the same room between any two moments where something happens, be it a microsecond
// or a minute: time is drawn as an order, not to scale, and the true times stand beside it. A
// schedule is drawn to scale.
package spacetime

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Sizes in pixels. Widths of text are estimates: a viewer's font may differ.
const (
	fontSize  = 13
	charWidth = 7.9
	margin    = 20
	titleRoom = 44
)

// canvas gathers the elements of a picture.
type canvas struct {
	b             strings.Builder
	width, height float64
}

const style = `
svg { background: #fff; font: 13px ui-monospace, Menlo, Consolas, monospace; }
text { fill: #1f2328; } .faint { fill: #6a737d; } .title { font-weight: bold; font-size: 15px; }
.lane { stroke: #c9d1d9; stroke-width: 1; } .bar { fill: #d7e6fb; stroke: #3b74c4; }
.doubtful { fill: #f3f3f3; stroke: #8a8f98; stroke-dasharray: 4 3; } .wrong { fill: #fbdcdc; stroke: #c62828; stroke-width: 2; }
.arrow { stroke: #57606a; fill: none; } .head { fill: #57606a; } .wrongtext { fill: #c62828; font-weight: bold; }
.loud { stroke: #3b74c4; stroke-width: 2; fill: none; } .halo { paint-order: stroke; stroke: #fff; stroke-width: 4px; }
@media (prefers-color-scheme: dark) {
 svg { background: #0d1117; } text { fill: #e6edf3; } .faint { fill: #8b949e; } .lane { stroke: #30363d; }
 .bar { fill: #16325c; stroke: #6ea8fe; } .doubtful { fill: #21262d; stroke: #8b949e; } .wrong { fill: #5c1616; stroke: #ff7b72; }
 .arrow { stroke: #8b949e; } .head { fill: #8b949e; } .wrongtext { fill: #ff7b72; } .loud { stroke: #6ea8fe; } .halo { stroke: #0d1117; }
}`

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

func textWidth(s string) float64 { return float64(utf8.RuneCountInString(s)) * charWidth }

// grow makes room for a point.
func (c *canvas) grow(x, y float64) { c.width, c.height = max(c.width, x), max(c.height, y) }

func (c *canvas) text(x, y float64, class, s string) {
	c.grow(x+textWidth(s), y+fontSize/2)
	fmt.Fprintf(&c.b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, escaped(s))
}

// middle writes a text around x.
func (c *canvas) middle(x, y float64, class, s string) {
	c.grow(x+textWidth(s)/2, y+fontSize/2)
	fmt.Fprintf(&c.b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"middle\">%s</text>\n",
		x, y, class, escaped(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	c.grow(max(x1, x2), max(y1, y2))
	fmt.Fprintf(&c.b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class)
}

func (c *canvas) arrow(x1, y1, x2, y2 float64, class string) {
	c.grow(max(x1, x2), max(y1, y2))
	fmt.Fprintf(&c.b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\" marker-end=\"url(#head)\"/>\n",
		x1, y1, x2, y2, class)
}

func (c *canvas) rect(x, y, width, height float64, class string) {
	c.grow(x+width, y+height)
	fmt.Fprintf(&c.b, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" class=\"%s\"/>\n",
		x, y, width, height, class)
}

// write writes the whole picture.
func (c *canvas) write(w io.Writer, title string) error {
	width, height := c.width+margin, c.height+margin
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">
<title>%s</title><style>%s</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" class="head"/></marker></defs>
%s</svg>
`, width, height, width, height, escaped(title), style, c.b.String())
	if err != nil {
		return fmt.Errorf("spacetime: %w", err)
	}
	return nil
}

// titled begins a picture with its title, and lines under it.
func titled(title string, lines []string) (c *canvas, y float64) {
	c = &canvas{}
	c.text(margin, margin+fontSize, "title", title)
	y = margin + fontSize
	for _, line := range lines {
		y += fontSize + 6
		c.text(margin, y, "faint", line)
	}
	return c, y + titleRoom/2
}
