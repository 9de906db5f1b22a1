package client

import (
	"errors"
	"fmt"
	"time"

	"quartet/bus"
	"quartet/bus/model"
)

// What an error of this package is, for errors.Is. A request's outcome is definite
// unless the error is [ErrUnknownOutcome]: with every other one the request took no
// effect and will take none.
var (
	// ErrNotFound: the key has no value. This is an answer, with a position or a
	// timestamp like any other.
	ErrNotFound = errors.New("client: key not found")

	// ErrRefused: the cluster said no (400, 409, 410, 412, 413, 421, 425), or this package did
	// before it sent anything, or the NATS server (403). The same request will be refused again,
	// but for [ErrTooEarly].
	ErrRefused = errors.New("client: request refused")

	// ErrMalformed, an ErrRefused: the request breaks a rule of the contract (400), or names
	// a replica that the cluster does not know.
	ErrMalformed = errors.New("client: malformed request")

	// ErrConflict, an ErrRefused: the request's id was used for a different one (409).
	ErrConflict = errors.New("client: id used for a different request")

	// ErrGone, an ErrRefused (410): what the request goes on from is kept no more. Of a list or a
	// watch: begin it again. A set that is sent again was sent first so long ago that the cluster
	// may have forgotten whether it took effect (see [Request.FirstSent]); this sending took none.
	// What became of the first only the key tells: read it.
	ErrGone = errors.New("client: too old to be known")

	// ErrConditionFailed, an ErrRefused: a condition did not hold when the write's place in the
	// order had come (412), or a number could not be added. Error.Revision is that of the key
	// then, 0 if it had no value. The write has had no effect; every sending of it under the same
	// id is told the same.
	ErrConditionFailed = errors.New("client: condition does not hold")

	// ErrTooLarge, an ErrRefused: key and value together, or the message (413).
	ErrTooLarge = errors.New("client: request too large")

	// ErrToken, an ErrMalformed: what should be a session's token is none, was cut short, or
	// is of a later version.
	ErrToken = errors.New("client: not a session's token")

	// ErrOtherHistory, an ErrRefused: the session is another cluster's, or of a history that
	// has ended, as when a backup was restored (421). It can never go on: begin a new one.
	ErrOtherHistory = errors.New("client: the session is of another history")

	// ErrTooEarly, an ErrRefused: no replica has caught up with what the session has seen (425).
	ErrTooEarly = errors.New("client: no replica has caught up yet")

	// ErrPermission, an ErrRefused: the NATS server's permissions do not let this user ask (403).
	// Nobody has heard the request.
	ErrPermission = errors.New("client: not permitted by the NATS server")

	// ErrUnavailable: no replica could serve the request (503), nobody listens, or
	// there is no connection. Nothing was executed.
	ErrUnavailable = errors.New("client: cluster unavailable")

	// ErrNoCluster, an ErrUnavailable: nobody listens, or there is no connection.
	ErrNoCluster = errors.New("client: no cluster there")

	// ErrUnknownOutcome: the one indefinite error. A set took effect at most once, perhaps
	// later. Sending it again within two minutes of its first sending (Error.FirstSent), with
	// the same id (Error.ID), teaches the outcome; a [Client] does so by itself as long as its
	// retries and that time allow. Later the cluster may have forgotten it. Send it then with
	// [WithFirstSent], or read the key: without, it may be executed a second time. A get merely
	// has no answer.
	ErrUnknownOutcome = errors.New("client: outcome unknown")

	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client: closed")
)

// Error is what failed requests return. It is one or more of the package's sentinels.
type Error struct {
	Code     model.Code // of the last reply; 0 when there was none
	Reason   string     // one line
	ID       string     // the request's Nats-Msg-Id, "" if it had none
	RID      uint64     // of the last reply; 0 when there was none
	Attempts int        // how often the request was sent or tried to be; 0: refused by this package
	Unknown  bool       // the request may have taken effect
	Revision uint64     // of an ErrConditionFailed: the key's, 0 if it has no value
	Failed   int        // of a transaction's ErrConditionFailed: the index of the step; see [Txn.Commit]

	FirstSent time.Time // when the request was sent first; zero: it was not, or [Client.Start] sent it
	Err       error     // what lies below: a context's error, a connection's; may be nil
}

// Error says what happened, in one line.
func (e *Error) Error() string {
	what := "failed"
	switch {
	case e.Unknown:
		what = "outcome unknown"
	case errors.Is(e, ErrNotFound):
		what = "not found"
	case errors.Is(e, ErrNoCluster):
		what = "no cluster there"
	case errors.Is(e, ErrUnavailable):
		what = "unavailable"
	case errors.Is(e, ErrPermission):
		what = "not permitted"
	case errors.Is(e, ErrConditionFailed):
		what = "condition failed"
	case errors.Is(e, ErrRefused):
		what = "refused"
	}
	if e.Code != 0 {
		what = fmt.Sprintf("%s (%d)", what, e.Code)
	}
	if e.Reason == "" && e.Err != nil {
		return fmt.Sprintf("client: %s: %v", what, e.Err)
	}
	return fmt.Sprintf("client: %s: %s", what, e.Reason)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is makes e one or more of the sentinels. An unknown outcome is nothing else.
func (e *Error) Is(target error) bool {
	if e.Unknown || target == ErrUnknownOutcome {
		return e.Unknown && target == ErrUnknownOutcome
	}
	switch target {
	case ErrNotFound:
		return e.Code == model.NotFound
	case ErrMalformed:
		return e.Code == model.Malformed
	case ErrPermission:
		return e.Code == model.Forbidden
	case ErrConflict:
		return e.Code == model.Conflict
	case ErrGone:
		return e.Code == model.Gone
	case ErrConditionFailed:
		return e.Code == model.Failed
	case ErrTooLarge:
		return e.Code == model.TooLarge
	case ErrOtherHistory:
		return e.Code == model.Misdirected
	case ErrTooEarly:
		return e.Code == model.TooEarly
	case ErrRefused:
		return e.Code >= 400 && e.Code < 500 && e.Code != model.NotFound
	case ErrUnavailable:
		return e.Code == model.Unavailable || errors.Is(e.Err, ErrNoCluster)
	}
	return false
}

// refusal makes the bus's reason for a request that was never sent an *Error.
func refusal(err error) error {
	var bad *bus.Error
	if errors.As(err, &bad) {
		return &Error{Code: bad.Code, Reason: bad.Reason, Err: err}
	}
	return err
}

// forbidden says what the server does not let us do, and what a client needs.
func (c *Client) forbidden(err error) *Error {
	return &Error{
		Code: model.Forbidden, Attempts: 1, Err: err,
		Reason: fmt.Sprintf("%s: a client needs to publish to %s, %s, %s and what else it asks (to read alone %s is enough), and to "+
			"subscribe to its inbox", permission(err), c.subjects.Request(), c.subjects.Batch(), c.subjects.Status(), c.subjects.Read()),
	}
}

func permission(err error) string {
	var p *bus.PermissionError
	if errors.As(err, &p) {
		return p.Error()
	}
	return err.Error()
}
