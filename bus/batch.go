package bus

import (
	"errors"

	"github.com/vmihailenco/msgpack/v5"

	"quartet/bus/internal/pack"
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
	itemLeast = 3  // consistency, request, key
	itemMost  = 11 // value, id, minimum, replica, history, age, if revision, ttl
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
	if n > 9 && !w.in.Nil() {
		item.HasIf = true
		if item.If, err = w.uint("the revision of its condition"); err != nil {
			return err
		}
	}
	if n > 10 {
		if item.TTL, err = w.uint("ttl"); err != nil {
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
		return malformed("unknown request %d (want %s)", request, model.TypeChoice)
	}
	b.Type = model.Type(request)

	switch {
	case b.Type == model.List || b.Type == model.Watch:
		return malformed("%s cannot be sent in a batch: send it alone", article(b.Type))
	case takesValue(b.Type) && b.Value == nil:
		return malformed("the value is missing in %s", article(b.Type))
	case !takesValue(b.Type) && b.Value != nil:
		return malformed("%s takes no value", article(b.Type))
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
	case item.TTL != 0:
		n = 11
	case item.HasIf:
		n = 10
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
	case takesValue(item.Type):
		n = 4
	}

	_ = w.enc.EncodeArrayLen(n)
	_ = w.enc.EncodeUint(uint64(item.Model))
	_ = w.enc.EncodeUint(uint64(item.Type))
	_ = w.enc.EncodeString(item.Key)

	if n > 3 {
		if takesValue(item.Type) {
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
	if n > 9 {
		w.condition(item)
	}
	if n > 10 {
		_ = w.enc.EncodeUint(item.TTL)
	}
}

func (w *BatchWriter) condition(item *BatchItem) {
	if item.HasIf {
		_ = w.enc.EncodeUint(item.If)
		return
	}
	_ = w.enc.EncodeNil()
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
	const overhead = 68 + 2 + 32 // of the numbers, and of a history
	return overhead + b.Request.Size() + len(b.Identity) + len(b.Replica)
}
