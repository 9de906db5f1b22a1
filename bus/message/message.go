// Package message is everything that nodes say to each other: one struct a message. It promises to
// list that field by field, and to hold nothing that sends or encodes a message. The protocol
// machines of master and replicas speak in these types; package bus/codec gives them their form on
// the wire; replica/DESIGN.md has them as a table with source, target and subject.
//
// A message is immutable once it has been handed to an Output or a machine:
// sender, receiver and what is kept for a resend may share its memory.
package message

import (
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Kind is a message's code on the wire: explicit, never reused.
type Kind uint8

// The kinds of message between nodes.
const (
	KindHello     Kind = 1  // replica → master: here I am (boot acknowledgement), and how far I have come
	KindInstall   Kind = 2  // master → replica: the record of an epoch
	KindInstalled Kind = 3  // replica → master: I work in that view
	KindForward   Kind = 4  // master → replica: requests, causal writes, causal marks
	KindAnswers   Kind = 5  // replica → master: answers to requests, watermark
	KindData      Kind = 6  // replica → replica: DATA of the broadcast
	KindAck       Kind = 7  // replica → replica: ACK of the broadcast
	KindGap       Kind = 8  // replica → replica or master: send this again
	KindFill      Kind = 9  // replica or master → replica: causal writes that were asked for
	KindProbe     Kind = 10 // master → replica: heartbeat; how are you?
	KindReport    Kind = 11 // replica → master: answer to a probe
	KindPrepare   Kind = 12 // master → replica: wedge, and say what you hold
	KindState     Kind = 13 // replica → master: answer to a prepare
	KindPull      Kind = 14 // learner → member: the next piece of the state
	KindChunk     Kind = 15 // member → learner: the piece that was asked for
	KindBeat      Kind = 16 // replica → replica: you hear me
	KindOutdated  Kind = 17 // master → replica: a later process of your name is known
	KindPoll      Kind = 18 // master → replica: vote on the record that is to follow
	KindVote      Kind = 19 // replica → master: what it has promised and accepted

	KindLast = KindVote
)

var kindNames = [...]string{"",
	"HELLO", "INSTALL", "INSTALLED", "FORWARD", "ANSWERS", "DATA", "ACK", "GAP", "FILL", "PROBE",
	"REPORT", "PREPARE", "STATE", "PULL", "CHUNK", "BEAT", "OUTDATED",
	"POLL", "VOTE"}

// String returns the kind's name in capitals.
func (k Kind) String() string {
	if int(k) >= len(kindNames) || kindNames[k] == "" {
		return "KIND?"
	}
	return kindNames[k]
}

// Header is what every message begins with.
type Header struct {
	From        lamport.Node
	Incarnation uint64 // of the sender's process: a node that lost its memory comes back with a greater one
	Epoch       uint64 // of the sender's installed view; 0 before the first
	Clock       uint64 // the sender's Lamport time when it sent this; every receiver witnesses it
}

// Head returns the header, so that every message that embeds one is a [Message].
func (h *Header) Head() *Header { return h }

// Message is any message between nodes.
type Message interface {
	Kind() Kind
	Head() *Header
	// AppendRIDs appends the rID of every request that the message concerns; they travel in the
	// message's Quartet-Request-Id header.
	AppendRIDs(dst []uint64) []uint64
}

// Request is a client's request as nodes carry it. The master stamps it once; a
// retry with the same identity is the same request with the same stamp.
type Request struct {
	RID      uint64
	Identity string // the client's Nats-Msg-Id; "": the rID is the identity
	Digest   uint64 // of the request below; 0 when Identity is ""
	model.Request
	Version lamport.Version // the master's stamp; the version of a weak write
	Min     uint64          // causal get: minimum timestamp; sequential: minimum position

	// Wall is the master's clock on the wall when it stamped the request, in milliseconds since
	// 1970, of what may set a value that ends: the value ends a TTL later. 0: it sets none.
	Wall uint64

	// Watcher is whom a Watch is for; nil of every other request.
	Watcher *Watcher

	// First is when the client sent a set first, by its word, and Came, where First is 0, when the
	// latest sending of the set came to the master: rule S6. Both are in the time of the master
	// that carries the set (Forward.Time, in ticks of 10 ms). First 0: the client does not say.
	// Came 0: at the time of the FORWARD or DATA that has the set.
	First uint64
	Came  uint64
}

// Size is the bytes of the parts that have no fixed length: what messages are cut by.
func (r *Request) Size() int { return r.Request.Size() + len(r.Identity) }

// CausalWrite is a causal set with the number that the primary gave it: its timestamp.
type CausalWrite struct {
	Number  uint64
	Request Request
}

// Op is the code of an ordered operation: explicit, never reused.
type Op uint8

// The ordered operations.
const (
	OpStrong Op = 1 // a linearizable or sequential request that takes effect at its place
	OpReads  Op = 2 // the place of one or more linearizable gets; each counts as one operation
	OpWeak   Op = 3 // an eventual request with its version, committed where nothing greater stands
	OpCommit Op = 4 // "causal writes up to Number": commits them in number order, by version
	OpEnd    Op = 5 // ends the value of Request.Key if its revision is Number still

	// Tombstones up to Request.Version are to be collected (rules O40 and O41).
	OpHorizon Op = 6 // proposes that
	OpAgree   Op = 7 // its sender has nothing left that could be committed and is not above
)

// Operation is one entry of a DATA.
type Operation struct {
	Op      Op
	Request Request  // OpStrong, OpWeak; of an OpEnd the key, of an OpHorizon and an OpAgree the version
	Number  uint64   // OpCommit; OpEnd: the revision
	Reads   []uint64 // OpReads: the rIDs of the gets that share this place
}

// Count returns how many totally ordered operations this one stands for in positions.
func (o *Operation) Count() uint64 {
	if o.Op == OpReads {
		return uint64(len(o.Reads))
	}
	return 1
}

// Member is a member of a view.
type Member struct {
	Node        lamport.Node
	Incarnation uint64

	// Life is the life of the process that said what the member holds; 0: a record of an
	// earlier version does not say.
	Life uint64
}

// View is the group of an epoch. Members are sorted by node.
type View struct {
	Epoch   uint64
	Members []Member
	Faults  int // f: how many members may be missing in a later view
}

// Index returns the index of n among the members, or -1.
func (v *View) Index(n lamport.Node) int {
	for i := range v.Members {
		if v.Members[i].Node == n {
			return i
		}
	}
	return -1
}

// Sound reports whether v can be the view of an epoch: it has an epoch and members, they
// are replicas in rising order, and fewer than all of them may be missing.
func (v *View) Sound() bool {
	before := lamport.Node(0)
	for _, m := range v.Members {
		if !m.Node.IsReplica() || m.Node <= before {
			return false
		}
		before = m.Node
	}

	return v.Epoch > 0 && v.Faults >= 0 && v.Faults < len(v.Members)
}

// Record decides an epoch. It is written once, by compare-and-set on the record of the epoch
// before; it holds all that is needed to install the view.
type Record struct {
	View
	Configured []lamport.Node // the replicas of the cluster, members or not, rising
	Missing    int            // how many of Configured may be missing for a view to be formed
	Cut        []uint64       // by index in the view before: how many DATA of each member are delivered in its epoch
	High       uint64         // causal high-water: numbers above it are void, all others are safe
	Start      uint64         // Lamport time with which members begin, at the least
	Master     uint64         // incarnation of the master that leads the epoch: no other is obeyed in it
	Nonce      uint64         // drawn for each proposal, so that its proposer knows its own

	// Since is the last epoch that an operator let begin with a learner's state; 0: none. What
	// others had of earlier epochs may be of a history that has ended.
	Since uint64

	// Cluster is the cluster's identity: a random number, drawn for the first record and kept
	// by all later ones. 0: the record is of a build that drew none.
	Cluster uint64

	// Level says by which rules the operations of the epoch are executed: see [LevelRevisions].
	// 0: those of a build that knew no revisions.
	Level uint64

	// Lineage holds the newest of the records before this one, oldest first. Two records of
	// the same epoch have different nonces, so it tells this history from one that branched
	// off, as when a backup was restored.
	Lineage []Ancestor
}

// Equal reports whether r and o say the same in every field. No record equals no record.
func (r *Record) Equal(o *Record) bool {
	if r == nil || o == nil {
		return r == o
	}

	sameView := r.Epoch == o.Epoch && r.Faults == o.Faults && slices.Equal(r.Members, o.Members)
	sameCluster := r.Missing == o.Missing && r.Level == o.Level && r.Cluster == o.Cluster && slices.Equal(r.Configured, o.Configured)
	samePast := r.High == o.High && r.Start == o.Start && r.Since == o.Since &&
		slices.Equal(r.Cut, o.Cut) && slices.Equal(r.Lineage, o.Lineage)

	return r.Nonce == o.Nonce && r.Master == o.Master && sameView && sameCluster && samePast
}

// The levels of a record: what the operations that are delivered in its epoch leave.
const (
	LevelRevisions   = 1 // each write has a position of its own, which is the revision of what it leaves
	LevelCollections = 2 // tombstones are collected
	Level            = LevelCollections
)

// MaxLineage bounds a record's lineage, in records.
const MaxLineage = 32

// Ancestor is what is kept of an earlier record.
type Ancestor struct {
	Epoch uint64
	Nonce uint64

	// High is its causal high-water: no causal number above it was told in an earlier epoch.
	High uint64

	// Position is the position with which its epoch began: no position above it was told in an
	// earlier epoch; [Unknown]: its master did not learn it.
	Position uint64
}

// Unknown stands for a position that is not known.
const Unknown = 1<<64 - 1

// Sound reports whether r can be the record of an epoch.
func (r *Record) Sound() bool {
	configured := lamport.Node(0)
	for _, n := range r.Configured {
		if !n.IsReplica() || n <= configured {
			return false
		}
		configured = n
	}

	for _, m := range r.Members {
		if m.Incarnation == 0 || !slices.Contains(r.Configured, m.Node) {
			return false
		}
	}

	if len(r.Lineage) > MaxLineage {
		return false
	}

	before := uint64(0)
	for _, a := range r.Lineage {
		if a.Epoch <= before || a.Epoch >= r.Epoch || a.High >= lamport.Limit {
			return false
		}
		before = a.Epoch
	}

	return r.View.Sound() && r.Since <= r.Epoch && r.Missing >= 0 && r.Missing < len(r.Configured) &&
		max(r.High, r.Start) < lamport.Limit && r.Master > 0
}

// Voters are the replicas that decide what follows r, where the replicas do that (rule D1): those
// of the cluster or, where an operator has let so few go on that they are no more than half of
// these, the members.
func (r *Record) Voters() []lamport.Node {
	if len(r.Members) > len(r.Configured)/2 {
		return r.Configured
	}
	voters := make([]lamport.Node, len(r.Members))
	for i := range r.Members {
		voters[i] = r.Members[i].Node
	}
	return voters
}

// Configures reports whether n is a replica of the cluster.
func (r *Record) Configures(n lamport.Node) bool { return slices.Contains(r.Configured, n) }

// Marks are what the master knows of the causal numbers; they go with all that it says to
// replicas.
type Marks struct {
	Last uint64 // the highest number given out; a replica that lacks one of them asks
	Safe uint64 // the highest that f+1 members have reached: it may be read
	Held uint64 // the highest that every member has reached: it may be committed
}

// Phase is what a replica is doing: explicit codes, never reused.
type Phase uint8

// Word is the phase's name in the public contract; "" of a code that is none.
func (p Phase) Word() string { return phaseWords[p] }

var phaseWords = map[Phase]string{
	PhaseBoot: "boot", PhaseMember: "member", PhaseWedged: "wedged", PhaseLearning: "learning", PhaseCaught: "caught",
}

// The phases of a replica.
const (
	PhaseBoot     Phase = 1 // it holds nothing and knows of no view
	PhaseMember   Phase = 2 // it works in the view of Header.Epoch
	PhaseWedged   Phase = 3 // a member that stands still and waits for the next view
	PhaseLearning Phase = 4 // outside the view, and loading
	PhaseCaught   Phase = 5 // outside the view, with all but the newest: a view change can let it in
)

// Hello is a replica's boot acknowledgement, and its answer to every PROBE while it does
// not work in the view of the master that asks.
type Hello struct {
	Header
	PID      int
	Phase    Phase
	Position uint64 // how many ordered operations are delivered
	Keys     uint64
	LastRID  uint64 // highest rID seen
	Master   uint64 // incarnation of the newest master that it has heard; no older one is heard any more

	Nonce uint64 // of the newest PROBE of that master; 0: none

	// Whole and Committed are for the case that no member is left with what it had
	// acknowledged, and an operator wants to go on with a learner's state.
	Whole     bool   // the committed layer of this learner is a prefix of the order
	Committed uint64 // highest causal number in it

	Heard []Heard // rising by node

	Past Past
}

// Heard says when a replica has last received anything from another replica.
type Heard struct {
	Node   lamport.Node
	Silent uint64 // ticks of 10 ms since then, by the clock of the replica that says it
}

// Past is what a replica says of where it comes from.
type Past struct {
	Life   uint64  // drawn by the process when it started
	Reason string  // why what it holds counts for nothing; "": it counts
	Record *Record // that it knows, of Header.Epoch; nil: none
}

// Install tells a replica, member or not, the record of an epoch.
type Install struct {
	Header
	Record Record
}

// Keeps says what a member's data survive: explicit codes, never reused.
type Keeps uint8

// What data survive.
const (
	KeepsUnsaid   Keeps = 0 // a member of an earlier version does not say
	KeepsMemory   Keeps = 1 // not the end of its process
	KeepsInterval Keeps = 2 // on disk: kill -9 of every process
	KeepsAlways   Keeps = 3 // on disk, synced before anything leaves: a power cut
)

// Installed acknowledges an Install: the replica works in Header.Epoch. A master that finds
// members at work learns from it what they are.
type Installed struct {
	Header
	Position uint64 // with which the epoch began: the same at every member
	PID      int
	Keeps    Keeps
	View     uint64 // nonce of the record
}

// Forward carries requests to the replica that is to serve them, and causal writes
// to every replica.
type Forward struct {
	Header
	// Round is what the replica is to echo if it works in Header.Epoch under this master; 0:
	// nothing. The linearizable gets in a Forward with a Round are fenced, in others ordered.
	Round    uint64
	Time     uint64 // ticks of 10 ms of this master, from TimeBase on, so that what came before its start has a time, too
	Marks    Marks
	Requests []Request
	Writes   []CausalWrite // numbers rise
}

// Answer is the reply to one forwarded request, on its way to the master. The RID is as
// forwarded. What the master knows by itself does not travel: Replica and Clock.Node are the
// sender, and HasPosition follows from the request.
type Answer struct {
	model.Answer
	FirstRID uint64 // of the first request with this identity, where it differs; else 0
}

// Answers carries the answers to requests to the master, and what it needs as the primary.
type Answers struct {
	Header
	Round     uint64 // the echo: the highest round that the replica has received in Header.Epoch, in which it works; 0: none
	Watermark uint64 // highest causal number held without a gap
	Position  uint64 // ordered operations delivered
	Answers   []Answer
}

// Data is DATA(e, sender, seq, timestamp, ops…) of the broadcast. Its timestamp is (Header.Clock,
// Header.From); timestamps rise with Seq. It also acknowledges, as an ACK does.
type Data struct {
	Header
	Seq uint64 // 1, 2, 3, … for each sender and epoch
	Received
	Time  uint64 // the greatest Forward.Time that the sender has from the master of the epoch; 0: none
	Ops   []Operation
	Acked []uint64 // rIDs first acknowledged by this message; in its request-id header only
}

// TimeBase is the time, in ticks of 10 ms, at which every master's process begins to count.
const TimeBase = 1 << 20

// Ack is ACK(e, sender, clock, lastSeq, received[·]): cumulative, idempotent, unnumbered; the loss
// of one is harmless.
type Ack struct {
	Header
	Received
	Solicit bool     // the sender is waiting: answer with an Ack of your own
	Acked   []uint64 // rIDs first acknowledged by this message; in its request-id header only
}

// Received says what a member has received and announces what it has sent.
type Received struct {
	LastSeq  uint64   // own DATA sent so far: every later one has a time greater than Header.Clock
	Received []uint64 // by index in the view: how many of that member's DATA are held without a gap
}

// Gap asks for messages again: First to Last, both included.
type Gap struct {
	Header
	Causal      bool // causal numbers; else DATA
	First, Last uint64

	// Of is whose DATA a wedged member is asked for; 0: the receiver's own, while it works.
	Of lamport.Node
}

// Fill answers a Gap for causal numbers, or, by a wedged member, for somebody's DATA.
type Fill struct {
	Header
	Writes []CausalWrite // numbers rise
	Data   []*Data       // of one member, as they were; Seq rises
}

// Probe is the master's heartbeat; a REPORT or HELLO with its nonce answers it.
type Probe struct {
	Header
	Nonce uint64
	Marks Marks
}

// Report answers a probe, for the master's primary and for status.
type Report struct {
	Header
	Nonce     uint64
	Position  uint64 // ordered operations delivered
	Watermark uint64 // highest causal number held without a gap
	Safe      uint64 // highest causal number that may be read
	Keys      uint64
	Pending   uint64 // requests taken and not yet answered
	Tentative uint64 // weak writes not yet committed
	Queue     uint64 // DATA received and not yet delivered
	Own       uint64 // weak writes not yet committed that this replica has accepted: only it may hold them

	Tombstones uint64 // that are not collected, or not removed yet
	Collected  uint64 // ticks of 10 ms since the last collection, and 1; 0: none since the process started

	Heard []Heard // rising by node
}

// Beat tells another replica that the link works. It is sent to a replica to which nothing else
// was sent since the last heartbeat of the master.
type Beat struct{ Header }
