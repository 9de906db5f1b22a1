// Package dial is the place that knows how to reach a NATS server: it takes the settings that the
// nats command takes (flags, NATS_ variables, contexts), says of each where it came from, and
// makes connections with them.
package dial
