// Package trouble is what an operator does about each fault that a cluster's status names: the
// reasons for which it is not ready, and its warnings. It promises a remedy of its own for each
// such sentence. The packages that make the sentences (membership, masternode) and the command that
// advises on them (quartet doctor) share this table.
//
// A remedy ends the state, or says that it ends by itself. Sentences are matched by their fixed
// words, so a cluster of another version is understood as far as its words are the same.
package trouble

import (
	"fmt"
	"strings"
)

// Kind is one kind of sentence.
type Kind struct {
	says   string // as for fmt, with %s, %d and %v
	remedy string
}

// The kinds of reasons for which a cluster is not ready, or takes no sets or no writes at all.
var (
	NewerMaster = &Kind{"there is a newer master",
		"ask the newer master: this one has ended its service"}

	RecordUnread = &Kind{"the record of the views is being read",
		"it ends by itself once the master reaches its JetStream bucket, or, with --record replicas, enough replicas; " +
			"if it lasts, bring the NATS servers that hold the bucket back, or the replicas: the master's log names them"}
	Undecided = &Kind{"%s cannot vote on the record of the views, and the votes of %d of %d replicas are needed to read it and " +
		"to decide the next one",
		"those that the master runs come back by themselves, within seconds of its start;" +
			" bring the others back, with their data; or see what going on without them would lose: quartet recover"}
	RecordUnheld = &Kind{"the record of the views is lost, and no replica that holds it is heard yet",
		"bring the replicas back, with their data: each of them holds the record"}
	RecordUnsure = &Kind{"the record of the views is lost: the newest that a replica holds is of epoch %d, " +
		"and %s, which may know of a later one, cannot be asked, or has lost what it knew",
		"bring the replicas that are named back, with their data; or see what going on without them may lose: quartet recover"}
	RecordAnew = &Kind{"the record of the views is lost, and is being written anew, as of epoch %d, from what the replicas hold",
		"it ends by itself; if it lasts, the master's log says why the JetStream bucket takes no record"}

	Booting = &Kind{"waiting for the boot acknowledgement of %s",
		"start the replicas that are named: the master starts its own, and their logs say why one does not come"}
	FirstView = &Kind{"the first view is being formed",
		"it ends by itself within seconds; if it does not, the master's log says what it waits for"}
	Changing = &Kind{"the view is being changed",
		"it ends by itself within seconds; if it does not, the master's log says what it waits for"}
	Installing = &Kind{"waiting for %s to install the view",
		"it ends by itself: within --suspect, what does not answer is left out"}

	Apart = &Kind{"%s, and without one of them no view of %d of %d replicas can be formed: mend the network between them",
		"mend the network between the replicas that are named: nothing else helps while each of them lives"}
	Unreachable = &Kind{"%s of the view's %d members cannot be reached, and %d of them are needed to go on without " +
		"losing what was acknowledged",
		"those that the master runs come back by themselves, within seconds, unless they keep ending: then it is said of " +
			"each why; bring the others back, with their data; or see what going on without them would lose: quartet recover"}
	Emptied = &Kind{"%s of the view's %d members cannot be reached, or have lost what they held, and %d of them are needed to " +
		"go on without losing what was acknowledged",
		"put the data of the replicas that are named back, if there are any; or see what going on without them would lose: " +
			"quartet recover"}
	TooFew = &Kind{"only %d of %d replicas can be reached, and %d are needed: %s cannot go on, or are not loaded yet",
		"bring the missing replicas back; those that are being loaded come by themselves"}

	RoomUnknown = &Kind{"the room on the master's disk is not known (%v); gets go on",
		"see that the master's --dir is there and can be read: sets are taken again by themselves"}
	DiskFull = &Kind{"the disk is full: %s left, %s wanted; gets and deletes go on",
		"make room on the disk of the master's --dir, or delete keys: sets are taken again by themselves"}
	DiskFullest = &Kind{"the disk is full, for deletes, too: %s left, %s wanted; gets go on",
		"make room on the disk of the master's --dir: deletes are taken again by themselves, then sets"}
)

// The kinds of warnings: what is served now, and will not be after the next fault; and what
// anybody may do.
var (
	NextChangeFails = &Kind{"the next change of the view will fail: %s",
		"the master's log says why its JetStream bucket cannot be written: make room on its disk, or bring the NATS " +
			"servers that hold it back"}
	NoSpare = &Kind{"the next death of a replica stops models 1 and 2 and causal sets: %d of %d replicas work, and %d are needed",
		"bring the missing replicas back, or add one: quartet replica --id r4 … (three replicas let one die)"}
	DiskNarrow = &Kind{"the disk is nearly full: %s left in %s; with less than %s sets are refused",
		"make room on that disk before sets are refused"}
	KeepsEnding = &Kind{"replica %s keeps ending: %d times in a row",
		"that replica's .log and .out in the master's log directory say why"}
	Doubled = &Kind{"another process of replica %s is at work (pid %d; the master's own gave way at %s): end one of the two",
		"end that process, and what keeps it running: the master starts its own again once it has been silent for --suspect"}
	Open = &Kind{"everybody who reaches %s can read and write: it listens beyond this machine, and asks for no credentials",
		"make certificates with quartet secure, and start it with --secure; or listen on 127.0.0.1, or run a NATS server " +
			"that has users and TLS, and name it with --nats"}
	CertificateEnds = &Kind{"the certificate of %s in %s ends at %s: nobody can connect then",
		"quartet secure renew, where the authority is, and bring the files to that directory: they are taken without a restart"}
)

// All are the kinds that a status can say, in no order that means anything.
var All = []*Kind{
	NewerMaster, RecordUnread, Undecided, RecordUnheld, RecordUnsure, RecordAnew, Booting, FirstView, Changing, Installing,
	Apart, Unreachable, Emptied, TooFew, RoomUnknown, DiskFull, DiskFullest,
	NextChangeFails, NoSpare, DiskNarrow, KeepsEnding, Doubled, Open, CertificateEnds,
}

// Say is the sentence with its particulars, one line.
func (k *Kind) Say(particulars ...any) string { return fmt.Sprintf(k.says, particulars...) }

// Of returns the kind of a sentence that a status says; nil: it is of none that is known here.
func Of(sentence string) *Kind {
	for _, k := range All {
		if k.fits(sentence) {
			return k
		}
	}
	return nil
}

// unknown is for the sentences of another version.
const unknown = "the master's log says more; quartet doctor of the cluster's own version may know it"

// Remedy says what to do about a sentence of a status, one line.
func Remedy(sentence string) string {
	if k := Of(sentence); k != nil {
		return k.remedy
	}
	return unknown
}

// verbs are what a sentence is cut at.
var verbs = strings.NewReplacer("%s", "\x00", "%d", "\x00", "%v", "\x00")

// fits reports whether a sentence has the fixed words of k, in their order, and begins and ends
// with what k begins and ends with.
func (k *Kind) fits(sentence string) bool {
	fixed := strings.Split(verbs.Replace(k.says), "\x00")

	rest, begins := strings.CutPrefix(sentence, fixed[0])
	if !begins {
		return false
	}
	if len(fixed) == 1 {
		return rest == ""
	}

	last := len(fixed) - 1
	for _, words := range fixed[1:last] {
		_, after, found := strings.Cut(rest, words)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, fixed[last])
}
