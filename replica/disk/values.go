package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// layout is the first byte of every value. Another layout is another number.
const layout = 1

// layoutLives is that of the state, since it says whose disk it is, which processes have used
// it, what the other members have told, and the order's time. One of the layout before is read.
const layoutLives = 2

// Bounds of what a state says of its past.
const (
	maxLives  = 64
	maxReason = codec.MaxReason
)

// maxContiguous is how many members' receipts a state can hold: the codec's limit.
const maxContiguous = codec.MaxMembers

var errValue = errors.New("a value cannot be read")

// counts is what the disk itself keeps beside the state.
type counts struct {
	turn       uint64 // turns committed
	keys       uint64 // of the committed layer
	firstEntry uint64 // entries of the table are here from this number on, without a gap
	firstMark  uint64 // markers of logs are here from this number on, without a gap
	lastMark   uint64 // to this
}

func appendRecord(b []byte, r *store.Record) []byte {
	b = append(b, layout, byte(r.Kind))
	b = appendNumbers(b, r.Version.Epoch, r.Version.Time, uint64(r.Version.Node), r.Number, r.RID)
	return append(b, r.Value...)
}

// decodeRecord shares no memory with b.
func decodeRecord(b []byte) (store.Record, error) {
	in := input{b: b}
	in.layout()
	r := store.Record{Kind: store.Kind(in.byte())}
	r.Version = lamport.Version{Epoch: in.number(), Timestamp: in.timestamp()}
	r.Number, r.RID = in.number(), in.number()
	if in.bad {
		return store.Record{}, fmt.Errorf("%w: record of a key", errValue)
	}
	r.Value = bytes.Clone(in.b)
	return r, nil
}

const (
	flagLearning = 1 << iota
	flagScratch
)

// appendState appends the state and what the disk counts. record is the encoded record of
// the epoch, empty if there is none.
func appendState(b []byte, c *counts, s *durable.State, record []byte) []byte {
	b = append(b, layoutLives)
	b = appendNumbers(b, c.turn, c.keys, c.firstEntry, c.firstMark, c.lastMark)
	var flags uint64
	if s.Learning {
		flags |= flagLearning
	}
	if s.Scratch {
		flags |= flagScratch
	}
	b = appendNumbers(b, flags, s.Incarnation, s.Clock, s.LastRID, s.Position, s.Place.Time, uint64(s.Place.Node))
	b = appendNumbers(b, s.Entries, s.Committed, s.Watermark, s.Safe)
	b = appendNumbers(b, s.Order.Now, s.Order.Tick, s.Order.Horizon, s.Order.Oldest)
	b = appendNumbers(b, uint64(len(s.Contiguous)))
	b = appendNumbers(b, s.Contiguous...)
	b = appendPast(b, s)
	return append(b, record...)
}

func appendPast(b []byte, s *durable.State) []byte {
	b = appendNumbers(b, uint64(s.Node), uint64(len(s.Lives)))
	b = appendNumbers(b, s.Lives...)
	for _, text := range []string{s.Back, s.Aside} {
		text = text[:min(len(text), maxReason)]
		b = append(appendNumbers(b, uint64(len(text))), text...)
	}
	b = appendNumbers(b, uint64(len(s.Told)))
	for _, v := range s.Told {
		b = appendNumbers(b, uint64(len(v)))
		b = appendNumbers(b, v...)
	}
	return b
}

func (in *input) past(s *durable.State) {
	node := in.number()
	if node > math.MaxUint32 {
		in.bad = true
	}
	s.Node, s.Lives = lamport.Node(node), in.numbers(maxLives)
	s.Back, s.Aside = in.text(maxReason), in.text(maxReason)
	n := in.number()
	if n > maxContiguous {
		in.bad = true
	}
	for ; n > 0 && !in.bad; n-- {
		s.Told = append(s.Told, in.numbers(maxContiguous))
	}
}

func decodeState(b []byte, d *codec.Decoder) (counts, durable.State, error) {
	in := input{b: b}
	first := in.byte()
	if first > layoutLives {
		return counts{}, durable.State{}, fmt.Errorf("%w: the state has layout %d: %w", errValue, first, codec.ErrNewer)
	}
	if first != layout && first != layoutLives {
		in.bad = true
	}
	c := counts{turn: in.number(), keys: in.number(), firstEntry: in.number(), firstMark: in.number(), lastMark: in.number()}
	flags := in.number()
	s := durable.State{
		Learning: flags&flagLearning != 0, Scratch: flags&flagScratch != 0,
		Incarnation: in.number(), Clock: in.number(), LastRID: in.number(), Position: in.number(), Place: in.timestamp(),
		Entries: in.number(), Committed: in.number(), Watermark: in.number(), Safe: in.number(),
	}
	if first == layoutLives {
		s.Order = message.OrderTime{Now: in.number(), Tick: in.number(), Horizon: in.number(), Oldest: in.number()}
	}
	if flags > flagLearning|flagScratch {
		in.bad = true
	}
	s.Contiguous = in.numbers(maxContiguous)
	if first == layoutLives {
		in.past(&s)
	}
	if in.bad {
		return counts{}, durable.State{}, fmt.Errorf("%w: the state", errValue)
	}
	if len(in.b) > 0 {
		record, err := d.DecodeRecord(in.b)
		if err != nil {
			return counts{}, durable.State{}, fmt.Errorf("%w: the record of the epoch: %w", errValue, err)
		}
		s.Record = record
	}
	return c, s, nil
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// input reads a value from its beginning. bad: it did not have what was asked for.
type input struct {
	b   []byte
	bad bool
}

func (in *input) layout() {
	if in.byte() != layout {
		in.bad = true
	}
}

func (in *input) byte() byte {
	if len(in.b) == 0 {
		in.bad = true
		return 0
	}
	c := in.b[0]
	in.b = in.b[1:]
	return c
}

func (in *input) number() uint64 {
	n, size := binary.Uvarint(in.b)
	if size <= 0 {
		in.b, in.bad = nil, true
		return 0
	}
	in.b = in.b[size:]
	return n
}

// numbers reads a list of at most most numbers; an empty one is nil.
func (in *input) numbers(most uint64) []uint64 {
	n := in.number()
	if n > most {
		in.bad = true
	}
	var list []uint64
	for ; n > 0 && !in.bad; n-- {
		list = append(list, in.number())
	}
	return list
}

func (in *input) text(most uint64) string {
	n := in.number()
	if n > most || n > uint64(len(in.b)) {
		in.bad = true
		return ""
	}
	text := string(in.b[:n])
	in.b = in.b[n:]
	return text
}

func (in *input) timestamp() lamport.Timestamp {
	time, node := in.number(), in.number()
	if node > math.MaxUint32 {
		in.bad = true
	}
	return lamport.Timestamp{Time: time, Node: lamport.Node(node)}
}
