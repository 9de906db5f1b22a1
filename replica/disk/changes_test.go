package disk

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"quartet/bus/message"
	"quartet/replica/durable"
)

// The log of changes comes back as it was: what was added turn by turn, without what is no longer
// needed, and nothing of a log that has begun anew.
func TestTheLogOfChanges(t *testing.T) {
	fs := vfs.NewMem()
	d, _ := mustOpen(t, inMemory(fs))
	var s durable.State
	s.Incarnation = 1
	var want []message.Change
	again := func() {
		t.Helper()
		mustClose(t, d)
		var saved *durable.Saved
		d, saved = mustOpen(t, inMemory(fs))
		if diff := gocmp.Diff(want, saved.Changes); diff != "" || saved.State.Changes != s.Changes {
			t.Fatalf("%+v\n%s", saved.State.Changes, diff)
		}
	}
	turn := func(drop bool, since uint64, added ...message.Change) {
		t.Helper()
		if drop {
			want = nil
		}
		want = append(want, added...)
		for len(want) > 0 && want[0].Revision <= since {
			want = want[1:]
		}
		if len(want) == 0 {
			want = nil
		}
		s.Clock++
		s.Changes.Since = since
		for _, c := range added {
			s.Changes.To = c.Revision
		}
		mustCommit(t, d, &durable.Turn{Changed: true, State: s, DropChanges: drop, Changes: added})
	}
	change := func(revision uint64, key, value string) message.Change {
		return message.Change{Revision: revision, Kind: message.ChangeSet, Key: key, Value: []byte(value)}
	}

	turn(false, 0, change(1, "a", "1"), change(2, "b", "2"), change(2, "c", "3"))
	again()
	for r := uint64(3); r < 200; r++ {
		turn(false, r-min(r, 20), change(r, "a", "x"), change(r, "b", "y"))
		if r%50 == 0 {
			again()
		}
	}
	again()

	var many []message.Change // more than one value takes, those of one revision together
	for r := uint64(200); len(many) < 3*changesMost; r++ {
		for _, key := range []string{"a", "b", "c"} {
			many = append(many, change(r, key, "z"))
		}
	}
	turn(false, 190, many...)
	again()

	turn(true, 9000)
	s.Changes.To = 9000
	turn(false, 9000, change(9001, "k", "v"))
	again()
}
