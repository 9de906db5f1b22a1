// Package client is the Go package with which a program speaks to a quartet cluster. It promises
// that the program always knows where it stands with a request: it was answered, it took no effect,
// or its outcome is unknown.
//
// [Connect] (or [New], on a connection that is there) makes a [Client]. [Client.Get], [Client.Set]
// and its other requests are linearizable unless [With] names another model. A [Session] keeps what
// the sequential and the causal model need from one request to the next, and [Session.Token] passes
// that on to other programs and scripts. [Client.GetMany] reads many keys at the same time, and
// [Client.Txn] does several operations at one place in the order, or none of them.
//
// # What may be relied upon
//
// All that is exported here, and in quartet/client/quartettest, which starts a whole cluster within
// a test. The fields of a [Request] and of a [Result] are those of quartet/bus/model, and a
// [Client.Status] is a type of quartet/bus: both follow the contract, bus/CONTRACT.md. These change
// only with a line in CHANGELOG.md. The other packages of the module are parts of the program and
// may change without one.
//
// [Client.Watch] tells what stands below a prefix and then each change, and goes on over every
// fault that leaves a cluster. [Session.Watch] begins after what a session has seen.
//
// # Retries
//
// A request that ends with a lost reply, a lost connection, 503, 504 or 425 is sent again with the
// same Nats-Msg-Id, until the context ends or the budget is spent ([WithRetries]). Whatever writes
// has such an id, so it takes effect at most once however often it is sent: the cluster remembers
// the id for two minutes at the least, and nothing that writes is sent again later than that. After
// 425 another replica is asked, unless the request names one.
//
// # Definite and indefinite errors
//
// An error that is [ErrUnknownOutcome] is indefinite: the write may have taken effect, or may yet.
// Every other error is definite: it has not and will not. (The error of several requests is the
// worst of theirs; each [Outcome] has its own.) By the contract's codes:
//
//   - 404 is [ErrNotFound], an answer: the key has no value.
//   - 400 is [ErrMalformed], 409 [ErrConflict], 410 [ErrGone], 412 [ErrConditionFailed], 413
//     [ErrTooLarge], 421 [ErrOtherHistory] and 425 [ErrTooEarly]: each is an [ErrRefused].
//   - 503 is [ErrUnavailable].
//   - 504 is [ErrUnknownOutcome], as is no answer at all.
//
// A refusal of a retry says nothing of an earlier sending that got no answer, so such a write ends
// as unknown.
package client
