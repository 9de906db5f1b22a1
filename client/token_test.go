package client_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

// scripted is what a script hears: a client of the bus that knows nothing of this package.
func scripted(t *testing.T, nc *nats.Conn, token, body string) (code, next string, data string) {
	t.Helper()
	m, err := nc.RequestMsg(&nats.Msg{Subject: "quartet.request", Header: nats.Header{"Quartet-Session": {token}}, Data: []byte(body)},
		20*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m.Header.Get("Nats-Service-Error-Code"), m.Header.Get("Quartet-Session"), string(m.Data)
}

// patient asks again where a replica has not caught up.
func patient(t *testing.T, nc *nats.Conn, token, body string) (code, next string, data string) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	for {
		code, next, data = scripted(t, nc, token, body)
		if code != "425" || time.Now().After(limit) {
			return code, next, data
		}
	}
}

func bare(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A session goes from a program to a script and on to another program, and each reads what
// the one before it wrote, whatever replica serves.
func TestASessionIsPassedOn(t *testing.T) {
	nc, c := bare(t), dial(t, url, client.WithRetries(40))
	for _, m := range []client.Consistency{client.Sequential, client.Causal} {
		key := "passed-on-" + m.Word()
		first := c.Session()
		for round := range 10 {
			value := fmt.Sprint("program ", round)
			if _, err := first.Set(t.Context(), key, []byte(value), client.With(m)); err != nil {
				t.Fatal(err)
			}

			token := first.Token()
			code, next, data := patient(t, nc, token, m.Word()+", get, "+key)
			if code != "" || data != value {
				t.Fatalf("%s: the script reads %q (%s), not %q", m.Word(), data, code, value)
			}

			value = fmt.Sprint("script ", round)
			if code, next, _ = patient(t, nc, next, fmt.Sprintf("%s, set, %s ::: %s", m.Word(), key, value)); code != "" {
				t.Fatalf("%s: the script's set: %s", m.Word(), code)
			}

			second, err := c.Resume(next)
			if err != nil {
				t.Fatal(err)
			}
			got, err := second.Get(t.Context(), key, client.With(m), client.OnReplica(fmt.Sprint("r", round%3+1)))
			if err != nil || string(got.Value) != value {
				t.Fatalf("%s: the second program reads %q, %v, not %q", m.Word(), got.Value, err, value)
			}

			if err := first.Join(second.Token()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The token of a script's replies is the one that the Go package makes of the same replies.
func TestBothTokensAreOne(t *testing.T) {
	nc, c := bare(t), dial(t, url, client.WithRetries(40))
	s := c.Session()
	_, token, _ := scripted(t, nc, bus.NewSession, "4, 2, nothing")
	first, err := bus.ParseSession(token)
	if first.History == (bus.History{}) || first != (bus.Session{History: first.History}) || err != nil {
		t.Errorf("of a new session: %+v, %v", first, err)
	}
	for i, m := range []client.Consistency{1, 3, 2, 4, 3, 1, 2, 3} {
		r, err := s.Set(t.Context(), fmt.Sprint("both-", i%2), []byte("v"), client.With(m))
		if err != nil {
			t.Fatal(err)
		}
		mine, err := bus.ParseSession(s.Token())
		if err != nil || mine.Position < r.Position || mine.Timestamp < r.Timestamp || mine.Position != s.Position() {
			t.Errorf("after %+v the token says %+v, %v", r, mine, err)
		}
		before := token
		_, token, _ = patient(t, nc, token, fmt.Sprintf("%d, 1, both ::: %d", m, i))
		theirs, err := bus.ParseSession(token)
		switch was, _ := bus.ParseSession(before); {
		case err != nil:
			t.Errorf("the script hears %q: %v", token, err)
		case m == client.Causal && theirs.Timestamp <= was.Timestamp, m.Strong() &&
			theirs.Position <= was.Position, m == client.Eventual && theirs != was:
			t.Errorf("a %s set moves the script's session from %+v to %+v", m.Word(), was, theirs)
		}
	}
}

// A token of another cluster, or of one that has lost everything, is ahead: what needs a
// minimum is refused and not executed, for good, and the rest is served.
func TestATokenFromElsewhere(t *testing.T) {
	nc, c := bare(t), dial(t, url, client.WithRetries(0))
	token := bus.Session{Position: math.MaxUint64, Timestamp: math.MaxUint64}.Token()
	s, err := c.Resume(token)
	if err != nil {
		t.Fatal(err)
	}

	for _, q := range []struct {
		body string
		want string
	}{
		{"2, 2, elsewhere", "425"}, {"2, 1, elsewhere ::: v", "425"}, {"3, 2, elsewhere", "425"},
		{"1, 2, elsewhere", "404"}, {"4, 2, elsewhere", "404"}, {"3, 1, elsewhere-causal ::: v", ""}, {"1, 1, elsewhere-strong ::: v", ""},
	} {
		code, next, data := scripted(t, nc, token, q.body)
		if code != q.want || next != token {
			t.Errorf("%s: code %s (%s), token %s", q.body, code, data, next)
		}

		r, err := bus.ParseRequest([]byte(q.body))
		if err != nil {
			t.Fatal(err)
		}
		result, _ := s.Do(t.Context(), client.Request{Request: model.Request{Model: r.Model, Type: r.Type, Key: r.Key, Value: r.Value}})
		if got := strings.TrimPrefix(fmt.Sprint(int(result.Code)), "200"); got != q.want {
			t.Errorf("%s: the Go package hears %s", q.body, got)
		}
	}

	if s.Token() != token {
		t.Errorf("the session has seen %s", s.Token())
	}
}

// What is no token is refused in every model, and nothing is executed.
func TestBadTokensAreRefused(t *testing.T) {
	nc, c := bare(t), dial(t, url)
	good := c.Session().Token()

	for _, token := range []string{"", "x", good + "A", good[:len(good)-1], "Ag" + good[2:], strings.Repeat("A", 4096)} {
		for _, m := range model.All {
			code, next, data := scripted(t, nc, token, fmt.Sprintf("%d, 1, bad-token ::: v", m))
			if code != "400" || next != "" || !strings.Contains(data, "Quartet-Session") {
				t.Errorf("%q: %s, %q, token %q", token, code, data, next)
			}
		}

		s := c.Session()
		_, err := c.Resume(token)
		joined := s.Join(token)
		for _, err := range []error{err, joined} {
			checkError(t, token, err, "refused", "malformed", "token")
			var e *client.Error
			if !errors.As(err, &e) || e.Code != 400 || e.Attempts != 0 || e.Unknown {
				t.Errorf("%q: %#v", token, err)
			}
		}

		if s.Token() != good {
			t.Errorf("%q has left %s behind", token, s.Token())
		}
	}

	if _, err := c.Get(t.Context(), "bad-token"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("something was executed: %v", err)
	}
	batch := nats.Msg{
		Subject: "quartet.batch", Header: nats.Header{"Quartet-Session": {good}}, Data: []byte("\x91\x93\x01\x02\xa1k"),
	}
	m, err := nc.RequestMsg(&batch, 20*time.Second)
	if err != nil || m.Header.Get("Nats-Service-Error-Code") != "400" {
		t.Errorf("a batch in a session: %+v, %v", m, err)
	}
	pinned := nats.Msg{
		Subject: "quartet.request", Data: []byte("4, 2, k"),
		Header: nats.Header{"Quartet-Session": {good}, "Quartet-Replica": {"r9"}},
	}
	m, err = nc.RequestMsg(&pinned, 20*time.Second)
	if err != nil || m.Header.Get("Nats-Service-Error-Code") != "400" || m.Header["Quartet-Session"] != nil {
		t.Errorf("a 400 for another reason: %+v, %v", m, err)
	}
}

// A joined session asks for what both have seen, and a token for no more than that.
func TestJoin(t *testing.T) {
	r := responder.Start(t, nil)
	c := dial(t, r.URL)
	s := c.Session()
	if _, err := s.Set(t.Context(), "mine", nil, client.With(client.Causal)); err != nil { // timestamp 1
		t.Fatal(err)
	}

	for _, other := range []bus.Session{{}, {Position: 7, Timestamp: 30}, {Position: 9, Timestamp: 20}, {Position: 3, Timestamp: 10}} {
		if err := s.Join(other.Token()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Join("new"); err != nil {
		t.Error(err)
	}

	if want := (bus.Session{Position: 9, Timestamp: 30}).Token(); s.Token() != want {
		t.Errorf("token %s, want %s", s.Token(), want)
	}
	if s.Position() != 9 || s.Minimum("mine") != 30 || s.Minimum("other") != 30 {
		t.Errorf("position %d, minimum %d", s.Position(), s.Minimum("other"))
	}

	s.Get(t.Context(), "other", client.With(client.Causal))
	s.Get(t.Context(), "other", client.With(client.Sequential))
	calls := r.Calls()
	if o := calls[1].Options; o.MinTimestamp != 30 {
		t.Errorf("a causal get asks for %+v", o)
	}
	if o := calls[2].Options; o.MinPosition != 9 {
		t.Errorf("a sequential get asks for %+v", o)
	}

	// Own writes, however many, come to one timestamp.
	s = c.Session()
	for i := range 200 {
		if _, err := s.Set(t.Context(), fmt.Sprint("k", i), nil, client.With(client.Causal)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := bus.ParseSession(s.Token()); err != nil || got.Timestamp != 201 || len(s.Token()) > 20 {
		t.Errorf("token %s: %+v, %v", s.Token(), got, err)
	}
}
