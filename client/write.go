package client

import (
	"context"
	"strconv"
	"time"

	"quartet/bus/model"
)

// Delete ends what a key holds. It is no error where the key has no value. The condition of
// [IfRevision] makes it one of a value that was read.
func (c *Client) Delete(ctx context.Context, key string, opts ...RequestOption) (Result, error) {
	return c.Do(ctx, build(model.Delete, key, nil, opts))
}

// Create writes a key that has no value. If it has one, the error is [ErrConditionFailed] and
// says the revision of that value. Models 1 and 2 only.
func (c *Client) Create(ctx context.Context, key string, value []byte, opts ...RequestOption) (Result, error) {
	return c.Do(ctx, build(model.Set, key, value, conditional(0, opts)))
}

// Update writes a key whose revision is the given one still (0: that has no value), the
// compare-and-set of this store. If it is another, the error is [ErrConditionFailed] and says
// which. Models 1 and 2 only.
func (c *Client) Update(
	ctx context.Context, key string, value []byte, revision uint64, opts ...RequestOption,
) (Result, error) {
	return c.Do(ctx, build(model.Set, key, value, conditional(revision, opts)))
}

// Add adds n to the number that a key holds, a decimal of 64 bits with its sign, and returns the
// sum. A key without a value counts 0. A value that is no number, or a sum beyond 64 bits, is
// [ErrConditionFailed] and changes nothing. Models 1 and 2 only.
func (c *Client) Add(ctx context.Context, key string, n int64, opts ...RequestOption) (int64, Result, error) {
	return sum(c.Do(ctx, build(model.Add, key, strconv.AppendInt(nil, n, 10), opts)))
}

// Delete is [Client.Delete] within the session.
func (s *Session) Delete(ctx context.Context, key string, opts ...RequestOption) (Result, error) {
	return s.Do(ctx, build(model.Delete, key, nil, opts))
}

// Create is [Client.Create] within the session.
func (s *Session) Create(ctx context.Context, key string, value []byte, opts ...RequestOption) (Result, error) {
	return s.Do(ctx, build(model.Set, key, value, conditional(0, opts)))
}

// Update is [Client.Update] within the session.
func (s *Session) Update(
	ctx context.Context, key string, value []byte, revision uint64, opts ...RequestOption,
) (Result, error) {
	return s.Do(ctx, build(model.Set, key, value, conditional(revision, opts)))
}

// Add is [Client.Add] within the session.
func (s *Session) Add(ctx context.Context, key string, n int64, opts ...RequestOption) (int64, Result, error) {
	return sum(s.Do(ctx, build(model.Add, key, strconv.AppendInt(nil, n, 10), opts)))
}

// IfRevision has a set, delete or add take effect only if the key's revision is the given one
// when its place in the order has come; 0: only if the key has no value. Models 1 and 2 only: in
// the others nobody can know the newest revision.
func IfRevision(revision uint64) RequestOption {
	return func(r *Request) { r.HasIf, r.If = true, revision }
}

// WithTTL ends the value of a set when this time has passed: 1 s to 10 years, in whole
// milliseconds, rounded up. A later set of the key has the end that it says itself, or none.
func WithTTL(d time.Duration) RequestOption {
	return func(r *Request) { r.TTL = ttlOf(d) }
}

// ttlOf never makes a time that was asked for none at all: what is refused then says why.
func ttlOf(d time.Duration) uint64 {
	ms := d.Milliseconds()
	if d > time.Second && d%time.Millisecond > 0 { // it is never shorter than asked
		ms++
	}
	return uint64(max(ms, 1))
}

// conditional puts a condition before the caller's options, without changing their memory.
func conditional(revision uint64, opts []RequestOption) []RequestOption {
	return append([]RequestOption{IfRevision(revision)}, opts...)
}

// sum reads the result of an add.
func sum(result Result, err error) (int64, Result, error) {
	if err != nil {
		return 0, result, err
	}
	n, err := strconv.ParseInt(string(result.Value), 10, 64)
	if err != nil {
		return 0, result, &Error{Code: result.Code, Reason: "the reply's sum is no number", RID: result.RID, Unknown: true, Err: err}
	}
	return n, result, nil
}
