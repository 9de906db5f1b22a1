package message_test

import (
	"reflect"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// A difference in any field of a record is a difference.
func TestRecordsThatAreEqual(t *testing.T) {
	sample := func() message.Record {
		return message.Record{
			View:       message.View{Epoch: 1, Members: []message.Member{{Node: 1, Incarnation: 1, Life: 1}}, Faults: 1},
			Configured: []lamport.Node{1}, Missing: 1, Cut: []uint64{1}, High: 1, Start: 1, Master: 1, Nonce: 1,
			Since: 1, Cluster: 1, Lineage: []message.Ancestor{{Epoch: 1, Nonce: 1, High: 1, Position: 1}},
		}
	}
	r, same := sample(), sample()
	if !r.Equal(&same) {
		t.Error("equal records differ")
	}

	changed := 0
	var change func(path string, v reflect.Value, check func(path string))
	change = func(path string, v reflect.Value, check func(path string)) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(path+"."+v.Type().Field(i).Name, v.Field(i), check)
			}
		case reflect.Slice:
			change(path+"[0]", v.Index(0), check)
		case reflect.Int:
			v.SetInt(v.Int() + 1)
			check(path)
			v.SetInt(v.Int() - 1)
		default:
			v.SetUint(v.Uint() + 1)
			check(path)
			v.SetUint(v.Uint() - 1)
		}
	}
	change("record", reflect.ValueOf(&same).Elem(), func(path string) {
		if changed++; r.Equal(&same) {
			t.Errorf("another %s is not seen", path)
		}
	})
	if changed < 17 {
		t.Errorf("%d fields were changed", changed)
	}
}
