package masternode

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/codec"
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

// What headers say of a request is a part of the request that is served: without that a condition
// or an end would be passed over.
func TestHeadersCompleteTheRequest(t *testing.T) {
	m := &nats.Msg{Data: []byte("1, set, key ::: value"), Header: nats.Header{bus.HeaderIfRevision: {"17"}, bus.HeaderTTL: {"30s"}}}
	served, _, err := takenOf(&event{msg: m})
	if r := served.request; err != nil || !r.HasIf || r.If != 17 || r.TTL != 30_000 || string(r.Value) != "value" {
		t.Errorf("%+v, %v", r, err)
	}

	m.Header[bus.HeaderTTL] = []string{"soon"}
	if served, _, err := takenOf(&event{msg: m}); err == nil || served.request.Type != model.Set {
		t.Errorf("a malformed header: %+v, %v", served.request, err)
	}
}

// A transaction is read-only if no step of either branch writes, and nothing else is.
func TestReadOnly(t *testing.T) {
	get, set := model.Step{Type: model.Get, Key: "a"}, model.Step{Type: model.Set, Key: "a", Value: []byte("1")}
	for name, test := range map[string]struct {
		txn  model.Transaction
		want bool
	}{
		"gets":            {model.Transaction{Then: []model.Step{get}, Else: []model.Step{get, get}}, true},
		"a set":           {model.Transaction{Then: []model.Step{get, set}}, false},
		"a set otherwise": {model.Transaction{Then: []model.Step{get}, Else: []model.Step{set}}, false},
		"checks alone":    {model.Transaction{If: []model.Check{{Key: "a", HasExists: true}}}, true},
	} {
		value, err := codec.AppendTransaction(nil, &test.txn)
		if err != nil {
			t.Fatal(err)
		}
		if got := readOnly(&model.Request{Model: model.Linearizable, Type: model.Txn, Value: value}); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}

	for _, typ := range model.Types {
		if typ != model.Txn && readOnly(&model.Request{Model: model.Linearizable, Type: typ, Key: "a"}) {
			t.Errorf("a %s is no transaction", typ.Word())
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
