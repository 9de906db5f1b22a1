package clientcmd

import (
	"io"

	"github.com/fatih/color"
)

// palette paints where colour is wanted; color.Reset paints nothing.
type palette struct{ on bool }

// paletteFor is the palette for w: with colour if that is a terminal whose user wants it.
func paletteFor(env Env, w io.Writer) palette { return palette{coloured(env, w)} }

// paint returns s in the colour of attribute.
func (p palette) paint(s string, attribute color.Attribute) string {
	if !p.on || attribute == color.Reset {
		return s
	}
	c := color.New(attribute)
	c.EnableColor()
	return c.Sprint(s)
}
