package trouble

import (
	"strings"
	"testing"
)

// example is a sentence of a kind with particulars as they are.
func (k *Kind) example() string {
	var particulars []any
	for rest := k.says; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return k.Say(particulars...)
		}
		switch rest[i+1] {
		case 'd':
			particulars = append(particulars, 3)
		default:
			particulars = append(particulars, "r1, r2")
		}
		rest = rest[i+2:]
	}
}

// A sentence is of its own kind and of no other, so that each is advised on by its own remedy.
func TestEachSentenceHasItsOwnRemedy(t *testing.T) {
	seen := map[*Kind]bool{}
	for _, k := range All {
		if seen[k] {
			t.Errorf("%q is listed twice", k.says)
		}
		seen[k] = true

		said := k.example()
		for _, other := range All {
			if fits := other.fits(said); fits != (other == k) {
				t.Errorf("%q fits %q: %t", said, other.says, fits)
			}
		}
		if Of(said) != k || Remedy(said) != k.remedy {
			t.Errorf("%q is not known again: %q", said, Remedy(said))
		}

		oneLine := !strings.ContainsAny(k.says+k.remedy, "\n\t\x00")
		whole := !strings.Contains(said, "%") && k.remedy != "" && k.remedy != unknown
		if !oneLine || !whole {
			t.Errorf("%q → %q", said, k.remedy)
		}
	}
}

func TestAnUnknownSentence(t *testing.T) {
	for _, said := range []string{"", "something else", "the view is being changed by hand", "so there is a newer master"} {
		if k := Of(said); k != nil || Remedy(said) != unknown {
			t.Errorf("%q: %+v, %q", said, k, Remedy(said))
		}
	}
}
