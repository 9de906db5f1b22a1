package view

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
)

// A life is one process of a replica: a number that it draws when it starts (rule F8). A disk
// keeps those that have used it since the newest record that it knows, and each record names
// the life under which a member takes part. So a disk that was put back to an older copy is
// told by a record that names a life of which it knows nothing.
type lives []uint64

// livesMost bounds the list. Of a replica that is started more often without that it learns of
// a record the first life and the last ones are kept.
const livesMost = 64

// with returns the list with one life more.
func (l lives) with(life uint64) lives {
	if len(l) >= livesMost {
		l = slices.Delete(slices.Clone(l), 1, len(l)-livesMost+2)
	}
	return append(slices.Clip(l), life)
}

// since returns the lives from the one that a record names; those before it can be named by
// no later record.
func (l lives) since(life uint64) lives {
	if i := slices.Index(l, life); i >= 0 {
		return slices.Clone(l[i:])
	}
	return l
}

// Self is who the process of a replica is, and whether what it holds counts for anything.
type Self struct {
	node        lamport.Node
	incarnation uint64
	life        uint64
	lives       lives // that have used this disk since the newest record that it knows

	served    bool   // it has been a member under its incarnation
	dismissed bool   // an operator has taken the replica out of the cluster
	replaced  bool   // another process of this replica was started later
	back      string // its data were found to be older than what it had told; "": no, or it has been let in since
	aside     string // it cannot follow the cluster, and keeps what it has; "": it can
	belongs   bool   // it has taken a record since it was started
	foreign   string // why its directory belongs to another cluster; "": it does not, as far as is known
}

// NewSelf returns the self of a process without a disk.
func NewSelf(node lamport.Node, incarnation, life uint64) Self {
	return Self{node: node, incarnation: incarnation, life: life}
}

// Past is what a disk keeps of a self.
type Past struct {
	Incarnation uint64
	Lives       []uint64
	Back, Aside string
	Served      bool // not kept, but follows from the rest: it was a member
}

// Restore makes the process what its disk says.
func (s *Self) Restore(p Past) {
	s.incarnation, s.lives = p.Incarnation, p.Lives
	s.back, s.aside, s.served = p.Back, p.Aside, p.Served
}

// Past is what the disk is to keep.
func (s *Self) Past() Past {
	return Past{Incarnation: s.incarnation, Lives: s.lives, Back: s.back, Aside: s.aside, Served: s.served}
}

// Start notes that this process uses the disk. That must be on it before the process says who
// it is: the next record may name it.
func (s *Self) Start() { s.lives = s.lives.with(s.life) }

// Incarnation is the process's own; one that was removed from a view goes on as another.
func (s *Self) Incarnation() uint64 { return s.incarnation }

// Life is the number that the process has drawn.
func (s *Self) Life() uint64 { return s.life }

// Dismissed reports whether an operator took this replica out of the cluster.
func (s *Self) Dismissed() bool { return s.dismissed }

// Replaced reports whether another process of this replica was started later.
func (s *Self) Replaced() bool { return s.replaced }

// Aside reports whether this replica cannot follow the cluster, and keeps what it has.
func (s *Self) Aside() bool { return s.aside != "" }

// Belongs reports whether the process has taken a record since it was started: what its disk holds
// is of this cluster then.
func (s *Self) Belongs() bool { return s.belongs }

// Misplace notes that the disk is another cluster's than the one whose record was told (rule F14).
func (s *Self) Misplace(known, told *message.Record) {
	s.foreign = fmt.Sprintf("its data are of cluster %016x, and the cluster here is %016x", known.Cluster, told.Cluster)
}

// Foreign says why the disk belongs to another cluster, or "".
func (s *Self) Foreign() string { return s.foreign }

// Reason says why what this replica holds counts for nothing, or "".
func (s *Self) Reason() string {
	if s.aside != "" {
		return s.aside
	}
	return s.back
}

// named returns what a record says of this replica's process, or nil if it names none of its
// incarnation.
func (s *Self) named(r *message.Record) *message.Member {
	if i := r.Index(s.node); i >= 0 && r.Members[i].Incarnation == s.incarnation {
		return &r.Members[i]
	}
	return nil
}

// remembers reports whether the process that a record names has worked with what this replica
// holds.
func (s *Self) remembers(named *message.Member) bool {
	return named.Life == 0 || slices.Contains(s.lives, named.Life)
}

// Named reports whether a record has a member of this process's name.
func (s *Self) Named(r *message.Record) bool { return r.Index(s.node) >= 0 }

// Speaks reports whether the process is the member that a record names, or has its disk: what that
// one has promised, this one has (rules F8 and D1).
func (s *Self) Speaks(r *message.Record) bool {
	named := s.named(r)
	return named != nil && s.remembers(named)
}

// Enter makes the process a member of a view that names its incarnation, and reports whether
// the record means this very process, and not an earlier one with the same disk. One that was
// born after the record's members had said what they hold does not work in its epoch: what an
// earlier one has done there, if its disk was put back since, nobody could tell from what this
// one does.
func (s *Self) Enter(r *message.Record) bool {
	named := s.named(r)
	s.served, s.belongs, s.back = true, true, ""
	s.lives = s.lives.since(named.Life)
	return named.Life == 0 || named.Life == s.life
}

// Leave ends the process's membership, or its hope for it, as a record says that follows on
// another one (rule F6). A process that was a member goes on as a greater incarnation: nothing
// that it said as a member, or that was said to it, concerns it any more.
func (s *Self) Leave(before, r *message.Record) {
	configured := before.Epoch > 0 && before.Configures(s.node)
	s.dismissed = configured && !r.Configures(s.node)

	// Also one that the record names, but that has lost the copy by which it was let in: what
	// it copies now is another member's, and must not count as what it held itself.
	i := r.Index(s.node)
	named := i >= 0 && r.Members[i].Incarnation >= s.incarnation
	if s.served || named {
		if i >= 0 {
			s.incarnation = max(s.incarnation, r.Members[i].Incarnation)
		}
		s.incarnation++
		s.served = false
	}
	s.lives = lives{s.life}
	s.belongs = s.belongs || before.Nonce != r.Nonce // else it is its own record
}

// GoBack notes that the data are older than what the replica had told. What it has is a prefix
// of the order, as that of any learner, so it is loaded with the rest.
func (s *Self) GoBack(why string) { s.back = why }

// SetAside ends the part of a replica in the cluster that cannot follow it: it has delivered
// what the others' record leaves out. It keeps what it has, and says why, until somebody
// looks: no process that is started again would be any better off, and what only it holds is
// not given up by a machine.
func (s *Self) SetAside(why string) { s.aside = why }

// Renaming is what comes of the word that a later process of this replica is known.
type Renaming uint8

// What may come of it.
const (
	NotRenamed Renaming = iota // it is meant for another process, is not news, or ends this one
	Renamed                    // the process goes on as a greater incarnation
	Deposed                    // the same, and it was a member: it is to leave the view that it knows
	Implausible
)

// Outdated takes the word of a master that knows a later process of this replica (rule F10). A
// process that is new goes on above it, whatever the clocks say that incarnations are drawn
// from; one that was replaced ends. epoch is the one that it knows; loads: it is outside of it.
func (s *Self) Outdated(o *message.Outdated, epoch uint64, loads bool) Renaming {
	switch {
	case o.Life != 0 && o.Life != s.life: // it is meant for another process of this name
		return NotRenamed
	case o.Replaced:
		s.replaced = true
		return NotRenamed
	case o.Newest < s.incarnation, o.Newest == s.incarnation && !loads:
		return NotRenamed // it has gone on as a greater one since it said what this answers
	case o.Newest >= lamport.Limit:
		return Implausible
	}

	s.incarnation = max(s.incarnation, o.Newest)
	if epoch > 0 && !loads {
		s.back = fmt.Sprintf("its data are of an earlier process than incarnation %d, which was known: they were put "+
			"back to an older copy", o.Newest)
		return Deposed
	}
	s.incarnation++
	s.lives = lives{s.life}
	return Renamed
}
