package dedup

import (
	"strconv"
	"strings"

	"quartet/replica/internal/hash"
)

// Names is a map from clients' ids to offsets, for the ids of clients that number their requests:
// PREFIX.NUMBER, as the Go package's are. What they begin with stands here once, and their numbers
// in [Numbers]; so an entry with such an id needs no id of its own. It takes in what fits, and
// refuses all other ids: who has them keeps them otherwise.
//
// An id fits if its prefix has come before, lately or with an entry that is still here, and if what
// is here stays dense: an id must not take more bytes here than it would as it is. So a client
// that draws its numbers, or its prefixes, by chance costs no more than one with other ids.
//
// The zero value is ready. It has one owner.
type Names struct {
	slots   []prefix          // the first is nobody's
	byText  map[string]uint32 // prefix → its slot
	free    []uint32          // slots
	numbers Numbers
	once    [onceSeen]uint32 // hashes of prefixes that came once, lately
}

// prefix is what ids begin with.
type prefix struct {
	text string
	live int // ids with it that are here
}

// Name is an id that is here: its prefix, as a slot, and its number. The zero Name is none.
type Name struct {
	slot   uint32 // from 1 on
	number uint64
}

// IsZero reports whether it is none.
func (n Name) IsZero() bool { return n.slot == 0 }

const (
	numberBits = 40
	mostDigits = 12 // of a number, which is below 2^40 then
	mostSlots  = 1 << 20
	onceSeen   = 1024 // a power of two
)

// What is sparse takes more bytes than ids as they are: so many pages and prefixes there may be
// beside those that are filled.
const (
	sparePages    = 256
	sparePrefixes = 256
	perPage       = 4  // ids that a page must have on average
	perPrefix     = 16 // ids that a prefix must have
)

// key is where a name stands in the numbers.
func (n Name) key() uint64 { return uint64(n.slot)<<numberBits | n.number }

// split takes an id of the form PREFIX.NUMBER apart, the number as strconv writes it.
func split(id string) (prefix string, number uint64, ok bool) {
	dot := strings.LastIndexByte(id, '.')
	digits := id[dot+1:]
	isPadded := len(digits) > 1 && digits[0] == '0'
	if dot < 1 || digits == "" || len(digits) > mostDigits || isPadded {
		return "", 0, false
	}
	for i := range len(digits) {
		c := digits[i] - '0'
		if c > 9 {
			return "", 0, false
		}
		number = number*10 + uint64(c)
	}
	if number >= 1<<numberBits {
		return "", 0, false
	}
	return id[:dot], number, true
}

// Find returns what stands under an id that is here.
func (m *Names) Find(id string) (offset uint32, ok bool) {
	text, number, ok := split(id)
	if !ok {
		return 0, false
	}
	slot, ok := m.byText[text]
	if !ok {
		return 0, false
	}
	return m.numbers.Get(Name{slot, number}.key())
}

// Enter puts an offset under an id, and returns its name; none: the id does not fit.
func (m *Names) Enter(id string, offset uint32) Name {
	text, number, ok := split(id)
	if !ok {
		return Name{}
	}
	slot, known := m.byText[text]
	if !known && !m.comesAgain(text) {
		return Name{}
	}
	if !known {
		slot = m.add(text)
	}

	n := Name{slot, number}
	isDense := m.numbers.pagesHeld()*perPage <= m.numbers.Len()+sparePages*perPage
	if !isDense && !m.numbers.hasPage(n.key()) {
		m.drop(slot)
		return Name{}
	}
	m.numbers.Set(n.key(), offset)
	m.slots[slot].live++
	return n
}

// Leave takes out an entry's name, and what stands under it if that is this offset: a later entry
// may have the same id.
func (m *Names) Leave(n Name, offset uint32) {
	m.numbers.Drop(n.key(), offset)
	m.slots[n.slot].live--
	m.drop(n.slot)
}

// ID is the id of a name that is here.
func (m *Names) ID(n Name) string {
	text := m.slots[n.slot].text
	b := make([]byte, 0, len(text)+1+mostDigits)
	return string(strconv.AppendUint(append(append(b, text...), '.'), n.number, 10))
}

// comesAgain reports whether a prefix that has no slot came lately, and may have one now.
func (m *Names) comesAgain(text string) bool {
	h := hash.Sum32(0, text)
	if seen := &m.once[h%onceSeen]; *seen != h {
		*seen = h
		return false
	}
	live := len(m.byText)
	return live < mostSlots && live*perPrefix <= m.numbers.Len()+sparePrefixes*perPrefix
}

// add gives a prefix a slot.
func (m *Names) add(text string) uint32 {
	text = strings.Clone(text) // the id may be a part of a message
	if m.byText == nil {
		m.byText = map[string]uint32{}
	}
	if len(m.slots) == 0 {
		m.slots = []prefix{{}}
	}
	slot := uint32(len(m.slots))
	if n := len(m.free); n > 0 {
		slot, m.free = m.free[n-1], m.free[:n-1]
		m.slots[slot] = prefix{text: text}
	} else {
		m.slots = append(m.slots, prefix{text: text})
	}
	m.byText[text] = slot
	return slot
}

// drop takes a prefix's slot away if no id has it any more.
func (m *Names) drop(slot uint32) {
	p := &m.slots[slot]
	if p.live > 0 {
		return
	}
	delete(m.byText, p.text)
	*p = prefix{}
	m.free = append(m.free, slot)
}
