// Package exit is the table of exit statuses of the public contract. It promises the same status
// for the same end of every command, and an error that carries it to main.
package exit

// The exit statuses of every command. Where several apply, the greatest counts.
const (
	StatusOK        = 0 // every request was answered (a get of a missing key is an answer)
	StatusFailed    = 1 // anything else went wrong
	StatusUsage     = 2 // wrong usage, or a malformed request or file: nothing was sent
	StatusNoValue   = 3 // "quartet get" of a key without a value
	StatusRefused   = 4 // the cluster refused a request (400, 409, 410, 412, 413, 421, 425, 503), or the NATS server did (403)
	StatusUnknown   = 5 // whether a request took effect is unknown (504, no reply)
	StatusNoCluster = 6 // no cluster there
	StatusDamaged   = 7 // "quartet replica": the data that it keeps are damaged, and it does not serve them
	StatusLed       = 8 // "quartet master": another master is at work; this one has not begun, or has given way
	StatusReplaced  = 9 // "quartet replica": another process of its name was started later, and speaks as it
)

// Error is an error with the status with which the command is to end.
type Error struct {
	Status int   // one of the constants above, not StatusOK
	Err    error // what main prints; nil: everything has been said already, print nothing
}

// Error returns the text of Err, "" if there is none.
func (e *Error) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// With gives err a status; nil stays nil.
func With(status int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Status: status, Err: err}
}

// Usage gives err the status of wrong usage.
func Usage(err error) error { return With(StatusUsage, err) }

// NoCluster gives err the status of a cluster that is not there.
func NoCluster(err error) error { return With(StatusNoCluster, err) }

// Damaged gives err the status of a replica whose data are damaged.
func Damaged(err error) error { return With(StatusDamaged, err) }

// Replaced gives err the status of a replica of which another process was started later.
func Replaced(err error) error { return With(StatusReplaced, err) }

// Silent is an error that only carries a status: nothing is left to print.
func Silent(status int) error {
	if status == StatusOK {
		return nil
	}
	return &Error{Status: status}
}

// Status returns the status with which a command that ended with err is to exit: of all the Errors
// in err's tree the greatest; [StatusFailed] where there is none.
func Status(err error) int {
	if err == nil {
		return StatusOK
	}
	return max(greatest(err), StatusFailed)
}

// greatest returns the greatest status in err's tree, 0 where there is none.
func greatest(err error) int {
	status := 0
	if e, ok := err.(*Error); ok { // this node of the tree; its children follow
		status = e.Status
	}

	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if next := x.Unwrap(); next != nil {
			status = max(status, greatest(next))
		}
	case interface{ Unwrap() []error }:
		for _, next := range x.Unwrap() {
			status = max(status, greatest(next))
		}
	}

	return status
}
