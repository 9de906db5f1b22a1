package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

const header = "rid,client,consistency,request,key,replica,code,received,taken_us,duplicate\n"

const (
	maxListedKey    = 64
	maxListedClient = 32
	cutMark         = "…"
)

// line is an entry without pointers: a batch of lines is nothing that the garbage collector has to
// look at, keeps no request's memory alive, and has a fixed size.
type line struct {
	rid       uint64
	received  int64 // µs since 1970
	taken     int64 // µs
	position  uint64
	timestamp uint64
	clock     uint64
	forwarded int32        // µs
	heard     int32        // µs
	by        lamport.Node // whose clock it is
	replica   lamport.Node
	sent      lamport.Node
	code      model.Code
	model     model.Consistency
	typ       model.Type
	duplicate bool
	readOnly  bool
	keyLen    uint8
	clientLen uint8
	key       [maxListedKey]byte
	client    [maxListedClient]byte
}

func (l *line) set(e *Entry) {
	l.rid, l.replica, l.code, l.model, l.typ, l.duplicate = e.RID, e.Replica, e.Code, e.Model, e.Type, e.Duplicate
	l.received = e.Received.UnixMicro()
	l.taken = max(0, int64((e.Taken+time.Microsecond/2)/time.Microsecond))
	l.position, l.timestamp, l.clock, l.by = e.Position, e.Timestamp, e.Clock.Time, e.Clock.Node
	l.forwarded, l.heard, l.sent, l.readOnly = short(e.Forwarded), short(e.Heard), e.Sent, e.ReadOnly
	l.keyLen = uint8(cut(l.key[:], e.Key))
	l.clientLen = uint8(cut(l.client[:], e.Client))
}

// short returns µs, at most as many as fit: half an hour.
func short(d time.Duration) int32 {
	return int32(min(max(0, d.Microseconds()), math.MaxInt32))
}

// cut copies s, or as many whole characters of it as fit before a mark.
func cut(dst []byte, s string) int {
	if len(s) <= len(dst) {
		return copy(dst, s)
	}
	n := len(dst) - len(cutMark)
	for n > len(dst)-len(cutMark)-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	n = copy(dst, s[:n])
	return n + copy(dst[n:], cutMark)
}

// formatter appends lines as text. It remembers the last second, because calendars are slow.
type formatter struct {
	second int64
	stamp  []byte // the second as 2006-01-02T15:04:05
}

func (f *formatter) append(dst []byte, l *line) []byte {
	dst = strconv.AppendUint(dst, l.rid, 10)
	dst = appendText(append(dst, ','), l.client[:l.clientLen])
	dst = append(dst, ',')
	if l.model != 0 {
		dst = append(dst, l.model.Word()...)
	}
	dst = append(dst, ',')
	if l.typ != 0 {
		dst = append(dst, l.typ.Word()...)
	}
	dst = appendText(append(dst, ','), l.key[:l.keyLen])
	dst = append(dst, ',')
	if l.replica != 0 {
		dst = append(dst, l.replica.String()...)
	}
	dst = strconv.AppendUint(append(dst, ','), uint64(l.code), 10)
	dst = f.appendTime(append(dst, ','), l.received)
	dst = strconv.AppendInt(append(dst, ','), l.taken, 10)
	dst = strconv.AppendBool(append(dst, ','), l.duplicate)
	return append(dst, '\n')
}

func (f *formatter) appendTime(dst []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	if second := t.Unix(); second != f.second || f.stamp == nil {
		f.second = second
		f.stamp = t.AppendFormat(f.stamp[:0], "2006-01-02T15:04:05")
	}
	dst = append(dst, f.stamp...)
	dst = append(dst, '.')
	fraction := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+fraction/unit%10))
	}
	return append(dst, 'Z')
}

// appendText appends s as a CSV field, quoted where it must be. A control character
// becomes a space, so that a line of the file is always one request.
func appendText(dst, s []byte) []byte {
	quote := bytes.ContainsAny(s, `,"`)
	if quote {
		dst = append(dst, '"')
	}
	for _, b := range s {
		switch {
		case b == '"':
			dst = append(dst, '"', '"')
		case b < ' ' || b == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, b)
		}
	}
	if quote {
		dst = append(dst, '"')
	}
	return dst
}

var errLine = errors.New("not a request's line")

// parse reads a line that append has written, without the line end.
func parse(text string) (Entry, error) {
	var field [10]string
	rest := text
	for i := range field {
		var err error
		if field[i], rest, err = nextField(rest, i == len(field)-1); err != nil {
			return Entry{}, err
		}
	}

	var e Entry
	var errs [7]error
	var code, taken uint64

	e.RID, errs[0] = strconv.ParseUint(field[0], 10, 64)
	e.Client, e.Key = field[1], field[4]
	if field[2] != "" {
		e.Model, errs[1] = model.ParseConsistency(field[2])
	}
	if field[3] != "" {
		e.Type, errs[2] = parseType(field[3])
	}
	if field[5] != "" {
		e.Replica, errs[3] = lamport.ParseNode(field[5])
	}

	code, errs[4] = strconv.ParseUint(field[6], 10, 16)
	e.Received, errs[5] = time.Parse(time.RFC3339Nano, field[7])
	taken, errs[6] = strconv.ParseUint(field[8], 10, 63)
	e.Code, e.Taken, e.Duplicate = model.Code(code), time.Duration(taken)*time.Microsecond, field[9] == "true"

	if err := errors.Join(errs[:]...); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errLine, err)
	}
	return e, nil
}

// parseType also takes the word of a type that this version does not know, as
// model.Type prints it: a list may be older or younger than its reader.
func parseType(s string) (model.Type, error) {
	if digits, ok := strings.CutPrefix(s, "request("); ok {
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, ")"), 10, 8)
		return model.Type(n), err
	}
	return model.ParseType(s)
}

// nextField cuts one field, and the comma behind it, off text.
func nextField(text string, last bool) (field, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		field, rest, more := strings.Cut(text, ",")
		if more == last || strings.Contains(field, `"`) {
			return "", "", errLine
		}
		return field, rest, nil
	}
	var b strings.Builder
	for text = text[1:]; ; {
		part, after, ok := strings.Cut(text, `"`)
		if !ok {
			return "", "", errLine
		}
		b.WriteString(part)
		switch {
		case strings.HasPrefix(after, `"`):
			b.WriteByte('"')
			text = after[1:]
		case !last && strings.HasPrefix(after, ","):
			return b.String(), after[1:], nil
		case last && after == "":
			return b.String(), "", nil
		default:
			return "", "", errLine
		}
	}
}
