// Package model is the vocabulary of what a client may ask: the four consistency models, the
// request types, and the codes and words of both. It promises that every node and the client share
// it. It is pure.
package model

import (
	"errors"
	"fmt"
	"strings"
)

// Consistency is one of the four models. The numbers are the public contract's.
type Consistency uint8

// The four models, strongest first.
const (
	Linearizable Consistency = 1
	Sequential   Consistency = 2
	Causal       Consistency = 3
	Eventual     Consistency = 4
)

// All lists the models in the order of their codes.
var All = [...]Consistency{Linearizable, Sequential, Causal, Eventual}

// Errors of the parse functions.
var (
	ErrConsistency = errors.New("model: unknown consistency")
	ErrType        = errors.New("model: unknown request type")
)

var consistencyWords = [...]string{
	Linearizable: "linearizable", Sequential: "sequential", Causal: "causal", Eventual: "eventual",
}

// Valid reports whether c is one of the four.
func (c Consistency) Valid() bool { return c >= Linearizable && c <= Eventual }

// Strong reports whether c's sets are answered at their place in the total order
// (linearizable, sequential); the other two are weak.
func (c Consistency) Strong() bool { return c == Linearizable || c == Sequential }

// Word returns the model's name in small letters.
func (c Consistency) Word() string {
	if !c.Valid() {
		return fmt.Sprintf("consistency(%d)", uint8(c))
	}
	return consistencyWords[c]
}

// String returns the model's name in capitals, as replies carry it.
func (c Consistency) String() string { return strings.ToUpper(c.Word()) }

// ParseConsistency reads a code (1 to 4) or a name in any letter case.
func ParseConsistency(s string) (Consistency, error) {
	for _, c := range All {
		if s == string(rune('0'+c)) || strings.EqualFold(s, c.Word()) {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%w: %q (want 1 linearizable, 2 sequential, 3 causal or 4 eventual)", ErrConsistency, s)
}

// Type is what a request does. The numbers are explicit and never reused.
type Type uint8

// The request types.
const (
	Set    Type = 1 // key, value
	Get    Type = 2 // key
	Delete Type = 3 // key: a set of nothing
	List   Type = 4 // prefix: the keys below it, a page at a time
	Watch  Type = 5 // prefix: a stream of changes below it
	Txn    Type = 6 // models 1 and 2: several operations at one place in the order
	Add    Type = 7 // models 1 and 2: key, and a number that is added to its value
)

// Types lists the request types in the order of their codes.
var Types = [...]Type{Set, Get, Delete, List, Watch, Txn, Add}

var typeWords = [...]string{
	Set: "set", Get: "get", Delete: "delete", List: "list", Watch: "watch", Txn: "txn", Add: "add",
}

// Valid reports whether t exists.
func (t Type) Valid() bool { return t >= Set && t <= Add }

// Writes reports whether requests of type t may change what a key holds, so that they have an
// identity, an age and a first outcome. (A Txn of gets alone changes nothing:
// [Request.Writes].)
func (t Type) Writes() bool { return t == Set || t == Delete || t == Txn || t == Add }

// HasKey reports whether t concerns one key. Of a List and a Watch Key is a prefix, which may
// be empty; a Txn has none.
func (t Type) HasKey() bool { return t == Set || t == Get || t == Delete || t == Add }

// In reports whether model c has requests of type t: Txn and Add need a place in the order.
func (t Type) In(c Consistency) bool {
	needsPlace := t == Txn || t == Add
	return c.Strong() || !needsPlace
}

// Word returns the type's name in small letters.
func (t Type) Word() string {
	if !t.Valid() {
		return fmt.Sprintf("request(%d)", uint8(t))
	}
	return typeWords[t]
}

// String returns the type's name in capitals, as replies carry it.
func (t Type) String() string { return strings.ToUpper(t.Word()) }

// ParseType reads a code or a name in any letter case.
func ParseType(s string) (Type, error) {
	for _, t := range Types {
		if s == string(rune('0'+t)) || strings.EqualFold(s, t.Word()) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%w: %q (want %s)", ErrType, s, TypeChoice)
}

// TypeChoice lists the codes and names of the request types, for a sentence.
const TypeChoice = "1 set, 2 get, 3 delete, 4 list, 5 watch, 6 txn or 7 add"

// Limits of the public contract, in bytes.
const (
	MaxKey      = 1024       // a key
	MaxKeyValue = 512 * 1024 // a key and its value together
	MaxIdentity = 256        // a request's identity (Nats-Msg-Id) and a client's name
)

// Code says how a request ended, as Nats-Service-Error-Code carries it in a reply. OK is no error.
type Code uint16

// The codes of the public contract.
const (
	OK          Code = 200
	Malformed   Code = 400
	Forbidden   Code = 403 // the NATS server did not let the request through; or it is no read, where only reads are served
	NotFound    Code = 404
	Conflict    Code = 409
	Gone        Code = 410 // what a request was to go on from is kept no more
	Failed      Code = 412 // a condition did not hold when the write's place had come: not executed
	TooLarge    Code = 413
	Misdirected Code = 421 // goes on from what another cluster, or a history that has ended, had said
	TooEarly    Code = 425
	Unavailable Code = 503
	Unknown     Code = 504
)

// Answered reports whether a reply with this code is an answer: the write is done, this is the
// value, there is none, or the condition did not hold when the write's place in the order had
// come. It is the first outcome of a write, which every later sending of it is told again. Every
// other code is a failure: the request was refused, or nobody knows whether it took effect.
// Everything that counts requests counts them by this.
func (c Code) Answered() bool { return c == OK || c == NotFound || c == Failed }

// Timed reports whether the time to a reply with this code says how long a request of the model
// takes. A request that is malformed or too large is refused at sight, whatever the model.
func (c Code) Timed() bool { return c != Malformed && c != TooLarge }

// Executed reports whether a reply with this code says that the request took effect (OK and
// NotFound: it was answered), and whether that is known at all (of Unknown it is not).
func (c Code) Executed() (executed, known bool) {
	switch c {
	case OK, NotFound:
		return true, true
	case Unknown:
		return false, false
	}
	return false, true
}
