// Package bus is how quartet is spoken to and how its nodes reach each other: subjects, headers, a
// client's request, a reply, the status object, and the connections that carry them. It promises
// one form of each, for whoever speaks and whoever listens. CONTRACT.md beside this file is the
// public contract in words; package bus/codec is what nodes say to each other, bus/link how they
// send it, bus/server the embedded NATS server.
//
// Nothing here keeps state of the cluster, and nothing here trusts a byte that came
// from outside: whatever cannot be read becomes an [Error] with a code of the contract.
package bus
