package codec

import (
	"errors"
	"strings"
	"testing"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
)

// cursors are of lists, the largest among them, and a word that this build has always written.
func cursors() []message.Cursor {
	const most = 1<<64 - 1
	return []message.Cursor{
		{Replica: lamport.Replica(1), List: 1},
		{
			History: message.History{Cluster: 0x0123456789abcdef, Epoch: 7, Nonce: 0xfedcba9876543210},
			Life:    0x1122334455667788, Position: 300, Replica: lamport.Replica(3), List: 5, Page: 2,
		},
		{
			History: message.History{Cluster: most, Epoch: most, Nonce: most},
			Life:    most, Position: most, Replica: lamport.Replica(65535), List: most, Page: most,
		},
	}
}

// oldNext is the word of the second cursor: clients of earlier builds hold it.
const oldNext = "AQEjRWeJq83v_ty6mHZUMhAHESIzRFVmd4isAgMFArs9tng"

func TestCursorAsAWord(t *testing.T) {
	for _, p := range cursors() {
		word := NextWord(&p)
		if len(word) > model.MaxNext || strings.HasPrefix(word, "-") {
			t.Errorf("%d letters: %s", len(word), word)
		}
		if got, err := ParseNext(word); err != nil || got != p {
			t.Errorf("%s: %+v, %v", word, got, err)
		}

		for i := range word { // each letter counts
			other := byte('A')
			if word[i] == other {
				other = 'B'
			}
			damaged := word[:i] + string(other) + word[i+1:]
			if got, err := ParseNext(damaged); !errors.Is(err, ErrMessage) {
				t.Errorf("%s instead of %s: %+v, %v", damaged, word, got, err)
			}
			if got, err := ParseNext(word[:i]); !errors.Is(err, ErrMessage) {
				t.Errorf("%s, cut short: %+v, %v", word[:i], got, err)
			}
		}
	}
	if word := NextWord(&cursors()[1]); word != oldNext {
		t.Errorf("the word has become %s", word)
	}
}

func TestWhatIsNoCursor(t *testing.T) {
	second := cursors()[1]
	master := second
	master.Replica = lamport.Master(1)
	history := Seal(AppendHistory([]byte{1}, second.History))
	for name, word := range map[string]string{
		"nothing": "", "nonsense": "nonsense", "too long": strings.Repeat("A", model.MaxNext+1), "a line end": NextWord(&second) + "\n",
		"padding": NextWord(&second) + "=", "a master": NextWord(&master), "a history": history,
	} {
		if got, err := ParseNext(word); !errors.Is(err, ErrMessage) || got != (message.Cursor{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseNext(f *testing.F) {
	for _, p := range cursors() {
		f.Add(NextWord(&p))
	}
	f.Add("")
	f.Fuzz(func(t *testing.T, word string) {
		p, err := ParseNext(word)
		switch {
		case err == nil && NextWord(&p) != word:
			t.Errorf("%s is read as %+v, whose word is %s", word, p, NextWord(&p))
		case err != nil && !errors.Is(err, ErrMessage):
			t.Errorf("%s: %v", word, err)
		}
	})
}
