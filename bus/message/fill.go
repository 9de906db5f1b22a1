package message

// Bounds of a FILL: FillMost writes, or about fillBytes and one write more.
const (
	FillMost  = 256
	fillBytes = 256 << 10
)

// FillFor collects the causal writes that g asks for and lookup holds, within the bounds of one
// FILL. The primary and the replicas answer gaps with it.
func FillFor(g *Gap, lookup func(number uint64) *CausalWrite) []CausalWrite {
	var writes []CausalWrite
	size := 0
	for n := g.First; n <= g.Last && n-g.First < FillMost && size < fillBytes; n++ {
		if w := lookup(n); w != nil {
			writes = append(writes, *w)
			size += w.Request.Size()
		}
	}
	return writes
}
