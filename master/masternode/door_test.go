package masternode

import (
	"testing"
	"time"

	"quartet/bus/host/room"
	"quartet/bus/model"
)

// With little room deletes are taken, which make some; with nearly none they are not either. What
// changes nothing is taken in any case, and does not ask.
func TestWhatIsRefusedForWantOfRoom(t *testing.T) {
	for refused, types := range map[room.Refused][]model.Type{
		room.None:    nil,
		room.Sets:    {model.Set, model.Add, model.Txn},
		room.Deletes: {model.Set, model.Add, model.Txn, model.Delete},
	} {
		left := roomLeft{refused: refused, why: "too little"}
		for _, typ := range model.Types {
			want := ""
			for _, of := range types {
				if typ == of {
					want = "too little"
				}
			}
			if got := left.refuses(typ); typ.Writes() && got != want {
				t.Errorf("level %d: a %s is refused: %q, want %q", refused, typ.Word(), got, want)
			}
		}
	}
}

// The time on the wall is given in milliseconds since 1970, also by a clock that stands before it.
func TestWall(t *testing.T) {
	for at, want := range map[time.Time]uint64{
		time.Unix(2, 3_999_999): 2003, time.Unix(0, 0): 0, time.Unix(-5, 0): 0,
	} {
		if got := wall(at); got != want {
			t.Errorf("%s: %d, want %d", at, got, want)
		}
	}
}
