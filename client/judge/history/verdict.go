package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Result is how a checker decided.
type Result uint8

// The results. Undecided is never a pass.
const (
	Undecided Result = iota // the budget ran out, or the history lacks what the check needs
	Passed
	Violated
)

var resultWords = [...]string{"unknown", "ok", "violated"}

// String returns unknown, ok or violated.
func (r Result) String() string { return resultWords[min(int(r), len(resultWords)-1)] }

// Verdict is what a checker says of a history.
type Verdict struct {
	Check  string // the checker's name
	Result Result
	Reason string // one sentence; "" when passed
	// Operations are the counterexample, in the order of their calls: as few as could
	// be found cheaply.
	Operations []Operation

	rule string // the form of Reason

	// Judge fills these in, too.
	Judged  int      // how many operations the check says something of
	Culprit int      // the index in Operations, from 1, of a get that returned what it could not; 0: none
	Allowed []string // what the culprit might have returned, given the other operations
}

// OK reports whether the history passed.
func (v Verdict) OK() bool { return v.Result == Passed }

// String tells the verdict, and its counterexample one operation a line.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Check, v.Result)
	if v.Reason != "" {
		fmt.Fprintf(&b, ": %s", v.Reason)
	}
	for i := range v.Operations {
		fmt.Fprintf(&b, "\n    %s", v.Operations[i])
	}
	return b.String()
}

// Budget bounds the checkers that search. The zero Budget has the default limits.
type Budget struct {
	Time  time.Duration // of Linearizable, in all; default 10 s
	Steps int           // of SequentialSearch: states visited; default 1,000,000

	EndWithin time.Duration // see [Ends]; 0: that is not judged

	Cancelled <-chan struct{} // closed: what is not decided by then is undecided; nil: nobody cancels
}

// isCancelled reports whether nobody waits for the verdict any more.
func (b *Budget) isCancelled() bool {
	select {
	case <-b.Cancelled:
		return true
	default:
		return false
	}
}

// notWaitedFor is the verdict of a check that was cancelled.
func notWaitedFor(check string) Verdict { return undecided(check, "the judging was cancelled") }

// time is Time, or its default.
func (b Budget) time() time.Duration {
	if b.Time <= 0 {
		return 10 * time.Second
	}
	return b.Time
}

// steps is Steps, or its default.
func (b Budget) steps() int {
	if b.Steps <= 0 {
		return 1_000_000
	}
	return b.Steps
}

// passed is the verdict on a history that a check accepts.
func passed(check string) Verdict { return Verdict{Check: check, Result: Passed} }

// undecided is the verdict on a history that a check cannot judge, and why.
func undecided(check, format string, args ...any) Verdict {
	return Verdict{Check: check, Result: Undecided, Reason: fmt.Sprintf(format, args...), rule: format}
}

// violated returns the verdict with the operations in the order of their calls, each
// once.
func violated(check string, ops []*Operation, format string, args ...any) Verdict {
	v := Verdict{Check: check, Result: Violated, Reason: fmt.Sprintf(format, args...), rule: format}
	seen := make(map[*Operation]bool)
	for _, o := range ops {
		if o != nil && !seen[o] {
			seen[o] = true
			v.Operations = append(v.Operations, *o)
		}
	}

	slices.SortStableFunc(v.Operations, func(a, b Operation) int {
		switch {
		case a.Call < b.Call:
			return -1
		case a.Call > b.Call:
			return 1
		}
		return 0
	})
	return v
}

// All judges h by every checker that needs nothing but the history. Sequential falls
// back to the search where positions were not recorded. Txns, lists and watches are judged where
// there are any.
func All(h []Operation, budget Budget) []Verdict {
	verdicts := []Verdict{
		Linearizable(h, budget), sequentialEither(h, budget), causalEither(h), Sessions(h), Steady(h), OnlyOnce(h, nil),
	}
	for _, c := range checkers() {
		extra := c.name == transactions || c.name == lists || c.name == watches || c.name == revisions
		if extra && slices.ContainsFunc(h, func(o Operation) bool { return c.judges(&o) }) {
			verdicts = append(verdicts, c.judge(h, budget))
		}
	}
	return verdicts
}
