package codec

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/message"
	"quartet/bus/model"
)

// alone is one kind of value that may stand alone, for tests of all of them.
type alone struct {
	encode func(*Encoder, any) ([]byte, error)
	decode func(*Decoder, []byte) (any, error)
	full   any   // every field is set
	others []any // with as few fields as may be, among them
	bad    []any // must not be encoded
}

// byPointer is for those that are encoded from a pointer and decoded to a value.
func byPointer[T any](encode func(*Encoder, *T) ([]byte, error), decode func(*Decoder, []byte) (T, error)) alone {
	return alone{
		encode: func(e *Encoder, v any) ([]byte, error) {
			value := v.(T)
			return encode(e, &value)
		},
		decode: func(d *Decoder, b []byte) (any, error) { return decode(d, b) },
	}
}

func same[T any](encode func(*Encoder, T) ([]byte, error), decode func(*Decoder, []byte) (T, error)) alone {
	return alone{
		encode: func(e *Encoder, v any) ([]byte, error) { return encode(e, v.(T)) },
		decode: func(d *Decoder, b []byte) (any, error) { return decode(d, b) },
	}
}

func (a alone) with(full any, others, bad []any) alone {
	a.full, a.others, a.bad = full, others, bad
	return a
}

func values() map[string]alone {
	long := strings.Repeat("x", model.MaxKey+1)
	set := ending(11, model.Causal, "key1", "first")
	return map[string]alone{
		"data": same((*Encoder).EncodeData, (*Decoder).DecodeData).with(held()[0], []any{held()[1]},
			[]any{(*message.Data)(nil), &message.Data{}, &message.Data{Header: head(1), Ops: make([]message.Operation, 1)}}),
		"writes": same((*Encoder).EncodeWrites, (*Decoder).DecodeWrites).with(
			[]message.CausalWrite{{Number: 8, Request: set}, {Number: 9, Request: set}},
			[]any{[]message.CausalWrite(nil)}, []any{make([]message.CausalWrite, 1)}),
		"changes": same((*Encoder).EncodeChanges, (*Decoder).DecodeChanges).with(
			changes(), []any{[]message.Change(nil)}, []any{make([]message.Change, 1), []message.Change{{Kind: message.ChangeSet, Key: long}}}),
		"request": byPointer((*Encoder).EncodeRequest, (*Decoder).DecodeRequest).with(set,
			[]any{
				conditional(11, model.Sequential, "key1", "first"), listing(), watching(),
				message.Request{Request: model.NewGet(model.Sequential, "k")},
			},
			[]any{message.Request{}}),
		"executed": byPointer((*Encoder).EncodeExecuted, (*Decoder).DecodeExecuted).with(
			message.Executed{
				Identity: "id-1", RID: 11, Digest: 1<<64 - 1, Position: 512, Timestamp: 8, Key: "key1", Time: 9,
				Code: model.Failed, Revision: 511, Result: []byte("12"),
			},
			[]any{message.Executed{}}, []any{message.Executed{Key: long}, message.Executed{Identity: long}}),
		"record": byPointer((*Encoder).EncodeRecord, (*Decoder).DecodeRecord).with(epochRecord(),
			[]any{smallestRecord()}, []any{message.Record{}}),
		"keyrecord": byPointer((*Encoder).EncodeKeyRecord, (*Decoder).DecodeKeyRecord).with(keyRecords()[0],
			[]any{keyRecords()[1], keyRecords()[2]}, []any{message.KeyRecord{Key: "k"}, message.KeyRecord{Key: long, Kind: 1}}),
	}
}

func TestValuesGolden(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	all := values()
	for name, a := range all {
		file := filepath.Join("testdata", "value", name+".hex")
		for i, v := range append([]any{a.full}, a.others...) {
			b, err := a.encode(e, v)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b = bytes.Clone(b)

			back, err := a.decode(d, b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(v, back); diff != "" {
				t.Errorf("%s: (-encoded +decoded)\n%s", name, diff)
			}

			if i > 0 {
				continue
			}
			if *update {
				if err := os.WriteFile(file, dump(b), 0o644); err != nil {
					t.Fatal(err)
				}
			}

			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(golden, dump(b)) {
				t.Errorf("%s is encoded otherwise than %s says:\n%s", name, file, dump(b))
			}

			seen := make(map[string]bool)
			nonZero(reflect.ValueOf(back), name, seen)
			for path, ok := range seen {
				if !ok && !mayBeZero(path, seen) {
					t.Errorf("%s is zero in every place", path)
				}
			}
		}
	}

	files, err := filepath.Glob("testdata/value/*.hex")
	if err != nil || len(files) != len(all) {
		t.Errorf("%d golden files of %d values: %v", len(files), len(all), err)
	}
}

// A value that is damaged, of another version or followed by anything is refused whole.
func TestValuesRefused(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for name, a := range values() {
		b, err := a.encode(e, a.full)
		if err != nil {
			t.Fatal(err)
		}
		good := bytes.Clone(b)

		refused := func(what string, b []byte) {
			t.Helper()
			if v, err := a.decode(d, b); !errors.Is(err, ErrMessage) || !reflect.ValueOf(v).IsZero() {
				t.Errorf("%s %s: %+v, %v", name, what, v, err)
			}
		}

		for n := range good {
			refused("cut short", good[:n])
		}
		refused("with a byte more", append(bytes.Clone(good), 0))

		for _, version := range []byte{0, 1, valueVersion + 1} {
			other := bytes.Clone(good)
			other[1] = version
			refused("of another version", other)
		}
		if name != "data" { // all others have fewer fields in it, and its requests do
			refused("of the version before", append([]byte{good[0], valueWithoutRevisions}, good[2:]...))
		}
		refused("of the oldest version", append([]byte{good[0], oldestValueVersion}, good[2:]...))
		three := append(bytes.Clone(good), 0)
		three[0]++
		refused("with a field more", three)

		for other, o := range values() {
			if b, err := o.encode(e, o.full); other != name && err == nil {
				refused("made of a "+other, bytes.Clone(b))
			}
		}

		for _, v := range a.bad {
			if b, err := a.encode(e, v); !errors.Is(err, ErrMessage) || b != nil {
				t.Errorf("%s: %+v was encoded: %x, %v", name, v, b, err)
			}
		}

		if _, err := a.decode(d, good); err != nil {
			t.Errorf("after all that, a good %s: %v", name, err)
		}
	}
}

// A disk's memory is its own once the read is over.
func TestValuesOwnTheirMemory(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for name, a := range values() {
		b, err := a.encode(e, a.full)
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Clone(b)
		back, err := a.decode(d, b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(a.full, back); diff != "" {
			t.Errorf("%s changed with the buffer: %s", name, diff)
		}
	}
}

// No value's decoder panics, and what one accepts it reads the same again. Each input is
// given to all of them.
func FuzzDecodeValue(f *testing.F) {
	all := values()
	seeds := NewEncoder()
	for _, a := range all {
		for _, v := range append([]any{a.full}, a.others...) {
			b, err := a.encode(seeds, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.Clone(b))
		}
	}

	e, d := NewEncoder(), NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, a := range all {
			v, err := a.decode(d, b)
			if err != nil {
				if !errors.Is(err, ErrMessage) || !reflect.ValueOf(v).IsZero() || len(err.Error()) > 300 {
					t.Fatalf("%s: %v, %v", name, v, err)
				}
				continue
			}

			encoded, err := a.encode(e, v)
			if err != nil {
				t.Fatalf("%s: decoded but not encoded: %+v: %v", name, v, err)
			}
			if d.revisions && len(encoded) > len(b) { // what an older one lacks makes it longer
				t.Fatalf("%s: the shortest form has %d bytes, what was read %d", name, len(encoded), len(b))
			}

			again, err := a.decode(d, bytes.Clone(encoded))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(v, again); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	})
}
