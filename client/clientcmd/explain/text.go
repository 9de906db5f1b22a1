package explain

import "quartet/bus/model"

// texts are the explanations. They say what replica/DESIGN.md shows.
var texts = map[model.Consistency]struct{ promise, example, writes, watches, messages, wrong string }{
	model.Linearizable: {
		promise: `All operations, of all clients and on all keys, take effect one at a time, each at some moment
between its request and its reply. Once a set is answered, every later get sees it.`,
		example: `ann  set seat 7 ────▶ OK
bob                        get seat ──▶ 7     always: ann's set was answered before he asked
eve         get seat ─────▶ 7 or nothing      both are right: her get and ann's set overlap
eve                           get seat ──▶ nothing      never, once anybody has seen 7`,
		writes: `A delete is a set of nothing. A condition (create, update, --if-revision) and a number that is added are
decided at the write's own place in the order, by all replicas alike: of two that hold the same revision
one wins, and the other is told the revision that it lost to (412). A value with a TTL ends at a place in
the order, too: at every moment all see it, or nobody does. A transaction (txn) has one place for all that it
checks, reads and writes: nobody ever sees a part of it. One of gets alone costs what a get does.`,
		watches: `All pages of a list show one moment, which is not before it was asked for. A watch begins not before it
was asked for, and tells every change after that, once, in the one order.`,
		messages: `A set: its DATA to the N-1 other replicas and N-1 ACKs back, shared by all requests of a batch.
It is answered when every member of the view holds it. A get is read at one replica, behind all that
it has received, while f others confirm that they still work with it: one message to each and one back,
shared by all gets of a moment. While a replica pauses, sets wait until it answers or is taken out of the view.`,
		wrong: `When a fast answer matters more than a fresh one; when the service must go on while a majority of
replicas is missing.`,
	},
	model.Sequential: {
		promise: `All operations of this model and of model 1 fit one order, in which each session's own stand as it
sent them. A get may be stale. It is never out of that order.`,
		example: `ann  set door open ─▶ OK   set light on ─▶ OK
bob                                get light ─▶ on   get door ─▶ open
bob  may still see     light: nothing, door: nothing          stale, and in order
bob  can never see     light: on, then door: nothing          the order would be broken`,
		writes: `As under linearizable: deletes, conditions and additions take effect at their place in the one order. A
revision that was read may be stale; the condition is not, so it fails where somebody was faster (412). A
transaction (txn) has one place, too: nobody sees a part of it. One of gets alone may be stale, but all that it
reads is of one moment.`,
		watches: `All pages of a list show one moment, perhaps a little ago. A watch tells every change, once, in the one
order. It may begin with what was there a moment ago.`,
		messages: `A set costs what a linearizable one does. A get sends no message: it waits for its turn in the queue of
one replica, and until that replica has come as far as the session has seen (else it is refused, 425).`,
		wrong: `When you tell somebody over another channel "it is there now": his get may not see it yet. Then use
linearizable.`,
	},
	model.Causal: {
		promise: `A get never returns something older than what its session has seen or written, or than what that
depends on. Who has seen an answer sees the question, too. Writes that know nothing of each other may be
seen in different orders at first, and then everywhere the later version stays.`,
		example: `ann  set question "tea?" ─▶ OK
bob      get question ─▶ tea?    set answer "yes" ─▶ OK
eve                                  get answer ─▶ yes    get question ─▶ tea?      always, whichever replica
eve  may still see     answer: nothing                        nothing has told her of it
eve  can never see     answer: yes, then question: nothing`,
		writes: `A delete is a set of nothing: it has a version, travels like a set, and a set that knows nothing of it and
has a lower version never brings the key back. Conditions, additions and transactions are refused (400): without an
order nobody knows the newest revision. A TTL is possible; the end comes when the value is committed and its time
has passed.`,
		watches: `All pages of a list show what gets of one replica would have seen at one moment, all that the session has
seen among it. A watch tells each version of a key once, and never before what that depends on.`,
		messages: `A set: N messages from the primary (the master numbers it), answered when f+1 members hold it. A get sends
none. A replica that has not caught up with the session in 50 ms refuses it (425, nothing happened).
The session's own headers carry what it has seen: a client that keeps none of them has a new session each time.`,
		wrong: `When a rule holds over several keys that several clients write at the same time ("never both on call"):
each may act on what the other has just changed.`,
	},
	model.Eventual: {
		promise: `Any replica that can be reached answers at once. When writing stops, all replicas come to hold the write
with the greatest version of each key.`,
		example: `ann  set likes 10 ─▶ OK (r1)
bob      get likes ─▶ 10, 9 or nothing        whatever r2 has by now
ann      get likes ─▶ even 9                  another replica may serve her: not even her own write is sure
all      after a while ─▶ 10                  everywhere the same, for good
of two writes at the same time one survives, and the other is gone without a word`,
		writes: `A delete is a set of nothing, with a version: where it has arrived, sets of lower versions do not bring the
key back. Conditions, additions and transactions are refused (400): nobody can know the newest revision. A
TTL is possible; the end comes when the value is committed and its time has passed.`,
		watches: `All pages of a list show what one replica showed at one moment. A watch tells each version that its replica
comes to show, in that replica's order; the last of each key is the one that stays.`,
		messages: `A set: N-1 DATA after the answer; nobody waits for them. A get: none. It goes on as long as one replica can
be reached. What one replica acknowledged alone may die with it in the moment after (in memory).`,
		wrong: `For anything that must read what it has just written, and for counters: two that add one at the same time
add one.`,
	},
}
