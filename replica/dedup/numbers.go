package dedup

// Numbers is a map from numbers to offsets, for numbers that are given out one after the other, as
// rIDs are. Those that lie close together stand together, sixteen in a page, so what a queue of
// requests does with its newest and its oldest touches few bytes of memory, and the same ones
// again: in a map of Go's, that of millions of entries, each look is a miss of every cache. A
// number that is far from all others costs a page, about 100 bytes.
//
// The zero value is ready. It has one owner.
type Numbers struct {
	pages  map[uint64]*page
	recent [recentPages]recent
	spare  *page
	count  int
}

// page holds the offsets of the numbers that begin with the same bits.
type page struct {
	offsets [pageLen]uint32
	held    uint16 // a bit for each that is there
}

// recent is a page that was looked for lately; page is nil if there is none.
type recent struct {
	number uint64 // of the page
	page   *page
}

const (
	pageBits    = 4
	pageLen     = 1 << pageBits
	recentPages = 64 // a power of two
)

// Len returns how many numbers there are.
func (m *Numbers) Len() int { return m.count }

// pagesHeld returns how many pages they take.
func (m *Numbers) pagesHeld() int { return len(m.pages) }

// hasPage reports whether n needs no page of its own.
func (m *Numbers) hasPage(n uint64) bool { return m.page(n>>pageBits) != nil }

// Get returns what stands under n.
func (m *Numbers) Get(n uint64) (offset uint32, ok bool) {
	p := m.page(n >> pageBits)
	if p == nil || p.held&bit(n) == 0 {
		return 0, false
	}
	return p.offsets[n%pageLen], true
}

// Set puts an offset under n, and returns what stood there.
func (m *Numbers) Set(n uint64, offset uint32) (before uint32, had bool) {
	p := m.page(n >> pageBits)
	if p == nil {
		p = m.add(n >> pageBits)
	}
	before, had = p.offsets[n%pageLen], p.held&bit(n) != 0
	if !had {
		m.count++
	}
	p.offsets[n%pageLen] = offset
	p.held |= bit(n)
	return before, had
}

// Drop takes n out if that offset stands under it.
func (m *Numbers) Drop(n uint64, offset uint32) {
	p := m.page(n >> pageBits)
	isThere := p != nil && p.held&bit(n) != 0 && p.offsets[n%pageLen] == offset
	if !isThere {
		return
	}
	p.offsets[n%pageLen] = 0
	p.held &^= bit(n)
	m.count--
	if p.held == 0 {
		m.remove(n>>pageBits, p)
	}
}

// page returns the page of a number, or nil.
func (m *Numbers) page(number uint64) *page {
	r := m.lately(number)
	if r.page != nil && r.number == number {
		return r.page
	}
	p := m.pages[number]
	if p != nil {
		*r = recent{number: number, page: p}
	}
	return p
}

// add makes the page of a number that has none.
func (m *Numbers) add(number uint64) *page {
	p := m.spare
	if p == nil {
		p = new(page)
	}
	m.spare = nil
	if m.pages == nil {
		m.pages = map[uint64]*page{}
	}
	m.pages[number] = p
	*m.lately(number) = recent{number: number, page: p}
	return p
}

// remove takes an empty page away.
func (m *Numbers) remove(number uint64, p *page) {
	delete(m.pages, number)
	if r := m.lately(number); r.page == p {
		*r = recent{}
	}
	m.spare = p
}

// lately is the place of a page among those that were looked for lately. Of several rows of
// numbers, whose upper bits tell them apart, each has places of its own.
func (m *Numbers) lately(number uint64) *recent {
	return &m.recent[(number+number>>(numberBits-pageBits)*(recentPages/8+1))%recentPages]
}

// bit is the place of n in a page's held.
func bit(n uint64) uint16 { return 1 << (n % pageLen) }
