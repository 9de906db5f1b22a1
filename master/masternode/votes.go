package masternode

import (
	"fmt"

	"quartet/bus/lamport"
)

// Where the replicas decide the record of the views (rules D1 to D9 of replica/DESIGN.md) nothing
// is to be opened: the machine asks them.

// voting reports whether the replicas decide the record.
func (n *node) voting() bool { return n.opts.Record == RecordReplicas }

// checkRecord says what is wrong with where the record is to be.
func checkRecord(o *Options) error {
	switch o.Record {
	case "":
		o.Record = RecordJetStream
	case RecordJetStream:
	case RecordReplicas:
		if 2*o.Missing >= o.Replicas {
			return fmt.Errorf("%w: with %d of %d replicas missing the rest cannot decide the record of the views, which takes "+
				"more than half: let fewer be missing, or keep the record in a bucket (--record %s)",
				ErrOptions, o.Missing, o.Replicas, RecordJetStream)
		}
	default:
		return fmt.Errorf("%w: record %q: want %s or %s", ErrOptions, o.Record, RecordJetStream, RecordReplicas)
	}
	return nil
}

// keepsRecord sees that the directory's cluster has its record where it is said to be (rule D9).
func (d *runDir) keepsRecord(where string) error {
	if d.fresh || d.rebuilt {
		d.record.Record = where
		return nil
	}
	kept := d.record.Record
	if kept == "" {
		kept = RecordJetStream
	}
	if kept != where {
		return fmt.Errorf("%w: %s is of a cluster that keeps the record of its views elsewhere: start it with --record %s, or take "+
			"another directory for another cluster", ErrOptions, d.path, kept)
	}
	return nil
}

// openVotes finds out whether there is a cluster whose record is to be read: this directory has
// begun one, replicas of it run, or another master has led it.
func (n *node) openVotes() {
	isThere := n.handedOver || n.hasFollowed || len(n.dir.record.Own) > 0 || n.anyListens()
	n.views.newest, n.views.unread = nil, isThere
}

// letGo lets a replica of our own go that was removed from the cluster. Where the replicas decide
// the record it may be needed still, and ends when it hears of the record (rule D6).
func (n *node) letGo(own lamport.Node) {
	if n.voting() {
		n.super.retire(own)
		return
	}
	n.super.disown(own)
}

// sound reports whether a record can be one that a master has written.
func (r kept) sound() bool { return r.Password != "" && r.NextRID > 0 }
