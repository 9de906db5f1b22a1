package bus

import (
	"errors"

	"quartet/bus/codec"
	"quartet/bus/model"
)

// PackTransaction makes the value of a Txn, as package codec writes it, of a transaction that keeps
// all rules. The error is an [*Error].
func PackTransaction(t *model.Transaction) ([]byte, error) {
	if err := checkTransaction(t); err != nil {
		return nil, err
	}
	b, err := codec.AppendTransaction(nil, t)
	if err != nil {
		return nil, malformed("%s", oneLine(err.Error()))
	}
	return b, checkSize(0, len(b))
}

// checkPacked refuses the value of a Txn that is no transaction, or one that breaks a rule.
func checkPacked(value []byte) error {
	t, err := codec.ParseTransaction(value)
	if err != nil {
		return malformed("%s", oneLine(err.Error()))
	}
	return checkTransaction(&t)
}

func checkTransaction(t *model.Transaction) error {
	if len(t.If)+len(t.Then)+len(t.Else) == 0 {
		return malformed("a txn that does nothing: if, then and else are all empty")
	}
	for _, list := range [...]struct {
		name string
		n    int
	}{{"if", len(t.If)}, {"then", len(t.Then)}, {"else", len(t.Else)}} {
		if list.n > model.MaxSteps {
			return tooMany(list.name, list.n)
		}
	}

	for i := range t.If {
		if err := checkCheck(&t.If[i]); err != nil {
			return within("if", i, err)
		}
	}
	for i := range t.Then {
		if err := checkStep(&t.Then[i]); err != nil {
			return within("then", i, err)
		}
	}
	for i := range t.Else {
		if err := checkStep(&t.Else[i]); err != nil {
			return within("else", i, err)
		}
	}
	return nil
}

func tooMany(list string, n int) error {
	return malformed("a txn with %d elements in %s (at most %d)", n, list, model.MaxSteps)
}

// within says where in a transaction something is wrong.
func within(list string, index int, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	inner := malformed("element %d of %s: %s", index, list, e.Reason).(*Error)
	inner.Code = e.Code
	return inner
}

func checkCheck(c *model.Check) error {
	given := 0
	for _, one := range [...]bool{c.HasRevision, c.HasExists, c.HasValue} {
		if one {
			given++
		}
	}
	if given != 1 {
		return malformed("a condition takes one of the fields revision, exists and value (or value_base64)")
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	return checkSize(len(c.Key), len(c.Value))
}

// checkStep applies the rules of a request of that type.
func checkStep(s *model.Step) error {
	switch {
	case !s.Type.Valid() || !s.Type.HasKey():
		return malformed("a txn is made of set, get, delete and add")
	case takesValue(s.Type) && s.Value == nil:
		return malformed("field value is missing in %s", article(s.Type))
	}
	r := s.Request(model.Linearizable)
	return Check(&r)
}
