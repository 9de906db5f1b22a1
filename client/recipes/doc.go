// Package recipes is a lock and a leader election, built from package client alone: an example of
// what transactions, ends of values and revisions are for, to be used or to be copied. It promises
// that of two holders of one lock at most one has writes that take effect, if these carry the
// holder's fence.
//
// # How
//
// Who takes a lock writes its key, if that has no value, with an end (TTL). The holder writes the
// same value again and again, if it stands there still, which moves the end; it deletes it, if it
// stands there still, when it is done. The value is unique to each time that the lock is taken, so
// the condition is never met by another holder's. All of that are transactions with an id of their
// own: one that is sent again is done once.
//
// # Fencing
//
// A holder may be paused, or cut off, for longer than the end of its key, and wake in the belief
// that it holds the lock. Only what it writes can be refused then:
//
//   - [Held.Fence] is a check for transactions of the same cluster. It holds exactly as long as the
//     lock has not been taken away, judged at the transaction's own place in the order.
//   - [Held.Token] is the revision at which the lock was taken, for a resource outside of the
//     cluster. Tokens rise from holder to holder: the resource keeps the greatest that it has seen,
//     and refuses what comes with a lower one.
//
// # What is not promised
//
//   - That there is at most one who *believes* to hold the lock: [Held.Context] ends by the
//     holder's own clock, a moment before others may take the lock if clocks run at one rate and
//     the holder is not paused. What has no fence may be done by two.
//   - Fairness: who waits longest is not served first.
//   - That a lock is free at once when its holder dies: its key ends after the TTL, and at most a
//     second later while the cluster is ready.
//   - Anything after the cluster has lost what it acknowledged (--memory and all processes killed,
//     "quartet recover"): the lock may be gone then, and tokens may begin anew.
package recipes
