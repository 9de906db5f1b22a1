package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus/codec"
	"quartet/bus/internal/pack"
	"quartet/bus/model"
)

// expiresAt is when a value ends, as headers and JSON say it.
func expiresAt(ms uint64) string { return time.UnixMilli(int64(ms)).UTC().Format(ExpiresForm) }

// lastExpires is the last moment that RFC 3339 can say: the end of the year 9999, in milliseconds.
const lastExpires = 253402300799999

// checkExpires refuses an end of a value that no reply can say.
func checkExpires(ms uint64) error {
	if ms > lastExpires {
		return fmt.Errorf("%w: no time of the end of a value: %d ms", ErrReply, ms)
	}
	return nil
}

// parseExpires reads what expiresAt writes, in milliseconds since 1970.
func parseExpires(s string) (uint64, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.UnixMilli() <= 0 {
		return 0, fmt.Errorf("%w: no time of the end of a value: %s", ErrReply, quote(s))
	}
	return uint64(t.UnixMilli()), nil
}

// packed reports whether a reply's Value is a page or results as package codec writes them, which
// take another form in the reply to a client.
func (r *Reply) packed() bool {
	switch r.Type {
	case model.List:
		return r.Code == model.OK
	case model.Txn:
		refused := r.Code == model.Failed && len(r.Value) > 0
		return r.Code == model.OK || refused
	}
	return false
}

// content is what a reply holds that has several parts: a page, or the results of a txn; neither:
// it is a value, or nothing.
type content struct {
	page    *model.Page
	results *model.Results
}

// content reads it.
func (r *Reply) content() (content, error) {
	if !r.packed() {
		return content{}, nil
	}
	if r.Type == model.List {
		p, err := r.Page()
		return content{page: &p}, err
	}
	x, err := r.Results()
	return content{results: &x}, err
}

// unpack is the content of a reply that is to be sent. What cannot be read (it is of a newer
// replica) becomes a FAIL.
func (r *Reply) unpack() content {
	holds, err := r.content()
	if err == nil {
		r.heed(holds)
		return holds
	}

	r.Code = model.Unavailable
	if r.Type == model.Txn {
		r.Code = model.Unknown
	}
	r.Reason = "the master cannot read what the replica answered: " + oneLine(err.Error())
	r.Value = nil
	return content{}
}

// heed says in r, and so in headers, what its content says.
func (r *Reply) heed(holds content) {
	if holds.page != nil {
		r.Next = holds.page.Next
	}
	if x := holds.results; x != nil && x.Failed >= 0 {
		r.HasRevision, r.Revision = true, x.FailedRevision()
		r.Reason = fmt.Sprintf("element %d of %s: %s", x.Failed, x.List(), r.Reason)
	}
}

// body is that of a reply in text or msgpack.
func (c content) body(r *Reply) []byte {
	switch {
	case c.page != nil && r.Encoding == Text:
		return TextPage(c.page)
	case c.page != nil:
		return msgpackPage(c.page)
	}
	return msgpackResults(c.results, r.Reason)
}

// TextPage is a page as the reply to a text request has it: a line for each key.
func TextPage(p *model.Page) []byte {
	var b []byte
	for i := range p.Items {
		b = append(AppendItem(b, &p.Items[i]), '\n')
	}
	return b
}

// AppendItem appends the line of a key in a list, without its end: the key, or key ::: value. A
// value with a line end stands there as a JSON string.
func AppendItem(b []byte, x *model.Item) []byte {
	switch {
	case !x.HasValue:
		return append(b, x.Key...)
	case bytes.ContainsAny(x.Value, "\r\n"):
		return AppendEcho(b, x.Key, quoted(x.Value))
	}
	return AppendEcho(b, x.Key, x.Value)
}

// quoted is a value as a JSON string.
func quoted(value []byte) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(string(value)) // a string cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// packer writes msgpack maps whose fields may be missing: the length is counted first.
type packer struct {
	out pack.Buffer
	enc *msgpack.Encoder
}

func newPacker() *packer {
	p := &packer{}
	p.enc = msgpack.NewEncoder(&p.out)
	return p
}

// The buffer cannot fail, so errors of the encoder are passed over below.

func (p *packer) number(name string, n uint64) { _ = appendNumber(p.enc, name, n) }
func (p *packer) text(name, s string)          { _ = appendField(p.enc, name, s) }
func (p *packer) bytes(name string, b []byte)  { _ = appendBytes(p.enc, &p.out, name, b) }

func (p *packer) list(name string, n int) {
	_ = p.enc.EncodeString(name)
	_ = p.enc.EncodeArrayLen(n)
}

// count is how many of its arguments are true.
func count(given ...bool) int {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	return n
}

func msgpackPage(page *model.Page) []byte {
	p := newPacker()
	_ = p.enc.EncodeMapLen(1 + count(page.Next != ""))
	p.list("items", len(page.Items))
	for i := range page.Items {
		x := &page.Items[i]
		_ = p.enc.EncodeMapLen(2 + count(x.HasValue, x.Expires > 0, x.Timestamp > 0))
		p.text("key", x.Key)
		p.number("revision", x.Revision)
		if x.HasValue {
			p.bytes("value", x.Value)
		}
		if x.Expires > 0 {
			p.text("expires", expiresAt(x.Expires))
		}
		if x.Timestamp > 0 {
			p.number("timestamp", x.Timestamp)
		}
	}
	if page.Next != "" {
		p.text("next", page.Next)
	}
	return p.out.B
}

// msgpackResults is of an OK, or, with the reason, of a FAIL.
func msgpackResults(r *model.Results, reason string) []byte {
	p := newPacker()
	failed := r.Failed >= 0
	_ = p.enc.EncodeMapLen(2 + count(failed, failed))
	_ = appendBool(p.enc, "succeeded", r.Succeeded)
	if failed {
		p.number("failed", uint64(r.Failed))
		p.text("error", oneLine(reason))
	}

	p.list("results", len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		_ = p.enc.EncodeMapLen(1 + count(x.Value != nil, x.Revision > 0, x.Expires > 0))
		p.number("code", uint64(x.Code))
		if x.Value != nil {
			p.bytes("value", x.Value)
		}
		if x.Revision > 0 {
			p.number("revision", x.Revision)
		}
		if x.Expires > 0 {
			p.text("expires", expiresAt(x.Expires))
		}
	}
	return p.out.B
}

// Page reads the answer to a list in msgpack; keys and values may share its memory. The error wraps
// [ErrReply].
func (r *Reply) Page() (model.Page, error) {
	if IsAnswers(r.Value) { // as package codec writes it
		p, err := codec.ParsePage(r.Value)
		for i := 0; err == nil && i < len(p.Items); i++ {
			err = checkExpires(p.Items[i].Expires)
		}
		return p, wrongReply(err, nil)
	}

	w := walker{in: pack.Get(r.Value)}
	defer w.in.Put()
	p := model.Page{}
	err := w.fields(func(name string) error {
		var err error
		switch name {
		case "items":
			err = w.each(model.MaxPage, func() error {
				p.Items = append(p.Items, model.Item{})
				return w.pageItem(&p.Items[len(p.Items)-1])
			})
		case "next":
			p.Next, err = w.str("next")
		default:
			err = errUnknown(name)
		}
		return err
	})
	return p, wrongReply(err, &w)
}

func (w *walker) pageItem(x *model.Item) error {
	return w.fields(func(name string) (err error) {
		switch name {
		case "key":
			x.Key, err = w.str("key")
		case "revision":
			x.Revision, err = w.uint("revision")
		case "value":
			x.HasValue = true
			x.Value, err = w.bytes("value", true)
		case "expires":
			x.Expires, err = w.expires()
		case "timestamp":
			x.Timestamp, err = w.uint("timestamp")
		default:
			err = errUnknown(name)
		}
		return err
	})
}

// Results reads the answer to a txn that was sent in msgpack, alone or in a batch: of an OK, and of
// a FAIL with code [model.Failed], which says which step could not be done. Values share its
// memory. The error wraps [ErrReply].
func (r *Reply) Results() (model.Results, error) {
	if IsAnswers(r.Value) { // as package codec writes it: in a batch
		x, err := codec.ParseResults(r.Value)
		for i := 0; err == nil && i < len(x.Results); i++ {
			err = checkExpires(x.Results[i].Expires)
		}
		return x, wrongReply(err, nil)
	}

	w := walker{in: pack.Get(r.Value)}
	defer w.in.Put()
	x := model.Results{Failed: -1}
	err := w.fields(func(name string) (err error) {
		switch name {
		case "succeeded":
			if x.Succeeded, err = w.in.Bool(); err != nil {
				err = wrong(err, "succeeded is no boolean")
			}
		case "failed":
			var n uint64
			n, err = w.uint("failed")
			x.Failed = int(min(n, model.MaxSteps))
		case "error":
			_, err = w.bytes("error", false)
		case "results":
			err = w.each(model.MaxSteps, func() error {
				x.Results = append(x.Results, model.Result{})
				return w.result(&x.Results[len(x.Results)-1])
			})
		default:
			err = errUnknown(name)
		}
		return err
	})
	return x, wrongReply(err, &w)
}

func (w *walker) result(x *model.Result) error {
	return w.fields(func(name string) (err error) {
		switch name {
		case "code":
			var n uint64
			n, err = w.uint("code")
			x.Code = model.Code(n)
		case "value":
			x.Value, err = w.bytes("value", true)
		case "revision":
			x.Revision, err = w.uint("revision")
		case "expires":
			x.Expires, err = w.expires()
		default:
			err = errUnknown(name)
		}
		return err
	})
}

func (w *walker) expires() (uint64, error) {
	s, err := w.str("expires")
	if err != nil {
		return 0, err
	}
	return parseExpires(s)
}

// fields hands over the names of a map; read then reads the value.
func (w *walker) fields(read func(name string) error) error {
	n, err := w.in.MapLen()
	if err != nil {
		return wrong(err, "no map where one belongs")
	}
	for ; n > 0; n-- {
		name, err := w.str("a field's name")
		if err != nil {
			return err
		}
		if err := read(name); err != nil {
			return err
		}
	}
	return nil
}

// each calls read for every element of an array.
func (w *walker) each(most int, read func() error) error {
	n, err := w.array("a list", 0, most)
	if err != nil {
		return err
	}
	for range n {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// errUnknown: what follows a name that is not known is not read, so nothing after it is.
func errUnknown(name string) error {
	return malformed("unknown field %s: the cluster is of a newer version", quote(name))
}

// wrongReply makes an error of [Reply.Page] or [Reply.Results] of err, or of what follows in w,
// which may be nil.
func wrongReply(err error, w *walker) error {
	switch {
	case err != nil && errors.Is(err, ErrReply):
		return err
	case err != nil:
		return fmt.Errorf("%w: %s", ErrReply, strings.TrimSpace(err.Error()))
	case w != nil && w.in.Len() > 0:
		return fmt.Errorf("%w: %d bytes after it", ErrReply, w.in.Len())
	}
	return nil
}
