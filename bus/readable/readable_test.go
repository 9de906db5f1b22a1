package readable_test

import (
	"testing"

	"quartet/bus/readable"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		v             float64
		digits, short string
	}{
		{0, "0.00", "0"}, {0.5, "0.50", "0.5"}, {1.5, "1.50", "1.5"}, {9.96, "9.96", "9.96"}, {9.994, "9.99", "9.99"},
		{9.996, "10.0", "10"}, {12, "12.0", "12"}, {99.94, "99.9", "99.9"}, {99.96, "100", "100"}, {120, "120", "120"}, {1000, "1000", "1000"},
	} {
		if got := readable.Digits(c.v); got != c.digits {
			t.Errorf("Digits(%v) = %s, want %s", c.v, got, c.digits)
		}
		if got := readable.Short(c.v); got != c.short {
			t.Errorf("Short(%v) = %s, want %s", c.v, got, c.short)
		}
	}

	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := readable.Grouped(n); got != want {
			t.Errorf("Grouped(%d) = %s", n, got)
		}
	}
}

// A time is never written as 1000 of a unit: where it is rounded to that it is 1 of the next one.
func TestTimes(t *testing.T) {
	for us, want := range map[float64]string{0: "0 µs", 999.4: "999 µs", 999.6: "1 ms", 1500: "1.5 ms", 999_400: "999 ms", 999_600: "1 s", 2.5e9: "2500 s"} {
		v, unit := readable.Time(us)
		if got := readable.Short(v) + " " + unit; got != want {
			t.Errorf("%v µs: %s, want %s", us, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for s, want := range map[string]string{
		"plain – ü": "plain – ü", "a\nb": `"a\nb"`, "\xff": `"\xff"`, "left\u202eright": `"left\u202eright"`, "": "",
	} {
		if got := readable.Text(s); got != want {
			t.Errorf("Text(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for v, want := range map[float64]float64{-1: 1, 0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 2: 2, 3: 5, 5.1: 10, 70: 100, 0.1 + 0.2 - 0.1: 0.2} {
		if got := readable.RoundUp(v); got < want*(1-1e-9) || got > want*(1+1e-9) {
			t.Errorf("RoundUp(%v) = %v, want %v", v, got, want)
		}
	}
}
