package gather

import (
	"flag"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

var seeds = flag.Uint64("gather.seeds", 400, "how many seeds TestSeeds runs")

const steps = 400

// Whatever the order in which goroutines, answers and the timer come: what package gather
// promises is kept, and each request ends.
func TestSeeds(t *testing.T) {
	for seed := range *seeds {
		if err := newWorld(seed, &table).run(steps); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Each cell of the table that does something is needed: without it some seed fails.
func TestEachRuleIsNeeded(t *testing.T) {
	for s := range states {
		for e := range events {
			if nameOf(table[s][e]) == "stay" {
				continue
			}
			mutant := table
			mutant[s][e] = stay
			caught := func() bool {
				for seed := range *seeds {
					if newWorld(seed, &mutant).run(steps) != nil {
						return true
					}
				}
				return false
			}
			if !caught() {
				t.Errorf("nothing fails without what %s does in %s (%s)", e, s, nameOf(table[s][e]))
			}
		}
	}
}

func nameOf(r rule) string {
	name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

// The table in the package's comment is the one that is used.
func TestTheCommentHasTheTable(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, found := strings.Cut(string(text), "Added    Answered")
	if !found {
		t.Fatal("doc.go has no table")
	}
	short := map[string]string{"stay": "-", "orderUnlessAway": "answered", "beginIfClosed": "close"}
	lines := strings.Split(rows, "\n")[1:]
	for s := range states {
		cells := strings.Fields(strings.TrimPrefix(lines[s], "//"))
		if len(cells) != int(events)+1 || strings.ToLower(cells[0]) != s.String() {
			t.Fatalf("row %q is not that of %s", lines[s], s)
		}
		for e := range events {
			want := nameOf(table[s][e])
			if as, ok := short[want]; ok {
				want = as
			}
			if got := strings.ReplaceAll(cells[e+1], "x", "-"); got != want {
				t.Errorf("%s in %s is %q in the comment, and %q in the table", e, s, got, want)
			}
		}
	}
}

// In steady state a request costs no memory.
func TestNoAllocations(t *testing.T) {
	c := New[*request](Limits{Count: 100})
	r := &request{size: 10}
	round := func() {
		for range 64 {
			c.Add(r, r.size, false)
		}
		c.Begin(0, most)
		for {
			requests, m, _ := c.Next(0)
			if requests == nil {
				return
			}
			c.Answered(&m, 0)
		}
	}
	round()
	round()
	if n := testing.AllocsPerRun(100, round); n > 1 { // the message, which this test lets escape
		t.Errorf("%v allocations", n)
	}
}
