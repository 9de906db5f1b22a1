package master_test

import (
	"testing"

	"quartet/bus/message"
	"quartet/bus/model"
)

// F11: what a member has delivered by the cut of a record is told to no client before all members
// have installed that record: it may be lost, and the cut of another one may leave the request out.
func TestF11WhatACutBroughtIsToldOnceItsRecordStands(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, in("linearizable set a 1")))
	o.lost(3)
	o.wedged(0, 1, 2)
	o.decide()

	h := o.from(1)
	o.step(&message.Installed{Header: h},
		&message.Answers{Header: h, Answers: []message.Answer{{Answer: model.Answer{RID: 1, Code: model.OK, Position: 1}}}})
	o.expect()
	o.step(&message.Installed{Header: o.from(2)})
	o.expect("1 #1 200")
	if got := o.forwarded(); len(got) != 0 {
		t.Errorf("it is sent again: %v", got)
	}
}
