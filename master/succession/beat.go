package succession

// Role is what a master does.
type Role uint8

// The roles.
const (
	Waiting Role = iota + 1 // stands by
	Coming                  // leads next: what clients send it waits until the one before has ended
	Leading                 // leads, or has begun to
	Leaving                 // leads until the one that comes is ready, or answers what is left
	Gone                    // ends: nobody is to count on it
)

// roleWords are the roles as people and other masters are told them.
var roleWords = map[Role]string{
	Waiting: "stands by", Coming: "comes", Leading: "leads", Leaving: "leaves", Gone: "gone",
}

// String is the role in one or two words; "" of what is no role.
func (r Role) String() string { return roleWords[r] }

// ParseRole reads what [Role.String] writes; 0: it is none.
func ParseRole(word string) Role {
	for r, w := range roleWords {
		if w == word {
			return r
		}
	}
	return 0
}

// leads reports whether a master in this role is the one to which replicas and clients turn.
func (r Role) leads() bool { return r == Leading || r == Leaving }

// Beat is what a master says of itself to all others, several times a second.
type Beat struct {
	Name        string // by which people know it
	Life        uint64 // of its process, drawn at random: a name that comes again is another
	Number      uint64 // of the beat: it rises, so that a late one is known
	Role        Role
	Incarnation uint64 // with which it leads; 0: it does not, or has only begun to
	Epoch       uint64 // while it leads: of the view that stands; 0: none does
	Unable      bool   // it leads, and has formed no view for long
	Hears       string // the master that it hears lead, itself and lately; "": none
	Next        string // while it leaves: who comes
	Ready       bool   // while it comes: its doors are open
}

// outranks reports whether of two that lead the one that says b goes on, and the one that says
// other steps back: the greater incarnation, which is the one that replicas obey. Of two that have
// only begun, the first by name.
func (b *Beat) outranks(other *Beat) bool {
	if b.Incarnation != other.Incarnation {
		return b.Incarnation > other.Incarnation
	}
	if b.Name != other.Name {
		return b.Name < other.Name
	}
	return b.Life < other.Life
}
