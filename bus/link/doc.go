// Package link is the way of a message from a shell to the bus and back. It promises that either
// takes one line: a message is encoded once for all who get it, its header has the ids of the
// requests that it concerns, and what arrives is decoded. It loses nothing that the bus keeps, and
// keeps nothing that the bus loses: repair is the protocol's.
package link
