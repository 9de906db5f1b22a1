package history

import "maps"

func init() { maps.Copy(files, requestFiles) }

// requestFiles is the part of files that is about the requests beside set and get, conditions, ends
// of values and revisions: at least one for each rule.
var requestFiles = map[string][]rejection{
	"add-good": nil,
	"add-lost": {
		{linearizable, "no order", 2},
		{sequential, `an add at position 2 came to what it cannot: it found "1"`, 2},
	},
	"causal-delete-good": nil,
	"causal-delete-missed": {
		{causal, "a get returned timestamp 1 although its causal past holds timestamp 2 of x", 5},
	},
	"causal-list-missed": {
		{causal, "a get found nothing although its causal past holds a write of x", 2},
	},
	"condition-done-in-spite": {
		{linearizable, "no order", 3},
		{sequential, "a set was done at position 3 only if the revision was 1, and it was 2", 2},
	},
	"condition-good": nil,
	"condition-of-another-revision": {
		{linearizable, "no order", 3},
		{sequential, "the set at position 3 saw revision 1 of x, which had 2", 2},
	},
	"condition-refused-in-spite": {
		{linearizable, "no order", 2},
		{sequential, "a set was refused, and its answer says that its condition held", 2},
	},
	"create-over-a-value": {
		{linearizable, "no order", 2},
		{sequential, `a set was done at position 2 only if there was no value, and there was "a"`, 2},
	},
	"delete-came-back": {
		{linearizable, "no order", 3},
		{sequential, `"a" was no longer the value of x at position 2: it had been overwritten by `, 3},
	},
	"delete-good":           nil,
	"delete-weak-came-back": nil,
	"delete-weak-good":      nil,
	"list-good":             nil,
	"list-key-twice": {
		{lists, "a list holds k/b twice", 2},
	},
	"list-lacks-a-key": {
		{lists, `a list of the cut 4 lacks k/b, which had "2" there`, 2},
	},
	"list-not-below-its-prefix": {
		{lists, "a list of k/* holds other", 1},
	},
	"list-of-another-value": {
		{lists, `a list of the cut 5 holds k/b: in the order of positions "2" was no longer `, 3},
	},
	"list-of-before-it-was-asked-for": {
		{lists, "higher position", 2},
	},
	"list-of-two-cuts": {
		{lists, "pages of one list are of the cuts 4 and 6", 2},
	},
	"list-out-of-order": {
		{lists, "a list holds k/a after k/b: its keys are not in byte order", 1},
	},
	"list-too-long": {
		{lists, "a page of a list holds 3 keys, and at most 2 were asked for", 1},
	},
	"order-left-out": {
		{linearizable, "no order", 2},
		{sequential, "no one order", 2},
		{transactions, "no one order", 2},
	},
	"repeated-condition": {
		{onlyOnce, "two sendings of one set were answered with two outcomes", 2},
	},
	"revision-fell": {
		{linearizable, "no order", 2},
		{sequential, "the session had seen position 5 and was then served at position 3", 2},
		{sessions, "monotonic writes is broken", 2},
		{revisions, "x had revision 5, and a later write has revision 3", 2},
	},
	"revision-is-no-position": {
		{revisions, "a write at position 1 has revision 7", 1},
	},
	"revision-of-two-keys": {
		{revisions, "x and y both have revision 4", 2},
	},
	"revision-of-two-values": {
		{revisions, `revision 4 of x has the value "a", and "b"`, 2},
	},
	"set-gone-after-a-delete": nil,
	"ttl-came-back": {
		{linearizable, "no order", 3},
		{sequential, `"a" cannot have been the value of x at position 2`, 3},
	},
	"ttl-ended-a-later-set": {
		{linearizable, "no order", 3},
		{sequential, `the get at position 3 found nothing after the other at 2 had "b"`, 2},
	},
	"ttl-ended-early": {
		{linearizable, "no order", 2},
		{sequential, `the get at position 2 found nothing before the TTL of "a" was over`, 2},
	},
	"ttl-good": nil,
	"txn-good": nil,
	"txn-half-done": {
		{linearizable, "no order", 3},
		{sequential, `"2" was no longer the value of b at position 3: it had been overwritten by `, 3},
	},
	"txn-other-branch": {
		{transactions, "all conditions of a txn held at its position 3, and it did not take them to", 2},
	},
	"txn-refused-and-done": {
		{linearizable, "a get returned a value whose set was refused as not executed", 2},
		{sequential, "a get returned a value whose set was refused as not executed", 2},
	},
	"txn-stale-condition": {
		{linearizable, "no order", 2},
		{transactions, `the txn at position 2 found nothing after the other at 1 had "c1"`, 2},
	},
	"txn-torn-read": {
		{linearizable, "no order", 3},
		{transactions, `"2" was no longer the value of b at position 3: it had been overwritten by `, 3},
	},
	"watch-before-it-was-written": {
		{watches, "a watch showed revision 5 of k/e before it was written", 2},
	},
	"watch-began-before": {
		{watches, "a watch began at position 2, and position 4 had been reached when it was as", 2},
	},
	"watch-effect-before-cause": {
		{watches, `a watch showed k/r = "so" before k/q = "how?", on which it depends`, 3},
	},
	"watch-expired-early": {
		{watches, "k/a ended by itself at position 2, before its TTL was over", 2},
	},
	"watch-from-again": {
		{watches, "a watch from revision 2 showed revision 2", 1},
	},
	"watch-good": nil,
	"watch-half-a-txn": {
		{watches, "a watch said that revision 5 has more changes, and went on with revision 6", 1},
	},
	"watch-lost-an-event": {
		{watches, `a watch did not show revision 5 of k/a, a set of "6"`, 2},
	},
	"watch-lost-the-last": {
		{watches, "a watch did not show revision 6 of k/b, a delete", 2},
	},
	"watch-not-all-that-was-there": {
		{watches, `a watch did not find k/b when it began at position 4, which had "2"`, 2},
	},
	"watch-of-another-value": {
		{watches, `a watch showed set k/d = "8" @5, and it was a set of "7"`, 2},
	},
	"watch-out-of-order": {
		{watches, "a watch showed revision 5 after revision 6", 1},
	},
	"watch-twice": {
		{watches, "a watch showed revision 5 of k/d twice", 1},
	},
	"watch-weak-good": nil,
	"watch-weak-not-the-last": {
		{watches, `the last event of k/a that a watch showed left "1", and at rest it has "2"`, 2},
	},
	"watch-weak-twice": {
		{watches, `a watch showed the set k/a = "1" twice`, 2},
	},
	"watch-without-more": {
		{watches, "a watch showed a further change of revision 5, and had not said that there ", 1},
	},
}
