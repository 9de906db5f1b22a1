package requestfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"quartet/bus"
	"quartet/bus/model"
)

func TestParse(t *testing.T) {
	file := "\ufeff# a comment\n\n1, 1, key1 ::: first\r\n  \t\n  # another\n4,get,a,b\nCausal , SET ,k:::\n2, 1, k ::: a ::: b, c"
	got, err := Parse("f", strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []Request{
		{bus.Request{Request: model.NewSet(1, "key1", []byte("first"))}, "f", 3},
		{bus.Request{Request: model.NewGet(4, "a,b")}, "f", 6},
		{bus.Request{Request: model.NewSet(3, "k", []byte{})}, "f", 7},
		{bus.Request{Request: model.NewSet(2, "k", []byte("a ::: b, c"))}, "f", 8},
	}
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("got\n%#v\nwant\n%#v", got, want)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		line   string
		column int
		reason string
	}{
		{"5, 1, a ::: b", 1, "unknown consistency"},
		{"  strong, 1, a ::: b", 3, "want 1 linearizable, 2 sequential, 3 causal or 4 eventual"},
		{"1", 2, "no comma after the consistency"},
		{"1, remove, a", 4, "want 1 set, 2 get, 3 delete"},
		{"1, txn, a", 4, "no text form"},
		{"1, add, n", 10, "key and a value with :::"},
		{"1, add, n ::: x", 9, "whole number"},
		{"3, add, n ::: 1", 9, "no add in model causal"},
		{`{"consistency":1,"request":"txn"}`, 1, "does nothing"},
		{`{"consistency":1,"request":3,"key":"k","id":"x"}`, 1, "no id, client"},
		{`{"consistency":3,"request":3,"key":"k","if_revision":1}`, 1, "no condition in model causal"},
		{`{"consistency":1`, 1, "cut short"},
		{"1, 2", 5, "no comma after the request"},
		{"1, 1, key = value", 18, "key and a value with :::"},
		{"1, 1, ::: value", 7, "empty key"},
		{"1, 2,", 6, "empty key"},
		{"1, 2,   ", 6, "empty key"},
		{"1, 2, a\x01b", 7, "control character"},
		{"1, 2, " + strings.Repeat("k", model.MaxKey+1), 7, "at most 1024"},
		{"é, 1, a ::: b", 1, "expected a consistency"},
		{"\x84abc", 1, "expected a consistency"},
		{" é, 1, a ::: b", 2, "unknown consistency"},
		{"1, é, a ::: b", 4, "unknown request"},
		{"linearizable, get, \xff", 20, "not UTF-8"},
	} {

		_, err := Parse("name", strings.NewReader("# first\n"+test.line+"\n1, 2, fine\n"))
		var mistake *Error
		if !errors.As(err, &mistake) || !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: error %v is no mistake", test.line, err)
			continue
		}

		if mistake.Line != 2 || mistake.Column != test.column || !strings.Contains(mistake.Reason, test.reason) {
			t.Errorf("%q: %v, want column %d and %q", test.line, mistake, test.column, test.reason)
		}
		if want := fmt.Sprintf("name:2:%d: ", test.column); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %q does not begin with %q", test.line, err, want)
		}
	}
}

func TestMistakesAreCollectedAndBounded(t *testing.T) {
	got, err := Parse("f", strings.NewReader("1, 2, fine\n"+strings.Repeat("bad\n", 50)))
	if len(got) != 0 || err == nil {
		t.Fatalf("%d requests, error %v", len(got), err)
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != maxErrors {
		t.Errorf("%d mistakes reported, want %d", n, maxErrors)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}

	write("here", "1, 2, disk\n")
	write("a, b", "1, 2, comma\n")
	write(filepath.Join(Folder, "linear1"), "1, 2, folder\n")
	write(filepath.Join(Folder, "here"), "1, 2, hidden\n")
	write("bad", "1, 2, k\n1, 9, k\n")
	if err := os.MkdirAll("seq1", 0o777); err != nil {
		t.Fatal(err)
	}

	l := Loader{Builtin: fstest.MapFS{
		"linear1": {Data: []byte("1, 2, hidden\n")},
		"seq1":    {Data: []byte("2, 2, builtin\n")},
		"dir/x":   {Data: []byte("2, 2, builtin\n")},
	}}

	for argument, key := range map[string]string{
		"1, 2, k,x":        "k,x",
		"1, 1, k ::: a\nb": "k",
		"1, delete, k":     "k",
		"4, list, ":        "",
		"2, add, n ::: 7":  "n",

		`{"consistency":1,"request":1,"key":"j","value":" v ","ttl":"5m","if_revision":0}`: "j",
		`{"consistency":1,"request":6,"then":[{"request":"add","key":"n","value":1}]}`:     "",
		"here":    "disk",
		"./here":  "disk",
		"a, b":    "comma",
		"linear1": "folder",
		"seq1":    "builtin",
	} {
		got, err := l.Load("argument 1", argument)
		if err != nil || len(got) != 1 || got[0].Key != key {
			t.Errorf("%q: %v, %v, want key %q", argument, got, err, key)
		}
	}

	for argument, want := range map[string]error{
		"nowhere": ErrNoFile, "../up": ErrNoFile, "dir": ErrNoFile, "": ErrNoFile, "x\x00y": ErrNoFile,
		"1, 1, no separator": ErrMalformed, "9, 1, a ::: b": ErrMalformed, "bad": ErrMalformed,
		"1, 8, " + strings.Repeat("n", 300): ErrMalformed,
	} {
		if got, err := l.Load("argument 7", argument); !errors.Is(err, want) || got != nil {
			t.Errorf("%q: %v, %v, want %v", argument, got, err, want)
		}
	}

	_, err := l.Load("argument 7", "1, 1, no separator")
	if want := "argument 7, column 19: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v does not begin with %q", err, want)
	}
}

// The eight files of the original, word for word.
func TestTheEightFiles(t *testing.T) {
	sets := []string{"key1 ::: first", "key2 ::: second", "key3 ::: third", "key1 ::: firstOW", "key1 ::: firstOOW"}
	gets := []string{"key1", "key3", "key2", "key1"}
	dir := os.DirFS("../../testdata/requests")
	for _, c := range model.All {
		name := map[model.Consistency]string{1: "linear", 2: "seq", 3: "causal", 4: "event"}[c]
		lines := func(request int, parts []string) (s string) {
			for _, part := range parts {
				s += fmt.Sprintf("%d, %d, %s\n", c, request, part)
			}
			return s
		}
		for file, want := range map[string]string{
			name + "1": lines(1, sets) + lines(2, gets),
			name + "2": lines(2, gets) + lines(1, sets),
		} {
			got, err := fs.ReadFile(dir, file)
			if err != nil || string(got) != want {
				t.Errorf("%s holds %q (%v), want %q", file, got, err, want)
			}
			if requests, err := (Loader{Builtin: dir}).Load("argument 1", file); err != nil || len(requests) != 9 {
				t.Errorf("%s: %d requests, %v", file, len(requests), err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1, 1, key ::: value\n# x\n4,2,k")
	f.Add("\x84\xa1k\n1,,\n")
	f.Add("{\"consistency\":1,\"request\":6,\"then\":[{\"request\":\"add\",\"key\":\"n\",\"value\":1}]}\n1, add, n ::: +7")
	f.Fuzz(func(t *testing.T, text string) {
		requests, err := Parse("f", strings.NewReader(text))
		if err != nil && requests != nil {
			t.Fatal("requests beside an error")
		}
		for _, r := range requests {
			if err := bus.Check(&r.Request.Request); err != nil {
				t.Fatalf("line %d was accepted: %v", r.Line, err)
			}
		}
	})
}
