package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/message"
	"quartet/bus/model"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew (read the diff before you accept it)")

// The bytes of a version never change: nodes of two builds may share a bus, and disks keep
// them. (Those of version 1 did, in version 2; those of versions 2 to 4 that have changed
// are in testdata/version2 to version4.)
func TestGolden(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	wanted := make(map[string]bool)
	kinds := make(map[message.Kind]bool)
	for name, m := range samples() {
		file := filepath.Join("testdata", name+".hex")
		wanted[file], kinds[m.Kind()] = true, true

		b, err := e.Encode(m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
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

		back, err := d.Decode(undump(t, golden))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(m, back); diff != "" {
			t.Errorf("%s: (-sent +received)\n%s", name, diff)
		}
	}

	files, err := filepath.Glob("testdata/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !wanted[file] {
			t.Errorf("%s belongs to no sample", file)
		}
	}
	for k := range message.Kind(len(bodyFields)) {
		if bodyFields[k] >= 0 && !kinds[k] {
			t.Errorf("no sample of %v", k)
		}
	}
}

// What a later version wrote is not readable, and not damaged either.
func TestWhatIsNewerIsToldFromDamage(t *testing.T) {
	for version, newer := range map[byte]bool{0: false, 1: false, Version + 1: true, 100: true} {
		_, err := NewDecoder().Decode([]byte{0x96, version, 3, 1, 0, 0, 0})
		if !errors.Is(err, ErrMessage) || errors.Is(err, ErrNewer) != newer {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// Messages of earlier versions are read: in version 2 FORWARD and ANSWERS have no round, and
// HELLO and REPORT do not say who was heard before version 4.
func TestVersion2IsRead(t *testing.T) {
	all, d := samples(), NewDecoder()
	for _, name := range []string{"forward", "forward_empty", "answers", "answers_empty", "hello"} {
		golden, err := os.ReadFile(filepath.Join("testdata", "version2", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}
		want := timeless(unrevised(all[name]))
		switch m := want.(type) {
		case *message.Forward:
			m.Round = 0
		case *message.Answers:
			m.Round = 0
		case *message.Hello:
			m.Heard, m.Past = nil, message.Past{}
		}
		b := undump(t, golden)
		back, err := d.Decode(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, back); diff != "" {
			t.Errorf("%s: (-sent +received)\n%s", name, diff)
		}
		b[1] = withoutRevisions // with the fields of version 2
		if _, err := d.Decode(b); (hasRound(want.Kind()) || newFieldsOf(want.Kind()) > 0) == (err == nil) {
			t.Errorf("%s of version %d without its last field: %v", name, withoutRevisions, err)
		}
	}
}

// Records of the versions before are read, in messages and alone: they have neither cluster
// nor lineage, and their members no lives. HELLO has no past and STATE no proof. An INSTALLED says
// nothing: neither position nor pid nor what data survive is known.
func TestRecordsOfVersion3AreRead(t *testing.T) {
	all, d := samples(), NewDecoder()
	bare := func(r message.Record) message.Record {
		r.Cluster, r.Lineage, r.Level = 0, nil, 0
		r.Members = slices.Clone(r.Members)
		for i := range r.Members {
			r.Members[i].Life = 0
		}
		return r
	}

	for _, name := range []string{"install", "install_first", "installed", "hello", "state"} {
		golden, err := os.ReadFile(filepath.Join("testdata", "version3", name+".hex"))
		if err != nil {
			t.Fatal(err)
		}

		want := all[name]
		switch m := want.(type) {
		case *message.Install:
			m.Record = bare(m.Record)
		case *message.Hello:
			m.Heard, m.Past = nil, message.Past{}
		case *message.State:
			m.Proof = message.Proof{}
		case *message.Installed:
			m.Position, m.PID, m.Keeps, m.View = message.Unknown, 0, message.KeepsUnsaid, 0
		}

		b := undump(t, golden)
		for _, version := range []byte{withoutRounds, withoutLineage} {
			b[1] = version
			back, err := d.Decode(b)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if diff := cmp.Diff(want, back); diff != "" {
				t.Errorf("%s: (-sent +received)\n%s", name, diff)
			}
		}

		b[1] = Version // with the fields of version 3
		if _, err := d.Decode(b); err == nil {
			t.Errorf("%s of version %d without its last fields was read", name, Version)
		}
	}

	golden, err := os.ReadFile(filepath.Join("testdata", "version3", "record.hex"))
	if err != nil {
		t.Fatal(err)
	}
	b := undump(t, golden)
	back, err := d.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bare(epochRecord()), back); diff != "" {
		t.Errorf("record: (-sent +received)\n%s", diff)
	}
	b[1] = valueVersion
	if _, err := d.DecodeRecord(b); err == nil {
		t.Errorf("a record of version %d without its last fields was read", valueVersion)
	}
}

// dump writes 32 bytes a line in hexadecimal.
func dump(b []byte) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		n := min(len(b), 32)
		fmt.Fprintf(&out, "%x\n", b[:n])
		b = b[n:]
	}
	return out.Bytes()
}

func undump(t *testing.T, text []byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every field of every message travels: a field that is added to package message and
// forgotten here would come back as zero.
func TestEveryFieldTravels(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for name, m := range samples() {
		if strings.Contains(name, "_") {
			continue // those with as few fields as may be
		}
		b, err := e.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := d.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		nonZero(reflect.ValueOf(back).Elem(), reflect.TypeOf(back).Elem().Name(), seen)
		for path, ok := range seen {
			// Only the request-id header carries Acked; a gap names one kind or the other.
			if !ok && !mayBeZero(path, seen) && path != "Gap.Causal" {
				t.Errorf("%s: %s is zero in every place", name, path)
			}
		}
	}
}

// hasFields reports whether a slice of such elements has leaves of its own.
func hasFields(t reflect.Type) bool { return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer }

// nonZero notes for every leaf whether it is set anywhere; slice elements share a path.
func nonZero(v reflect.Value, path string, seen map[string]bool) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			nonZero(v.Field(i), path+"."+v.Type().Field(i).Name, seen)
		}
	case v.Kind() == reflect.Pointer && v.IsNil():
		seen[path] = seen[path] || false
	case v.Kind() == reflect.Pointer:
		seen[path] = true
		nonZero(v.Elem(), path, seen)
	case v.Kind() == reflect.Slice && hasFields(v.Type().Elem()):
		for i := range v.Len() {
			nonZero(v.Index(i), path+"[]", seen)
		}
		seen[path] = seen[path] || v.Len() > 0
	default:
		seen[path] = seen[path] || !v.IsZero()
	}
}

// A message cut anywhere, or with anything behind it, is refused whole.
func TestCutAndPadded(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for name, m := range samples() {
		b, err := e.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if got, err := d.Decode(b[:n]); !errors.Is(err, ErrMessage) || got != nil {
				t.Errorf("%s cut to %d of %d bytes: %v %v", name, n, len(b), got, err)
			}
		}
		if _, err := d.Decode(append(bytes.Clone(b), 0)); !errors.Is(err, ErrMessage) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	d := NewDecoder()
	const installed = "\x96\x03\x03\x01\x00\x00\x00" // version 3, kind 3, from r1
	if _, err := d.Decode([]byte(installed)); err != nil {
		t.Fatal(err)
	}
	const data, probe = "\x9a\x03\x06\x01\x00\x00\x00\x01", "\x98\x03\x0a\x01\x00\x00\x00\x07"
	const forward = "\x9a\x03\x04\x01\x00\x00\x00\x93\x00\x00\x00"
	key := func(key, value string) string {
		return forward + "\x91\x9b\x01\xa0\x00\x01\x01" + key + value + "\x00\x00\x00\x00\x90\x00"
	}
	if _, err := d.Decode([]byte(key("\xa1k", "\xc0"))); err != nil {
		t.Fatal(err)
	}

	for name, b := range map[string]string{
		"empty":                   "",
		"nil":                     "\xc0",
		"map":                     "\x86\x02\x03\x01\x00\x00\x00",
		"ext before the array":    "\xd4\x01\x01" + installed,
		"empty array":             "\x90",
		"five fields":             "\x95\x03\x03\x01\x00\x00",
		"a field more":            "\x97\x03\x03\x01\x00\x00\x00\x00",
		"array of four billion":   "\xdd\xff\xff\xff\xff\x03\x03\x01\x00\x00\x00",
		"version 0":               "\x96\x00\x03\x01\x00\x00\x00",
		"version 1":               "\x96\x01\x03\x01\x00\x00\x00",
		"version 6":               "\x96\x06\x03\x01\x00\x00\x00",
		"kind 0":                  "\x96\x03\x00\x01\x00\x00\x00",
		"kind 18":                 "\x96\x03\x12\x01\x00\x00\x00",
		"kind 259":                "\x96\x03\xcd\x01\x03\x01\x00\x00\x00",
		"from nobody":             "\x96\x03\x03\x00\x00\x00\x00",
		"from 65536":              "\x96\x03\x03\xce\x00\x01\x00\x00\x00\x00\x00",
		"from 2^32+1":             "\x96\x03\x03\xcf\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00",
		"negative clock":          "\x96\x03\x03\x01\x00\x00\xff",
		"negative clock, wide":    "\x96\x03\x03\x01\x00\x00\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
		"nil clock":               "\x96\x03\x03\x01\x00\x00\xc0",
		"float clock":             "\x96\x03\x03\x01\x00\x00\xca\x00\x00\x00\x00",
		"marks of two":            probe + "\x92\x00\x00",
		"marks are nil":           probe + "\xc0",
		"received of 65":          data + "\x00\xdc\x00\x41" + strings.Repeat("\x00", 65) + "\x90",
		"received is nil":         data + "\x00\xc0\x90",
		"operation 0":             data + "\x00\x90\x91\x92\x00\x00",
		"operation 8":             data + "\x00\x90\x91\x92\x08\x00",
		"operation of three":      data + "\x00\x90\x91\x93\x04\x00\x00",
		"operations nested deep":  data + "\x00\x90" + strings.Repeat("\x91", 100_000),
		"bool as number":          "\x99\x03\x08\x01\x00\x00\x00\x01\x00\x00",
		"empty key":               key("\xa0", "\xc0"),
		"key as bin":              key("\xc4\x01k", "\xc0"),
		"key nil":                 key("\xc0", "\xc0"),
		"key too long":            key("\xda\x04\x01"+strings.Repeat("k", 1025), "\xc0"),
		"key of four gigabytes":   key("\xdb\xff\xff\xff\xff", "\xc0"),
		"value as str":            key("\xa1k", "\xa1v"),
		"value too long":          key("\xa1k", "\xc6\x00\x08\x00\x00"+strings.Repeat("v", 512<<10)),
		"value of four gigabytes": key("\xa1k", "\xc6\xff\xff\xff\xff"),
		"consistency 5":           forward + "\x91\x9b\x01\xa0\x00\x05\x01\xa1k\xc0\x00\x00\x00\x00\x90\x00",
		"consistency 257":         forward + "\x91\x9b\x01\xa0\x00\xcd\x01\x01\x01\xa1k\xc0\x00\x00\x00\x00\x90\x00",
		"type 8":                  forward + "\x91\x9b\x01\xa0\x00\x01\x08\xa1k\xc0\x00\x00\x00\x00\x90\x00",
		"request of ten":          forward + "\x91\x9a\x01\xa0\x00\x01\x01\xa1k\xc0\x00\x00\x00\x90\x00",
		"identity too long": forward + "\x91\x9b\x01\xda\x01\x01" + strings.Repeat("i", 257) +
			"\x00\x01\x01\xa1k\xc0\x00\x00\x00\x00\x90\x00",
		"code 65536": "\x9a\x03\x05\x01\x00\x00\x00\x00\x00\x91\x98\x01\x00\xce\x00\x01\x00\x00\xa0\xc0\x00\x00\x00\x00",
	} {
		if m, err := d.Decode([]byte(b)); !errors.Is(err, ErrMessage) || m != nil || len(err.Error()) > 300 {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}

	if _, err := d.Decode([]byte(installed)); err != nil {
		t.Errorf("after all that, a good message: %v", err)
	}
}

// Lengths that the bytes can't back cost nothing.
func TestDeclaredLengthsAllocateNothing(t *testing.T) {
	d := NewDecoder()
	const forward = "\x9a\x03\x04\x01\x00\x00\x00\x93\x00\x00\x00"
	for name, b := range map[string]string{
		"requests": forward + "\xdd\x00\x01\x00\x00" + strings.Repeat("\x9b", 1000),
		"writes":   forward + "\x90\xdd\x00\x01\x00\x00" + strings.Repeat("\x92", 1000),
		"ops":      "\x9a\x03\x06\x01\x00\x00\x00\x01\x00\x90\xdc\xff\xff" + strings.Repeat("\x92", 1000),
		"reads":    "\x9a\x03\x06\x01\x00\x00\x00\x01\x00\x90\x91\x92\x02\xdc\xff\xff\x00",
		"answers":  "\x9a\x03\x05\x01\x00\x00\x00\x00\x00\xdc\xff\xff" + strings.Repeat("\x98", 1000),
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := d.Decode([]byte(b)); err == nil {
				t.Fatalf("%s was decoded", name)
			}
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 8192 {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

type stranger struct{ message.Installed }

func (*stranger) Kind() message.Kind { return 18 }

type impostor struct{ message.Installed }

func TestEncoderKeepsTheDecodersLimits(t *testing.T) {
	e := NewEncoder()
	long := func(n int) string { return strings.Repeat("x", n) }
	forward := func(change func(*message.Request)) message.Message {
		r := request(1, model.Causal, "k", "v")
		change(&r)
		return &message.Forward{Header: head(1), Requests: []message.Request{r}}
	}

	for name, m := range map[string]message.Message{
		"kind 18":      &stranger{message.Installed{Header: head(1)}},
		"unknown type": &impostor{message.Installed{Header: head(1)}},
		"no sender":    &message.Installed{},
		"65 received":  &message.Ack{Header: head(1), Received: message.Received{Received: make([]uint64, 65)}},
		"operation":    &message.Data{Header: head(1), Ops: []message.Operation{{Op: 8}}},
		"reads":        &message.Data{Header: head(1), Ops: []message.Operation{{Op: message.OpReads, Reads: make([]uint64, MaxList+1)}}},
		"reason":       &message.Answers{Header: head(1), Answers: []message.Answer{{Answer: model.Answer{Reason: long(MaxReason + 1)}}}},
		"answer's value": &message.Answers{
			Header: head(1), Answers: []message.Answer{{Answer: model.Answer{Value: make([]byte, MaxOutcome+1)}}},
		},
		"no key":       forward(func(r *message.Request) { r.Key = "" }),
		"key":          forward(func(r *message.Request) { r.Key = long(model.MaxKey + 1) }),
		"value":        forward(func(r *message.Request) { r.Value = make([]byte, model.MaxKeyValue) }),
		"identity":     forward(func(r *message.Request) { r.Identity = long(model.MaxIdentity + 1) }),
		"consistency":  forward(func(r *message.Request) { r.Model = 0 }),
		"request type": forward(func(r *message.Request) { r.Type = 0 }),
	} {
		if b, err := e.Encode(m); !errors.Is(err, ErrMessage) || b != nil {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}

	if _, err := e.Encode(&message.Installed{Header: head(1)}); err != nil {
		t.Errorf("after all that, a good message: %v", err)
	}
}

// What a replica keeps doesn't share the bus's buffer; see Decode.
func TestRequestsOwnTheirMemory(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	b, err := e.Encode(&message.Forward{Header: head(1), Requests: []message.Request{request(1, model.Causal, "key", "value")}})
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	m, err := d.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if r := m.(*message.Forward).Requests[0]; r.Key != "key" || string(r.Value) != "value" || r.Identity != "id-1" {
		t.Errorf("changed with the buffer: %+v", r)
	}
}

// Decode never panics, and what it accepts it reads the same again.
func FuzzDecode(f *testing.F) {
	seeds := NewEncoder()
	for _, m := range samples() {
		b, err := seeds.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(b))
	}

	e, d := NewEncoder(), NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := d.Decode(b)
		if err != nil {
			if !errors.Is(err, ErrMessage) || m != nil || len(err.Error()) > 300 {
				t.Fatalf("%v, %v", m, err)
			}
			return
		}

		// Fields that an older version does not have make what it says longer: the position of an
		// INSTALLED alone, which is not known then, takes nine bytes.
		newest := d.revisions

		encoded, err := e.Encode(m)
		if err != nil {
			t.Fatalf("decoded but not encoded: %+v: %v", m, err)
		}
		if newest && len(encoded) > len(b) {
			t.Fatalf("the shortest form has %d bytes, what was read %d", len(encoded), len(b))
		}

		again, err := d.Decode(bytes.Clone(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
