// Package pack is the one way in which quartet reads msgpack, and the buffer that it writes into:
// requests of clients, batches and messages of nodes. It promises to be strict and frugal. A value
// is read only as the type that is asked for; a length that the sender declares sizes no
// allocation; nothing is copied, and nothing nested is followed unasked. Nothing panics, whatever
// the bytes are.
//
// What the values mean, and the words of an error, are the callers': packages bus and codec.
package pack
