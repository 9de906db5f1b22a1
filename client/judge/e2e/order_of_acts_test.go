//go:build long

package e2e_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
)

// act is a request that writes, and its outcome.
type act struct {
	id, model, request, key, value string
	conditional                    bool
	revision                       uint64 // that the key must have; 0: no value

	sent, answered time.Time
	code           string // "": OK
	at             uint64 // the revision that the reply says
	body           string
	rid            string
}

// knownAfter bounds how often a request is sent before its outcome must be known.
const knownAfter = time.Minute

// run sends the request until its outcome is known.
func (a *act) run(nc *nats.Conn) error {
	a.sent = time.Now()
	for time.Since(a.sent) < knownAfter {
		m, err := a.once(nc)
		if err != nil {
			_ = nc.FlushTimeout(time.Second) // the connection may be made anew meanwhile
			continue
		}
		switch code(m) {
		case "", "412":
			a.answered = time.Now()
			return a.take(m)
		case "503", "504":
			continue
		}
		return fmt.Errorf("%+v: %s %s", *a, code(m), m.Data)
	}
	return fmt.Errorf("%+v: no outcome within %s", *a, knownAfter)
}

// once sends the request.
func (a *act) once(nc *nats.Conn) (*nats.Msg, error) {
	body := a.model + ", " + a.request + ", " + a.key
	if a.value != "" {
		body += " ::: " + a.value
	}
	h := header(bus.HeaderMsgID, a.id)
	if a.conditional {
		h.Set(bus.HeaderIfRevision, strconv.FormatUint(a.revision, 10))
	}
	return nc.RequestMsg(&nats.Msg{Subject: "quartet.request", Header: h, Data: []byte(body)}, 3*time.Second)
}

// take takes over what a reply says.
func (a *act) take(m *nats.Msg) (err error) {
	a.code, a.rid = code(m), m.Header.Get(bus.HeaderRequestID)
	if a.code == "" {
		a.body = string(m.Data)
	}
	if a.at, err = strconv.ParseUint(m.Header.Get(bus.HeaderRevision), 10, 64); err != nil {
		return fmt.Errorf("%+v: the reply has no revision: %v", *a, m.Header)
	}
	return nil
}

// record is what a key holds in the order of its revisions.
type record struct {
	value    string
	exists   bool
	revision uint64
}

// follow carries a request out, and says what is wrong with its outcome.
func (r *record) follow(a *act) string {
	before := *r
	r.revision = a.at
	switch {
	case a.conditional && a.revision == 0 && before.exists:
		return "it took effect although there was a value"
	case a.conditional && a.revision != 0 && a.revision != before.revision:
		return "it took effect although the key had another revision"
	case a.request == "delete":
		r.value, r.exists = "", false
	case a.request == "set":
		r.value, r.exists = a.value, true
	default:
		base, _ := strconv.ParseInt(before.value, 10, 64) // "": 0
		n, _ := strconv.ParseInt(a.value, 10, 64)
		r.value, r.exists = strconv.FormatInt(base+n, 10), true
		if a.body != r.value {
			return "the sum is not " + r.value
		}
	}
	return ""
}

// judge holds the outcomes against the order that their revisions claim: each follows from those
// before it, the order is that of real time, and the keys hold at last what it says.
func (s *script) judge(t *testing.T, nc *nats.Conn) {
	t.Helper()
	atRest(t, nc)
	keys := map[string][]act{}
	refused := 0
	for _, a := range s.done {
		if a.code == "" {
			keys[a.key] = append(keys[a.key], a)
		} else {
			refused++
		}
	}

	for key, acts := range keys {
		slices.SortFunc(acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
		revisions := map[uint64]bool{0: true} // that a failed condition may name
		var now record
		var latest time.Time // when the latest of those before was sent
		for i := range acts {
			a := &acts[i]
			if wrong := now.follow(a); wrong != "" || revisions[a.at] {
				t.Errorf("%s: %+v (the revision was there before: %t)", wrong, *a, revisions[a.at])
			}
			if a.answered.Before(latest) {
				t.Errorf("%s: %+v was answered before one that stands before it was sent", key, *a)
			}
			if a.sent.After(latest) {
				latest = a.sent
			}
			revisions[a.at] = true
		}

		for _, a := range s.done {
			if a.key == key && a.code != "" && !revisions[a.at] {
				t.Errorf("%+v names a revision that the key never had", a)
			}
		}
		s.holds(t, nc, key, now)
	}
	t.Logf("%d requests, of %d the condition did not hold", len(s.done), refused)
	if refused == 0 || len(keys) < 4 {
		t.Error("the script has not tried everything")
	}
}

// holds wants that a key reads in every model as the order says.
func (s *script) holds(t *testing.T, nc *nats.Conn, key string, want record) {
	t.Helper()
	for n, model := range []string{"linearizable", "sequential", "causal", "eventual"} {
		m := ask(t, nc, model+", get, "+key, bus.HeaderReplica, fmt.Sprintf("r%d", n%3+1))
		exists := code(m) == ""
		asTheOrderSays := exists == want.exists
		if exists {
			asTheOrderSays = asTheOrderSays && string(m.Data) == want.value
		}
		if !asTheOrderSays {
			t.Errorf("%s get of %s: %q %s, want %+v", model, key, code(m), m.Data, want)
		}
		if got := m.Header.Get(bus.HeaderRevision); exists && got != strconv.FormatUint(want.revision, 10) {
			t.Errorf("%s get of %s: revision %s, want %d", model, key, got, want.revision)
		}
	}
}

// repeat sends every request once more: nothing is executed, and the first outcome is told.
func (s *script) repeat(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for _, a := range s.done {
		again := a
		m, err := again.once(nc)
		if err == nil {
			err = again.take(m) // of a refusal there is no revision
		}
		same := again.code == a.code && again.at == a.at && again.body == a.body && again.rid == a.rid
		if err != nil || !same {
			t.Errorf("%+v, sent again: %v, %+v", a, err, m)
			return
		}
	}
}
