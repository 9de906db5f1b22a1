package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// apiPrefix begins the subjects of the server's own JetStream.
const apiPrefix = "$JS.API."

// The types of answers, as schemas of JetStream's clients know them.
const (
	typePrefix  = "io.nats.jetstream.api.v1."
	typeAccount = typePrefix + "account_info_response"
	typeCreate  = typePrefix + "stream_create_response"
	typeUpdate  = typePrefix + "stream_update_response"
	typeDelete  = typePrefix + "stream_delete_response"
	typeInfo    = typePrefix + "stream_info_response"
	typePurge   = typePrefix + "stream_purge_response"
	typeNames   = typePrefix + "stream_names_response"
	typeList    = typePrefix + "stream_list_response"
	typeMsgGet  = typePrefix + "stream_msg_get_response"
)

// typeOf is the type of the answer to a request.
func typeOf(o op) string {
	switch o {
	case opDelete:
		return typeDelete
	case opInfo:
		return typeInfo
	case opPurge:
		return typePurge
	case opMsgGet:
		return typeMsgGet
	case opCreate:
		return typeCreate
	case opUpdate:
		return typeUpdate
	}
	return ""
}

// answered is what every answer of the API begins with.
type answered struct {
	Type  string `json:"type,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// streamInfo is a bucket as clients see its stream.
type streamInfo struct {
	Config    Config      `json:"config"`
	Created   time.Time   `json:"created"`
	State     streamState `json:"state"`
	Timestamp time.Time   `json:"ts"`
	DidCreate *bool       `json:"did_create,omitempty"`
	Total     *int        `json:"total,omitempty"`
	Offset    *int        `json:"offset,omitempty"`
	Limit     *int        `json:"limit,omitempty"`
}

type streamState struct {
	Messages    int       `json:"messages"`
	Bytes       int64     `json:"bytes"`
	First       uint64    `json:"first_seq"`
	FirstTime   time.Time `json:"first_ts"`
	Last        uint64    `json:"last_seq"`
	LastTime    time.Time `json:"last_ts"`
	NumSubjects int       `json:"num_subjects,omitempty"`
	Consumers   int       `json:"consumer_count"`
}

// jsonOf is an answer, or a request to the server, as JSON.
func jsonOf(v any) []byte {
	b, _ := json.Marshal(v) // of types of this package, which encode
	return b
}

// answer answers a client with fields after the type.
func (f *Facade) answer(m *nats.Msg, kind string, fields any) {
	head, body := jsonOf(answered{Type: kind}), jsonOf(fields)
	if len(body) > 2 {
		head = append(append(head[:len(head)-1], ','), body[1:]...)
	}
	f.send(&nats.Msg{Subject: m.Reply, Data: head})
}

// fail answers a client with an error.
func (f *Facade) fail(m *nats.Msg, kind string, e *Error) {
	f.counts.Refused++
	f.send(&nats.Msg{Subject: m.Reply, Data: jsonOf(answered{Type: kind, Error: e})})
}

// acknowledge answers a write. Number 0: it has none.
func (b *bucket) acknowledge(m *nats.Msg, number uint64, duplicate bool) {
	body := make([]byte, 0, 64)
	body = append(body, `{"stream":"`+streamPrefix...)
	body = append(append(body, b.name...), `","seq":`...)
	body = strconv.AppendUint(body, number, 10)
	if duplicate {
		body = append(body, `,"duplicate":true`...)
	}
	b.f.send(&nats.Msg{Subject: m.Reply, Data: append(body, '}')})
}

// refuse answers a write with an error, as a stream does.
func (b *bucket) refuse(m *nats.Msg, e *Error) {
	b.f.counts.Refused++
	b.f.send(&nats.Msg{Subject: m.Reply, Data: jsonOf(struct {
		Error    *Error `json:"error"`
		Stream   string `json:"stream"`
		Sequence int    `json:"seq"`
	}{e, streamPrefix + b.name, 0})})
}

// directError answers a direct get that cannot be served: clients read the status and the
// description.
func (f *Facade) directError(m *nats.Msg, status int, why string) {
	f.counts.Refused++
	f.send(&nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {strconv.Itoa(status)}, "Description": {why}}})
}

// errStored is wrapped by what a shadow says of a message that it did not take.
var errStored = errors.New("kv: a message was not stored")

// parseStored reads a stream's acknowledgement.
func parseStored(body []byte) (sequence uint64, err error) {
	var a struct {
		Sequence uint64 `json:"seq"`
		Error    *Error `json:"error"`
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, fmt.Errorf("%w: %w", errStored, err)
	}
	if a.Error != nil {
		return 0, fmt.Errorf("%w: %w", errStored, a.Error)
	}
	return a.Sequence, nil
}

// parseTTL reads the header of a message that ends: a duration as Go writes it, whole seconds, or
// "never"; 0: it does not end.
func parseTTL(ttl string) (time.Duration, error) {
	if ttl == "" || ttl == "never" {
		return 0, nil
	}
	if seconds, err := strconv.ParseInt(ttl, 10, 32); err == nil {
		if seconds <= 0 {
			return 0, errTTLInvalid
		}
		return time.Duration(seconds) * time.Second, nil
	}
	after, err := time.ParseDuration(ttl)
	if err != nil || after < time.Second {
		return 0, errTTLInvalid
	}
	return after, nil
}

// sizeOf is about how many bytes a message takes in a stream, as the server counts them.
func sizeOf(storage, subject string, value int) int32 {
	const inFile, inMemory = 30, 16
	if storage == "memory" {
		return int32(len(subject) + value + inMemory)
	}
	return int32(len(subject) + value + inFile)
}

// header is a header of a client's message, whatever its letter case.
func header(m *nats.Msg, name string) (string, bool) { return bus.Lookup(m.Header, name) }
