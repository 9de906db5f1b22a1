package codec

import (
	"fmt"

	"quartet/bus/message"
)

// What a disk or a bucket keeps: values that stand alone, each with the version in front
// and nothing that says which value it is; that is for the key that it is kept under to
// say. The limits are those of messages, so what is kept can be sent.
//
// Each Encode method returns bytes that are valid until the encoder is used again. Each
// Decode method reads one value, which must be all of b and shares no memory with it.
// All errors wrap [ErrMessage].

// EncodeData encodes a DATA with its header and without Acked.
func (e *Encoder) EncodeData(m *message.Data) ([]byte, error) {
	e.open()
	e.data(m)
	return e.close("DATA")
}

// EncodeWrites encodes up to [MaxList] causal writes.
func (e *Encoder) EncodeWrites(writes []message.CausalWrite) ([]byte, error) {
	e.open()
	e.writes(writes)
	return e.close("causal writes")
}

// EncodeRequest encodes a request.
func (e *Encoder) EncodeRequest(r *message.Request) ([]byte, error) {
	e.open()
	e.request(r)
	return e.close("request")
}

// EncodeExecuted encodes an entry of the table of executed requests.
func (e *Encoder) EncodeExecuted(x *message.Executed) ([]byte, error) {
	e.open()
	e.executed(x)
	return e.close("entry")
}

// EncodeRecord encodes the record of an epoch. One that is not [message.Record.Sound] is
// refused, so the zero record is: who has none writes none.
func (e *Encoder) EncodeRecord(r *message.Record) ([]byte, error) {
	e.open()
	e.record(r)
	return e.close("record of an epoch")
}

// EncodeKeyRecord encodes a record of the committed layer with its key.
func (e *Encoder) EncodeKeyRecord(r *message.KeyRecord) ([]byte, error) {
	e.open()
	e.keyRecord(r)
	return e.close("record of a key")
}

// EncodeChanges encodes up to [MaxList] changes of the log.
func (e *Encoder) EncodeChanges(list []message.Change) ([]byte, error) {
	e.open()
	e.changeList(list)
	return e.close("changes")
}

// DecodeChanges reads what EncodeChanges wrote; no changes are nil.
func (d *Decoder) DecodeChanges(b []byte) ([]message.Change, error) {
	d.open(b)
	if d.err == nil && !d.revisions {
		d.fail("changes of a version that has none")
	}
	list := d.changeList()
	if err := d.close("changes"); err != nil {
		return nil, err
	}
	return list, nil
}

// DecodeData reads what EncodeData wrote. Acked is nil.
func (d *Decoder) DecodeData(b []byte) (*message.Data, error) {
	d.open(b)
	m := d.data()
	if err := d.close("DATA"); err != nil {
		return nil, err
	}
	return m, nil
}

// DecodeWrites reads what EncodeWrites wrote; no writes are nil.
func (d *Decoder) DecodeWrites(b []byte) ([]message.CausalWrite, error) {
	d.open(b)
	writes := d.writes()
	if err := d.close("causal writes"); err != nil {
		return nil, err
	}
	return writes, nil
}

// DecodeRequest reads what EncodeRequest wrote.
func (d *Decoder) DecodeRequest(b []byte) (message.Request, error) {
	var r message.Request
	d.open(b)
	d.request(&r)
	if err := d.close("request"); err != nil {
		return message.Request{}, err
	}
	return r, nil
}

// DecodeExecuted reads what EncodeExecuted wrote.
func (d *Decoder) DecodeExecuted(b []byte) (message.Executed, error) {
	var x message.Executed
	d.open(b)
	d.executed(&x)
	if err := d.close("entry"); err != nil {
		return message.Executed{}, err
	}
	return x, nil
}

// DecodeRecord reads what EncodeRecord wrote. What it returns is [message.Record.Sound].
func (d *Decoder) DecodeRecord(b []byte) (message.Record, error) {
	d.open(b)
	r := d.record()
	if err := d.close("record of an epoch"); err != nil {
		return message.Record{}, err
	}
	return r, nil
}

// DecodeKeyRecord reads what EncodeKeyRecord wrote.
func (d *Decoder) DecodeKeyRecord(b []byte) (message.KeyRecord, error) {
	var r message.KeyRecord
	d.open(b)
	d.keyRecord(&r)
	if err := d.close("record of a key"); err != nil {
		return message.KeyRecord{}, err
	}
	return r, nil
}

func (e *Encoder) open() {
	e.out.B, e.fault = e.out.B[:0], ""
	e.array(valueFields)
	e.uint(valueVersion)
}

func (e *Encoder) close(what string) ([]byte, error) {
	if e.fault != "" {
		return nil, fmt.Errorf("%w: %s: %s", ErrMessage, what, e.fault)
	}
	return e.out.B, nil
}

// open begins with a value.
func (d *Decoder) open(b []byte) {
	d.in.Reset(b)
	d.err = nil
	d.tuple(valueFields, "value")
	version := d.version(oldestValueVersion, valueVersion)
	d.times, d.revisions = version > valueWithoutLineage, version > valueWithoutRevisions
}

// version reads the field that everything begins with: one of first to last.
func (d *Decoder) version(first, last uint64) uint64 {
	v := d.uint()
	switch {
	case d.err != nil:
	case v > last:
		d.err = fmt.Errorf("%w: %w: version %d (this one reads %d to %d)", ErrMessage, ErrNewer, v, first, last)
	case v < first:
		d.fail("version %d (want %d to %d)", v, first, last)
	}
	return v
}

func (d *Decoder) close(what string) error {
	if d.err == nil && d.in.Len() > 0 {
		d.fail("%d bytes after %s", d.in.Len(), what)
	}
	return d.err
}
