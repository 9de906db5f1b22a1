// Package secure is who a process is on a bus that is closed: its certificate, which names its
// role. It promises that a certificate says all that a server needs to know (who it is, what it may
// do, until when), so that no list of users has to be brought to each server; and that a directory
// of it is read again when its files change, without a restart.
//
// Certificates, not JWTs or nkeys: the routes between servers need them anyway, every NATS client
// takes them (NATS_CERT, NATS_KEY, NATS_CA), they end by themselves, and a NATS server of one's own
// knows their roles by verify_and_map. All of it is the standard library's.
package secure
