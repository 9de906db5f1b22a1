// Package e2e is tests of real processes: they build the quartet program, run masters and replicas
// on real NATS servers, and look at them only as a client, a shell or a passive subscriber can. It
// promises that what the public contract says is seen from outside. There is no code but tests.
// The tests that take longest are built with the tag `long` alone (`task test:long`).
package e2e
