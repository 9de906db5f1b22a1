package client_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// More keys than are under way at a time: each outcome is that of its key.
func TestGetManyOfARealCluster(t *testing.T) {
	c := dial(t, url, client.WithRetries(40))
	const keys = 2500
	for _, m := range []client.Consistency{client.Linearizable, client.Sequential, client.Causal} {
		s := c.Session()
		var sets []client.Request
		var names []string
		for i := range keys {
			names = append(names, fmt.Sprintf("many-%s-%d", m.Word(), i))
			if i%5 != 0 {
				sets = append(sets, client.NewSet(m, names[i], []byte(names[i])))
			}
		}

		if outcomes, err := s.DoMany(t.Context(), sets); err != nil || len(outcomes) != len(sets) {
			t.Fatalf("%s: %d outcomes, %v", m.Word(), len(outcomes), err)
		}

		outcomes, err := s.GetMany(t.Context(), names, client.With(m))
		if err != nil || len(outcomes) != keys {
			t.Fatalf("%s: %d outcomes, %v", m.Word(), len(outcomes), err)
		}

		for i, o := range outcomes {
			switch missing := i%5 == 0; {
			case missing && o.Found, missing && !errors.Is(o.Err, client.ErrNotFound):
				t.Fatalf("%s: a missing key: %+v", names[i], o)
			case !missing && o.Err != nil, !missing && !o.Found, !missing && string(o.Value) != names[i]:
				t.Fatalf("%s: %q, %v", names[i], o.Value, o.Err)
			case o.Attempts < 1, o.RID == 0, m.Strong() && o.Position > s.Position(), o.Timestamp > s.Minimum(""):
				t.Fatalf("%s: %+v in a session that has seen %d", names[i], o, s.Position())
			}
		}
	}
}

// Gets with one position saw one state: never the second of two sets without the first, nor
// the first of the next round.
func TestGetsOfOnePositionSawOneState(t *testing.T) {
	c := dial(t, url, client.WithRetries(40))
	sequential := client.With(client.Sequential)
	set := func(key string, n int) {
		if _, err := c.Set(t.Context(), key, []byte(strconv.Itoa(n)), sequential); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}

	set("state-y", 0)
	set("state-x", 0)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; n <= 150; n++ { // y <= x <= y+1 at every position
			set("state-x", n)
			set("state-y", n)
		}
	})

	done := make(chan struct{})
	go func() { writer.Wait(); close(done) }()

	s, equal := c.Session(), 0
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true // one look more, at a state that no set changes
		default:
		}
		outcomes, err := s.GetMany(t.Context(), []string{"state-x", "state-y"}, sequential)
		if err != nil {
			t.Fatal(err)
		}

		if outcomes[0].Position != outcomes[1].Position {
			continue
		}
		equal++
		x, _ := strconv.Atoi(string(outcomes[0].Value))
		y, _ := strconv.Atoi(string(outcomes[1].Value))
		if x < y || x > y+1 {
			t.Fatalf("at position %d x is %d and y is %d", outcomes[0].Position, x, y)
		}
	}

	t.Logf("%d pairs had one position", equal)
}

// Each key has its own end, and the error of all is the one that matters most.
func TestGetManyEnds(t *testing.T) {
	lost := make(chan struct{})
	lose := sync.OnceFunc(func() { close(lost) })
	r := responder.Start(t, func(call responder.Call) responder.Action {
		switch code, _, _ := strings.Cut(call.Request.Key, "-"); code {
		case "400", "425", "503", "504", "409":
			n, _ := strconv.Atoi(code)
			return responder.Action{
				Code:  client.Code(n),
				Reply: bus.Reply{Answer: model.Answer{Reason: "as scripted", Position: 40, HasPosition: true}},
			}
		case "lost":
			lose()
			return responder.Action{Ignore: true}
		}
		return responder.Action{}
	})

	c := dial(t, r.URL, client.WithRetries(0))
	if _, err := c.Set(t.Context(), "there", []byte("v")); err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		keys []string
		of   string   // the key in the error
		is   []string // "": no error
	}{
		"none":              {nil, "", nil},
		"found and missing": {[]string{"there", "missing", "there"}, "", nil},
		"one refused": {
			[]string{"there", "400", "missing"}, `1 of 3 requests failed, the get of key "400"`,
			[]string{"refused", "malformed"},
		},
		"no key at all": {[]string{"there", ""}, `1 of 2 requests failed, the get of key ""`, []string{"refused", "malformed"}},
		"the first": {
			[]string{"503", "there", "425-a", "425-b"}, `3 of 4 requests failed, the get of key "503"`,
			[]string{"unavailable"},
		},
		"unknown": {
			[]string{"425", "there", "504-a", "503", "504-b"}, `4 of 5 requests failed, the get of key "504-a"`,
			[]string{"unknown"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			outcomes, err := c.GetMany(t.Context(), test.keys, client.With(client.Sequential))
			if len(outcomes) != len(test.keys) {
				t.Fatalf("%d outcomes", len(outcomes))
			}
			if (err == nil) != (test.of == "") {
				t.Errorf("error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), test.of) {
				t.Errorf("error %v", err)
			}
			checkError(t, name, err, test.is...)
			for i, key := range test.keys {
				o := outcomes[i]
				switch key {
				case "there":
					if o.Err != nil || string(o.Value) != "v" {
						t.Errorf("%+v", o)
					}
				case "missing":
					checkError(t, key, o.Err, "not found")
				default:
					var e *client.Error
					otherCode := key != "" && fmt.Sprint(int(o.Code)) != key[:3]
					if !errors.As(o.Err, &e) || o.Found || otherCode {
						t.Errorf("%q: %+v", key, o)
					}
				}
			}
		})
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	go func() { <-lost; cancel(gone) }()
	keys := []string{"lost-1", "there"}
	for i := range 3 * bus.MaxBatch { // more than may be under way: some are never sent
		keys = append(keys, fmt.Sprint("lost-", i))
	}
	outcomes, err := c.GetMany(ctx, keys)
	if !errors.Is(err, gone) || len(outcomes) != len(keys) || outcomes[0].Err == nil || outcomes[len(keys)-1].Err == nil {
		t.Errorf("given up: %d outcomes, %v", len(outcomes), err)
	}
}

// All gets of a call ask for what the session had seen before it, each for its own key, and
// the session has seen all of them after it.
func TestGetManyInASession(t *testing.T) {
	r := responder.Start(t, func(call responder.Call) responder.Action {
		if call.Request.Key == "late" {
			return responder.Action{
				Code:  425,
				Reply: bus.Reply{Answer: model.Answer{Reason: "as scripted", Position: 1000, HasPosition: true}},
			}
		}
		return responder.Action{}
	})

	s := dial(t, r.URL, client.WithRetries(0)).Session()
	causal, sequential := client.With(client.Causal), client.With(client.Sequential)
	for _, key := range []string{"a", "b"} { // timestamps 1 and 2
		if _, err := s.Set(t.Context(), key, nil, causal); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Set(t.Context(), "c", nil, sequential); err != nil { // position 1
		t.Fatal(err)
	}

	least := func(keys []string, with client.RequestOption) map[string]bus.Options {
		t.Helper()
		before := len(r.Calls())
		_, _ = s.GetMany(t.Context(), keys, with) // the outcomes are another test's
		asked := map[string]bus.Options{}
		for _, call := range r.Calls()[before:] {
			asked[call.Request.Key] = call.Options
		}
		return asked
	}

	got := least([]string{"a", "b", "c"}, causal)
	if got["a"].MinTimestamp != 1 || got["b"].MinTimestamp != 2 || got["c"].MinTimestamp != 0 || s.Minimum("c") != 2 {
		t.Errorf("causal gets ask for %+v, then the session for %d", got, s.Minimum("c"))
	}

	got = least([]string{"a", "late", "c"}, sequential)
	if got["a"].MinPosition != 1 || got["late"].MinPosition != 1 || got["c"].MinPosition != 1 || s.Position() != 1000 {
		t.Errorf("sequential gets ask for %+v, then the session has seen %d", got, s.Position())
	}
}
