package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/model"
)

// Txn is a transaction that is put together, and then committed: if all its checks hold at its
// place in the order, the steps of Then are done there, else those of Else; all of them at that one
// place, or none. Make it with [Client.Txn] or [Session.Txn]. It belongs to one goroutine.
//
// A step that reads returns where its answer will stand:
//
//	t := c.Txn().If(client.KeyMissing("seat/7"))
//	t.Then().Set("seat/7", []byte("ann"))
//	sold := t.Then().Add("sold", 1)
//	owner := t.Else().Get("seat/7")
//	done, err := t.Commit(ctx) // done.Succeeded: sold.Sum; else: owner.Value
//
// Steps see what earlier ones have left. Each of the three lists has at most 128 elements, all
// together have at most 512 KiB. Models 1 and 2 only.
type Txn struct {
	do      func(context.Context, Request) (Result, error)
	newID   func() string
	request Request
	checks  []model.Check
	then    Steps
	other   Steps
	sealed  bool  // it was committed: what it does stands in request
	mistake error // the first of those who put it together
}

// Txn begins a transaction that is linearizable unless [With] says sequential. [WithID] gives it
// an id of the caller's; conditions and ends belong to its checks and steps.
func (c *Client) Txn(opts ...RequestOption) *Txn {
	return &Txn{do: c.Do, newID: c.newID, request: build(model.Txn, "", nil, opts)}
}

// Txn is [Client.Txn] within the session.
func (s *Session) Txn(opts ...RequestOption) *Txn {
	return &Txn{do: s.Do, newID: s.c.newID, request: build(model.Txn, "", nil, opts)}
}

// Check is a condition of a transaction.
type Check = model.Check

// KeyMissing holds where a key has no value: it never had one, was deleted, or has ended.
func KeyMissing(key string) Check { return Check{Key: key, HasExists: true} }

// KeyExists holds where a key has a value.
func KeyExists(key string) Check { return Check{Key: key, HasExists: true, Exists: true} }

// KeyRevision holds where a key has this revision; 0: where it has no value.
func KeyRevision(key string, revision uint64) Check {
	return Check{Key: key, HasRevision: true, Revision: revision}
}

// KeyValue holds where a key has this very value.
func KeyValue(key string, value []byte) Check {
	return Check{Key: key, HasValue: true, Value: append([]byte{}, value...)}
}

// If adds checks. Without any, the steps of Then are done.
func (t *Txn) If(checks ...Check) *Txn {
	t.open()
	t.checks = append(t.checks, checks...)
	return t
}

// Then is what is done if all checks hold.
func (t *Txn) Then() *Steps {
	t.then.of = t
	return &t.then
}

// Else is what is done if one of them does not.
func (t *Txn) Else() *Steps {
	t.other.of = t
	return &t.other
}

// open notes the mistake of somebody who changes what was committed.
func (t *Txn) open() {
	if t.sealed {
		t.fail("the transaction was committed: build another one")
	}
}

func (t *Txn) fail(reason string) {
	if t.mistake == nil {
		t.mistake = &Error{Code: model.Malformed, Reason: reason}
	}
}

// Steps is one of the two lists of what a transaction does, in this order. Of the options of a step
// only [IfRevision] and [WithTTL] count; another one is a mistake that [Txn.Commit] returns.
type Steps struct {
	of    *Txn
	steps []model.Step
	heard []func(*model.Result) error // one a step; nil: nobody waits for its result
}

// Set writes a key.
func (s *Steps) Set(key string, value []byte, opts ...RequestOption) *Steps {
	return s.add(model.Set, key, append([]byte{}, value...), opts, nil)
}

// Create writes a key that has no value. If it has one the whole transaction fails
// ([ErrConditionFailed]); [Txn.If] with [KeyMissing] does the steps of Else instead.
func (s *Steps) Create(key string, value []byte, opts ...RequestOption) *Steps {
	return s.Set(key, value, conditional(0, opts)...)
}

// Update writes a key whose revision is the given one still. If it is another the whole transaction
// fails ([ErrConditionFailed]).
func (s *Steps) Update(key string, value []byte, revision uint64, opts ...RequestOption) *Steps {
	return s.Set(key, value, conditional(revision, opts)...)
}

// Delete ends what a key holds.
func (s *Steps) Delete(key string, opts ...RequestOption) *Steps {
	return s.add(model.Delete, key, nil, opts, nil)
}

// Get reads a key. What is returned says what was read, once [Txn.Commit] has returned.
func (s *Steps) Get(key string, opts ...RequestOption) *Read {
	r := &Read{}
	s.add(model.Get, key, nil, opts, r.hear)
	return r
}

// Add adds n to the number that a key holds, as [Client.Add] does. What is returned says the sum,
// once [Txn.Commit] has returned. Where there is no sum the whole transaction fails
// ([ErrConditionFailed]).
func (s *Steps) Add(key string, n int64, opts ...RequestOption) *Added {
	a := &Added{}
	s.add(model.Add, key, strconv.AppendInt(nil, n, 10), opts, a.hear)
	return a
}

func (s *Steps) add(
	t model.Type, key string, value []byte, opts []RequestOption, heard func(*model.Result) error,
) *Steps {
	s.of.open()
	var r Request
	for _, opt := range opts {
		opt(&r)
	}

	isOfTheWhole := r.Model != 0 || r.Options != (bus.Options{}) || !r.FirstSent.IsZero() || r.Traceparent != ""
	if isOfTheWhole {
		s.of.fail("an option of a step that belongs to the transaction as a whole: Client.Txn takes it")
	}
	r.Type, r.Key, r.Value = t, key, value
	s.steps = append(s.steps, r.Step())
	s.heard = append(s.heard, heard)
	return s
}

// Read is what a get of a transaction has read. It is empty until [Txn.Commit] has returned, and
// stays so where the other list was done.
type Read struct {
	Found    bool   // the key had a value
	Value    []byte // shares memory with the values of the transaction's other gets
	Revision uint64 // of the value; 0 where an earlier step of the transaction wrote it, or there is none
	Expires  time.Time
}

func (r *Read) hear(x *model.Result) error {
	*r = Read{Found: x.Code == model.OK, Value: x.Value, Revision: x.Revision}
	if x.Expires > 0 {
		r.Expires = time.UnixMilli(int64(x.Expires))
	}
	return nil
}

// Added is what an add of a transaction came to. It is empty until [Txn.Commit] has returned, and
// stays so where the other list was done.
type Added struct{ Sum int64 }

func (a *Added) hear(x *model.Result) (err error) {
	a.Sum, err = strconv.ParseInt(string(x.Value), 10, 64)
	return err
}

// TxnResult is what became of a transaction. Revision is that of all that it wrote.
type TxnResult struct {
	Result
	Succeeded bool // its checks held, and the steps of Then were done; else those of Else
}

// Commit sends the transaction and waits for its end, retries included. Without an error it was
// done. [ErrConditionFailed] says that a step could not be done, so that nothing was: Error.Failed
// is its index in the list that Succeeded tells, Error.Revision that of its key. (A check that does
// not hold is no error.)
//
// A transaction has one id and is done once. After [ErrUnknownOutcome] a further Commit asks what
// became of it, within the two minutes for which the cluster remembers ids at the least, and does
// it if it was not done.
func (t *Txn) Commit(ctx context.Context) (TxnResult, error) {
	if err := t.seal(); err != nil {
		return TxnResult{}, err
	}
	result, err := t.do(ctx, t.request)
	if err == nil {
		return t.hear(&result)
	}

	var e *Error
	switch {
	case !errors.As(err, &e):
	case e.Unknown:
		t.request.FirstSent = e.FirstSent
	case e.Code == model.Failed:
		succeeded := t.explain(e, &result)
		return TxnResult{Result: result, Succeeded: succeeded}, err
	}
	return TxnResult{Result: result}, err
}

// seal makes a transaction one that can be sent, again and again: with what it does in its value,
// and an id.
func (t *Txn) seal() error {
	if t.mistake != nil || t.sealed {
		return t.mistake
	}
	whole := model.Transaction{If: t.checks, Then: t.then.steps, Else: t.other.steps}
	value, err := bus.PackTransaction(&whole)
	if err != nil {
		return refusal(err)
	}

	t.sealed, t.request.Value = true, value
	if t.request.Identity == "" && whole.Writes() {
		t.request.Identity = t.newID()
	}
	return nil
}

// hear hands the results to who waits for them.
func (t *Txn) hear(result *Result) (TxnResult, error) {
	r, err := result.Results()
	steps := t.list(r.Succeeded)
	if err == nil && len(r.Results) != len(steps.heard) {
		err = fmt.Errorf("%d results of %d steps", len(r.Results), len(steps.heard))
	}
	for i := 0; err == nil && i < len(steps.heard); i++ {
		if heard := steps.heard[i]; heard != nil {
			err = heard(&r.Results[i])
		}
	}

	if err != nil { // the cluster is of a version that this one cannot read
		return TxnResult{Result: *result}, &Error{
			Code: result.Code, Reason: "the transaction was done, but its results cannot be read", ID: t.request.Identity,
			RID: result.RID, Attempts: result.Attempts, Unknown: true, Err: err,
		}
	}
	return TxnResult{Result: *result, Succeeded: r.Succeeded}, nil
}

// explain says of a failed transaction which step could not be done, and which list it is of.
func (t *Txn) explain(e *Error, result *Result) (succeeded bool) {
	r, err := result.Results()
	steps := t.list(r.Succeeded).steps
	if err != nil || r.Failed < 0 || r.Failed >= len(steps) {
		return false
	}

	s := &steps[r.Failed]
	e.Reason = fmt.Sprintf("element %d of %s, %s of %q, cannot be done, so nothing was", r.Failed, r.List(), s.Type.Word(), s.Key)
	return r.Succeeded
}

func (t *Txn) list(succeeded bool) *Steps {
	if succeeded {
		return &t.then
	}
	return &t.other
}

// readsOnly reports whether a request is a transaction of gets alone: such a one is no write.
func readsOnly(r *Request) bool {
	return r.Type == model.Txn && !codec.TransactionWrites(r.Value)
}

// failedStep tells of a transaction's 412 which step could not be done, and its key's revision.
func failedStep(result *Result) (index int, revision uint64) {
	r, err := result.Results()
	if err != nil || r.Failed < 0 {
		return 0, 0
	}
	return r.Failed, r.FailedRevision()
}
