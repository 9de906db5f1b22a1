// Package hash is the hash of keys and identities. It promises 32 bits that clients who choose what
// is hashed cannot foresee without the seed. Nothing that a replica answers depends on them: a
// table finds what it holds under any hash.
package hash

import "math/bits"

// Sum32 is 32 bits of a product hash, eight bytes a step.
func Sum32[T string | []byte](seed uint64, s T) uint32 {
	h := seed ^ 0x9e3779b97f4a7c15
	for len(s) >= 8 {
		h = mix(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
		s = s[8:]
	}

	rest := uint64(len(s))
	for i := range len(s) {
		rest = rest<<8 | uint64(s[i])
	}
	h = mix(h, rest)
	return uint32(h ^ h>>32)
}

func mix(h, v uint64) uint64 {
	high, low := bits.Mul64(h^v, 0xd6e8feb86659fd93)
	return high ^ low
}
