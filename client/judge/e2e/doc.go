// Package e2e promises that what the public contract says is seen from outside: its
// tests build the quartet program, run masters and replicas as real processes on real
// NATS servers, and look at them only as a client, a shell or a passive subscriber can.
// There is no code but tests.
package e2e
