// Package buckets is the tests of what unmodified clients of NATS key-value buckets do with a
// cluster. It promises that they are real ones.
package buckets
