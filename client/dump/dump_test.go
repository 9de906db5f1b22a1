package dump_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"quartet/bus/model"
	"quartet/client/dump"
)

var taken = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// items are keys of a cut, and what is read back of them.
func items() ([]model.Item, []dump.Entry) {
	items := []model.Item{
		{Key: "a", HasValue: true, Value: []byte("text <&>"), Revision: 3},
		{Key: "b", HasValue: true, Value: []byte{0, 0xff, 1}, Revision: 4, Expires: 1800000000123},
		{Key: "c", HasValue: true, Value: []byte{}, Timestamp: 9},
		{Key: "ü", HasValue: true, Value: []byte("line\nend")},
	}
	entries := make([]dump.Entry, len(items))
	for i, x := range items {
		entries[i] = dump.Entry{Key: x.Key, Value: x.Value, Revision: x.Revision, Timestamp: x.Timestamp}
		if x.Expires > 0 {
			entries[i].Expires = time.UnixMilli(int64(x.Expires)).UTC()
		}
	}
	return items, entries
}

func backup(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := dump.NewWriter(&b, taken)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := items()
	for i := range all {
		if err := w.Add(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(17); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != int64(b.Len()) || w.Entries() != uint64(len(all)) {
		t.Errorf("%d bytes and %d keys are said, there are %d and %d", w.Bytes(), w.Entries(), b.Len(), len(all))
	}
	return b.Bytes()
}

func read(b []byte) (said dump.Backup, entries []dump.Entry, err error) {
	said, err = dump.ReadBackup(bytes.NewReader(b), func(e dump.Entry) error {
		entries = append(entries, e)
		return nil
	})
	return said, entries, err
}

func TestABackupIsReadAsItWasWritten(t *testing.T) {
	said, entries, err := read(backup(t))
	_, want := items()
	if err != nil || !reflect.DeepEqual(entries, want) {
		t.Errorf("%v\n%+v, want\n%+v", err, entries, want)
	}
	if want := (dump.Backup{Taken: taken, Entries: 4, Position: 17}); said != want {
		t.Errorf("%+v", said)
	}
}

// Whatever byte of a backup is missing, changed or doubled, it is refused.
func TestABrokenBackupIsRefused(t *testing.T) {
	whole := backup(t)
	refused := func(what string, b []byte) {
		t.Helper()
		_, _, err := read(b)
		if !errors.Is(err, dump.ErrBroken) && !errors.Is(err, dump.ErrNoBackup) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range len(whole) - 1 { // the last is the last line's end
		refused(fmt.Sprint("cut at ", i), whole[:i])
	}
	for i := range bytes.LastIndexByte(whole[:len(whole)-1], '\n') {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		refused(fmt.Sprint("changed at ", i), changed)
	}

	lines := bytes.SplitAfter(whole, []byte("\n"))
	refused("a line is missing", bytes.Join(append(lines[:2:2], lines[3:]...), nil))
	refused("something behind it", append(bytes.Clone(whole), lines[1]...))
	refused("two backups", append(bytes.Clone(whole), whole...))
	refused("an export", bytes.Join(lines[1:4], nil))
	refused("a newer one", bytes.Replace(whole, []byte(`backup":1`), []byte(`backup":2`), 1))
	refused("nothing", nil)
}

func TestLinesOfAnExport(t *testing.T) {
	for _, c := range []struct {
		line string
		want dump.Entry
		err  string // a part of it
	}{
		{line: `{"key":"k","value":"v"}`, want: dump.Entry{Key: "k", Value: []byte("v")}},
		{line: ` {"value_base64":"AP8=","key":"k","revision":7} `, want: dump.Entry{Key: "k", Value: []byte{0, 255}, Revision: 7}},
		{line: `{"key":"k","value":"","expires":"2027-01-15T08:00:00Z"}`,
			want: dump.Entry{Key: "k", Value: []byte{}, Expires: time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)}},
		{line: `{"key":"k"}`, err: "value_base64"},
		{line: `{"value":"v"}`, err: `"key"`},
		{line: `{"key":"k","value":"v","value_base64":"AA=="}`, err: "value_base64"},
		{line: `{"key":"k","valeu":"v"}`, err: "valeu"},
		{line: `{"key":"k","value":"v"} {}`, err: "behind the object"},
		{line: `{"key":"","value":"v"}`, err: "key"},
		{line: `{"key":"a:::b","value":"v"}`, err: ":::"},
		{line: `{"key":"k","value":"v","expires":"soon"}`, err: "expires"},
		{line: `{"key":"k","value":"` + strings.Repeat("v", model.MaxKeyValue) + `"}`, err: "524288"},
		{line: `key ::: value`, err: "not a line of an export"},
		{line: `{"quartet_backup":1,"taken":"2026-11-29T08:00:00Z"}`, err: "this is a backup"},
	} {
		got, err := dump.ParseLine([]byte(c.line))
		said := fmt.Sprint(err)
		if c.err != "" {
			if !strings.Contains(said, c.err) {
				t.Errorf("%.80s: %.200s, want %q", c.line, said, c.err)
			}
			continue
		}

		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.80s: %+v %v", c.line, got, err)
		}
	}
}

// A fault of an export names its line; empty lines count, and are passed over.
func TestAnExportsFaultNamesItsLine(t *testing.T) {
	n := 0
	err := dump.ReadExport(strings.NewReader("{\"key\":\"k\",\"value\":\"v\"}\n\n{}\n"), func(dump.Entry) error {
		n++
		return nil
	})
	if n != 1 || !errors.Is(err, dump.ErrLine) || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%d entries, %v", n, err)
	}
	mine := errors.New("mine")
	if err := dump.ReadExport(strings.NewReader(`{"key":"k","value":"v"}`), func(dump.Entry) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if err := dump.ReadExport(io.MultiReader(strings.NewReader(strings.Repeat("x", 4<<20))), nil); err == nil {
		t.Error("a line without an end is taken")
	}
}

// What is no backup is refused, and what is read of one is written again as it was.
func FuzzReadBackup(f *testing.F) {
	f.Add(backup(f))
	f.Add([]byte("{\"quartet_backup\":1,\"taken\":\"2026-11-29T08:00:00Z\"}\n{\"entries\":0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		said, entries, err := read(b)
		if err != nil {
			return
		}
		if uint64(len(entries)) != said.Entries {
			t.Errorf("%d entries, %d are said", len(entries), said.Entries)
		}
	})
}
