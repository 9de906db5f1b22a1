// Package readable is numbers and texts as people read them, on pages, in pictures and in tables.
// It promises that a number is written with three digits that count and never as a smaller or
// greater one than these say, and that no text breaks what it is written into.
package readable

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Gap stands between a number and its unit where a line must not end between them.
const Gap = "\u00a0"

// Text makes a text of whatever bytes: what has no shape of its own, or changes that of others, is
// written as an escape.
func Text(s string) string {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, hidden) {
		return strconv.Quote(s)
	}
	return s
}

// Grouped writes a number with its thousands apart: 1,234,567.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Digits writes a number with three digits that count, so that numbers of one size are as wide as
// each other: 1.50, 12.0, 123.
func Digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Short is Digits without zeros at the end of a fraction: 1.5, 12, 123.
func Short(v float64) string {
	s := Digits(v)
	if !strings.Contains(s, ".") {
		return s
	}
	return Trimmed(s)
}

// Trimmed takes the zeros at its end from a number with a fraction.
func Trimmed(fraction string) string {
	return strings.TrimRight(strings.TrimRight(fraction, "0"), ".")
}

// Time returns a time in µs in the unit in which people would say it, and that unit.
func Time(us float64) (v float64, unit string) {
	switch {
	case us < 999.5:
		return us, "µs"
	case us < 999_500:
		return us / 1e3, "ms"
	}
	return us / 1e6, "s"
}

// RoundUp returns the next of the numbers 1, 2 and 5 times a power of ten, in which scales are
// divided; 1 for what is not positive.
func RoundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range []float64{1, 2, 5} {
		if s*decade >= v*(1-1e-9) {
			return s * decade
		}
	}
	return 10 * decade
}
