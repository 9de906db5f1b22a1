// Package dial is how a program reaches a NATS server. It promises to take the settings that the
// nats command takes (flags, NATS_ variables, contexts), to say of each where it came from, and to
// make connections with them.
package dial
