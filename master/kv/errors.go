package kv

import (
	"errors"
	"fmt"

	"quartet/bus/model"
)

// ErrRecord is wrapped by errors of a bucket's record that is none.
var ErrRecord = errors.New("kv: not the record of a bucket")

// Error is a refusal as JetStream says it: an HTTP code, a number of its own and a sentence.
type Error struct {
	Code        int    `json:"code"`
	Number      int    `json:"err_code"`
	Description string `json:"description"`
}

// Error is the sentence.
func (e *Error) Error() string { return e.Description }

// JetStream's numbers that several sentences have.
const (
	numberBadRequest  = 10003
	numberUnavailable = 10008
	numberBadJSON     = 10025
	numberBadConfig   = 10052 // of a stream
	numberWrongLast   = 10071 // the condition on a key's number does not hold
	numberNoCondition = numberWrongLast + ownNumbers
)

// JetStream's numbers, with the sentences of nats-server 2.15.
var (
	errNotFound        = &Error{404, 10059, "stream not found"}
	errNameInUse       = &Error{400, 10058, "stream name already in use with a different configuration"}
	errNoMessage       = &Error{404, 10037, "no message found"}
	errTTLDisabled     = &Error{400, 10166, "per-message TTL is disabled"}
	errTTLInvalid      = &Error{400, 10165, "invalid per-message TTL"}
	errTooLarge        = &Error{400, 10054, "message size exceeds maximum allowed"}
	errBytes           = &Error{503, 10077, "maximum bytes exceeded"}
	errNotEmpty        = &Error{400, 10038, "expected an empty request payload"}
	errBadRequest      = &Error{400, numberBadRequest, "bad request"}
	errName            = &Error{400, 10056, "stream name in subject does not match request"}
	errExpectedStream  = &Error{400, 10060, "expected stream does not match"}
	errBatch           = &Error{400, 10174, "atomic publish is disabled"}
	errFilter          = &Error{400, 10093, "consumer filter subject is not a valid subset of the interest subjects"}
	errNoShadow        = &Error{503, 10039, "watches, keys and history need JetStream in the clients' account of the NATS server"}
	errDeliver         = &Error{400, 10112, "consumer deliver subject is one of the cluster's, of the server's, or none"}
	errInsideFilter    = &Error{400, 10131, "consumer create request did not match filtered subject from create subject"}
	errConsumerStream  = &Error{400, 10061, "stream name in the request does not match the subject"}
	errWhole           = &Error{400, 10110, "quartet purges keys, not a whole bucket: name one with a filter, or delete the bucket"}
	errOccupied        = &Error{503, numberUnavailable, "too many requests to buckets are waiting; ask again"}
	errLoading         = &Error{503, numberUnavailable, "the bucket is being opened; ask again"}
	errConditionalWeak = &Error{400, numberNoCondition, weakCondition}
)

const weakCondition = "no condition in models causal and eventual: without an order nobody knows the newest revision; " +
	"use the prefix of linearizable or sequential"

// ownNumbers is added where JetStream has no number that fits, so that nobody takes ours for one
// of its.
const ownNumbers = 50_000

// conflict says which number the key has.
func conflict(number uint64) *Error {
	return &Error{400, numberWrongLast, fmt.Sprintf("wrong last sequence: %d", number)}
}

// refusal says which option of a bucket is not to be had, and why.
func refusal(option, why string) *Error {
	return &Error{400, numberBadConfig, fmt.Sprintf("quartet does not have the option %s: %s", option, why)}
}

// malformed says what is wrong with a message's headers or its key.
func malformed(why string) *Error { return &Error{400, numberBadRequest, why} }

// badJSON is what servers from 2.12 on say of a body.
func badJSON(err error) *Error { return &Error{400, numberBadJSON, "invalid JSON: " + err.Error()} }

// ofCluster is what the cluster has answered in place of an outcome.
func ofCluster(code model.Code, reason string) *Error {
	switch code {
	case model.TooLarge:
		return errTooLarge
	case model.Unavailable, model.TooEarly:
		return &Error{503, numberUnavailable, reason}
	}
	return &Error{int(code), ownNumbers + int(code), reason}
}
