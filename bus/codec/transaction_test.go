package codec

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/model"
)

// inner is one kind of value that stands in the value of a request or an answer.
type inner struct {
	write func(dst []byte, v any) ([]byte, error)
	read  func([]byte) (any, error)
	full  any   // every field is set somewhere
	least any   // as few as may be
	bad   []any // must not be written
}

func innerOf[T any](write func([]byte, *T) ([]byte, error), read func([]byte) (T, error), full, least T, bad ...T) inner {
	x := inner{
		write: func(dst []byte, v any) ([]byte, error) {
			value := v.(T)
			return write(dst, &value)
		},
		read: func(b []byte) (any, error) { return read(b) },
		full: full, least: least,
	}
	for _, v := range bad {
		x.bad = append(x.bad, v)
	}
	return x
}

func transaction() model.Transaction {
	return model.Transaction{
		If: []model.Check{
			{Key: "a", HasRevision: true, Revision: 1<<64 - 1}, {Key: "b", HasExists: true}, {Key: "b", HasExists: true, Exists: true},
			{Key: "c", HasValue: true, Value: []byte("x\x00\xff")}, {Key: "c", HasValue: true, Value: []byte{}},
		},
		Then: []model.Step{
			{Type: model.Set, Key: "a", Value: []byte("1"), HasIf: true, If: 17, TTL: 90_000}, {Type: model.Get, Key: "ключ"},
			{Type: model.Set, Key: strings.Repeat("k", model.MaxKey), Value: []byte{}},
		},
		Else: []model.Step{
			{Type: model.Delete, Key: "a", HasIf: true},
			{Type: model.Add, Key: "n", Value: []byte("-7"), HasIf: true, If: 3},
			{Type: model.Set, Key: "a", Value: []byte("2"), TTL: 1000},
		},
	}
}

func inners() map[string]inner {
	long := strings.Repeat("k", model.MaxKey+1)
	big := make([]byte, model.MaxKeyValue)
	check := func(c model.Check) model.Transaction { return model.Transaction{If: []model.Check{c}} }
	step := func(s model.Step) model.Transaction { return model.Transaction{Else: []model.Step{s}} }
	item := func(x model.Item) model.Page { return model.Page{Items: []model.Item{x}} }

	return map[string]inner{
		"transaction": innerOf(AppendTransaction, ParseTransaction, transaction(), model.Transaction{},
			model.Transaction{If: make([]model.Check, model.MaxSteps+1)}, model.Transaction{Then: make([]model.Step, model.MaxSteps+1)},
			check(model.Check{Key: "k"}), check(model.Check{HasExists: true}), check(model.Check{Key: long, HasExists: true}),
			check(model.Check{Key: "k", HasExists: true, HasRevision: true}), check(model.Check{Key: "k", HasExists: true, Revision: 1}),
			check(model.Check{Key: "k", HasRevision: true, Exists: true}), check(model.Check{Key: "k", HasValue: true}),
			check(model.Check{Key: "k", HasExists: true, Value: []byte("v")}), check(model.Check{Key: "k", HasValue: true, Value: big}),
			step(model.Step{Key: "k"}), step(model.Step{Type: model.Txn, Key: "k"}), step(model.Step{Type: model.List, Key: "k"}),
			step(model.Step{Type: model.Get}), step(model.Step{Type: model.Get, Key: long}), step(model.Step{Type: model.Set, Key: "k"}),
			step(model.Step{Type: model.Get, Key: "k", Value: []byte("v")}), step(model.Step{Type: model.Get, Key: "k", HasIf: true}),
			step(model.Step{Type: model.Delete, Key: "k", If: 1}), step(model.Step{Type: model.Delete, Key: "k", TTL: 1}),
			step(model.Step{Type: model.Set, Key: "k", Value: big}),
			step(model.Step{Type: model.Set, Key: "k", Value: []byte{}, TTL: model.MaxTTL + 1})),
		"results": innerOf(AppendResults, ParseResults,
			model.Results{Succeeded: true, Failed: 3, Results: []model.Result{
				{Code: model.OK, Value: []byte("1"), Revision: 17, Expires: 1_700_000_000_000}, {Code: model.NotFound},
				{Code: model.OK, Value: []byte{}},
			}}, model.Results{Failed: -1},
			model.Results{Failed: -2}, model.Results{Failed: model.MaxSteps},
			model.Results{Results: make([]model.Result, model.MaxSteps+1)},
			model.Results{Results: []model.Result{{Value: make([]byte, model.MaxKeyValue+1)}}}),
		"page": innerOf(AppendPage, ParsePage,
			model.Page{Next: strings.Repeat("n", model.MaxNext), Items: []model.Item{
				{Key: "a", HasValue: true, Value: []byte("1"), Revision: 17, Expires: 1_700_000_000_000, Timestamp: 9},
				{Key: "b", HasValue: true, Value: []byte{}}, {Key: "c"},
			}}, model.Page{},
			model.Page{Next: strings.Repeat("n", model.MaxNext+1)}, model.Page{Items: make([]model.Item, model.MaxPage+1)},
			item(model.Item{}), item(model.Item{Key: long}), item(model.Item{Key: "k", HasValue: true}),
			item(model.Item{Key: "k", Value: []byte("v")}),
			item(model.Item{Key: "k", HasValue: true, Value: big})),
	}
}

// What is written comes back, behind what stood there; no field is forgotten, and what may not be
// sent is not written.
func TestWhatStandsInAValueComesBack(t *testing.T) {
	for name, x := range inners() {
		for _, v := range []any{x.full, x.least} {
			b, err := x.write([]byte("before"), v)
			if err != nil || !bytes.HasPrefix(b, []byte("before")) {
				t.Fatalf("%s: %q, %v", name, b, err)
			}
			back, err := x.read(b[len("before"):])
			if diff := cmp.Diff(v, back); err != nil || diff != "" {
				t.Errorf("%s: %v (-written +read)\n%s", name, err, diff)
			}
		}

		seen := map[string]bool{}
		nonZero(reflect.ValueOf(x.full), name, seen)
		for path, set := range seen {
			if !set {
				t.Errorf("%s is zero in every place", path)
			}
		}

		for i, v := range x.bad {
			if b, err := x.write([]byte("before"), v); !errors.Is(err, ErrMessage) || string(b) != "before" {
				t.Errorf("%s, bad one %d was written: %d bytes, %v", name, i, len(b), err)
			}
		}
	}
}

// Whether a transaction writes is found without all of it being read, and as who reads it all finds
// it; what is none is said to write.
func TestWhetherATransactionWrites(t *testing.T) {
	all := transaction()
	gets := []model.Step{{Type: model.Get, Key: "a"}, {Type: model.Get, Key: "b"}}
	for want, list := range map[bool][]model.Transaction{
		true: {
			all, {Then: all.Then}, {Else: all.Else}, {Then: gets, Else: all.Then},
			{If: all.If, Then: append(gets[:2:2], all.Then[2])}, {Then: []model.Step{{Type: model.Delete, Key: "k"}}},
		},
		false: {{}, {If: all.If}, {Then: gets}, {If: all.If, Then: gets, Else: gets}, {Else: gets}},
	} {
		for i := range list {
			b, err := AppendTransaction(nil, &list[i])
			if err != nil {
				t.Fatal(err)
			}
			if got := TransactionWrites(b); got != want || got != list[i].Writes() {
				t.Errorf("%v: it writes: %t", list[i], got)
			}
			for n := range b {
				if _, err := ParseTransaction(b[:n]); err != nil && !TransactionWrites(b[:n]) {
					t.Errorf("%v cut to %d bytes is said to write nothing", list[i], n)
				}
			}
		}
	}
	const ofThePool = 2 // under the race detector a pool forgets what it holds now and then
	if allocs := testing.AllocsPerRun(100, func() { TransactionWrites(packedTransaction) }); allocs > ofThePool {
		t.Errorf("%.0f allocations", allocs)
	}
}

// packedTransaction is one of checks and gets.
var packedTransaction = func() []byte {
	all := transaction()
	b, _ := AppendTransaction(nil, &model.Transaction{If: all.If, Then: []model.Step{{Type: model.Get, Key: "a"}}})
	return b
}()

// The bytes stand on disks: they never change. Whatever is cut, padded or of another layout is
// refused whole, and what a newer version wrote is told from damage.
func TestWhatStandsInAValueIsRefusedWhole(t *testing.T) {
	const golden = "\x94\x01\x91\x93\xa1a\x02\xc2\x91\x95\x01\xa1k\xc4\x01v\x91\x11\xcd\x03\xe8\x91\x95\x07\xa1n\xc4\x02-7\x90\x00"
	one := model.Transaction{
		If:   []model.Check{{Key: "a", HasExists: true}},
		Then: []model.Step{{Type: model.Set, Key: "k", Value: []byte("v"), HasIf: true, If: 17, TTL: 1000}},
		Else: []model.Step{{Type: model.Add, Key: "n", Value: []byte("-7")}},
	}
	if b, err := AppendTransaction(nil, &one); err != nil || string(b) != golden {
		t.Errorf("%q, %v", b, err)
	}

	for name, x := range inners() {
		good, err := x.write(nil, x.full)
		if err != nil {
			t.Fatal(err)
		}
		for n := range good {
			if v, err := x.read(good[:n]); !errors.Is(err, ErrMessage) || !reflect.ValueOf(v).IsZero() {
				t.Fatalf("%s cut to %d bytes: %+v, %v", name, n, v, err)
			}
		}
		if _, err := x.read(append(bytes.Clone(good), 0)); !errors.Is(err, ErrMessage) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
		for byteOf, newer := range map[byte]bool{0: false, 2: true} {
			other := bytes.Clone(good)
			other[1] = byteOf
			if _, err := x.read(other); !errors.Is(err, ErrMessage) || errors.Is(err, ErrNewer) != newer {
				t.Errorf("%s of layout %d: %v", name, byteOf, err)
			}
		}
	}

	for name, b := range map[string]string{
		"129 checks":        "\x94\x01\xdc\x00\x81" + strings.Repeat("\x93\xa1a\x02\xc2", 129) + "\x90\x90",
		"kind 4 of a check": "\x94\x01\x91\x93\xa1a\x04\xc2\x90\x90",
		"exists as number":  "\x94\x01\x91\x93\xa1a\x02\x01\x90\x90",
		"value as nil":      "\x94\x01\x91\x93\xa1a\x03\xc0\x90\x90",
		"value as str":      "\x94\x01\x91\x93\xa1a\x03\xa1v\x90\x90",
		"step of type 263":  "\x94\x01\x90\x91\x95\xcd\x01\x07\xa1k\xc4\x011\x90\x00\x90",
		"two conditions":    "\x94\x01\x90\x91\x95\x01\xa1k\xc4\x011\x92\x01\x01\x00\x90",
		"nested deep":       "\x94\x01" + strings.Repeat("\x91", 100_000),
		"a map":             "\x84\x01\x90\x90\x90",
	} {
		if v, err := ParseTransaction([]byte(b)); !errors.Is(err, ErrMessage) || len(err.Error()) > 300 || !reflect.ValueOf(v).IsZero() {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// A declared length sizes no allocation that the bytes at hand don't back.
func TestDeclaredLengthsInValuesAllocateNothing(t *testing.T) {
	for name, read := range map[string]func() error{
		"checks":  func() error { _, err := ParseTransaction([]byte("\x94\x01\xdc\x00\x80\x93")); return err },
		"results": func() error { _, err := ParseResults([]byte("\x94\x01\xc3\x90\xdc\x00\x80\x94")); return err },
		"items": func() error {
			_, err := ParsePage([]byte("\x93\x01\xdc\x27\x10" + strings.Repeat("\x95", 100)))
			return err
		},
	} {
		if err := read(); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = read() }); n > 20 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// No reader panics, and what one accepts it reads the same again, from the shortest form.
func FuzzParseInner(f *testing.F) {
	all := inners()
	for _, x := range all {
		for _, v := range []any{x.full, x.least} {
			b, err := x.write(nil, v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		for name, x := range all {
			v, err := x.read(b)
			if err != nil {
				if !errors.Is(err, ErrMessage) || !reflect.ValueOf(v).IsZero() || len(err.Error()) > 300 {
					t.Fatalf("%s: %v, %v", name, v, err)
				}
				continue
			}
			shortest, err := x.write(nil, v)
			if err != nil || len(shortest) > len(b) {
				t.Fatalf("%s: %d bytes of %d, %v", name, len(shortest), len(b), err)
			}
			again, err := x.read(shortest)
			if diff := cmp.Diff(v, again); err != nil || diff != "" {
				t.Fatalf("%s: %v\n%s", name, err, diff)
			}
		}
	})
}

// ItemSize bounds what an item takes here; that of JSON is tested where that is written.
func TestItemSize(t *testing.T) {
	for _, x := range []model.Item{
		{Key: "k"}, {
			Key: strings.Repeat("k", model.MaxKey), HasValue: true, Value: make([]byte, 1000), Revision: 1 << 63,
			Expires: 1 << 63, Timestamp: 1 << 63,
		},
	} {
		b, err := AppendPage(nil, &model.Page{Items: []model.Item{x}})
		if err != nil || len(b) > ItemSize(&x) {
			t.Errorf("%d bytes, of at most %d: %v", len(b), ItemSize(&x), err)
		}
	}
}
