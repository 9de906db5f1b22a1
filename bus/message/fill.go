package message

// Bounds of a FILL: FillMost numbers, or about fillBytes and one write more.
const (
	FillMost  = 256
	fillBytes = 256 << 10
)

// FillFor collects the causal writes that g asks for and lookup holds, within the bounds of one
// FILL. The primary and the replicas answer gaps with it.
func FillFor(g *Gap, lookup func(number uint64) *CausalWrite) []CausalWrite {
	var writes []CausalWrite
	left := Budget{Items: FillMost, Bytes: fillBytes}
	for n := g.First; n <= g.Last && left.Left(); n++ {
		size := 0
		if w := lookup(n); w != nil {
			writes = append(writes, *w)
			size = w.Request.Size()
		}
		left.Spend(size)
	}
	return writes
}
