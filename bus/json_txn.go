package bus

import (
	"bytes"
	"encoding/json"
	"strconv"

	"quartet/bus/model"
)

// jsonChecks reads the conditions of a txn.
func jsonChecks(raw json.RawMessage) (checks []model.Check, err error) {
	err = jsonElements("if", raw, func(element json.RawMessage) error {
		c, err := jsonCheck(element)
		checks = append(checks, c)
		return err
	})
	return checks, err
}

func jsonCheck(raw json.RawMessage) (c model.Check, err error) {
	seen := 0
	err = jsonFields(raw, func(name string, raw json.RawMessage) error {
		bit := checkBit(name)
		if name == "value_base64" {
			bit = fieldValue
		}
		if err := once(&seen, bit, name); err != nil {
			return err
		}

		var err error
		switch bit {
		case fieldKey:
			c.Key, err = jsonString(name, raw)
		case fieldRevision:
			var digits string
			if digits, err = jsonNumber(name, raw); err == nil {
				c.HasRevision = true
				c.Revision, err = strconv.ParseUint(digits, 10, 64)
			}
		case fieldExists:
			if raw[0] != 't' && raw[0] != 'f' {
				return malformed("field %s is neither true nor false", name)
			}
			c.HasExists, c.Exists = true, raw[0] == 't'
		case fieldValue:
			if isNumber(raw) {
				return malformed("field %s is no string", name)
			}
			c.HasValue = true
			c.Value, _, err = jsonValue(name, raw)
		}
		return err
	})
	return c, err
}

// jsonSteps reads the operations of a txn.
func jsonSteps(list string, raw json.RawMessage) (steps []model.Step, err error) {
	err = jsonElements(list, raw, func(element json.RawMessage) error {
		var d draft
		err := jsonFields(element, func(name string, raw json.RawMessage) error {
			bit := stepBit(name)
			if name == "value_base64" {
				bit = fieldValue
			}
			if err := d.once(bit, name); err != nil {
				return err
			}
			return d.part(name, bit, raw)
		})
		if err != nil {
			return err
		}
		s, err := d.step()
		steps = append(steps, s)
		return err
	})
	return steps, err
}

// jsonElements walks an array.
func jsonElements(list string, raw json.RawMessage, read func(json.RawMessage) error) error {
	if raw[0] != '[' {
		return malformed("field %s is no array", list)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return errJSON(raw, err)
	}
	for i := 0; dec.More(); i++ {
		if i >= model.MaxSteps {
			return malformed("a txn with more than %d elements in %s", model.MaxSteps, list)
		}
		var element json.RawMessage
		if err := dec.Decode(&element); err != nil {
			return errJSON(raw, err)
		}
		if err := read(element); err != nil {
			return within(list, i, err)
		}
	}
	return nil
}

// jsonFields walks an object.
func jsonFields(raw json.RawMessage, read func(name string, value json.RawMessage) error) error {
	if raw[0] != '{' {
		return malformed("it is no object")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return errJSON(raw, err)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return errJSON(raw, err)
		}
		name, ok := token.(string)
		if !ok {
			return malformed("no JSON: a field's name is no string")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return errJSON(raw, err)
		}
		if err := read(name, value); err != nil {
			return err
		}
	}
	return nil
}
