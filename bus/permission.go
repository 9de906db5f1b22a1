package bus

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"weak"

	"github.com/nats-io/nats.go"
)

// ErrPermission is what a server does not let a user do. It says so after the fact and on the
// side: a publish returns no error, and a subscription hears nothing. See [OnRefusal] and [Listen].
var ErrPermission = errors.New("bus: the NATS server's permissions do not allow it")

// PermissionError is an [ErrPermission]: which subject, and what for.
type PermissionError struct {
	Subject string
	Listen  bool // a subscription; else a publish
}

// Error says what must be allowed, in one line.
func (e *PermissionError) Error() string {
	doing := "publish to"
	if e.Listen {
		doing = "subscribe to"
	}
	return fmt.Sprintf("the NATS server's permissions do not let this user %s %s", doing, e.Subject)
}

// Is makes e an ErrPermission.
func (e *PermissionError) Is(target error) bool { return target == ErrPermission }

// violation is how a server words a refusal; a publish whose reply subject is refused is a
// publish to that.
var violation = regexp.MustCompile(`(Publish to|Publish with Reply of|Subscription to) "(\S+?)"`)

// readRefusal reads what a server said, nil where that was no refusal.
func readRefusal(err error) *PermissionError {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return nil
	}
	parts := violation.FindStringSubmatch(err.Error())
	if parts == nil {
		return nil
	}
	return &PermissionError{Subject: parts[2], Listen: parts[1] == "Subscription to"}
}

// refusals hands on what the server refuses a connection, to any number of listeners.
type refusals struct {
	mu     sync.Mutex
	last   int
	listen map[int]func(*PermissionError)
}

func (r *refusals) told(err error) {
	p := readRefusal(err)
	if p == nil {
		return
	}
	r.mu.Lock()
	all := make([]func(*PermissionError), 0, len(r.listen))
	for _, f := range r.listen { // any order
		all = append(all, f)
	}
	r.mu.Unlock()
	for _, f := range all {
		f(p)
	}
}

// watched are the connections whose refusals are handed on. Neither keeps the other alive: a
// connection that is forgotten goes, and its entry with it.
var (
	watchedMu sync.Mutex
	watched   = map[weak.Pointer[nats.Conn]]weak.Pointer[refusals]{}
)

// OnRefusal has f called for each publish and each subscription that the server refuses nc, in the
// order in which the server refuses them, until stop. One call is one publish. The connection's
// own error handler is called as before; who sets another one later ends this. f must not block.
func OnRefusal(nc *nats.Conn, f func(*PermissionError)) (stop func()) {
	watchedMu.Lock()
	key := weak.Make(nc)
	r := watched[key].Value()
	if r == nil {
		r = &refusals{listen: map[int]func(*PermissionError){}}
		watched[key] = weak.Make(r)
		runtime.AddCleanup(nc, forgetWatched, key)
		before := nc.ErrorHandler()
		nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			if before != nil {
				before(nc, sub, err)
			}
			r.told(err)
		})
	}
	watchedMu.Unlock()

	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	n := r.last
	r.listen[n] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.listen, n)
	}
}

func forgetWatched(key weak.Pointer[nats.Conn]) {
	watchedMu.Lock()
	defer watchedMu.Unlock()
	delete(watched, key)
}

// Listen makes subscriptions by subscribe and returns when the server knows them. If the server
// refuses one the error is a [*PermissionError]. Other errors are subscribe's, or say that the
// server has not answered in time; the subscriptions stand then, and are the caller's to end.
func Listen(nc *nats.Conn, subscribe func() error) error {
	before := nc.LastError()
	if err := subscribe(); err != nil {
		return err
	}
	if err := nc.FlushTimeout(flushTimeout); err != nil {
		return err
	}
	// What the server says before its PONG has been read by now.
	after := nc.LastError()
	if p := readRefusal(after); p != nil && p.Listen && after != before {
		return p
	}
	return nil
}
