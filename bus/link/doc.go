// Package link promises that the shells of master and replicas hand messages to the bus
// and take them from it in one line each: it encodes a message once for all who get it,
// writes the ids of the requests that it concerns into its header, and decodes what
// arrives. It loses nothing that the bus keeps, and keeps nothing that the bus loses:
// repair is the protocol's.
package link
