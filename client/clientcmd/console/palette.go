package console

import (
	"io"

	"github.com/fatih/color"
)

// Palette paints where colour is wanted; color.Reset paints nothing.
type Palette struct{ on bool }

// PaletteFor is the palette for w: with colour if that is a terminal whose user wants it.
func PaletteFor(env Env, w io.Writer) Palette { return Palette{coloured(env, w)} }

// Paint returns s in the colour of attribute.
func (p Palette) Paint(s string, attribute color.Attribute) string {
	if !p.on || attribute == color.Reset {
		return s
	}
	c := color.New(attribute)
	c.EnableColor()
	return c.Sprint(s)
}
