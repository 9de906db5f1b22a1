package bus

import (
	"quartet/bus/model"
)

// The fields of a condition of a txn beside those of a request, as bits.
const (
	fieldRevision = fieldFrom << (1 + iota)
	fieldExists
)

// elements reads an array of maps, each by read.
func (w *walker) elements(list string, read func(i int) error) (int, error) {
	n, err := w.in.ArrayLen()
	switch {
	case err != nil:
		return 0, wrong(err, "field %s is no array", list)
	case n > model.MaxSteps:
		return 0, tooMany(list, n)
	}
	for i := range n {
		if err := read(i); err != nil {
			return 0, within(list, i, err)
		}
	}
	return n, nil
}

func (w *walker) checks() (checks []model.Check, err error) {
	_, err = w.elements("if", func(int) error {
		c, err := w.check()
		checks = append(checks, c)
		return err
	})
	return checks, err
}

// check reads one condition.
func (w *walker) check() (c model.Check, err error) {
	n, err := w.in.MapLen()
	if err != nil {
		return c, wrong(err, "it is no map")
	}

	seen := 0
	for ; n > 0 && err == nil; n-- {
		var name string
		if name, err = w.str("a field's name"); err != nil {
			return c, err
		}
		bit := checkBit(name)
		if err := once(&seen, bit, name); err != nil {
			return c, err
		}

		switch bit {
		case fieldKey:
			c.Key, err = w.str("field key")
		case fieldRevision:
			c.HasRevision = true
			c.Revision, err = w.uint("field revision")
		case fieldExists:
			c.HasExists = true
			if c.Exists, err = w.in.Bool(); err != nil {
				err = wrong(err, "field exists is no boolean")
			}
		case fieldValue:
			c.HasValue = true
			c.Value, err = w.bytes("field value", true)
		}
	}
	return c, err
}

// checkBit is 0 for what is no field of a condition.
func checkBit(name string) int {
	switch name {
	case "key":
		return fieldKey
	case "revision":
		return fieldRevision
	case "exists":
		return fieldExists
	case "value":
		return fieldValue
	}
	return 0
}

// stepBit is 0 for what is no field of a step.
func stepBit(name string) int {
	switch bit := fieldBit(name); bit {
	case fieldRequest, fieldKey, fieldValue, fieldIfRevision, fieldTTL:
		return bit
	}
	return 0
}

// once refuses a field that is not known, or seen already.
func once[T string | []byte](seen *int, bit int, name T) error {
	if bit == 0 {
		return malformed("unknown field %s", quote(name))
	}
	if *seen&bit != 0 {
		return malformed("field %s is repeated", name)
	}
	*seen |= bit
	return nil
}

func (w *walker) steps(list string) (steps []model.Step, err error) {
	_, err = w.elements(list, func(int) error {
		s, err := w.step()
		steps = append(steps, s)
		return err
	})
	return steps, err
}

// step reads one operation of a txn: a map as of a request.
func (w *walker) step() (model.Step, error) {
	n, err := w.in.MapLen()
	if err != nil {
		return model.Step{}, wrong(err, "it is no map")
	}
	var d draft
	for ; n > 0; n-- {
		name, err := w.str("a field's name")
		if err != nil {
			return model.Step{}, err
		}
		bit := stepBit(name)
		if err := once(&d.seen, bit, name); err != nil {
			return model.Step{}, err
		}
		if err := w.fieldValue(&d, bit); err != nil {
			return model.Step{}, err
		}
	}
	return d.step()
}

// step makes a step of a draft of which all fields are read.
func (d *draft) step() (model.Step, error) {
	d.Model, d.seen = model.Linearizable, d.seen|fieldConsistency // of the txn
	if d.seen&fieldRequest != 0 && !d.Type.HasKey() {
		return model.Step{}, malformed("a txn is made of set, get, delete and add")
	}
	if err := d.finish(); err != nil {
		return model.Step{}, err
	}
	return d.Step(), nil
}
