package codec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/message"
)

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
		} else if diff := cmp.Diff(timeless(all[name]), back); diff != "" {
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

		want := a.full
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
