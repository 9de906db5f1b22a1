package client_test

import (
	"errors"
	"testing"
	"time"

	"quartet/client"
	"quartet/client/internal/responder"
)

// A set that is sent again says how long ago it was sent first; the first sending, and a
// get, say nothing.
func TestRetriesSayHowOldTheyAre(t *testing.T) {
	const wait = 50 * time.Millisecond
	r := responder.Start(t, func(c responder.Call) responder.Action {
		return responder.Action{Ignore: c.N == 1 || c.N == 3}
	})
	c := dial(t, r.URL, client.WithTimeout(wait))
	if _, err := c.Set(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	var ages []uint64
	for _, call := range r.Calls() {
		ages = append(ages, call.Options.Age)
	}
	if len(ages) != 4 || ages[0] != 0 || ages[1] < uint64(wait/time.Millisecond) || ages[2] != 0 || ages[3] != 0 {
		t.Errorf("ages %v ms", ages)
	}
}

// A program that sends a set again says so itself, with what the error has told it.
func TestSendingAgainLater(t *testing.T) {
	t.Parallel()
	r := responder.Start(t, func(c responder.Call) responder.Action {
		switch c.Request.Key {
		case "503":
			return responder.Action{Code: 503}
		case "409":
			return responder.Action{Code: 409}
		case "silent":
			return responder.Action{Silent: true}
		case "silent, then refused":
			if c.N%2 == 1 {
				return responder.Action{Ignore: true}
			}
		}
		return responder.Action{Code: 410}
	})
	c := dial(t, r.URL, client.WithTimeout(prompt))
	long := time.Now().Add(-time.Hour)

	_, err := c.Set(t.Context(), "old", []byte("v"), client.WithID("a"), client.WithFirstSent(long))
	var failed *client.Error
	if !errors.Is(err, client.ErrGone) || !errors.Is(err, client.ErrRefused) || errors.Is(err, client.ErrUnknownOutcome) ||
		!errors.As(err, &failed) || failed.Attempts != 1 || !failed.FirstSent.Equal(long) {
		t.Errorf("refused as too old: %v, %+v", err, failed)
	}
	if age := r.Calls()[0].Options.Age; age < 3_600_000 {
		t.Errorf("sent an hour ago: age %d ms", age)
	}

	// After two minutes no set is sent again by itself.
	_, err = c.Set(t.Context(), "silent", []byte("v"), client.WithID("b"), client.WithFirstSent(long))
	if !errors.Is(err, client.ErrUnknownOutcome) || !errors.As(err, &failed) || failed.Attempts != 1 {
		t.Errorf("no answer: %v, %+v", err, failed)
	}

	// That a retry is refused says nothing of the sending before it.
	before := time.Now()
	_, err = c.Set(t.Context(), "silent, then refused", []byte("v"))
	if !errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrGone) || !errors.As(err, &failed) ||
		failed.FirstSent.Before(before) || failed.FirstSent.After(time.Now()) {
		t.Errorf("no answer, then refused: %v, %+v", err, failed)
	}

	// That this call is refused says nothing of the sending of the call before it.
	for _, key := range []string{"503", "409"} {
		_, err = c.Set(t.Context(), key, []byte("v"), client.WithID(key), client.WithFirstSent(time.Now()))
		if !errors.Is(err, client.ErrUnknownOutcome) || errors.Is(err, client.ErrUnavailable) || !errors.As(err, &failed) {
			t.Errorf("sent by another call, and then %s: %v", key, err)
		}
	}
	if _, err = c.Get(t.Context(), "503", client.WithFirstSent(time.Now())); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("a get has no effect: %v", err)
	}
}
