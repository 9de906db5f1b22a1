package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// reads are the ways to read one value. What is read is written out, so that one table has all.
var reads = map[string]func(*Reader) (string, error){
	"uint":  func(r *Reader) (string, error) { n, err := r.Uint(); return fmt.Sprint(n), err },
	"int":   func(r *Reader) (string, error) { n, err := r.Int(); return fmt.Sprint(n), err },
	"bool":  func(r *Reader) (string, error) { b, err := r.Bool(); return fmt.Sprint(b), err },
	"array": func(r *Reader) (string, error) { n, err := r.ArrayLen(); return fmt.Sprint(n), err },
	"map":   func(r *Reader) (string, error) { n, err := r.MapLen(); return fmt.Sprint(n), err },
	"str":   func(r *Reader) (string, error) { n, err := r.StrLen(); return fmt.Sprint(n), err },
	"bin":   func(r *Reader) (string, error) { n, err := r.BinLen(); return fmt.Sprint(n), err },
	"nil": func(r *Reader) (string, error) {
		if !r.Nil() {
			return "", r.refused()
		}
		return "nil", nil
	},
}

// Each form of a value is read as what the format says, and as nothing else: it is refused by
// every other way to read, and stays where it is.
func TestAValueIsReadAsItsTypeOnly(t *testing.T) {
	for form, want := range map[string]map[string]string{
		"\x00":                                 {"uint": "0", "int": "0"},
		"\x7f":                                 {"uint": "127", "int": "127"},
		"\xcc\xff":                             {"uint": "255", "int": "255"},
		"\xcc\x01":                             {"uint": "1", "int": "1"}, // longer than needed
		"\xcd\x01\x00":                         {"uint": "256", "int": "256"},
		"\xce\xff\xff\xff\xff":                 {"uint": "4294967295", "int": "4294967295"},
		"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff": {"uint": fmt.Sprint(math.MaxInt64), "int": fmt.Sprint(math.MaxInt64)},
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": {"uint": fmt.Sprint(uint64(math.MaxUint64)), "int": "-1"},

		"\xe0":                                 {"int": "-32"},
		"\xff":                                 {"int": "-1"},
		"\xd0\x05":                             {"int": "5"},
		"\xd0\x80":                             {"int": "-128"},
		"\xd1\x80\x00":                         {"int": "-32768"},
		"\xd2\x80\x00\x00\x00":                 {"int": "-2147483648"},
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00": {"int": fmt.Sprint(math.MinInt64)},

		"\xc0":                         {"nil": "nil"},
		"\xc2":                         {"bool": "false"},
		"\xc3":                         {"bool": "true"},
		"\xc1":                         {}, // never used
		"\xca\x00\x00\x00\x00":         {}, // float
		"\xcb\x00\x00\x00\x00\x00\x00": {},
		"\xc7\x00\x01":                 {}, // ext
		"\xd4\x01\x01":                 {},

		"\x80":                 {"map": "0"},
		"\x8f":                 {"map": "15"},
		"\xde\x01\x00":         {"map": "256"},
		"\xdf\xff\xff\xff\xff": {"map": "4294967295"}, // nobody has looked whether they are there
		"\x90":                 {"array": "0"},
		"\x9f":                 {"array": "15"},
		"\xdc\x01\x00":         {"array": "256"},
		"\xdd\xff\xff\xff\xff": {"array": "4294967295"},
		"\xa0":                 {"str": "0"},
		"\xbf":                 {"str": "31"},
		"\xd9\xff":             {"str": "255"},
		"\xda\x01\x00":         {"str": "256"},
		"\xdb\xff\xff\xff\xff": {"str": "4294967295"},
		"\xc4\x00":             {"bin": "0"},
		"\xc5\x01\x00":         {"bin": "256"},
		"\xc6\xff\xff\xff\xff": {"bin": "4294967295"},
	} {
		for name, read := range reads {
			r := NewReader()
			r.Reset([]byte(form + "rest"))
			got, err := read(r)

			result, readable := want[name]
			right := err == nil && got == result && r.Len() == len("rest")
			if !readable {
				right = errors.Is(err, ErrType) && r.Len() == len(form+"rest") && r.Code() == form[0]
			}
			if !right {
				t.Errorf("% x read as %s: %s, %v, %d bytes left; want %q", form, name, got, err, r.Len(), result)
			}
		}
	}
}

// What ends before a value is ErrEnd, what ends within its number or length the library's error.
func TestWhatIsCutShortIsTold(t *testing.T) {
	r := NewReader()
	for name, read := range reads {
		r.Reset(nil)
		if got, err := read(r); !errors.Is(err, ErrEnd) || r.Code() != NeverUsed {
			t.Errorf("%s of nothing: %s, %v", name, got, err)
		}
	}

	for name, form := range map[string]string{
		"uint": "\xcf\x01\x02\x03\x04\x05\x06\x07\x08", "int": "\xd2\x01\x02\x03\x04", "array": "\xdd\x00\x00\x00\x01",
		"map": "\xde\x00\x01", "str": "\xdb\x00\x00\x00\x01", "bin": "\xc5\x00\x01",
	} {
		for n := 1; n < len(form); n++ {
			r.Reset([]byte(form[:n]))
			_, err := reads[name](r)
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s of % x: %v", name, form[:n], err)
			}
		}
	}
}

// What is taken shares the memory of what is read, and has no room behind it; more than is left is
// not taken at all.
func TestTake(t *testing.T) {
	b := []byte("\xa3keyrest")
	r := Get(b)
	defer r.Put()

	n, err := r.StrLen()
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	for _, tooMany := range []int{-1, 8, math.MaxInt} {
		if got, ok := r.Take(tooMany); ok || got != nil || r.Len() != 7 {
			t.Errorf("take of %d: %q, %d bytes left", tooMany, got, r.Len())
		}
	}

	key, ok := r.Take(n)
	if !ok || string(key) != "key" || &key[0] != &b[1] || cap(key) != 3 {
		t.Errorf("%q, %v, capacity %d", key, ok, cap(key))
	}
	if got, ok := r.Take(0); !ok || len(got) != 0 {
		t.Errorf("take of nothing: %q, %v", got, ok)
	}
	if rest, ok := r.Take(4); !ok || string(rest) != "rest" || r.Len() != 0 {
		t.Errorf("the rest: %q, %v, %d bytes left", rest, ok, r.Len())
	}
}

// A reader that is kept allocates nothing, whatever length a sender declares.
func TestReadingAllocatesNothing(t *testing.T) {
	message := []byte("\x94\xcf\x01\x02\x03\x04\x05\x06\x07\x08\xc6\xff\xff\xff\xff")
	r := NewReader()
	n := testing.AllocsPerRun(100, func() {
		r.Reset(message)
		_, errArray := r.ArrayLen()
		_, errUint := r.Uint()
		n, errBin := r.BinLen()
		if _, ok := r.Take(n); ok || errArray != nil || errUint != nil || errBin != nil {
			t.Fatal(errArray, errUint, errBin)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever the bytes and the order of reads, nothing panics, what is refused stays, and what is
// read is what the library's own reader of any value finds there.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x94\x01\xa3key\xc4\x01v\xc0"), "array uint str bin nil")
	f.Add([]byte("\x82\xa1a\xc3\xa1b\xd0\xff"), "map str bool str int")
	f.Add([]byte("\xdb\xff\xff\xff\xff"), "uint str")

	f.Fuzz(func(t *testing.T, b []byte, script string) {
		before := bytes.Clone(b)
		r := Get(b)
		defer r.Put()
		for name := range strings.FieldsSeq(script) {
			read := reads[name]
			if read == nil {
				continue
			}
			rest := b[len(b)-r.Len():]
			got, err := read(r)
			switch {
			case errors.Is(err, ErrEnd) && len(rest) == 0:
			case errors.Is(err, ErrType) && len(rest) > 0 && r.Len() == len(rest):
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return
			case err != nil:
				t.Fatalf("%s of % x: %v, %d bytes left", name, rest, err, r.Len())
			case name == "str" || name == "bin":
				contents(t, r, rest)
			default:
				sameAsLibrary(t, name, got, rest)
			}
		}
		if !bytes.Equal(before, b) {
			t.Fatal("what is read was changed")
		}
	})
}

// contents takes the bytes of a str or bin, whose head rest begins with.
func contents(t *testing.T, r *Reader, rest []byte) {
	t.Helper()
	head := len(rest) - r.Len()
	n, err := msgpack.NewDecoder(bytes.NewReader(rest)).DecodeBytesLen()
	if err != nil || head < 1 || head > 5 {
		t.Fatalf("a head of %d bytes in % x: %v", head, rest, err)
	}

	there := n <= len(rest)-head
	got, ok := r.Take(n)
	if ok != there {
		t.Fatalf("took %q of % x", got, rest)
	}
	if ok && !bytes.Equal(got, rest[head:head+n]) {
		t.Fatalf("took %q of % x", got, rest)
	}
}

func sameAsLibrary(t *testing.T, name, got string, rest []byte) {
	t.Helper()
	d := msgpack.NewDecoder(bytes.NewReader(rest))
	var want any
	var err error
	switch name {
	case "array":
		want, err = d.DecodeArrayLen()
	case "map":
		want, err = d.DecodeMapLen()
	case "int":
		want, err = d.DecodeInt64()
	default:
		want, err = d.DecodeInterface()
	}
	if want == nil {
		want = "nil"
	}
	if err != nil || fmt.Sprint(want) != got {
		t.Fatalf("%s of % x is %s, for the library %v, %v", name, rest, got, want, err)
	}
}
