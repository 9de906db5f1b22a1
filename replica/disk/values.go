package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/replica/durable"
	"quartet/replica/store"
)

// layout is the first byte of every value but records, the state and the past. Another layout is
// another number.
const layout = 1

// Layouts of the past. The one before the newest is read.
const (
	pastFirst  = 1 // without votes
	pastLayout = 2
)

// Layouts of a record. The one before the newest is read.
const (
	recordFirst  = 1 // without revision and deadline: the revision is firstRevision, and there is no deadline
	recordLayout = 2
)

// firstRevision is the revision of records that were written before there were revisions: the
// least that there is.
const firstRevision = 1

// Layouts of the state. Those before the newest are read.
const (
	layoutLives = 2 // it says whose disk it is, which processes have used it, what the others have told, and the order's time
	layoutPast  = 3 // the record, and what else few turns change, is a value of its own
	layoutLive  = 4 // the disk counts values apart from tombstones
	layoutFloor = 5 // it says how far tombstones are collected

	layoutNewest = layoutFloor // what is written
)

// Bounds of what a state says of its past.
const (
	maxLives  = 64
	maxReason = codec.MaxReason
	maxRecord = 1 << 16 // bytes
)

// maxContiguous is how many members' receipts a state can hold: the codec's limit.
const maxContiguous = codec.MaxMembers

// errValue is wrapped by the errors of values whose bytes are not what this package writes.
var errValue = errors.New("a value cannot be read")

// counts is what the disk itself keeps beside the state.
type counts struct {
	turn       uint64 // turns committed
	keys       uint64 // keys of the committed layer, tombstones included
	firstEntry uint64 // entries of the table of executed requests are here from this number on, without a gap
	firstMark  uint64 // markers of logs are here from this number on, without a gap,
	lastMark   uint64 // to this one
	past       uint64 // the turn that has written the past, as a value of its own; 0: an earlier layout is on disk
	live       uint64 // keys of the committed layer that have a value
}

// appendRecord appends a record of the committed layer.
func appendRecord(b []byte, r *store.Record) []byte {
	b = append(b, recordLayout, byte(r.Kind))
	b = appendNumbers(b, r.Version.Epoch, r.Version.Time, uint64(r.Version.Node), r.Number, r.RID, r.Revision, r.Expires)
	return append(b, r.Value...)
}

// decodeRecord reads what appendRecord has written. The record shares no memory with b.
func decodeRecord(b []byte) (store.Record, error) {
	in := input{b: b}
	first := in.byte()

	r := store.Record{Kind: store.Kind(in.byte()), Revision: firstRevision}
	r.Version = in.version()
	r.Number, r.RID = in.number(), in.number()
	if first > recordFirst {
		r.Revision, r.Expires = in.number(), in.number()
	}

	if known := first == recordFirst || first == recordLayout; in.bad || !known {
		return store.Record{}, fmt.Errorf("%w: record of a key", errValue)
	}
	r.Value = bytes.Clone(in.b)
	return r, nil
}

// Flags of a state.
const (
	flagLearning = 1 << iota // see durable.State
	flagScratch              // see durable.State
)

// appendState appends the state and what the disk counts, without what appendPast has.
func appendState(b []byte, c *counts, s *durable.State) []byte {
	b = append(b, layoutNewest)
	b = appendNumbers(b, c.turn, c.keys, c.firstEntry, c.firstMark, c.lastMark, c.past, c.live)

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
	b = appendNumbers(appendVersion(b, s.Collected.Floor), s.Collected.Position)
	b = appendNumbers(appendVersion(b, s.Collected.Horizon), s.Collected.Agreed)
	b = appendVersion(b, s.Shut)

	b = appendNumbers(b, uint64(len(s.Contiguous)))
	b = appendNumbers(b, s.Contiguous...)
	b = appendNumbers(b, uint64(len(s.Told)))
	for _, v := range s.Told {
		b = appendNumbers(b, uint64(len(v)))
		b = appendNumbers(b, v...)
	}
	return b
}

// Flags of a past.
const (
	flagSame  = 1 << iota // the newest record that is known to be decided is that of the epoch
	flagWhole             // see durable.Votes
)

// past is the records of a past as they are encoded, each empty if there is none.
type past struct {
	record []byte // of the epoch
	base   []byte // the newest that is known to be decided, where it is another
	value  []byte // that was accepted
}

// appendPast appends what few turns change of a state, and which turn it is.
func appendPast(b []byte, turn uint64, s *durable.State, p *past) []byte {
	b = appendNumbers(append(b, pastLayout), turn, uint64(s.Node), uint64(len(s.Lives)))
	b = appendNumbers(b, s.Lives...)
	for _, text := range []string{s.Back, s.Aside} {
		text = text[:min(len(text), maxReason)]
		b = append(appendNumbers(b, uint64(len(text))), text...)
	}

	v, flags := &s.Votes, uint64(0)
	if v.Base.Equal(&s.Record) { // as a rule: it is not written twice
		flags |= flagSame
	}
	if v.Whole {
		flags |= flagWhole
	}
	b = appendNumbers(b, flags, v.Promised.Round, v.Promised.Master, v.Accepted.Round, v.Accepted.Master)
	for _, encoded := range [][]byte{p.base, p.value} {
		b = append(appendNumbers(b, uint64(len(encoded))), encoded...)
	}
	return append(b, p.record...)
}

// samePast reports whether appendPast says the same of both, whatever the turn is.
func samePast(a, b *durable.State) bool {
	isSelf := a.Node == b.Node && a.Back == b.Back && a.Aside == b.Aside && slices.Equal(a.Lives, b.Lives)
	return isSelf && a.Record.Equal(&b.Record) && sameVotes(&a.Votes, &b.Votes)
}

// sameVotes reports whether two replicas have said the same of the record that is to follow.
func sameVotes(a, b *durable.Votes) bool {
	return a.Whole == b.Whole && a.Promised == b.Promised && a.Accepted == b.Accepted && a.Base.Equal(&b.Base) && a.Value.Equal(&b.Value)
}

// decodePast reads into s what appendPast has written, and returns which turn that was. The error
// of a layout that this version does not know wraps [codec.ErrNewer].
func decodePast(b []byte, s *durable.State, d *codec.Decoder) (turn uint64, err error) {
	in := input{b: b}
	first := in.byte()
	if first > pastLayout {
		return 0, fmt.Errorf("%w: the record of the epoch has layout %d: %w", errValue, first, codec.ErrNewer)
	}
	if first < pastFirst {
		in.bad = true
	}

	turn = in.number()
	in.who(s)

	var base, value string
	flags := uint64(flagSame)
	if first > pastFirst {
		v := &s.Votes
		flags = in.number()
		v.Whole = flags&flagWhole != 0
		v.Promised = message.Ballot{Round: in.number(), Master: in.number()}
		v.Accepted = message.Ballot{Round: in.number(), Master: in.number()}
		base, value = in.text(maxRecord), in.text(maxRecord)
	}
	if in.bad || flags > flagSame|flagWhole {
		return 0, fmt.Errorf("%w: the record of the epoch", errValue)
	}

	if err := in.record(s, d); err != nil {
		return 0, err
	}
	if flags&flagSame != 0 {
		s.Votes.Base = s.Record
	}
	return turn, votes(s, base, value, d)
}

// votes reads the records in what a replica has said of the record that is to follow.
func votes(s *durable.State, base, value string, d *codec.Decoder) (err error) {
	for _, r := range []struct {
		text string
		to   *message.Record
	}{{base, &s.Votes.Base}, {value, &s.Votes.Value}} {
		if r.text == "" {
			continue
		}
		if *r.to, err = d.DecodeRecord([]byte(r.text)); err != nil {
			return fmt.Errorf("%w: a vote on the record of an epoch: %w", errValue, err)
		}
	}
	return nil
}

// who reads whose disk it is, which processes have used it, and why it came back or was put aside.
func (in *input) who(s *durable.State) {
	node := in.number()
	if node > math.MaxUint32 {
		in.bad = true
	}
	s.Node, s.Lives = lamport.Node(node), in.numbers(maxLives)
	s.Back, s.Aside = in.text(maxReason), in.text(maxReason)
}

// record reads the record of the epoch, if the rest of the input is one.
func (in *input) record(s *durable.State, d *codec.Decoder) error {
	if len(in.b) == 0 {
		return nil
	}
	record, err := d.DecodeRecord(in.b)
	if err != nil {
		return fmt.Errorf("%w: the record of the epoch: %w", errValue, err)
	}
	s.Record = record
	return nil
}

// told reads what the other members have told.
func (in *input) told(s *durable.State) {
	n := in.number()
	if n > maxContiguous {
		in.bad = true
	}
	for ; n > 0 && !in.bad; n-- {
		s.Told = append(s.Told, in.numbers(maxContiguous))
	}
}

// decodeState reads what appendState has written, in this layout or an earlier one. The error of a
// layout that this version does not know wraps [codec.ErrNewer].
func decodeState(b []byte, d *codec.Decoder) (counts, durable.State, error) {
	in := input{b: b}
	first := in.byte()
	if first > layoutNewest {
		return counts{}, durable.State{}, fmt.Errorf("%w: the state has layout %d: %w", errValue, first, codec.ErrNewer)
	}
	if first < layout {
		in.bad = true
	}

	c := counts{turn: in.number(), keys: in.number(), firstEntry: in.number(), firstMark: in.number(), lastMark: in.number()}
	if first >= layoutPast {
		if c.past = in.number(); c.past == 0 {
			in.bad = true
		}
	}

	if c.live = c.keys; first >= layoutLive { // before, all were values
		c.live = in.number()
	}
	if c.live > c.keys {
		in.bad = true
	}

	flags := in.number()
	s := durable.State{
		Learning: flags&flagLearning != 0, Scratch: flags&flagScratch != 0,
		Incarnation: in.number(), Clock: in.number(), LastRID: in.number(), Position: in.number(), Place: in.timestamp(),
		Entries: in.number(), Committed: in.number(), Watermark: in.number(), Safe: in.number(),
	}
	if first >= layoutLives {
		s.Order = message.OrderTime{Now: in.number(), Tick: in.number(), Horizon: in.number(), Oldest: in.number()}
	}
	if first >= layoutFloor {
		s.Collected = in.collection()
		s.Shut = in.version()
	}
	if flags > flagLearning|flagScratch {
		in.bad = true
	}

	s.Contiguous = in.numbers(maxContiguous)
	if first == layoutLives {
		in.who(&s)
	}
	if first >= layoutLives {
		in.told(&s)
	}

	rest := first >= layoutPast && len(in.b) > 0 // the record has a key of its own since then
	if in.bad || rest {
		return counts{}, durable.State{}, fmt.Errorf("%w: the state", errValue)
	}
	if err := in.record(&s, d); err != nil {
		return counts{}, durable.State{}, err
	}
	return c, s, nil
}

// appendNumbers appends each number in as few bytes as it needs.
func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// appendVersion appends a version as three numbers: epoch, time, node.
func appendVersion(b []byte, v lamport.Version) []byte {
	return appendNumbers(b, v.Epoch, v.Time, uint64(v.Node))
}

// input reads a value from its beginning. bad: it did not hold what was asked for, and nothing that
// was read from it counts.
type input struct {
	b   []byte
	bad bool
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

// numbers reads a list of numbers, most of them at the most; an empty one is nil.
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

// text reads a text of most bytes at the most, behind its length.
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

func (in *input) version() lamport.Version {
	return lamport.Version{Epoch: in.number(), Timestamp: in.timestamp()}
}

func (in *input) collection() message.Collection {
	return message.Collection{Floor: in.version(), Position: in.number(), Horizon: in.version(), Agreed: in.number()}
}

func (in *input) timestamp() lamport.Timestamp {
	time, node := in.number(), in.number()
	if node > math.MaxUint32 {
		in.bad = true
	}
	return lamport.Timestamp{Time: time, Node: lamport.Node(node)}
}
