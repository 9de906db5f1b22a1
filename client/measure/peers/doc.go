// Package peers is a comparison of quartet with what a user would take instead: NATS JetStream
// key-value, etcd and Redis. It promises real processes on this machine, under the same load and in
// one run.
//
// For each load every side is measured once in each round, in random order, and ratios are taken
// round by round, so that other work of the machine falls on all sides. A peer is driven by its
// usual Go client, shared by as many goroutines as requests are outstanding; quartet in the same
// way (client.Do), and also by callbacks (client.Start). Only the systems that a load needs are
// running while it is measured. A peer that is not installed stands in the [Report] as missing.
//
// It is a module of its own, with a program of its own (quartet-peers), because it links the
// clients of etcd and Redis, which quartet itself does not need.
package peers
