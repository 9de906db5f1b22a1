package message

import (
	"quartet/bus/lamport"
	"quartet/bus/model"
)

// Prepare asks a replica to wedge in Header.Epoch for good (rule F1) and, from the second attempt
// of a change on, to fetch what it lacks: causal writes (rule F3), and DATA (rule F15).
type Prepare struct {
	Header
	Attempt uint64       // the number of this PREPARE; its master counts on from a random one. STATE repeats it
	High    uint64       // the replica is to hold the causal numbers up to this; 0: what it has
	Holder  lamport.Node // a replica that holds them; 0: nobody needs to fetch any
	Cut     []uint64     // by index in the view: so many of each member's DATA it is to hold; empty: what it has
}

// State says what a wedged replica holds (rule F2). It never changes again in its epoch, but for
// Contiguous and Watermark, which a fill may raise. A learner that has become the copy of a wedged
// member says the same of itself.
type State struct {
	Header
	Attempt    uint64   // of the PREPARE that it answers: it was said to the master that has sent that one
	Contiguous []uint64 // by index in the view: how many of each member's DATA are held without a gap
	Watermark  uint64   // highest causal number held without a gap
	Position   uint64   // ordered operations delivered
	LastRID    uint64   // highest rID seen
	Proof      Proof
}

// Lacks reports whether less is held than these many DATA of each member, by index in the view.
func (s *State) Lacks(data []uint64) bool {
	for i, n := range data {
		if i >= len(s.Contiguous) || s.Contiguous[i] < n {
			return true
		}
	}
	return false
}

// Proof is what members are compared by: a member that holds less than it once said has gone back.
type Proof struct {
	Life uint64 // of the process
	View uint64 // nonce of the record of the epoch
	Safe uint64 // the highest causal number that may have been read

	// Told is, by index in the view, what each member has told this one that it holds, as
	// State.Contiguous; empty: nothing is known.
	Told [][]uint64
}

// Outdated tells the processes of a replica that another process of the same replica is known,
// which the master takes for the replica from now on.
type Outdated struct {
	Header
	Newest   uint64 // the greatest incarnation of the replica that is known
	Life     uint64 // of the process that is meant; 0: any of an incarnation below Newest
	Replaced bool   // a process that was started later speaks as the replica: this one is to end
}

// Pull asks a member for the next piece of the state (rule F6). It says all that the
// learner has, so a piece that is lost, or a member that dies, costs one piece.
type Pull struct {
	Header        // Epoch: of the newest record that the learner knows
	Nonce  uint64 // comes back in the CHUNK

	// Entry is the number up to which the learner holds entries of the table of executed
	// requests. A member that has not come as far does not answer.
	Entry   uint64
	Cursor  string // keys below it are held
	Scanned bool   // all keys are held

	// Wedged asks for an answer of a wedged member only: what it holds stays true.
	Wedged bool
	Held   []uint64 // by index in the view: undelivered DATA are held up to this seq; only if Wedged
	Number uint64   // causal writes are held up to this number; only if Wedged

	Changes uint64 // the log of changes is held up to this position
}

// Executed is an entry of the table of executed requests. Number counts the entries of
// the whole order, so an entry has the same number on every replica.
type Executed struct {
	Identity  string // the client's; "": the identity is RID
	RID       uint64
	Digest    uint64
	Position  uint64 // strong sets
	Timestamp uint64 // causal sets

	// What else its answer said: 0 is OK, and the revision is then Position. Result: of an Add, a
	// Txn.
	Code     model.Code
	Revision uint64 // with code Failed: of the key as it was; else 0
	Result   []byte

	// Key is the key that was written: a learner needs its record again. "" in what the learner
	// gets before it reads the keys, and where there is a long result, for a CHUNK has room for
	// one of both: then the keys have entries of nobody's, without Identity and RID.
	Key  string
	Time uint64 // in the order's own time, when it took effect
}

// OrderTime is the order's own time, a part of the replicated state (rule S6): ticks of the
// masters that have led, as delivered DATA have told them.
type OrderTime struct {
	Now     uint64 // never falls
	Tick    uint64 // the greatest Data.Time delivered in this epoch; 0: none
	Horizon uint64 // requests that took effect before this time may be forgotten
	Oldest  uint64 // number of the oldest entry of the table that is not forgotten
}

// Collection is how far tombstones are collected: a part of the replicated state (rules O40 to
// O43).
type Collection struct {
	// Floor: the tombstones up to this version that stood at Position are gone, and a weak write up
	// to it loses where a key has no record.
	Floor    lamport.Version
	Position uint64

	Horizon lamport.Version // the next floor, as it is proposed in this epoch; zero: none is
	Agreed  uint64          // the members that have agreed to it: a bit for each, by index in the view
}

// LeastRevision is the revision of what was written before there were revisions: no write after
// it has one as low.
const LeastRevision = 1

// KeyRecord is a record of the committed layer with its key.
type KeyRecord struct {
	Key     string
	Kind    uint8 // as store.Kind
	Value   []byte
	Version lamport.Version
	Number  uint64
	RID     uint64

	Revision uint64 // the position of the write
	Expires  uint64 // milliseconds since 1970; 0: never
}

// Chunk is a piece of a member's state. Applied in the order of their Position, pieces
// make the committed layer and the table of executed requests of a member; the last, of
// a wedged member, also what it holds and has not delivered.
type Chunk struct {
	Header
	Nonce    uint64
	Restart  bool              // the table does not reach back to Pull.Entry any more: begin anew
	Position uint64            // of the member, when it sent this
	Place    lamport.Timestamp // of the last operation that it has delivered in Header.Epoch
	First    uint64            // number of the first of Entries
	Entries  []Executed
	Last     uint64      // number of the member's newest entry
	Order    OrderTime   // of the member
	Records  []KeyRecord // of the keys of Entries, then of a range of keys
	Changes  Changes     // of the log
	Removed  []string    // keys of Entries that have no record any more
	Cursor   string      // the learner holds the keys below it now
	Scanned  bool        // it holds all keys now
	LastRID  uint64

	Collection Collection // of the member

	// Of a wedged member, once the learner has all of the above.
	Wedged     bool
	Done       bool     // nothing is missing after this
	Contiguous []uint64 // as in State
	Data       []*Data  // held and not delivered, in the order of their senders' seq
	Writes     []CausalWrite
	Committed  uint64 // highest causal number committed
	Watermark  uint64
	Safe       uint64
}
