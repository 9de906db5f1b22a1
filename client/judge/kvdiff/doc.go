// Package kvdiff is tests that compare quartet's key-value facade with what it stands in for: NATS
// JetStream. It promises that the same program, made from a seed, has the same results on a real
// JetStream bucket and below quartet's prefix: the same values, errors with the same codes, the
// same events of watches; revisions are compared by the write that they name. Every difference that
// stays is in DIFFERENCES.md, with its reason, and the tests read that page. There is no code but
// tests.
package kvdiff
