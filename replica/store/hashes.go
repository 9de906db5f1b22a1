package store

import "slices"

// hashes lead from the hash of a key to the entries whose keys have it. Hashes that begin with the
// same bits stand on one shelf, in order, and a directory leads from the first bits to the shelf. A
// shelf that is full becomes two; what its hashes begin with is one bit more then.
//
// It is own code, and not a map of Go's, for its size: an entry takes 8 bytes and a tenth more for
// those to come, where a map of numbers to numbers takes 10 to 20, depending on how many there are.
// It grows by a shelf at a time, so that no Put holds a replica up.
type hashes struct {
	directory []uint32 // first bits of a hash → number of the shelf; it has a power of two places
	bits      uint8    // of that power
	shelves   []shelf
	count     int
}

// shelf is a part of all hashes. They are spread evenly, so the place of one is close to where its
// share of the numbers that are possible here says.
type shelf struct {
	list  []hashed // in order
	depth uint8    // how many first bits they have in common
}

// hashed is a hash, in the upper half, with an entry whose key has it.
type hashed uint64

func hashedOf(h, entry uint32) hashed { return hashed(h)<<32 | hashed(entry) }

func (x hashed) hash() uint32  { return uint32(x >> 32) }
func (x hashed) entry() uint32 { return uint32(x) }

const (
	shelfMost = 256 // entries on a shelf before it is cut in two
	depthMost = 24  // with which so many hashes are the same that there is nothing to cut
)

func newHashes() hashes { return hashes{directory: []uint32{0}, shelves: make([]shelf, 1)} }

// number is the number of the shelf that a hash belongs to.
func (x *hashes) number(h uint32) uint32 { return x.directory[h>>(32-x.bits)] }

// find returns the entries from the first one on that has a hash not below h.
func (x *hashes) find(h uint32) []hashed {
	s := &x.shelves[x.number(h)]
	return s.list[s.seek(hashedOf(h, 0)):]
}

// near is how far from where it is expected a hash is looked for at first: few are farther away.
const near = 16

// seek returns the first place on a shelf that is not below v.
func (s *shelf) seek(v hashed) int {
	list := s.list
	expected := int(uint64(v<<s.depth>>32) * uint64(len(list)) >> 32)
	at, n := max(expected-near, 0), 2*near
	isBelow := at+n <= len(list) && list[at+n-1] >= v // what follows those that are near
	isAbove := at == 0 || list[at-1] < v
	if isNear := isBelow && isAbove; !isNear {
		at, n = 0, len(list)
	}

	for n > 1 { // as often whatever stands there, and without a jump in it: nothing to foresee
		half := n / 2
		if list[at+half-1] < v {
			at += half
		}
		n -= half
	}
	if n == 1 && list[at] < v {
		at++
	}
	return at
}

// insert adds an entry, which is not there yet, and whose key has the hash h.
func (x *hashes) insert(h, entry uint32) {
	n := x.number(h)
	for len(x.shelves[n].list) >= shelfMost && x.shelves[n].depth < depthMost {
		x.split(n)
		n = x.number(h)
	}

	s := &x.shelves[n]
	if len(s.list) == cap(s.list) {
		s.resize()
	}
	v := hashedOf(h, entry)
	s.list = slices.Insert(s.list, s.seek(v), v)
	x.count++
}

// remove takes an entry out, if it is there.
func (x *hashes) remove(h, entry uint32) {
	s := &x.shelves[x.number(h)]
	v := hashedOf(h, entry)
	i := s.seek(v)
	if i == len(s.list) || s.list[i] != v {
		return
	}
	s.list = slices.Delete(s.list, i, i+1)
	x.count--
	if len(s.list) <= cap(s.list)/2 && cap(s.list) > room(0) {
		s.resize()
	}
}

// split cuts a shelf, on which something stands, in two by the first bit of the hashes that they do
// not have in common.
func (x *hashes) split(number uint32) {
	old := x.shelves[number]
	if old.depth == x.bits {
		x.double()
	}
	depth := old.depth + 1
	first := old.list[0].hash() >> (32 - old.depth) << (32 - old.depth)
	half := first | 1<<(32-depth) // the least hash of the new shelf
	cut := old.seek(hashedOf(half, 0))
	low, high := shelf{list: old.list[:cut], depth: depth}, shelf{list: old.list[cut:], depth: depth}
	low.resize()
	high.resize()

	other := uint32(len(x.shelves))
	x.shelves[number] = low
	x.shelves = append(x.shelves, high)
	from := half >> (32 - x.bits)
	for i := range uint32(1) << (x.bits - depth) {
		x.directory[from+i] = other
	}
}

// double makes the directory tell one bit more.
func (x *hashes) double() {
	wide := make([]uint32, 0, 2*len(x.directory))
	for _, number := range x.directory {
		wide = append(wide, number, number)
	}
	x.directory = wide
	x.bits++
}

// resize gives a shelf the room that it is to have.
func (s *shelf) resize() {
	fresh := slices.Grow([]hashed(nil), room(len(s.list)))
	s.list = append(fresh, s.list...)
}

// room is the room of a shelf with n entries: for an eighth and a few more.
func room(n int) int { return n + n/8 + 4 }
