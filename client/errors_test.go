package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
)

var sentinels = map[string]error{
	"not found": client.ErrNotFound, "refused": client.ErrRefused, "too early": client.ErrTooEarly,
	"unavailable": client.ErrUnavailable, "no cluster": client.ErrNoCluster, "unknown": client.ErrUnknownOutcome,
	"closed": client.ErrClosed, "deadline": context.DeadlineExceeded, "malformed": client.ErrMalformed,
	"conflict": client.ErrConflict, "too large": client.ErrTooLarge, "gone": client.ErrGone,
	"another history": client.ErrOtherHistory, "token": client.ErrToken, "condition failed": client.ErrConditionFailed,
}

// checkError checks that err is all of want and none of the other sentinels.
func checkError(t *testing.T, what string, err error, want ...string) {
	t.Helper()
	for name, sentinel := range sentinels {
		expected := false
		for _, w := range want {
			expected = expected || w == name
		}
		if errors.Is(err, sentinel) != expected {
			t.Errorf("%s: error %q: is %q: %v, want %v", what, err, name, !expected, expected)
		}
	}
}

// Every code of the contract, and two that it has not yet, answered to every sending: which
// error, and how often it is sent.
func TestCodes(t *testing.T) {
	contract, err := os.ReadFile("../bus/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{3}) \|`).FindAllStringSubmatch(string(contract), -1) {
		missing[row[1]] = true
	}

	if len(missing) < 7 {
		t.Errorf("the contract's codes are %v: its table has another form", missing)
	}

	for _, test := range []struct {
		code  model.Code
		sends int
		is    []string
	}{
		{400, 1, []string{"refused", "malformed"}},
		{404, 1, []string{"not found"}},
		{409, 1, []string{"refused", "conflict"}},
		{410, 1, []string{"refused", "gone"}},
		{412, 1, []string{"refused", "condition failed"}},
		{413, 1, []string{"refused", "too large"}},
		{421, 1, []string{"refused", "another history"}},
		{425, 3, []string{"refused", "too early"}},
		{503, 3, []string{"unavailable"}},
		{504, 3, []string{"unknown"}},
		{418, 1, []string{"refused"}},
		{599, 1, []string{"unknown"}},
	} {

		delete(missing, fmt.Sprint(int(test.code)))
		r := responder.Start(t, func(responder.Call) responder.Action {
			return responder.Action{
				Code:  test.code,
				Reply: bus.Reply{Answer: model.Answer{Reason: "as scripted", Replica: 1, Timestamp: 5}},
			}
		})
		c := dial(t, r.URL, client.WithRetries(2))
		result, err := c.Set(t.Context(), "k", []byte("v"), client.With(client.Causal))
		checkError(t, fmt.Sprint(test.code), err, test.is...)

		var e *client.Error
		if !errors.As(err, &e) || e.Code != test.code || e.Reason != "as scripted" || e.RID == 0 || e.ID == "" || e.Attempts != test.sends {
			t.Errorf("%d: %#v", test.code, e)
		}
		if result.Code != test.code || result.Timestamp != 5 || result.Replica != 1 {
			t.Errorf("%d: result %+v", test.code, result)
		}
		if n := len(r.Calls()); n != test.sends {
			t.Errorf("%d: sent %d times, want %d", test.code, n, test.sends)
		}
	}

	for code := range missing {
		t.Errorf("%s stands in the contract, and no test says what it is here", code)
	}
}
