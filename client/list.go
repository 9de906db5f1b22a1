package client

import (
	"context"
	"iter"

	"quartet/bus/model"
)

// Item is a key of a list, with its value if that was asked for ([WithValues]).
type Item = model.Item

// WithValues has a list tell values, too.
func WithValues() RequestOption {
	return func(r *Request) { ranged(r).Values = true }
}

// WithPage bounds the keys of one page of a list: 1 to 10,000; without it 1,000. A page also ends
// where its values would come near 512 KiB.
func WithPage(keys int) RequestOption {
	return func(r *Request) { ranged(r).Limit = keys }
}

// FromPage has a list go on where a page that was asked for by itself ([Client.Do]) ended: its
// Result.Next. The pages of a list say by themselves whether they hold values.
func FromPage(next string) RequestOption {
	return func(r *Request) { ranged(r).From = next }
}

// ranged gives a request a range of its own.
func ranged(r *Request) *model.Range {
	own := model.Range{}
	if r.Range != nil {
		own = *r.Range
	}
	r.Range = &own
	return r.Range
}

// List tells the keys that begin with prefix ("": all), in byte order, each once. [With] names the
// model, by which it shows what that model's gets would; without it the list is linearizable.
//
// It is fetched page by page ([WithPage]), the next while the loop is at work with one, and all
// pages are of one cut: that of a moment after the list was asked for. Writes go on meanwhile and
// are not seen. The replica that serves the list keeps the cut for 60 s after each page, unless too
// much changes; if it is gone, or keeps it no more, the list ends with [ErrGone]: whoever wants to
// begins again. Any other error ends it, too, after the retries of a get.
func (c *Client) List(ctx context.Context, prefix string, opts ...RequestOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		r := build(model.List, prefix, nil, opts)
		r.packed = !r.Text
		ctx, cancel := context.WithCancel(ctx)
		next, err := c.Begin(ctx, r)
		defer func() {
			cancel()
			if next != nil { // a page that nobody wants any more
				_, _ = next.Wait(ctx)
			}
		}()

		for err == nil && next != nil {
			var result Result
			result, err = next.Wait(ctx)
			next = nil
			if err != nil {
				break
			}
			var page model.Page
			if page, err = pageOf(&result); err != nil {
				break
			}
			if page.Next != "" {
				ranged(&r).From = page.Next
				next, err = c.Begin(ctx, r)
			}
			if !give(&page, yield) {
				return
			}
		}
		if err != nil {
			yield(Item{}, err)
		}
	}
}

// List is [Client.List] within the session. Pages are fetched one after the other: a session has
// one request at a time.
func (s *Session) List(ctx context.Context, prefix string, opts ...RequestOption) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		r := build(model.List, prefix, nil, opts)
		r.packed = !r.Text
		for {
			result, err := s.Do(ctx, r)
			var page model.Page
			if err == nil {
				page, err = pageOf(&result)
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
			if !give(&page, yield) || page.Next == "" {
				return
			}
			ranged(&r).From = page.Next
		}
	}
}

// pageOf reads a page.
func pageOf(result *Result) (model.Page, error) {
	page, err := result.Page()
	if err != nil {
		return page, &Error{Code: result.Code, Reason: "the page cannot be read", RID: result.RID, Attempts: result.Attempts, Err: err}
	}
	if page.Next == "" {
		page.Next = result.Next
	}
	return page, nil
}

// give gives out the items of a page, and reports whether the loop goes on.
func give(page *model.Page, yield func(Item, error) bool) bool {
	for i := range page.Items {
		if !yield(page.Items[i], nil) {
			return false
		}
	}
	return true
}
