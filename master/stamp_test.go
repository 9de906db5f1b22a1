package master_test

import (
	"testing"

	"quartet/bus/model"
)

// A write of which a replica says that its stamp is older than what was collected is stamped
// anew, and sent again; what is said late of the first stamp changes nothing. A get that finds
// nothing is answered.
func TestO42AStampThatIsTooOldIsGivenAnew(t *testing.T) {
	o := ready(t, configured(3, 1))
	o.ask(at(1, id("x", in("eventual set a 1"))))
	first := o.only()
	stale := model.Answer{RID: first.RID, Code: model.NotFound, Timestamp: first.Version.Time}

	o.outcome(1, stale)
	o.expect()
	second := o.only()
	if second.RID != first.RID || !first.Version.Less(second.Version) {
		t.Fatalf("#%d of version %v becomes #%d of version %v", first.RID, first.Version, second.RID, second.Version)
	}
	o.outcome(2, stale)
	o.expect()
	if sent := o.forwarded(); len(sent) > 0 {
		t.Errorf("stamped once more: %v", sent)
	}
	o.pass(again)
	o.ask(at(2, id("x", in("eventual set a 1"))))
	if third := o.only(); third.Version != second.Version {
		t.Errorf("sent again it has version %v, and had %v", third.Version, second.Version)
	}
	o.outcome(1, model.Answer{RID: first.RID, Code: model.OK})
	o.expect("1 #1 200", "2 #1 200 repeated")

	o.ask(at(1, in("eventual get a")))
	o.outcome(1, model.Answer{RID: o.only().RID, Code: model.NotFound})
	o.expect("3 #2 404")
}
