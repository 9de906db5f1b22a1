package bus

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"quartet/bus/internal/pack"
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// An answer is an array of these fields: index in the batch, code, rID, clock (counter,
// node), replica, timestamp, position (nil: none), body; and, for who asks for them, as far as they
// are needed: revision (nil: none), expires (milliseconds since 1970; 0: never), and what a FAIL
// says beside its reason (results, of a txn).
const (
	answerLeast = 9
	AnswerMost  = 12
)

// AnswerFields is how many fields of an answer the sender of a batch reads, as its header
// [HeaderAnswerFields] says: nine, if it says nothing, for there were no more once.
func AnswerFields(h nats.Header) int {
	value, _ := option(h, HeaderAnswerFields)
	n, err := strconv.Atoi(value)
	if err != nil {
		return answerLeast
	}
	return min(max(n, answerLeast), AnswerMost)
}

// AnswersWriter builds one message of answers to a batch. The zero value is ready.
type AnswersWriter struct {
	Fields int // that the batch's sender reads: [AnswerFields]; fewer than nine: nine

	arrayWriter
	rids []uint64
}

// Add appends the answer to the batch's request of that index. For a FAIL the body is the
// reason, as in a lone reply.
func (w *AnswersWriter) Add(index int, r *Reply) {
	if len(w.rids) == 0 {
		w.begin()
	}
	w.rids = append(w.rids, r.RID)
	n := w.fields(r)
	_ = w.enc.EncodeArrayLen(n)
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
		w.bytes(r.body())
	} else {
		_ = w.enc.EncodeString(oneLine(r.Reason))
	}

	if n > 9 {
		w.revision(r)
	}
	if n > 10 {
		_ = w.enc.EncodeUint(r.Expires)
	}
	if n > 11 {
		w.bytes(r.Value)
	}
}

// fields is how many fields r takes: what is not needed is left out from the end.
func (w *AnswersWriter) fields(r *Reply) int {
	n := answerLeast
	switch {
	case r.Code != model.OK && len(r.Value) > 0:
		n = 12
	case r.Expires > 0:
		n = 11
	case r.HasRevision:
		n = 10
	}
	return min(n, max(w.Fields, answerLeast))
}

func (w *AnswersWriter) revision(r *Reply) {
	if r.HasRevision {
		_ = w.enc.EncodeUint(r.Revision)
		return
	}
	_ = w.enc.EncodeNil()
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
	rids = w.rids
	w.rids = w.rids[:0]
	return w.end(len(rids)), rids
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
	fields, err := w.array("an answer", answerLeast, AnswerMost)
	if err != nil {
		return 0, err
	}

	var n [7]uint64
	for i := range n {
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
	return int(n[0]), w.answerRest(fields, r)
}

// answerRest reads what follows the body.
func (w *walker) answerRest(fields int, r *Reply) (err error) {
	if fields > 9 && !w.in.Nil() {
		r.HasRevision = true
		if r.Revision, err = w.uint("revision"); err != nil {
			return err
		}
	}
	if fields > 10 {
		if r.Expires, err = w.uint("expires"); err != nil {
			return err
		}
	}
	if fields > 11 {
		r.Value, err = w.optional("what a FAIL says")
	}
	return err
}
