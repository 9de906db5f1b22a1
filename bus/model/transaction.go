package model

// Limits of a transaction.
const MaxSteps = 128 // of each of its three lists

// Transaction is what a Txn does at its place in the order: Then if all checks hold there, else
// Else; all of that or, where a step cannot be done, nothing.
type Transaction struct {
	If   []Check
	Then []Step
	Else []Step
}

// Check is a condition of a transaction: exactly one of the three is given.
type Check struct {
	Key         string
	HasRevision bool
	Revision    uint64 // as [Request.If]
	HasExists   bool
	Exists      bool // there is a value
	HasValue    bool
	Value       []byte // there is this value
}

// Step is an operation of a transaction: Set, Get, Delete or Add, with the fields of a [Request].
type Step struct {
	Type  Type
	HasIf bool
	Key   string
	Value []byte
	If    uint64
	TTL   uint64
}

// Request is the step as a request of its own under a model. It shares the value.
func (s *Step) Request(c Consistency) Request {
	return Request{Model: c, Type: s.Type, HasIf: s.HasIf, Key: s.Key, Value: s.Value, If: s.If, TTL: s.TTL}
}

// Step is the request, which is one for a single key, as a step of a transaction. It shares the
// value.
func (r *Request) Step() Step {
	return Step{Type: r.Type, HasIf: r.HasIf, Key: r.Key, Value: r.Value, If: r.If, TTL: r.TTL}
}

// Writes reports whether any step may change what a key holds. A transaction of gets alone is
// read like a get of its model, and has no place in the order.
func (t *Transaction) Writes() bool {
	for _, steps := range [...][]Step{t.Then, t.Else} {
		for i := range steps {
			if steps[i].Type.Writes() {
				return true
			}
		}
	}
	return false
}

// Results is what a transaction came to.
type Results struct {
	Succeeded bool // its checks held, and Then was done
	Failed    int  // the index of the step that could not be done, so that nothing was; -1: none
	Results   []Result
}

// List is the name of the list of which the steps are.
func (r *Results) List() string {
	if r.Succeeded {
		return "then"
	}
	return "else"
}

// FailedRevision is the revision of the key of the step that could not be done, 0: it has no value.
func (r *Results) FailedRevision() uint64 {
	last := len(r.Results) - 1
	if r.Failed < 0 || last < 0 {
		return 0
	}
	return r.Results[last].Revision
}

// Result is what a step of a transaction came to.
type Result struct {
	Code     Code   // OK, NotFound of a get, Failed of the step that could not be done
	Value    []byte // of a Get; of an Add the sum
	Revision uint64 // of what was read; 0: of nothing. What was written has the transaction's
	Expires  uint64 // as in [Answer]
}

// Page is a part of a list: keys in byte order.
type Page struct {
	Items []Item
	Next  string // where the next page begins; "": there is none
}

// Item is a key of a page.
type Item struct {
	Key       string
	HasValue  bool
	Value     []byte
	Revision  uint64 // 0: what a get would see is not committed yet (models 3 and 4)
	Expires   uint64 // as in [Answer]
	Timestamp uint64 // causal, as in [Answer]
}
