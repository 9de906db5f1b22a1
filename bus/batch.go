package bus

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"quartet/bus/internal/pack"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Limits of a batch, which its sender keeps to and its receiver checks.
const (
	// MaxBatch is the most requests that a batch may carry.
	MaxBatch = 1024
	// BatchBytes is about how large a batch or a message of its answers is made; a lone
	// request or answer may be larger.
	BatchBytes = 256 << 10
)

// ErrBatch is wrapped by [AnswersReader.Read] for what is no message of answers.
var ErrBatch = errors.New("bus: not the answers to a batch")

// BatchItem is one request of a batch: what a lone request has in its body and headers.
// Err, an [*Error], says why this one is refused; its Request then holds what could be read.
type BatchItem struct {
	Request
	Options
	Err error
}

// The fields of an item, in their order: an array, not a map, for it is read and written
// once for every request. Those after the key may be left out from the end.
const (
	itemLeast = 3 // consistency, request, key
	itemMost  = 9 // value, id, minimum, replica, history, age
)

// ParseBatch reads a batch: a msgpack array of 1 to [MaxBatch] items. An error, an
// [*Error], refuses the whole: then none of its requests may be executed. Items that are
// wrong by themselves carry their own. Values share body's memory; dst is reused.
func ParseBatch(body []byte, dst []BatchItem) ([]BatchItem, error) {
	dst = dst[:0]
	w := walker{in: pack.Get(body)}
	defer w.in.Put()

	n, err := w.array("a batch", 1, MaxBatch)
	if err != nil {
		return dst, err
	}
	for i := range n {
		item := BatchItem{Request: Request{Encoding: Msgpack}}
		if err := w.item(&item); err != nil {
			return dst[:0], malformed("request %d of the batch: %s", i, err.Error())
		}
		dst = append(dst, item)
	}
	if w.in.Len() > 0 {
		return dst[:0], malformed("%d bytes after the batch", w.in.Len())
	}
	return dst, nil
}

// array reads an array's length. A declared length is believed only within limits.
func (w *walker) array(what string, least, most int) (int, error) {
	n, err := w.in.ArrayLen()
	switch {
	case err != nil:
		return 0, wrong(err, "%s is no msgpack array", what)
	case n < least || n > most:
		return 0, malformed("%s of %d elements (want %d to %d)", what, n, least, most)
	}
	return n, nil
}

// item reads one. What breaks the form is an error, for the rest cannot be read then;
// what breaks a rule is the item's own.
func (w *walker) item(item *BatchItem) error {
	n, err := w.array("it", itemLeast, itemMost)
	if err != nil {
		return err
	}

	var consistency, request uint64
	var key, id, replica, history []byte

	if consistency, err = w.uint("consistency"); err != nil {
		return err
	}
	if request, err = w.uint("request"); err != nil {
		return err
	}
	if key, err = w.bytes("key", false); err != nil {
		return err
	}

	// Trailing fields may be left out.
	if n > 3 {
		if item.Value, err = w.optional("value"); err != nil {
			return err
		}
	}
	if n > 4 {
		if id, err = w.bytes("id", false); err != nil {
			return err
		}
	}
	var least uint64
	if n > 5 {
		if least, err = w.uint("minimum"); err != nil {
			return err
		}
	}
	if n > 6 {
		if replica, err = w.bytes("replica", false); err != nil {
			return err
		}
	}
	if n > 7 {
		if history, err = w.bytes("history", false); err != nil {
			return err
		}
	}
	if n > 8 {
		if item.Age, err = w.uint("age"); err != nil {
			return err
		}
	}

	item.Key, item.Identity, item.Replica = string(key), string(id), string(replica)
	if item.Err = item.check(consistency, request, least); item.Err == nil && len(history) > 0 {
		item.AsksHistory = true
		item.History, item.Err = ParseHistory(string(history))
	}
	return nil
}

func (w *walker) uint(what string) (uint64, error) {
	n, err := w.in.Uint()
	if err != nil {
		return 0, wrong(err, "%s is no unsigned int", what)
	}
	return n, nil
}

// optional reads a str, a bin or nil.
func (w *walker) optional(what string) ([]byte, error) {
	if w.in.Nil() {
		return nil, nil
	}
	return w.bytes(what, true)
}

// check applies the rules of a lone request's body and headers, in their order.
func (b *BatchItem) check(consistency, request, least uint64) error {
	if consistency < 1 || consistency > uint64(len(model.All)) {
		return malformed("unknown consistency %d (want %s)", consistency, consistencyChoice)
	}
	b.Model = model.Consistency(consistency)

	if request < 1 || request > uint64(len(model.Types)) {
		return malformed("unknown request %d (want %s)", request, typeChoice)
	}
	b.Type = model.Type(request)

	switch {
	case b.Type == model.Set && b.Value == nil:
		return malformed("the value is missing in a set")
	case b.Type == model.Get && b.Value != nil:
		return malformed("a get takes no value")
	}
	if err := Check(&b.Request.Request); err != nil {
		return err
	}

	if b.Identity != "" {
		if fault := nameFault(b.Identity); fault != "" {
			return malformed("the id %s", fault)
		}
	}

	switch b.Model {
	case model.Causal:
		b.MinTimestamp = least
	case model.Sequential:
		b.MinPosition = least
	}

	if b.Replica != "" {
		if fault := replicaFault(b.Replica); fault != "" {
			return malformed("the replica %s", fault)
		}
	}
	return nil
}

// BatchWriter builds the bodies of batches in one buffer that it keeps. It has one owner.
// The zero value is ready.
type BatchWriter struct {
	out pack.Buffer
	enc *msgpack.Encoder
}

// Begin starts a batch of n items; each then needs one call of Add.
func (w *BatchWriter) Begin(n int) {
	if w.enc == nil {
		w.enc = msgpack.NewEncoder(&w.out)
	}
	w.out.B = w.out.B[:0]
	_ = w.enc.EncodeArrayLen(n) // the buffer cannot fail
}

// Add appends an item that [Check] and the options' rules accept.
func (w *BatchWriter) Add(item *BatchItem) {
	least := item.Minimum(item.Model)
	n := itemLeast
	switch {
	case item.Age != 0:
		n = 9
	case item.AsksHistory:
		n = 8
	case item.Replica != "":
		n = 7
	case least != 0:
		n = 6
	case item.Identity != "":
		n = 5
	case item.Type == model.Set:
		n = 4
	}

	_ = w.enc.EncodeArrayLen(n)
	_ = w.enc.EncodeUint(uint64(item.Model))
	_ = w.enc.EncodeUint(uint64(item.Type))
	_ = w.enc.EncodeString(item.Key)

	if n > 3 {
		if item.Type == model.Set {
			_ = w.enc.EncodeBytesLen(len(item.Value)) // EncodeBytes would make nil of an empty value
			w.out.B = append(w.out.B, item.Value...)
		} else {
			_ = w.enc.EncodeNil()
		}
	}
	if n > 4 {
		_ = w.enc.EncodeString(item.Identity)
	}
	if n > 5 {
		_ = w.enc.EncodeUint(least)
	}
	if n > 6 {
		_ = w.enc.EncodeString(item.Replica)
	}
	if n > 7 {
		history := ""
		if item.AsksHistory {
			history = AskedHistory(item.History)
		}
		_ = w.enc.EncodeString(history)
	}
	if n > 8 {
		_ = w.enc.EncodeUint(item.Age)
	}
}

// AskedHistory is what a request says of the history that it goes on from: [NewSession] for
// none, to be told it.
func AskedHistory(h History) string {
	if h == (History{}) {
		return NewSession
	}
	return HistoryWord(h)
}

// Bytes returns the batch, valid until the next Begin.
func (w *BatchWriter) Bytes() []byte { return w.out.B }

// Size is how many bytes an item takes at the most.
func (b *BatchItem) Size() int {
	const overhead = 50 + 2 + 32 // of the numbers, and of a history
	return overhead + b.Request.Size() + len(b.Identity) + len(b.Replica)
}

// An answer is an array of these fields: index in the batch, code, rID, clock (counter,
// node), replica, timestamp, position (nil: none), body.
const answerFields = 9

// AnswersWriter builds one message of answers to a batch. The zero value is ready.
type AnswersWriter struct {
	out  pack.Buffer
	enc  *msgpack.Encoder
	rids []uint64
}

// Add appends the answer to the batch's request of that index. For a FAIL the body is the
// reason, as in a lone reply.
func (w *AnswersWriter) Add(index int, r *Reply) {
	if w.enc == nil {
		w.enc = msgpack.NewEncoder(&w.out)
	}
	if len(w.rids) == 0 { // the length is written last
		w.out.B = append(w.out.B[:0], msgpcode.Array32, 0, 0, 0, 0)
	}
	w.rids = append(w.rids, r.RID)
	_ = w.enc.EncodeArrayLen(answerFields)
	_ = w.enc.EncodeUint(uint64(index))
	_ = w.enc.EncodeUint(uint64(r.Code))
	_ = w.enc.EncodeUint(r.RID)
	_ = w.enc.EncodeUint(r.Clock.Time)
	_ = w.enc.EncodeUint(uint64(r.Clock.Node))
	_ = w.enc.EncodeUint(uint64(r.Replica))
	_ = w.enc.EncodeUint(r.Timestamp)
	if r.HasPosition {
		_ = w.enc.EncodeUint(r.Position)
	} else {
		_ = w.enc.EncodeNil()
	}
	if r.Code == model.OK {
		body := r.body()
		_ = w.enc.EncodeBytesLen(len(body))
		w.out.B = append(w.out.B, body...)
		return
	}
	_ = w.enc.EncodeString(oneLine(r.Reason))
}

// Len returns how many bytes have gathered, 0 if there are no answers.
func (w *AnswersWriter) Len() int {
	if len(w.rids) == 0 {
		return 0
	}
	return len(w.out.B)
}

// Take returns the message, and the rIDs in it for its header, both valid until the next
// Add, and begins the next one.
func (w *AnswersWriter) Take() (body []byte, rids []uint64) {
	n := len(w.rids)
	body, rids = w.out.B, w.rids
	body[1], body[2], body[3], body[4] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	w.rids = w.rids[:0]
	return body, rids
}

// AnswersReader reads messages of answers. It has one owner. The zero value is ready.
type AnswersReader struct{ w walker }

// Read hands each answer to got, with its index in the batch; the body shares body's
// memory. Who sent the batch knows Model and Type, and says them ([Reply.Of]). The error wraps
// [ErrBatch]; answers that came before it were handed out.
func (a *AnswersReader) Read(body []byte, got func(index int, r *Reply)) error {
	if a.w.in == nil {
		a.w.in = pack.NewReader()
	}
	a.w.in.Reset(body)
	defer a.w.in.Reset(nil)

	n, err := a.w.array("the message", 1, MaxBatch)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBatch, err)
	}
	var r Reply
	for range n {
		index, err := a.w.answer(&r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBatch, err)
		}
		got(index, &r)
	}
	if a.w.in.Len() > 0 {
		return fmt.Errorf("%w: %d bytes after it", ErrBatch, a.w.in.Len())
	}
	return nil
}

func (w *walker) answer(r *Reply) (int, error) {
	if _, err := w.array("an answer", answerFields, answerFields); err != nil {
		return 0, err
	}

	var n [7]uint64
	for i := range n {
		var err error
		if n[i], err = w.uint("a field"); err != nil {
			return 0, err
		}
	}

	*r = Reply{Answer: model.Answer{
		Code: model.Code(n[1]), RID: n[2], Clock: lamport.Timestamp{Time: n[3], Node: lamport.Node(n[4])},
		Replica: lamport.Node(n[5]), Timestamp: n[6],
	}}
	cut := uint64(r.Code) != n[1] || uint64(r.Clock.Node) != n[4] || uint64(r.Replica) != n[5]
	strange := r.Replica != 0 && !r.Replica.IsReplica()
	if n[0] >= MaxBatch || cut || strange {
		return 0, malformed("a field is out of its range")
	}

	var err error
	if r.HasPosition = !w.in.Nil(); r.HasPosition {
		if r.Position, err = w.uint("position"); err != nil {
			return 0, err
		}
	}
	if r.Body, err = w.bytes("body", true); err != nil {
		return 0, err
	}
	if r.Code != model.OK {
		r.Reason = string(r.Body)
	}
	return int(n[0]), nil
}
