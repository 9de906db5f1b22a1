// Package client is the Go package with which a program speaks to a quartet cluster. It promises
// that the program always knows where it stands with a request: it was answered, it took no effect,
// or its outcome is unknown.
//
// [Connect] (or [New], on a connection that is there) makes a [Client]. [Client.Get]
// and [Client.Set] are linearizable unless [With] names another model; a [Session]
// keeps what the sequential and the causal model need from one request to the next, and
// [Session.Token] passes that on to other programs and scripts. [Client.GetMany] reads many
// keys at the same time, [Client.Txn] does several operations at one place in the order, or none.
//
// # Retries
//
// What a lost reply, a lost connection, 503, 504 or 425 ends is tried again, with the
// same Nats-Msg-Id, until the context ends or the budget is spent ([WithRetries]). A set
// always has such an id, so it takes effect at most once however often it is sent: the cluster
// remembers it for two minutes at the least, and no set is sent again later than that.
// After 425 another replica is asked, unless the request is pinned to one.
//
// # Definite and indefinite errors
//
// An error that is [ErrUnknownOutcome] is indefinite: the set may have taken effect or
// may yet. Every other error is definite: it has not and will not (that of several requests
// tells of the worst; each has its own). By the contract's codes: 400 [ErrMalformed], 409
// [ErrConflict], 410 [ErrGone], 412 [ErrConditionFailed], 413 [ErrTooLarge], 421 [ErrOtherHistory]
// and 425 [ErrTooEarly], each an [ErrRefused]; 404 [ErrNotFound]; 503 [ErrUnavailable]; 504 ErrUnknownOutcome, as is no
// answer at all. A refusal of a retry
// says nothing of an earlier sending that got no answer, so such a set ends as unknown.
package client
