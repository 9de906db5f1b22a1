package page

import (
	"cmp"
	"strconv"
	"time"

	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/bus/readable"
	"quartet/master/ledger"
)

// slowOf are the slowest requests of one model.
type slowOf struct {
	Class, Model string
	Cards        []slow
}

// slow is one of the slowest requests, as a card with a small picture: the master's lane above,
// the replica's lane below, and time from left to right, to scale.
type slow struct {
	Class        string
	Rank         int
	RID          uint64
	Request, Key string
	Client       string
	Outcome      string
	Bad          bool
	Received     string
	Took         string
	Details      []fact
	Below        string // what the lower lane is
	Parts        []part
	Turns        []turn // where it goes from lane to lane
	Words        []string
}

// part is a time that was spent somewhere, as shares of the whole.
type part struct {
	Class    string
	X, Width string
	Lower    bool
}

// turn is the way from one lane to the other.
type turn struct {
	X    string
	Down bool
}

func slowest(r *ledger.Run) []slowOf {
	var list []slowOf
	for i := range r.Slowest {
		e := &r.Slowest[i]
		if !e.Model.Valid() {
			continue
		}
		if n := len(list); n == 0 || list[n-1].Model != e.Model.Word() {
			list = append(list, slowOf{Class: class(e.Model.Word()), Model: e.Model.Word()})
		}
		of := &list[len(list)-1]
		s := cardOf(e, len(of.Cards)+1)
		s.steps(e)
		of.Cards = append(of.Cards, s)
	}
	return list
}

// cardOf returns the card of a request without its steps.
func cardOf(e *ledger.Entry, rank int) slow {
	s := slow{
		Class: class(e.Model.Word()), Rank: rank, RID: e.RID, Key: readable.Text(e.Key), Client: readable.Text(e.Client), Outcome: "ok",
		Received: e.Received.Format("15:04:05.000000"), Took: micros(float64(e.Taken.Microseconds())),
	}

	if e.Type != 0 {
		s.Request = e.Type.Word()
	}
	if e.Code != model.OK {
		s.Outcome = codeName(e.Code)
	}

	s.Bad = !e.Code.Answered()

	add := func(name, text string) { s.Details = append(s.Details, fact{name, text}) }

	if e.Replica != 0 {
		add("served by", e.Replica.String())
	} else if e.Sent != 0 {
		add("sent to", e.Sent.String())
	}

	if e.Position != 0 {
		add("position", strconv.FormatUint(e.Position, 10))
	}
	if e.Timestamp != 0 {
		add("timestamp", strconv.FormatUint(e.Timestamp, 10))
	}
	if e.Clock != (lamport.Timestamp{}) {
		add("clock", e.Clock.String())
	}
	if e.Duplicate {
		add("repeated", "answered with the outcome of an earlier sending")
	}
	return s
}

// steps draws what the master saw of a request. Times that contradict each other (a clock that was
// short of room) are left out.
func (s *slow) steps(e *ledger.Entry) {
	left, heard := e.Forwarded, e.Heard
	if left > e.Taken {
		left = 0
	}
	if heard < left || heard > e.Taken {
		heard = 0
	}

	replica := "a replica"
	s.Below = "?"
	if by := cmp.Or(e.Replica, e.Sent); by != 0 {
		replica = by.String()
		s.Below = replica
	}

	switch {
	case left == 0: // it was never forwarded
		s.Below = ""
		s.part(e, "here", 0, e.Taken, "in the master: "+stayed(e))
		return
	case e.Model == model.Causal && e.Type.Writes(): // numbered by the master, who sends it to all
		s.Below = "all"
		s.part(e, "here", 0, left, "in the master, until it had its timestamp and left for all replicas")
		s.part(e, "there", left, e.Taken, "until so many had it that it is safe, and the answer left")
		s.turn(e, left, true)
		s.turn(e, e.Taken, false)
		return
	}

	s.part(e, "here", 0, left, "in the master, until it left for "+replica)
	s.turn(e, left, true)
	if heard == 0 {
		s.part(e, "lost", left, e.Taken, "in which no replica answered it")
		return
	}

	writes := e.Type.Writes() && !e.ReadOnly
	last := "in the master, until the answer left"
	if e.Model == model.Linearizable && !writes {
		last = "in the master, until the fence confirmed what was read and the answer left"
	}

	with := "with " + replica
	if e.Model.Strong() && writes {
		with += ", the broadcast between replicas included"
	}

	s.part(e, "there", left, heard, with)
	s.turn(e, heard, false)
	s.part(e, "here", heard, e.Taken, last)
}

// stayed says why a request was forwarded to no replica.
func stayed(e *ledger.Entry) string {
	switch {
	case e.Duplicate:
		return "it waited for the outcome of an earlier sending, or found it"
	case e.Forwarded > 0:
		return "when it left is not known"
	}
	return "it left for no replica"
}

// part adds a time that was spent somewhere.
func (s *slow) part(e *ledger.Entry, class string, from, to time.Duration, words string) {
	if e.Taken > 0 {
		s.Parts = append(s.Parts, part{class, share(from, e.Taken), share(to-from, e.Taken), class != "here"})
	}
	s.Words = append(s.Words, micros(float64((to-from).Microseconds()))+" "+words)
}

// turn adds the moment in which the request goes from lane to lane.
func (s *slow) turn(e *ledger.Entry, at time.Duration, down bool) {
	if e.Taken > 0 {
		s.Turns = append(s.Turns, turn{share(at, e.Taken), down})
	}
}

func share(d, whole time.Duration) string { return percent(float64(d) / float64(whole)) }
