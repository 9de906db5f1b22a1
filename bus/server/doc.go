// Package server is the embedded NATS server. It promises to be safe to start on a stranger's
// machine: it binds to loopback unless told otherwise, never ends the process that it runs in,
// tells a taken port from other failures, and keeps clients and nodes apart.
//
// It has two accounts. A connection without credentials is in CLIENTS; master and
// replicas know the password of NODES. A subject of one account does not exist in the
// other, so nothing that a client publishes, and no reply subject that it names, can
// reach a node. One way is open: CLIENTS imports the stream PREFIX.node.>, so that
// anyone who listens to PREFIX.> sees what nodes say to each other, headers and all. The
// master has a connection to each account: it serves clients in one and speaks to
// replicas in the other.
//
// Both accounts have JetStream: nodes keep the record of the views there, and the master the
// streams of watched buckets in that of the clients. Clients may ask for it only if they are given
// it (ClientJetStream): whoever may can make a stream that takes the subjects of requests, answers
// them before the cluster does, and keeps every key and value.
package server
