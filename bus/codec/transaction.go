package codec

import (
	"fmt"
	"math"
	"sync"

	"quartet/bus/model"
)

// What stands in the value of a request or an answer: a transaction, what it came to, and a page of
// a list. Each is one array, whose first field is its layout. The Append functions write the
// shortest form, so equal values have equal bytes. What they write can be read again: limits and
// rules are the same. The Parse functions read one value, which must be all of b; keys are memory
// of their own, values share b. All errors wrap [ErrMessage].

// layout is the first field of each.
const layout = 1

// Fields of the arrays.
const (
	transactionFields = 4
	checkFields       = 3
	stepFields        = 5
	resultsFields     = 4
	resultFields      = 4
	pageFields        = 3
	itemFields        = 5
)

// What a check is about: explicit codes, never reused.
const (
	checkRevision = 1
	checkExists   = 2
	checkValue    = 3
)

var (
	encoders = sync.Pool{New: func() any { return NewEncoder() }}
	decoders = sync.Pool{New: func() any { return NewDecoder() }}
)

// AppendTransaction appends a transaction as it stands in the value of a Txn.
func AppendTransaction(dst []byte, t *model.Transaction) ([]byte, error) {
	return appendValue(dst, "transaction", func(e *Encoder) { e.transaction(t) })
}

// ParseTransaction reads what [AppendTransaction] wrote.
func ParseTransaction(b []byte) (model.Transaction, error) {
	return parseValue(b, "transaction", (*Decoder).transaction)
}

// TransactionWrites reports whether a transaction, as [AppendTransaction] wrote it, has a step that
// may change what a key holds. It reads no more than it must: what is no transaction writes, and
// who parses it says so.
func TransactionWrites(b []byte) bool {
	d := decoders.Get().(*Decoder)
	defer decoders.Put(d)
	d.in.Reset(b)
	defer d.in.Reset(nil)
	d.err, d.times, d.revisions = nil, true, true
	return d.hasWrite() || d.err != nil
}

// AppendResults appends what a transaction came to.
func AppendResults(dst []byte, r *model.Results) ([]byte, error) {
	return appendValue(dst, "results", func(e *Encoder) { e.results(r) })
}

// ParseResults reads what [AppendResults] wrote.
func ParseResults(b []byte) (model.Results, error) {
	return parseValue(b, "results", (*Decoder).results)
}

// AppendPage appends a page of a list.
func AppendPage(dst []byte, p *model.Page) ([]byte, error) {
	return appendValue(dst, "page", func(e *Encoder) { e.page(p) })
}

// ParsePage reads what [AppendPage] wrote.
func ParsePage(b []byte) (model.Page, error) {
	return parseValue(b, "page", (*Decoder).page)
}

// ItemSize is no less than the bytes that an item takes in any form of a page, JSON included, where
// a key may need two bytes for one and a value four for three. A page whose items have at most
// [model.MaxKeyValue] together, or that has one item, can be sent in every form.
func ItemSize(i *model.Item) int {
	const overhead = 128 // of names and numbers
	return overhead + 2*len(i.Key) + (len(i.Value)+2)/3*4
}

func appendValue(dst []byte, what string, write func(*Encoder)) ([]byte, error) {
	e := encoders.Get().(*Encoder)
	defer encoders.Put(e)
	own := e.out.B
	e.out.B, e.fault = dst, ""

	write(e)
	b, err := e.close(what)
	e.out.B = own
	if err != nil {
		return dst, err
	}
	return b, nil
}

func parseValue[T any](b []byte, what string, read func(*Decoder) T) (T, error) {
	d := decoders.Get().(*Decoder)
	defer decoders.Put(d)
	d.in.Reset(b)
	defer d.in.Reset(nil)
	d.err, d.times, d.revisions = nil, true, true

	v := read(d)
	if err := d.close(what); err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// begins reads the head of an array of n fields and its layout.
func (d *Decoder) begins(n int, what string) {
	d.tuple(n, what)
	switch got := d.uint(); {
	case d.err != nil:
	case got > layout:
		d.err = fmt.Errorf("%w: %w: layout %d of a %s (this one reads %d)", ErrMessage, ErrNewer, got, what, layout)
	case got < layout:
		d.fail("layout %d of a %s", got, what)
	}
}

func (e *Encoder) transaction(t *model.Transaction) {
	if max(len(t.If), len(t.Then), len(t.Else)) > model.MaxSteps {
		e.fail("too many steps or checks")
	}
	e.array(transactionFields)
	e.uint(layout)
	e.array(len(t.If))
	for i := range t.If {
		e.check(&t.If[i])
	}
	e.steps(t.Then)
	e.steps(t.Else)
}

func (d *Decoder) transaction() (t model.Transaction) {
	d.begins(transactionFields, "transaction")
	if n := d.list(model.MaxSteps, checkFields+1); n > 0 {
		t.If = make([]model.Check, n)
		for i := 0; i < n && d.err == nil; i++ {
			d.check(&t.If[i])
		}
	}
	t.Then = d.steps()
	t.Else = d.steps()
	return t
}

// hasWrite passes over a transaction to the first step that writes, and reports whether there is
// one.
func (d *Decoder) hasWrite() bool {
	d.begins(transactionFields, "transaction")
	for range d.list(model.MaxSteps, checkFields+1) {
		d.tuple(checkFields, "check")
		d.pass(model.MaxKey)
		switch d.uint() {
		case checkRevision:
			d.uint()
		case checkExists:
			d.bool()
		default:
			d.value(model.MaxKeyValue)
		}
	}

	for range 2 {
		for range d.list(model.MaxSteps, stepFields+1) {
			d.tuple(stepFields, "step")
			if t := model.Type(d.limited(math.MaxUint8, "type")); t.Writes() {
				return true
			}
			d.pass(model.MaxKey)
			d.value(model.MaxKeyValue)
			d.optional()
			d.uint()
		}
	}
	return false
}

// pass passes over a str.
func (d *Decoder) pass(limit int) {
	if d.err != nil {
		return
	}
	n, err := d.in.StrLen()
	if err != nil {
		d.wrong(err, "a str", "str")
		return
	}
	d.take(n, limit, "str")
}

// check writes what a check is about and which is wanted.
func (e *Encoder) check(c *model.Check) {
	if fault := checkFault(c); fault != "" {
		e.fail(fault)
	}
	e.array(checkFields)
	e.str(c.Key)
	switch {
	case c.HasRevision:
		e.uint(checkRevision)
		e.uint(c.Revision)
	case c.HasExists:
		e.uint(checkExists)
		e.bool(c.Exists)
	default:
		e.uint(checkValue)
		e.value(c.Value)
	}
}

func (d *Decoder) check(c *model.Check) {
	d.tuple(checkFields, "check")
	c.Key = d.str(model.MaxKey, "key")
	switch kind := d.uint(); {
	case d.err != nil:
		return
	case kind == checkRevision:
		c.HasRevision, c.Revision = true, d.uint()
	case kind == checkExists:
		c.HasExists, c.Exists = true, d.bool()
	case kind == checkValue:
		c.HasValue, c.Value = true, d.value(model.MaxKeyValue)
	default:
		d.fail("unknown kind %d of a check", kind)
	}
	if d.err != nil {
		return
	}
	if fault := checkFault(c); fault != "" {
		d.fail("%s", fault)
	}
}

func checkFault(c *model.Check) string {
	kinds := 0
	for _, given := range [...]bool{c.HasRevision, c.HasExists, c.HasValue} {
		if given {
			kinds++
		}
	}
	strayRevision := !c.HasRevision && c.Revision != 0
	strayExists := !c.HasExists && c.Exists
	strayValue := c.HasValue != (c.Value != nil)
	if kinds != 1 || strayRevision || strayExists || strayValue {
		return "check that is not about one thing"
	}
	return keyValueFault(c.Key, c.Value)
}

func (e *Encoder) steps(steps []model.Step) {
	e.array(len(steps))
	for i := range steps {
		s := &steps[i]
		if fault := stepFault(s); fault != "" {
			e.fail(fault)
		}
		e.array(stepFields)
		e.uint(uint64(s.Type))
		e.str(s.Key)
		e.value(s.Value)
		e.optional(s.HasIf, s.If)
		e.uint(s.TTL)
	}
}

func (d *Decoder) steps() []model.Step {
	n := d.list(model.MaxSteps, stepFields+1)
	if n == 0 {
		return nil
	}
	steps := make([]model.Step, n)
	for i := 0; i < n && d.err == nil; i++ {
		s := &steps[i]
		d.tuple(stepFields, "step")
		s.Type, s.Key = model.Type(d.limited(math.MaxUint8, "type")), d.str(model.MaxKey, "key")
		s.Value = d.value(model.MaxKeyValue)
		s.HasIf, s.If = d.optional()
		s.TTL = d.uint()
		if d.err != nil {
			return nil
		}
		if fault := stepFault(s); fault != "" {
			d.fail("%s", fault)
		}
	}
	return steps
}

func stepFault(s *model.Step) string {
	takesValue := s.Type == model.Set || s.Type == model.Add
	switch {
	case !s.Type.Valid() || !s.Type.HasKey():
		return "step of an unknown type"
	case takesValue != (s.Value != nil):
		return "step with a value too many or too few"
	case s.If > 0 && !s.HasIf:
		return "revision without a condition"
	case s.HasIf && !s.Type.Writes():
		return "condition where there is none"
	case s.TTL > model.MaxTTL:
		return "value that lives too long"
	case s.TTL > 0 && s.Type != model.Set:
		return "end of what is no value"
	}
	return keyValueFault(s.Key, s.Value)
}

func (e *Encoder) results(r *model.Results) {
	if fault := resultsFault(r); fault != "" {
		e.fail(fault)
	}
	e.array(resultsFields)
	e.uint(layout)
	e.bool(r.Succeeded)
	e.optional(r.Failed >= 0, uint64(max(r.Failed, 0)))
	e.array(len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		e.array(resultFields)
		e.uint(uint64(x.Code))
		e.value(x.Value)
		e.uint(x.Revision)
		e.uint(x.Expires)
	}
}

func (d *Decoder) results() model.Results {
	d.begins(resultsFields, "results")
	r := model.Results{Succeeded: d.bool(), Failed: -1}
	if given, n := d.optional(); given {
		r.Failed = int(min(n, math.MaxInt32))
	}
	if n := d.list(model.MaxSteps, resultFields+1); n > 0 {
		r.Results = make([]model.Result, n)
		for i := 0; i < n && d.err == nil; i++ {
			d.tuple(resultFields, "result")
			r.Results[i] = model.Result{
				Code: model.Code(d.limited(math.MaxUint16, "code")), Value: d.value(model.MaxKeyValue),
				Revision: d.uint(), Expires: d.uint(),
			}
		}
	}
	if fault := resultsFault(&r); d.err == nil && fault != "" {
		d.fail("%s", fault)
	}
	return r
}

func resultsFault(r *model.Results) string {
	switch {
	case len(r.Results) > model.MaxSteps:
		return "too many results"
	case r.Failed < -1 || r.Failed >= model.MaxSteps:
		return "step that failed out of its range"
	}
	for i := range r.Results {
		if len(r.Results[i].Value) > model.MaxKeyValue {
			return "value of a result too long"
		}
	}
	return ""
}

func (e *Encoder) page(p *model.Page) {
	if len(p.Items) > model.MaxPage || len(p.Next) > model.MaxNext {
		e.fail("page too long")
	}
	e.array(pageFields)
	e.uint(layout)
	e.array(len(p.Items))
	for i := range p.Items {
		x := &p.Items[i]
		if fault := itemFault(x); fault != "" {
			e.fail(fault)
		}
		e.array(itemFields)
		e.str(x.Key)
		e.value(x.Value)
		e.uint(x.Revision)
		e.uint(x.Expires)
		e.uint(x.Timestamp)
	}
	e.str(p.Next)
}

func (d *Decoder) page() model.Page {
	d.begins(pageFields, "page")
	var p model.Page
	if n := d.list(model.MaxPage, itemFields+1); n > 0 {
		p.Items = make([]model.Item, n)
		for i := 0; i < n && d.err == nil; i++ {
			d.item(&p.Items[i])
		}
	}
	p.Next = d.str(model.MaxNext, "place in a list")
	return p
}

func (d *Decoder) item(x *model.Item) {
	d.tuple(itemFields, "item")
	x.Key, x.Value = d.str(model.MaxKey, "key"), d.value(model.MaxKeyValue)
	x.Revision, x.Expires, x.Timestamp = d.uint(), d.uint(), d.uint()
	x.HasValue = x.Value != nil
	if fault := itemFault(x); d.err == nil && fault != "" {
		d.fail("%s", fault)
	}
}

func itemFault(x *model.Item) string {
	if x.HasValue != (x.Value != nil) {
		return "item that has a value and has none"
	}
	return keyValueFault(x.Key, x.Value)
}
