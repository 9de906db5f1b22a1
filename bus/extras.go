package bus

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus/model"
)

// The fields of a JSON or msgpack request that say what these headers say otherwise. They belong to
// the request itself, not to how it is sent.
var extras = [...]struct {
	field, header string
	bit           int
}{
	{"if_revision", HeaderIfRevision, fieldIfRevision},
	{"ttl", HeaderTTL, fieldTTL},
	{"limit", HeaderLimit, fieldLimit},
	{"values", HeaderValues, fieldValues},
	{"from", HeaderFrom, fieldFrom},
}

// setExtra takes over what one of them says.
func setExtra(r *model.Request, bit int, value string) error {
	switch bit {
	case fieldIfRevision:
		return setIf(r, value)
	case fieldTTL:
		return setTTL(r, value)
	case fieldLimit:
		return setLimit(r, value)
	case fieldValues:
		return setValues(r, value)
	}
	return setFrom(r, value)
}

// says reports whether r has what one of them says.
func says(r *model.Request, bit int) bool {
	switch bit {
	case fieldIfRevision:
		return r.HasIf
	case fieldTTL:
		return r.TTL > 0
	case fieldLimit:
		return r.Range != nil && r.Range.Limit > 0
	case fieldValues:
		return r.Range != nil && r.Range.Values
	}
	return r.Range != nil && r.Range.From != ""
}

func setIf(r *model.Request, value string) error {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return malformed("the revision of a condition is no decimal of up to 64 bits: %s", quote(value))
	}
	r.HasIf, r.If = true, n
	return nil
}

func setTTL(r *model.Request, value string) (err error) {
	r.TTL, err = ParseTTL(value)
	return err
}

func setLimit(r *model.Request, value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n < 1 || n > model.MaxPage {
		return malformed("a limit of %s (want 1 to %d)", quote(value), model.MaxPage)
	}
	rangeOf(r).Limit = int(n)
	return nil
}

func setValues(r *model.Request, value string) error {
	switch value {
	case "true":
		rangeOf(r).Values = true
	case "false":
	default:
		return malformed("values is %s (want true or false)", quote(value))
	}
	return nil
}

func setFrom(r *model.Request, value string) error {
	if len(value) == 0 || len(value) > model.MaxNext {
		return malformed("a place to go on from of %d letters (want 1 to %d)", len(value), model.MaxNext)
	}
	rangeOf(r).From = value
	return nil
}

// rangeOf is r's range, made if it has none.
func rangeOf(r *model.Request) *model.Range {
	if r.Range == nil {
		r.Range = &model.Range{}
	}
	return r.Range
}

// ParseTTL reads after how long a value ends, `30s`, `5m` or `1h30m`, in milliseconds, a part of
// one counted whole: what Go writes for a duration, in h, m, s and ms, without a sign, from 1 s to
// 10 years. The error is an [*Error].
func ParseTTL(s string) (uint64, error) {
	d, err := time.ParseDuration(s)
	signed := strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+")
	smaller := strings.ContainsAny(s, "nuµμ") // units that no TTL has: ns and us
	if err != nil || signed || smaller {
		return 0, malformed("a TTL of %s (want hours, minutes, seconds and ms, as in 30s, 5m or 1h30m)", quote(s))
	}
	if d < model.MinTTL*time.Millisecond || d > model.MaxTTL*time.Millisecond {
		return 0, malformed("a TTL of %s (want 1s to %dh, which is 10 years)", quote(s), uint64(model.MaxTTL/3_600_000))
	}
	return uint64((d + time.Millisecond - 1) / time.Millisecond), nil
}

// FormatTTL writes what [ParseTTL] reads.
func FormatTTL(ms uint64) string { return (time.Duration(ms) * time.Millisecond).String() }

// complete adds to a request what headers say of the request itself. Nothing may be said both ways.
func (r *Request) complete(h nats.Header) error {
	if !mayComplete(h) {
		return nil
	}
	for i := range extras {
		x := &extras[i]
		value, found := option(h, x.header)
		if !found {
			continue
		}
		saysNoValues := x.bit == fieldValues && r.KeysOnly
		if saysNoValues || says(&r.Request, x.bit) {
			return malformed("field %s and header %s say the same thing: one is enough", x.field, x.header)
		}
		if err := setExtra(&r.Request, x.bit, value); err != nil {
			return malformed("header %s: %s", x.header, err.Error())
		}
		if x.bit == fieldValues && r.Type != model.List { // though it be false
			return noRange(r.Type)
		}
	}
	return checkExtras(&r.Request)
}

// mayComplete spares most requests five looks for headers that they don't have.
func mayComplete(h nats.Header) bool {
	for name := range h {
		for i := range extras {
			if len(name) == len(extras[i].header) && strings.EqualFold(name, extras[i].header) {
				return true
			}
		}
	}
	return false
}

// TextHeader adds to h, which may be nil, what the text form of r leaves to headers, and returns
// it.
func TextHeader(h nats.Header, r *model.Request) nats.Header {
	add := func(name, value string) {
		if h == nil {
			h = nats.Header{}
		}
		h[name] = []string{value}
	}

	if r.HasIf {
		add(HeaderIfRevision, strconv.FormatUint(r.If, 10))
	}
	if r.TTL > 0 {
		add(HeaderTTL, FormatTTL(r.TTL))
	}
	if r.Range == nil {
		return h
	}
	if r.Range.Limit > 0 {
		add(HeaderLimit, strconv.Itoa(r.Range.Limit))
	}
	if r.Range.Values {
		add(HeaderValues, "true")
	}
	if r.Range.From != "" {
		add(HeaderFrom, r.Range.From)
	}
	return h
}

// checkExtras refuses a condition, an end or a range where there can be none.
func checkExtras(r *model.Request) error {
	if r.HasIf {
		if err := checkCondition(r); err != nil {
			return err
		}
	}

	switch {
	case r.TTL == 0:
	case r.Type != model.Set:
		return malformed("%s takes no TTL: only a set makes a value that can end", article(r.Type))
	case r.TTL < model.MinTTL || r.TTL > model.MaxTTL:
		return malformed("a TTL of %d ms (want %d, which is 1 s, to %d, which is 10 years)",
			r.TTL, uint64(model.MinTTL), uint64(model.MaxTTL))
	}

	if r.Range == nil {
		return nil
	}
	return checkRange(r)
}

func checkCondition(r *model.Request) error {
	switch {
	case r.Type == model.Txn:
		return malformed("a txn takes no if_revision of its own: its conditions stand in its field if")
	case !r.Type.Writes():
		return malformed("%s takes no condition: only a set, a delete or an add has one", article(r.Type))
	case !r.Model.Strong():
		return malformed("no condition in model %s: nobody can know a key's newest revision without an order; "+
			"use linearizable or sequential", r.Model.Word())
	}
	return nil
}

// noRange refuses a range, or a part of one, that requests of a type do not take.
func noRange(t model.Type) error {
	if t == model.Watch {
		return malformed("a watch takes no limit and no values: of its options it has from")
	}
	return malformed("%s takes no limit, values or from: only a list or a watch does", article(t))
}

func checkRange(r *model.Request) error {
	x := r.Range
	ofList := x.Limit != 0 || x.Values
	isNone := r.Type != model.List && r.Type != model.Watch
	switch {
	case isNone, r.Type == model.Watch && ofList:
		return noRange(r.Type)
	case x.Limit < 0 || x.Limit > model.MaxPage:
		return malformed("a limit of %d (want 1 to %d)", x.Limit, model.MaxPage)
	case len(x.From) > model.MaxNext:
		return malformed("a place to go on from of %d letters (at most %d)", len(x.From), model.MaxNext)
	case x.From == "":
		return nil
	}

	if r.Type == model.List {
		if fault := nameFault(x.From); fault != "" {
			return malformed("the place to go on from %s (want the %s of the page before)", fault, HeaderNext)
		}
		return nil
	}
	if _, err := strconv.ParseUint(x.From, 10, 64); err != nil {
		return malformed("a watch goes on from a revision, not from %s", quote(x.From))
	}
	return nil
}
