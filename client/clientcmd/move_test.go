package clientcmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quartet/bus"
	"quartet/bus/codec"
	"quartet/bus/host/exit"
	"quartet/bus/lamport"
	"quartet/bus/model"
	"quartet/client/internal/responder"
)

// lists answers lists with pages of one key each: of the first cut, whose value has so many bytes,
// the second page is kept no more.
func lists(t *testing.T, size int) *responder.Responder {
	return responder.Start(t, func(c responder.Call) responder.Action {
		large := bytes.Repeat([]byte("x"), size)
		page := model.Page{Items: []model.Item{{Key: "old", HasValue: true, Value: large, Revision: 1}}, Next: "more"}
		switch c.N {
		case 1:
		case 2:
			return responder.Action{Code: model.Gone}
		default:
			page = model.Page{Items: []model.Item{{Key: "new", HasValue: true, Value: []byte("v"), Revision: 2}}}
		}
		b, err := codec.AppendPage(nil, &page)
		if err != nil {
			t.Error(err)
		}

		reply := bus.Reply{Encoding: c.Request.Encoding, Type: model.List, Model: model.Linearizable, Next: page.Next}
		reply.Code, reply.RID, reply.Value = model.OK, uint64(c.N), b
		reply.HasPosition, reply.Position, reply.Replica = true, uint64(c.N), lamport.Replica(1)
		reply.Clock.Node = reply.Replica
		return responder.Action{Raw: reply.Msg("")}
	})
}

// A cut that is kept no more is begun anew: nothing of it is in the file, be it buffered yet or
// written.
func TestACutIsBegunAnew(t *testing.T) {
	for _, command := range []string{"export --file", "backup"} {
		for _, size := range []int{1, 400_000} {
			file := filepath.Join(t.TempDir(), "out")
			w := quartet(t, lists(t, size).URL, append(strings.Fields(command), file)...)
			b, err := os.ReadFile(file)
			isNew := strings.Contains(string(b), `"key":"new"`) && !strings.Contains(string(b), "old")
			isWhole := isNew && !bytes.Contains(b, []byte("xx"))
			if w.status != exit.StatusOK || err != nil || !isWhole {
				t.Errorf("%s, %d bytes: status %d, %s, %v\n%.200s", command, size, w.status, w.err, err, b)
			}
		}
	}
}

// What has gone to standard output cannot be taken back: the command ends, and says what to do. A
// file that could not be written to its end is not there.
func TestACutThatCannotBeBegunAnew(t *testing.T) {
	w := quartet(t, lists(t, 1).URL, "export")
	if w.status == exit.StatusOK || !strings.Contains(w.err, "begin again, or name a file") {
		t.Errorf("status %d, %s", w.status, w.err)
	}

	dir := t.TempDir()
	r := responder.Start(t, func(responder.Call) responder.Action { return responder.Action{Code: model.Gone} })
	w = quartet(t, r.URL, "backup", filepath.Join(dir, "out"))
	left, err := os.ReadDir(dir)
	if w.status != exit.StatusRefused || err != nil || len(left) > 0 {
		t.Errorf("status %d, %s; left: %v, %v", w.status, w.err, left, err)
	}
	if calls := len(r.Calls()); calls != 5 {
		t.Errorf("%d tries", calls)
	}
}
