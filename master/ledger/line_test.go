package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

func formatted(e Entry) string {
	var l line
	l.set(&e)
	return string(new(formatter).append(nil, &l))
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		name string
		e    Entry
		want string
	}{
		{"plain", Entry{
			RID: 7, Client: "Client1", Model: model.Causal, Type: model.Set, Key: "key1", Replica: lamport.Replica(2),
			Code: 200, Received: begin2026, Taken: 1499 * time.Nanosecond, Duplicate: true,
		},
			"7,Client1,causal,set,key1,r2,200,2026-01-02T03:04:05.678901Z,1,true\n"},
		{"nothing known", Entry{RID: math.MaxUint64, Code: 400, Received: time.Unix(0, 0), Taken: time.Hour},
			"18446744073709551615,,,,,,400,1970-01-01T00:00:00.000000Z,3600000000,false\n"},
		{"separators", Entry{Client: `a"b`, Key: `x,"y"`, Replica: lamport.Master(1), Code: 200, Received: begin2026},
			`0,"a""b",,,"x,""y""",m1,200,2026-01-02T03:04:05.678901Z,0,false` + "\n"},
		{"control characters", Entry{Key: "a\nb\x7f\x00", Code: 400, Received: begin2026},
			"0,,,,a b  ,,400,2026-01-02T03:04:05.678901Z,0,false\n"},
		{"a type of the future", Entry{Type: 200, Code: 200, Received: begin2026},
			"0,,,request(200),,,200,2026-01-02T03:04:05.678901Z,0,false\n"},
	} {
		got := formatted(c.e)
		if got != c.want {
			t.Errorf("%s:\n%s want\n%s", c.name, got, c.want)
		}
		back, err := parse(strings.TrimSuffix(got, "\n"))
		if err != nil || formatted(back) != got {
			t.Errorf("%s: read back as %+v, %v", c.name, back, err)
		}
	}
}

func TestLongNamesAreCut(t *testing.T) {
	for _, c := range []struct{ key, want string }{
		{strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{strings.Repeat("a", 65), strings.Repeat("a", 61) + "…"},
		{strings.Repeat("é", 600), strings.Repeat("é", 30) + "…"}, // no half characters
		{"a" + strings.Repeat("世", 30), "a" + strings.Repeat("世", 20) + "…"},
		{strings.Repeat("\x80", 100), strings.Repeat("\x80", 57) + "…"},
	} {
		var l line
		l.set(&Entry{Key: c.key, Client: c.key})
		if got := string(l.key[:l.keyLen]); got != c.want {
			t.Errorf("key %q, want %q", got, c.want)
		}
		if client := string(l.client[:l.clientLen]); utf8.ValidString(c.key) && !utf8.ValidString(client) {
			t.Errorf("client %q is no UTF-8", client)
		}
	}
}

func TestDamagedLists(t *testing.T) {
	good := strings.TrimSuffix(formatted(entry(1)), "\n")
	for _, c := range []struct{ name, text, where string }{
		{"no head line", good + "\n", "first line"},
		{"too few fields", header + good + "\n" + "1,2\n", ":3:"},
		{"too many fields", header + good + ",x\n", ":2:"},
		{"open quote", header + `1,"` + good + "\n", ":2:"},
		{"no number", header + "x" + good + "\n", ":2:"},
		{"no time", header + strings.Replace(good, "2026", "then", 1) + "\n", ":2:"},
		{"no model", header + strings.Replace(good, "sequential", "sequentiel", 1) + "\n", ":2:"},
		{"endless line", header + strings.Repeat("x", 1<<17), ":2:"},
	} {

		dir := t.TempDir()
		write(t, filepath.Join(dir, requestsCSV), c.text)
		err := ReadRequests(dir, func(Entry) error { return nil })
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.where) {
			t.Errorf("%s: %v; want ErrDamaged with %q", c.name, err, c.where)
		}
		if _, err := ReadDir(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: ReadDir: %v", c.name, err)
		}
	}

	if err := ReadRequests(t.TempDir(), nil); !errors.Is(err, ErrNoRun) {
		t.Errorf("empty directory: %v", err)
	}
	if _, err := ReadDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNoRun) {
		t.Errorf("no directory: %v", err)
	}

	dir := t.TempDir()
	write(t, filepath.Join(dir, reportJSON), "{")
	if _, err := ReadDir(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged report alone: %v", err)
	}
}

func TestReadingStopsWhenTold(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, requestsCSV), header+formatted(entry(1))+formatted(entry(2)))
	enough := errors.New("enough")
	n := 0
	err := ReadRequests(dir, func(Entry) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d calls, %v", n, err)
	}
}

// FuzzLine: whatever was written is one CSV record that both readers understand alike.
func FuzzLine(f *testing.F) {
	f.Add(uint64(1), "Client1", "key,\"\n", uint8(1), uint8(2), int64(17))
	f.Add(uint64(0), "", strings.Repeat("é", 99), uint8(0), uint8(77), int64(-1))
	f.Fuzz(func(t *testing.T, rid uint64, client, key string, consistency, typ uint8, taken int64) {
		e := Entry{RID: rid, Client: client, Key: key, Model: model.Consistency(consistency % 5), Type: model.Type(typ),
			Code: 200, Received: begin2026, Taken: time.Duration(taken)}
		text := formatted(e)
		if strings.Count(text, "\n") != 1 {
			t.Fatalf("not one line: %q", text)
		}
		back, err := parse(strings.TrimSuffix(text, "\n"))
		if err != nil || formatted(back) != text {
			t.Fatalf("%q is read back as %+v, %v", text, back, err)
		}
		row, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil || len(row) != 10 || row[1] != back.Client || row[4] != back.Key {
			t.Fatalf("%q as CSV: %q, %v", text, row, err)
		}
	})
}

// threeRequests is a run of three requests: its directory, and its statistics at fixed times.
func threeRequests(t *testing.T) (dir string, s bus.Report) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, Options{Dir: dir})
	e := Entry{RID: 1, Client: "Client1", Model: model.Linearizable, Type: model.Set, Key: "key,1", Replica: lamport.Replica(2), Code: 200,
		Received: begin2026, Taken: 1234 * time.Microsecond}
	l.Record(e)
	e.RID, e.Duplicate = 2, true
	l.Record(e)
	l.Record(Entry{RID: 3, Code: 400, Received: begin2026, Taken: 9 * time.Microsecond})
	closed(t, l)
	s, err := ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Started, s.Updated = begin2026, begin2026.Add(90*time.Second)
	s.List.Lost, s.List.Deleted = 4, 5
	return dir, s
}

func TestRenderingOfStatistics(t *testing.T) {
	dir, s := threeRequests(t)
	for f, want := range map[Format]string{
		Table: `3 requests in all, from 2026-01-02 03:04:05 UTC to 2026-01-02 03:05:35 UTC (1m30s)

consistency   request  count  ok  no value  unmet  failed    mean     p50     p90     p99     max  duplicates  codes of the failed
-             -            1   0         0      0       1       -       -       -       -       -           0  400:1
linearizable  set          2   2         0      0       0  1.23ms  1.23ms  1.23ms  1.23ms  1.23ms           1
total         -            3   2         0      0       1  1.23ms  1.23ms  1.23ms  1.23ms  1.23ms           1  400:1

replica                     count  ok  no value  unmet  failed
none (the master answered)      1   0         0      0       1
r2                              2   2         0      0       0

No value: a get of a key that has none. Unmet: a write whose condition did not hold (code 412).
Both are answers. Failed: refused, or of unknown outcome (code 504). Times are from the
master's receipt of a request to its answer, failed ones included, but for those that were
refused at sight as malformed or too large.

The list of requests has 3 lines; 5 older ones were deleted to keep it small; 4 were never written, because the disk was too slow or refused.
`,
		CSV: `consistency,request,count,ok,failed,duplicates,mean_us,p50_us,p90_us,p99_us,max_us,codes,no_value,timed,unmet
,,1,0,1,0,0.0,0,0,0,0,400:1,0,0,0
linearizable,set,2,2,0,1,1234.0,1234,1234,1234,1234,,0,2,0
total,,3,2,1,1,1234.0,1234,1234,1234,1234,400:1,0,2,0
`,
	} {
		var b bytes.Buffer
		if err := f.Write(&b, s); err != nil || b.String() != want {
			t.Errorf("%s (%v):\n%s\nwant\n%s", f, err, b.String(), want)
		}
	}
	var b bytes.Buffer
	if err := JSON.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, reportJSON), b.String())
	if back, err := ReadDir(dir); err != nil || back.Groups[0].Codes[400] != 1 || back.Groups[1].Mean != 1234 ||
		!back.Started.Equal(begin2026) {
		t.Errorf("JSON is read back as %+v, %v", back, err)
	}
}

func TestRenderingOfRequests(t *testing.T) {
	dir, _ := threeRequests(t)
	for f, want := range map[Format]string{
		Table: `rid           client        consistency   request  key                       replica  code  received                         taken  note
1             Client1       linearizable  set      key,1                     r2        200  2026-01-02T03:04:05.678901Z     1.23ms
2             Client1       linearizable  set      key,1                     r2        200  2026-01-02T03:04:05.678901Z     1.23ms  duplicate
3             -             -             -        -                         -         400  2026-01-02T03:04:05.678901Z        9µs
`,
		CSV: header + `1,Client1,linearizable,set,"key,1",r2,200,2026-01-02T03:04:05.678901Z,1234,false
2,Client1,linearizable,set,"key,1",r2,200,2026-01-02T03:04:05.678901Z,1234,true
3,,,,,,400,2026-01-02T03:04:05.678901Z,9,false
`,
		JSON: `{"rid":1,"client":"Client1","consistency":"linearizable","request":"set","key":"key,1","replica":"r2","code":200,"received":"2026-01-02T03:04:05.678901Z","taken_us":1234,"duplicate":false}
{"rid":2,"client":"Client1","consistency":"linearizable","request":"set","key":"key,1","replica":"r2","code":200,"received":"2026-01-02T03:04:05.678901Z","taken_us":1234,"duplicate":true}
{"rid":3,"client":"","consistency":"","request":"","key":"","replica":"","code":400,"received":"2026-01-02T03:04:05.678901Z","taken_us":9,"duplicate":false}
`,
	} {
		var b bytes.Buffer
		if err := WriteRequests(&b, dir, f); err != nil || b.String() != want {
			t.Errorf("requests as %s (%v):\n%s\nwant\n%s", f, err, b.String(), want)
		}
	}
	if err := WriteRequests(io.Discard, filepath.Join(dir, "none"), CSV); !errors.Is(err, ErrNoRun) {
		t.Error(err)
	}
	if _, err := ParseFormat("xml"); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func TestRenderingToAFullDisk(t *testing.T) {
	dir, s := threeRequests(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, f := range []Format{Table, CSV, JSON} {
		if f.Write(full, s) == nil || WriteRequests(full, dir, f) == nil {
			t.Errorf("%s: a full disk went unnoticed", f)
		}
	}
}

func TestSpan(t *testing.T) {
	for micros, want := range map[float64]string{
		0: "0µs", 999: "999µs", 999.9: "1ms", 1000: "1ms", 1234: "1.23ms", 12_345: "12.3ms", 999_499: "999ms", 999_600: "1s",
		5_000_000: "5s", 59_999_999: "60s", 3.6e9: "3600s",
	} {
		if got := span(micros); got != want {
			t.Errorf("%v µs prints as %s, want %s", micros, got, want)
		}
	}
}
