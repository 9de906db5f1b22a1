package message

// Ballot numbers an attempt of a master to have a record decided (rule D2). Ballots are totally
// ordered, and no two masters share one.
type Ballot struct {
	Round  uint64 // 0: no ballot
	Master uint64 // a random number of the master's process
}

// Less reports whether b is below o.
func (b Ballot) Less(o Ballot) bool {
	if b.Round != o.Round {
		return b.Round < o.Round
	}
	return b.Master < o.Master
}

// Poll asks a replica for its vote on the record that follows Base: to promise that it takes part
// in no lower ballot, and, with a Value, to accept that one (rules D1 to D4).
type Poll struct {
	Header
	Attempt uint64 // comes back in the VOTE
	Ballot  Ballot
	Base    *Record // the newest record of which the master knows that it is decided; nil: of none
	Value   *Record // proposed; nil: nothing is, the ballot is only to be promised
	Forced  bool    // an operator has decided: whoever Value names accepts it (rule D8)
}

// Vote answers a Poll with how a replica stands: what it knows to be decided, and what it has
// promised and accepted of the record after that.
type Vote struct {
	Header
	Attempt  uint64
	Base     *Record // the newest record of which the replica knows that it is decided; nil: of none
	Counts   bool    // it has a vote on what follows Base: it is the process that Base names, with all that it has promised
	Promised Ballot  // the highest that it has promised
	Accepted Ballot  // in which it has accepted Value; Round 0: it has accepted nothing
	Value    *Record // nil: it has accepted nothing
}
