package figure

import (
	"math"
	"slices"
	"strconv"

	"quartet/bus/readable"
)

// axis maps values to coordinates of a canvas.
type axis struct {
	log      bool
	lo, hi   float64 // values at its ends
	from, to float64 // coordinates of its ends
}

// at returns the coordinate of a value; a value beyond an end is drawn at that end.
func (a axis) at(v float64) float64 {
	share := 0.0
	if a.log {
		share = math.Log(max(v, a.lo)/a.lo) / math.Log(a.hi/a.lo)
	} else if a.hi > a.lo {
		share = (v - a.lo) / (a.hi - a.lo)
	}
	return a.from + (a.to-a.from)*min(1, max(0, share))
}

// logAxis holds all values; its ends are rounded outwards to 1, 2 or 5 times a power of ten.
// Values that are not positive cannot be drawn on it.
func logAxis(values []float64, from, to float64) axis {
	a := axis{log: true, lo: math.Inf(1), hi: 0, from: from, to: to}
	for _, v := range values {
		if v > 0 {
			a.lo, a.hi = min(a.lo, v), max(a.hi, v)
		}
	}
	if a.hi == 0 {
		a.lo, a.hi = 1, 10
	}

	a.lo, a.hi = roundDown(a.lo), readable.RoundUp(a.hi)
	if a.hi <= a.lo {
		a.hi = a.lo * 10
	}
	return a
}

// linearAxis begins at 0.
func linearAxis(values []float64, from, to float64) axis {
	a := axis{from: from, to: to}
	for _, v := range values {
		a.hi = max(a.hi, v)
	}
	if a.hi == 0 {
		a.hi = 1
	}
	step := a.step()
	a.hi = math.Ceil(a.hi/step-1e-9) * step
	return a
}

func (a axis) step() float64 {
	step := readable.RoundUp(a.hi / 5)
	if half := step / 2; half*5 >= a.hi*(1-1e-9) { // 2.5 is between 2 and 5
		return half
	}
	return step
}

// ticks returns round values, five or so.
func (a axis) ticks() []float64 {
	var all []float64
	if !a.log {
		step := a.step()
		for i := 0; float64(i)*step <= a.hi*(1+1e-9); i++ {
			all = append(all, float64(i)*step)
		}
		return all
	}

	factors := []float64{1}
	if a.hi/a.lo <= 2000 {
		factors = []float64{1, 2, 5}
	}
	for decade := math.Pow(10, math.Floor(math.Log10(a.lo))); decade <= a.hi*(1+1e-9); decade *= 10 {
		for _, f := range factors {
			if v := decade * f; v >= a.lo*(1-1e-9) && v <= a.hi*(1+1e-9) {
				all = append(all, v)
			}
		}
	}
	return all
}

// named returns the ticks whose names have room beside each other, wide giving the width of each:
// every second, third, … of a linear axis; of a logarithmic axis the powers of ten before the
// values between them.
func (a axis) named(wide func(float64) float64) []float64 {
	const apart = 10
	fits := func(all []float64) bool {
		end := math.Inf(-1)
		for _, v := range all {
			if a.at(v)-wide(v)/2 < end+apart {
				return false
			}
			end = a.at(v) + wide(v)/2
		}
		return true
	}

	all := a.ticks()

	if !a.log {
		for every := 1; every <= len(all); every++ {
			var some []float64
			for i := 0; i < len(all); i += every {
				some = append(some, all[i])
			}
			if fits(some) {
				return some
			}
		}
		return nil
	}

	isDecade := func(v float64) bool { d := math.Log10(v); return math.Abs(d-math.Round(d)) < 1e-9 }

	var some []float64
	for _, decades := range []bool{true, false} {
		for _, v := range all {
			if more := append(slices.Clone(some), v); isDecade(v) == decades {
				slices.Sort(more)
				if fits(more) {
					some = more
				}
			}
		}
	}
	return some
}

// roundDown is the counterpart of [readable.RoundUp].
func roundDown(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range []float64{10, 5, 2} {
		if s*decade <= v*(1+1e-9) {
			return s * decade
		}
	}
	return decade
}

// duration writes µs for people: 250 µs, 1.5 ms, 2 s.
func duration(us float64) string {
	v, unit := readable.Time(us)
	return readable.Short(v) + " " + unit
}

// compact writes a number for people: 950, 23.4k, 1.2M.
func compact(v float64) string {
	switch {
	case v >= 999_500:
		return readable.Short(v/1e6) + "M"
	case v >= 999.5:
		return readable.Short(v/1e3) + "k"
	}
	return readable.Short(v)
}

// percent writes a share for people: 0 %, 0.02 %, 12 %. A share above 0 is not written as 0.
func percent(v float64) string {
	if v > 0 && v < 0.01 {
		return "<0.01 %"
	}
	return readable.Short(v) + " %"
}

// exactly writes a whole number that was chosen, such as 1024: in full unless it is round.
func exactly(v float64) string {
	if v < 10_000 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return compact(v)
}

// bytes writes a number of bytes for people: 100 B, 64 KiB.
func bytes(v float64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	n := 0
	for v >= 1024 && n < len(units)-1 {
		v, n = v/1024, n+1
	}
	return readable.Short(v) + " " + units[n]
}
