package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quartet/bus/message"
	"quartet/bus/model"
)

// senderSays are the fields of an answer that its receiver takes from who sends it, and from
// what was asked.
var senderSays = map[string]bool{
	"Answers.Answers[].Answer.Replica": true, "Answers.Answers[].Answer.Clock.Node": true,
	"Answers.Answers[].Answer.HasPosition": true,
}

// mayBeZero reports whether a field need not be set in the samples: it does not travel, it is
// the one of two that share a number, and the other is set, or nothing of that kind has it: a weak
// write has no condition, and nothing that is ordered or kept has a range.
func mayBeZero(path string, set map[string]bool) bool {
	other, shares := strings.CutSuffix(path, ".Came")
	otherIsSet := shares && set[other+".First"]
	isWrite := strings.Contains(path, "Writes[]") || strings.HasPrefix(path, "writes") || strings.HasPrefix(path, "request.")
	isCondition := strings.HasSuffix(path, ".HasIf") || strings.HasSuffix(path, ".If")
	condition := isWrite && isCondition
	ofRange := strings.HasSuffix(path, ".Range") || strings.HasSuffix(path, ".Watcher")
	ranged := ofRange && !strings.HasPrefix(path, "Forward.Requests[]")
	return strings.HasSuffix(path, ".Acked") || otherIsSet || senderSays[path] || condition || ranged
}

// When a request was first sent, and when it came, share one number: at most one of them is known.
func TestSinceWhen(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	for _, test := range []struct {
		first, came uint64
		size        int // bytes more than with neither
	}{
		{0, 0, 0}, {1, 0, 0}, {1<<20 + 7, 0, 4}, {cameBit - 1, 0, 8},
		{0, 1, 8}, {0, 1<<20 + 7, 8}, {0, cameBit - 1, 8},
	} {
		r := request(1, model.Linearizable, "k", "v")
		r.First, r.Came = 0, 0
		least, err := e.EncodeRequest(&r)
		if err != nil {
			t.Fatal(err)
		}
		size := len(least)

		r.First, r.Came = test.first, test.came
		b, err := e.EncodeRequest(&r)
		if err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		if len(b) != size+test.size {
			t.Errorf("%+v takes %d bytes more", test, len(b)-size)
		}
		back, err := d.DecodeRequest(bytes.Clone(b))
		if err != nil || back.First != test.first || back.Came != test.came {
			t.Errorf("%+v comes back as %d, %d (%v)", test, back.First, back.Came, err)
		}
	}

	for _, bad := range []message.Request{{First: 1, Came: 1}, {First: cameBit}, {Came: cameBit}} {
		r := request(1, model.Linearizable, "k", "v")
		r.First, r.Came = bad.First, bad.Came
		if _, err := e.EncodeRequest(&r); !errors.Is(err, ErrMessage) {
			t.Errorf("%d, %d is encoded: %v", bad.First, bad.Came, err)
		}
	}

	r := request(1, model.Linearizable, "k", "v")
	r.First, r.Came = 0, 1
	b, err := e.EncodeRequest(&r)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Clone(b)
	b[len(b)-1] = 0 // it came at 0
	if _, err := d.DecodeRequest(b); !errors.Is(err, ErrMessage) {
		t.Errorf("a request that came at no time is read: %v", err)
	}
}

// The first builds with watches knew no frames: their watchers, which may stand on a disk, have
// three fields, and so has a watcher of no frames, byte by byte.
func TestAWatcherOfNoFrames(t *testing.T) {
	e, d := NewEncoder(), NewDecoder()
	encode := func(r message.Request) []byte {
		t.Helper()
		b, err := e.EncodeRequest(&r)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(b)
	}
	framed := encode(watching())
	head := bytes.LastIndex(framed, []byte("\xa8_INBOX.x")) - 1
	as := func(fields byte, cut int) []byte {
		b := bytes.Clone(framed[:len(framed)-cut])
		b[head] = 0x90 | fields
		return b
	}

	want := watching()
	want.Watcher.Fields = 0
	got, err := d.DecodeRequest(as(3, 1))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !bytes.Equal(encode(want), as(3, 1)) {
		t.Error("a watcher of no frames is not written as it was")
	}

	none := bytes.Clone(framed)
	none[len(none)-1] = 0
	for name, b := range map[string][]byte{"two fields": as(2, 2), "no fields of an event": none, "a field too many": append(as(5, 0), 1)} {
		if _, err := d.DecodeRequest(b); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
