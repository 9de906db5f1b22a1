package bus

// The headers of W3C Trace Context, on a request. They are for those who watch: nothing is
// ever refused for them, and no answer depends on them.
const (
	HeaderTraceparent = "traceparent"
	HeaderTracestate  = "tracestate"
)

const traceparentLen = 55 // of version 00: version, trace id, parent id, flags

// ValidTraceparent reports whether s is a traceparent, of version 00 or a later one.
func ValidTraceparent(s string) bool {
	if len(s) < traceparentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, id, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	for _, part := range []string{version, id, parent, flags} {
		if !isHex(part) {
			return false
		}
	}
	switch {
	case version == "ff" || isZero(id) || isZero(parent):
		return false
	case len(s) == traceparentLen:
		return true
	}
	// A later version may say more; it is passed on as far as we know what it is.
	return version != "00" && s[traceparentLen] == '-' && nameFault(s) == ""
}

const maxTracestate = 512 // bytes, as the standard asks to pass on at least

// ValidTracestate reports whether s may be passed on as a tracestate: it is looked into by
// nobody here.
func ValidTracestate(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxTracestate
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		digit := '0' <= c && c <= '9'
		letter := 'a' <= c && c <= 'f'
		if !digit && !letter {
			return false
		}
	}
	return true
}

func isZero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
