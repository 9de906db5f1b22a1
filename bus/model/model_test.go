package model_test

import (
	"errors"
	"strings"
	"testing"

	"quartet/bus/model"
)

// The codes are the public contract's: a change here is a breaking change.
func TestCodesOfTheContract(t *testing.T) {
	for i, word := range []string{"linearizable", "sequential", "causal", "eventual"} {
		c := model.Consistency(i + 1)
		if c.Word() != word || c.String() != strings.ToUpper(word) || !c.Valid() || model.All[i] != c {
			t.Errorf("consistency %d: %q %q valid %t", i+1, c.Word(), c, c.Valid())
		}
		for _, text := range []string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:], string(rune('1' + i))} {
			if got, err := model.ParseConsistency(text); err != nil || got != c {
				t.Errorf("ParseConsistency(%q) = %v, %v", text, got, err)
			}
		}
	}
	for i, word := range []string{"set", "get"} {
		c := model.Type(i + 1)
		if c.Word() != word || c.String() != strings.ToUpper(word) || !c.Valid() || model.Types[i] != c {
			t.Errorf("type %d: %q %q valid %t", i+1, c.Word(), c, c.Valid())
		}
		for _, text := range []string{word, strings.ToUpper(word), string(rune('1' + i))} {
			if got, err := model.ParseType(text); err != nil || got != c {
				t.Errorf("ParseType(%q) = %v, %v", text, got, err)
			}
		}
	}
}

func TestUnknownWordsAndCodes(t *testing.T) {
	for _, bad := range []string{"", "0", "5", "01", "linear", "linearizable ", "set", "1.0", "-1"} {
		if c, err := model.ParseConsistency(bad); !errors.Is(err, model.ErrConsistency) || c != 0 {
			t.Errorf("ParseConsistency(%q) = %v, %v", bad, c, err)
		}
	}
	for _, bad := range []string{"", "0", "3", "del", "delete", "sets", "causal"} {
		if c, err := model.ParseType(bad); !errors.Is(err, model.ErrType) || c != 0 {
			t.Errorf("ParseType(%q) = %v, %v", bad, c, err)
		}
	}
	for _, c := range []model.Consistency{0, 5, 255} {
		if c.Valid() || c.Strong() || !strings.Contains(c.Word(), "consistency(") {
			t.Errorf("consistency %d: valid %t, strong %t, %q", uint8(c), c.Valid(), c.Strong(), c.Word())
		}
	}
	for _, c := range []model.Type{0, 3, 255} {
		if c.Valid() || !strings.Contains(c.Word(), "request(") {
			t.Errorf("type %d: valid %t, %q", uint8(c), c.Valid(), c.Word())
		}
	}
}

func TestWhatIsStrong(t *testing.T) {
	for c, strong := range map[model.Consistency]bool{model.Linearizable: true, model.Sequential: true, model.Causal: false, model.Eventual: false} {
		if c.Strong() != strong {
			t.Errorf("%v strong: %t", c, c.Strong())
		}
	}
}

func TestWhatACodeSaysOfExecution(t *testing.T) {
	for _, test := range []struct {
		code            model.Code
		executed, known bool
	}{
		{model.OK, true, true}, {model.NotFound, true, true}, {model.Unknown, false, false},
		{model.Malformed, false, true}, {model.Conflict, false, true}, {model.TooLarge, false, true},
		{model.TooEarly, false, true}, {model.Unavailable, false, true},
	} {
		if executed, known := test.code.Executed(); executed != test.executed || known != test.known {
			t.Errorf("%d: executed %t, known %t", test.code, executed, known)
		}
	}
}
