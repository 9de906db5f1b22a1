package history

import (
	"math"
	"strconv"
)

// never is the end of a value that does not end.
const never = math.MaxInt64

// content is what one key holds at a place in an order.
type content struct {
	value  string
	found  bool
	opaque bool // nothing told whether there is a value, or which

	// The revision of the value, or of what a delete left. Where it is not known, it is above this.
	known    bool
	revision uint64

	ends  int64 // the earliest moment at which the value may end by itself, or never
	since int64 // no operation that had returned before can have seen this
}

// nothingYet is the content of a key that was never written.
var nothingYet = content{known: true, ends: never, since: math.MinInt64}

// sightKind says what an operation saw of a key, as far as its answer tells.
type sightKind uint8

const (
	sawAnything  sightKind = iota
	sawNothing             // no value
	sawSomething           // a value
	sawValue               // this value
	sawAnother             // not this value
	sawNumber              // this number, for which no value is 0
	sawNoNumber            // a value to which number cannot be added
	sawContradiction
)

// sight is what an operation saw of a key.
type sight struct {
	kind   sightKind
	value  string
	number int64

	hasRevision bool // the key had this revision
	revision    uint64
	hasOther    bool // the key had a value, and not with this revision, or none
	other       uint64
}

// tells reports whether the sight says anything.
func (s *sight) tells() bool { return s.kind != sawAnything || s.hasRevision || s.hasOther }

// ofValue reports whether the key surely had a value.
func (s *sight) ofValue() bool {
	switch s.kind {
	case sawSomething, sawValue, sawNoNumber:
		return true
	case sawNumber:
		return s.number != 0
	}
	return false
}

// isNumber reports whether the value seen is a number.
func (s *sight) isNumber() bool {
	_, isNumber := (&content{value: s.value, found: true}).num()
	return isNumber
}

// deedKind says what an operation did with a key.
type deedKind uint8

const (
	leaves  deedKind = iota
	puts             // a value
	removes          // the value
	adds             // a number to the value: an add of unknown outcome
)

// deed is what an operation did with a key.
type deed struct {
	kind     deedKind
	value    string
	number   int64
	ends     int64  // of what is put
	keepsEnd bool   // what is put ends when the value before it did: the sum of an add
	claimed  bool   // the answer says which revision it has
	revision uint64 // where it is claimed
	again    bool   // the same operation has written the key before
}

// part is one step of an operation: what it saw of a key, then what it did with it.
type part struct {
	key   string
	sight sight
	deed  deed
}

// above reports whether revision r can come after the content's. (What builds of before revisions
// had left all has revision 1.)
func (c *content) above(r uint64) bool {
	ofOld := r == 1 && c.revision <= 1
	return r > c.revision || ofOld
}

// ended is the content once its value has ended by itself.
func (c content) ended() content {
	since := c.since
	if c.ends != never {
		since = max(since, c.ends)
	}
	return content{revision: c.revision, ends: never, since: since}
}

// num returns the number that an add adds to.
func (c *content) num() (int64, bool) {
	if !c.found {
		return 0, true
	}
	n, err := strconv.ParseInt(c.value, 10, 64)
	return n, err == nil
}

// plus adds without overflow.
func plus(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (b >= 0) == (sum >= a)
}

// fits reports whether s may be a sight of c, and returns what c then is: its revision may have
// become known.
func (c content) fits(s *sight) (content, bool) {
	ok := true
	switch {
	case s.kind == sawContradiction:
		return c, false
	case c.opaque && s.kind == sawValue:
		c.opaque, c.value, c.found = false, s.value, true
	case c.opaque && s.kind == sawNothing:
		c.opaque, c.found = false, false
	case c.opaque: // it may be
	default:
		ok = c.agrees(s)
	}

	sameAsOther := s.hasOther && c.found && c.known && c.revision == s.other
	if !ok || sameAsOther {
		return c, false
	}
	if !s.hasRevision {
		return c, true
	}

	if c.known {
		return c, c.revision == s.revision
	}
	if !c.above(s.revision) {
		return c, false
	}
	c.known, c.revision = true, s.revision
	return c, true
}

// agrees reports whether the value is what s saw.
func (c *content) agrees(s *sight) bool {
	ok := true
	switch s.kind {
	case sawAnything:
	case sawNothing:
		ok = !c.found
	case sawSomething:
		ok = c.found
	case sawValue:
		ok = c.found && c.value == s.value
	case sawAnother:
		ok = !c.found || c.value != s.value
	case sawNumber:
		n, isNumber := c.num()
		ok = isNumber && n == s.number
	case sawNoNumber:
		n, isNumber := c.num()
		_, fits := plus(n, s.number)
		canBeAdded := isNumber && fits
		ok = c.found && !canBeAdded
	default:
		ok = false
	}
	return ok
}

// seen returns what c was if an operation that had returned at until saw s of it: it may have ended
// by itself before.
func (c content) seen(s *sight, until int64) (content, bool) {
	if until < c.since {
		return c, false
	}
	if as, ok := c.fits(s); ok {
		return as, true
	}
	if c.found && until >= c.ends {
		return c.ended().fits(s)
	}
	return c, false
}

// written returns what c is after a deed. It fails where the deed cannot be done, or claims a
// revision that is not above the one before.
func (c content) written(d *deed) (content, bool) {
	next := content{revision: c.revision, ends: never, since: c.since}
	switch d.kind {
	case leaves:
		return c, true
	case puts:
		next.value, next.found, next.ends = d.value, true, d.ends
		if d.keepsEnd {
			next.ends = c.ends
		}
	case adds:
		n, isNumber := c.num()
		sum, fits := plus(n, d.number)
		if !isNumber || !fits {
			return c, false
		}
		next.value, next.found, next.ends = strconv.FormatInt(sum, 10), true, c.ends
	}

	if d.again { // of one operation all has one revision
		next.known, next.revision = c.known, c.revision
	}
	if d.claimed {
		rises := d.again || c.above(d.revision)
		if !rises {
			return c, false
		}
		next.known, next.revision = true, d.revision
	}
	return next, true
}

// writtenBy is written for an operation that had returned at until: what it could not be added to
// may have ended by itself before.
func (c content) writtenBy(d *deed, until int64) (content, bool) {
	next, ok := c.written(d)
	mayEnd := c.found && until >= c.ends
	if !ok && mayEnd && d.kind == adds {
		return c.ended().written(d)
	}
	return next, ok
}

// done returns what c is after steps of an operation that had returned at until; undone: what the
// steps saw counts, and what they did is taken back.
func (c content) done(parts []part, undone bool, until int64) (content, bool) {
	before, wrote := c, false
	for i := range parts {
		p := &parts[i]
		var ok bool
		if c, ok = c.seen(&p.sight, until); !ok {
			return c, false
		}
		if !wrote {
			before = c
		}
		if c, ok = c.writtenBy(&p.deed, until); !ok {
			return c, false
		}
		wrote = wrote || p.deed.kind != leaves
	}
	if undone {
		return before, true
	}
	return c, true
}
