// Package kv is the facade by which clients of NATS key-value buckets use the cluster unchanged:
// the requests that they send to JetStream, below a prefix of quartet's own. It promises that what
// they read, write and compare is decided by the cluster alone, under the model that the prefix
// names, and that what only a JetStream server can send (watches, keys, history) is told from a
// stream that this package writes in the order of the cluster's changes.
//
// [Facade] is one goroutine's: the loop of the process that it belongs to. What it needs of that
// process is its [Host]. DESIGN.md says how numbers, the stream and restarts fit together.
package kv
