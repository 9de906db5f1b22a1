// Package register is where the record of the views stands: a [message.Record] in a JetStream
// key-value bucket. It promises that one record decides each epoch: it is read from the leader of
// the bucket's stream and replaced by compare-and-set only, so that of all the masters that propose
// one for the same epoch at most one wins, and knows it or learns it.
//
// The bucket is an ordinary one, KV_<bucket> with the usual subjects, so that
// "nats kv get BUCKET view" shows it, with one difference: direct gets are off. A direct
// get may be answered by a follower that lags behind; without it every get, ours and the
// nats command's, is answered by the stream's leader, and a server calls itself leader
// only once it has applied all that its predecessor acknowledged. One thing is left: a
// leader that was cut off from the others may, for some seconds, still answer with what
// was true when that began. So a read alone decides nothing: a record that is too old
// makes a proposal with a revision that is too old, and that never wins.
//
// Where it is embedded, the server writes a record to its file before it acknowledges
// it, and the store then waits until that is on the disk (see [Options.Sync]). The
// server's own setting for this, sync_always, is one for all streams of all accounts: it
// would slow down what clients keep there by a factor of more than ten. A cluster of
// servers that is not ours syncs as it is configured to.
package register
