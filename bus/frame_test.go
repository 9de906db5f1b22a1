package bus_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// framed are the events that may stand in a frame, as those of one stream.
func framed() []model.Event {
	var list []model.Event
	for _, name := range slices.Sorted(maps.Keys(events)) {
		e := events[name].Event
		if bus.Framed(&e) {
			e.Sequence = 300 + uint64(len(list))
			list = append(list, e)
		}
	}
	return list
}

// stream is the name of a stream of r1's.
const stream = "r1.1z141z3.7"

func frameOf(stream string, list []model.Event) []byte {
	var w bus.FrameWriter
	for i := range list {
		w.Add(stream, &list[i])
	}
	return bytes.Clone(w.Take())
}

// readFrame reads a frame, all of whose events are of one stream.
func readFrame(body []byte) (stream string, list []model.Event, err error) {
	var r bus.FrameReader
	err = r.Read(body, func(e *bus.Event) bool {
		stream, list = e.Stream, append(list, e.Event)
		return true
	})
	return stream, list, err
}

// What a frame says is read again, and nothing of one that is cut short, or longer than it says, is
// taken for a whole one.
func TestFramesAreReadAgain(t *testing.T) {
	want := framed()
	body := frameOf(stream, want)
	of, got, err := readFrame(body)
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); err != nil || diff != "" || of != stream {
		t.Errorf("stream %q, %v\n%s", of, err, diff)
	}
	if !bus.IsFrame(&nats.Msg{Data: body}) || bus.IsFrame(&nats.Msg{Data: body, Header: nats.Header{bus.HeaderEvent: {"SET"}}}) {
		t.Error("a frame is a message without headers that begins with an array")
	}

	for n := range body {
		if _, _, err := readFrame(body[:n]); !errors.Is(err, bus.ErrFrame) {
			t.Fatalf("%d bytes of %d: %v", n, len(body), err)
		}
	}
	if _, _, err := readFrame(append(body, 0)); !errors.Is(err, bus.ErrFrame) {
		t.Errorf("a byte too many: %v", err)
	}
}

// The bytes are the contract's: other programs may read them.
func TestFramesByteByByte(t *testing.T) {
	list := []model.Event{
		{Kind: model.EventValue, Sequence: 7, Key: "a", Value: []byte("x"), Revision: 17, Initial: true},
		{Kind: model.EventDelete, Sequence: 8, Key: "b", Revision: 300},
		{Kind: model.EventSet, Sequence: 9, Key: "c", Value: []byte{}, Revision: 300, More: true},
		{
			Kind: model.EventSet, Sequence: 10, Key: "d", Value: []byte{0xff}, Expires: 1 << 40, Timestamp: 5,
			Version: lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: 2, Node: 3}},
		},
	}
	const want = "dd00000006" + "ac" + "72312e317a313431" + "7a332e37" + "07" +
		"94" + "01" + "a161" + "11" + "c40178" +
		"93" + "04" + "a162" + "cd012c" +
		"95" + "03" + "a163" + "cd012c" + "c400" + "c3" +
		"9a" + "03" + "a164" + "00" + "c401ff" + "c2" + "cf0000010000000000" + "010203" + "05"
	if got := hex.EncodeToString(frameOf(stream, list)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatIsNoFrame(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": "", "no array": "07", "no events": "92a17307", "a stream that is a number": "93" + "0107" + "930461610b",
		"a sequence that is none":   "93a173a0930461610b",
		"an event that is no array": "93a1730704", "two fields": "93a17307920461", "eleven fields": "93a173079b" + "0461610b",
		"a heartbeat": "93a1730793" + "06a1610b", "no kind": "93a1730793" + "08a1610b", "a kind of 16 bits": "93a1730793" + "cd0104a1610b",
		"no key": "93a1730793" + "04a00b", "a key with a line end": "93a1730793" + "04a10a0b",
		"a set without a value": "93a1730793" + "03a1610b", "a set with nil": "93a1730794" + "03a1610bc0",
		"a delete with a value": "93a1730794" + "04a1610bc400",
		"more that is a number": "93a1730795" + "04a1610bc001", "an end that no reply can say": "93a1730796" + "04a1610bc0c2cfffffffffffffffff",
		"a part of a version": "93a1730797" + "04a1610bc0c20001", "a node of 40 bits": "93a1730799" + "04a1610bc0c2000102cf0000010000000000",
		"a revision that is negative": "93a1730793" + "04a161ff",
		"a stream of too long a name": "93d941" + strings.Repeat("73", bus.MaxStream+1) + "07" + "9304a1610b",
	} {
		b, err := hex.DecodeString(body)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, _, err := readFrame(b); !errors.Is(err, bus.ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who reads a frame may stop.
func TestAFrameIsReadAsFarAsWanted(t *testing.T) {
	var r bus.FrameReader
	n := 0
	err := r.Read(frameOf(stream, framed()), func(*bus.Event) bool { n++; return n < 2 })
	if err != nil || n != 2 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestEventFields(t *testing.T) {
	for value, want := range map[string]uint64{"": 0, "x": 0, "-1": 0, "9": 0, "10": bus.EventMost, "99": bus.EventMost} {
		if got := bus.EventFields(nats.Header{bus.HeaderEventFields: {value}}); got != want {
			t.Errorf("%q: %d, want %d", value, got, want)
		}
	}
	if bus.EventFields(nil) != 0 {
		t.Error("who says nothing reads frames")
	}
}

// A writer of frames allocates nothing once it has its memory.
func TestFramesAreWrittenInTheSameMemory(t *testing.T) {
	list := framed()
	var w bus.FrameWriter
	frame := func() {
		for i := range list {
			w.Add(stream, &list[i])
		}
		w.Take()
	}
	frame()
	if n := testing.AllocsPerRun(100, frame); n > 0 {
		t.Errorf("a frame takes %v allocations", n)
	}
}

// Whatever bytes come, reading them does not panic, and what is read is written again alike.
func FuzzReadFrame(f *testing.F) {
	f.Add(frameOf(stream, framed()))
	for _, e := range framed() {
		f.Add(frameOf("", []model.Event{e}))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		of, list, err := readFrame(body)
		if err != nil {
			return
		}
		ofAgain, again, err := readFrame(frameOf(of, list))
		if diff := cmp.Diff(list, again, cmp.Comparer(bytes.Equal)); err != nil || diff != "" || ofAgain != of {
			t.Errorf("of %q, then %q: %v\n%s", of, ofAgain, err, diff)
		}
	})
}

// BenchmarkEvents is what an event costs, with a key of 16 bytes and a value of 100, in a frame of
// so many and as a message of its own: to write, and to read.
func BenchmarkEvents(b *testing.B) {
	e := bus.Event{
		Event:  model.Event{Kind: model.EventSet, Sequence: 70_000, Key: "k000000000000017", Value: make([]byte, 100), Revision: 1 << 30},
		Stream: stream,
	}
	for _, n := range []int{1, 64} {
		var w bus.FrameWriter
		b.Run(fmt.Sprintf("write/frame=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				w.Add(stream, &e.Event)
				if i%n == n-1 {
					w.Take()
				}
			}
		})
		list := slices.Repeat([]model.Event{e.Event}, n)
		body := frameOf(stream, list)
		b.Run(fmt.Sprintf("read/frame=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var r bus.FrameReader
			for i := 0; i < b.N; i += n {
				if err := r.Read(body, func(*bus.Event) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}

	var w bus.EventWriter
	b.Run("write/message", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			w.Msg("_INBOX.x", "", &e, false)
		}
	})
	m := bus.EventMsg("_INBOX.x", "", &e, false)
	b.Run("read/message", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := bus.ParseEvent(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}
