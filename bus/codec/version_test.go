package codec

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/message"
	"quartet/bus/model"
)

// unrevised is a message or a value without what came with the revisions of version 5.
func unrevised[T any](x T) T {
	v := reflect.ValueOf(&x).Elem()
	forgetRevisions(v)
	return x
}

func forgetRevisions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		inner := reflect.New(v.Elem().Type()).Elem()
		inner.Set(v.Elem())
		forgetRevisions(inner)
		v.Set(inner)
		return
	case reflect.Pointer:
		if !v.IsNil() {
			forgetRevisions(v.Elem())
		}
		return
	case reflect.Slice:
		for i := range v.Len() {
			forgetRevisions(v.Index(i))
		}
		return
	case reflect.Struct:
	default:
		return
	}

	for i := range v.NumField() {
		forgetRevisions(v.Field(i))
	}
	switch x := v.Addr().Interface().(type) {
	case *message.Forward:
		x.Requests = slices.DeleteFunc(x.Requests, func(r message.Request) bool { return r.Type == model.List || r.Type == model.Watch })
	case *message.Data:
		x.Ops = slices.DeleteFunc(x.Ops, func(o message.Operation) bool { return o.Op >= message.OpEnd })
	case *message.Request:
		x.HasIf, x.If, x.TTL, x.Wall, x.Range, x.Watcher = false, 0, 0, 0, nil, nil
	case *message.Pull:
		x.Changes = 0
	case *message.Gap:
		x.Of = 0
	case *message.Fill:
		x.Data = nil
	case *message.Prepare:
		x.Cut = nil
	case *message.Chunk:
		x.Changes = message.Changes{Since: x.Position, To: x.Position}
		x.Removed, x.Collection = nil, message.Collection{}
	case *model.Answer:
		x.HasRevision, x.Revision, x.Expires = false, 0, 0
	case *message.Executed:
		x.Code, x.Revision, x.Result = 0, 0, nil
	case *message.KeyRecord:
		x.Revision, x.Expires = message.LeastRevision, 0
	case *message.Record:
		x.Level = 0
	case *message.Report:
		x.Tombstones, x.Collected = 0, 0
	}
}

// Messages of version 4 are read: there are no revisions then, and what a key holds has the least.
func TestMessagesWithoutRevisionsAreRead(t *testing.T) {
	all, d := samples(), NewDecoder()
	files, err := filepath.Glob("testdata/version4/*.hex")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".hex")
		b := undump(t, golden)
		back, err := d.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(unrevised(all[name]), back); diff != "" {
			t.Errorf("%s: (-sent +received)\n%s", name, diff)
		}
		at := 1
		if b[0] == 0xdc { // a longer head
			at = 3
		}
		b[at] = Version // with the fields of version 4
		if _, err := d.Decode(b); err == nil {
			t.Errorf("%s of version %d without revisions was read", name, Version)
		}
	}
}

// So are values: disks keep what an older build wrote.
func TestValuesWithoutRevisionsAreRead(t *testing.T) {
	d := NewDecoder()
	for name, a := range values() {
		if name == "changes" { // there were none
			continue
		}
		golden, err := os.ReadFile(filepath.Join("testdata", "version4", "value", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		back, err := a.decode(d, undump(t, golden))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(unrevised(a.full), back); diff != "" {
			t.Errorf("%s: (-written +read)\n%s", name, diff)
		}
	}
}

// timeless is a message without what came with the times of version 4.
func timeless(m message.Message) message.Message {
	switch m := m.(type) {
	case *message.Forward:
		m.Time = 0
		for i := range m.Requests {
			m.Requests[i].First = 0
		}
		timelessWrites(m.Writes)
	case *message.Data:
		m.Time = 0
		for i := range m.Ops {
			m.Ops[i].Request.First = 0
		}
	case *message.Fill:
		timelessWrites(m.Writes)
	case *message.Chunk:
		m.Order = message.OrderTime{}
		for i := range m.Entries {
			m.Entries[i].Time = 0
		}
		for _, d := range m.Data {
			timeless(d)
		}
		timelessWrites(m.Writes)
	}
	return m
}

func timelessWrites(writes []message.CausalWrite) {
	for i := range writes {
		writes[i].Request.First = 0
	}
}

// Messages of version 3 are read, and times are then not known.
func TestMessagesWithoutTimesAreRead(t *testing.T) {
	all, d := samples(), NewDecoder()
	for _, name := range []string{"forward", "forward_empty", "data", "data_empty", "fill", "chunk", "chunk_empty"} {
		golden, err := os.ReadFile(filepath.Join("testdata", "version3", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		b := undump(t, golden)
		back, err := d.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(timeless(unrevised(all[name])), back); diff != "" {
			t.Errorf("%s: (-sent +received)\n%s", name, diff)
		}
		at := 1
		if b[0] == 0xdc { // a longer head
			at = 3
		}
		b[at] = Version // with the fields of version 3
		if _, err := d.Decode(b); err == nil {
			t.Errorf("%s of version %d without times was read", name, Version)
		}
	}
}

// So are values: disks keep what an older build wrote.
func TestValuesWithoutTimesAreRead(t *testing.T) {
	d := NewDecoder()
	for name, a := range values() {
		golden, err := os.ReadFile(filepath.Join("testdata", "version3", "value", name+".hex"))
		if os.IsNotExist(err) {
			continue // a record has a test of its own, and the record of a key has not changed
		}
		if err != nil {
			t.Fatal(err)
		}

		back, err := a.decode(d, undump(t, golden))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}

		want := unrevised(a.full)
		switch v := want.(type) {
		case *message.Data:
			want = timeless(v)
		case []message.CausalWrite:
			timelessWrites(v)
		case message.Request:
			v.First = 0
			want = v
		case message.Executed:
			v.Time = 0
			want = v
		}

		if diff := cmp.Diff(want, back); diff != "" {
			t.Errorf("%s: (-written +read)\n%s", name, diff)
		}
	}
}
