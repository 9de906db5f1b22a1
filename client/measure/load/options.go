package load

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"quartet/bus/model"
)

// ErrOptions is wrapped by errors about impossible [Options].
var ErrOptions = errors.New("load: impossible options")

// Distribution says how often each key is used.
type Distribution uint8

// The distributions: each key equally often, or few of them most of the time.
const (
	Uniform Distribution = iota
	Zipf
)

// ParseDistribution reads a distribution's name.
func ParseDistribution(name string) (Distribution, error) {
	switch strings.ToLower(name) {
	case "uniform":
		return Uniform, nil
	case "zipf":
		return Zipf, nil
	}
	return 0, fmt.Errorf("unknown distribution of keys %q (want uniform or zipf)", name)
}

// String returns the name that [ParseDistribution] reads.
func (d Distribution) String() string {
	if d == Zipf {
		return "zipf"
	}
	return "uniform"
}

// Spacing says how the requests of an open loop follow each other.
type Spacing uint8

// The spacings: at random as the requests of many independent users do, or at even
// distances.
const (
	Poisson Spacing = iota
	Fixed
)

// ParseSpacing reads a spacing's name.
func ParseSpacing(name string) (Spacing, error) {
	switch strings.ToLower(name) {
	case "poisson":
		return Poisson, nil
	case "fixed":
		return Fixed, nil
	}
	return 0, fmt.Errorf("unknown spacing of requests %q (want poisson or fixed)", name)
}

// String returns the name that [ParseSpacing] reads.
func (s Spacing) String() string {
	if s == Fixed {
		return "fixed"
	}
	return "poisson"
}

// distinctSize is the least size of a value with [Options.DistinctValues], in bytes.
const distinctSize = 16

// Options describe a load.
type Options struct {
	// Concurrency is how many requests are outstanding over all senders, 1 to 65,536: in
	// a closed loop always, in an open loop at most.
	Concurrency int

	// Rate makes it an open loop: so many requests are due a second, up to 10,000,000, whether
	// earlier ones were answered or not. 0: a closed loop.
	Rate    float64
	Spacing Spacing // of an open loop

	Warmup   time.Duration // before anything counts
	Duration time.Duration // that counts

	Gets      int           // percentage of gets, 0 to 100
	Keys      int           // how many keys are used: 1 to 10,000,000
	KeyChoice Distribution  // how often each is used
	Skew      float64       // of Zipf, above 1 and up to 10: key n is used in proportion to (1+n)^-Skew
	KeySize   int           // bytes, enough for the number of the key
	ValueSize int           // bytes
	TTL       time.Duration // of each value that is set, to the millisecond, up to 10 years; 0: it has no end
	Seed      uint64        // of the choice of keys, of gets and of an open loop's times

	// DistinctValues gives each set of a run, and of runs of other seeds, a value of its
	// own, so that a get's value tells which set it saw. Values then have at least 16 bytes.
	DistinctValues bool

	// Series, if it is not 0, tells runs apart instead of the seed. Of either the lower 32
	// bits count.
	Series uint64

	// Processes are the processes whose processor time is measured, where there is a /proc.
	Processes []Process

	// Opens, if not nil, is told the time that counts before anything is sent.
	Opens func(from, to time.Time)

	// Progress, if not nil, is told a few times a second how far a fill or a run is, and once at
	// its end; never by two goroutines at once. It must not block for long.
	Progress func(Progress)
}

// Limits of [Options].
const (
	MaxConcurrency = 65536
	MaxKeys        = 10_000_000
)

// Check refuses impossible options.
func (o *Options) Check() error {
	endsInTime := o.TTL >= model.MinTTL*time.Millisecond && o.TTL.Milliseconds() <= model.MaxTTL
	sound := o.Rate >= 0.001 && o.Rate <= 10_000_000 // NaN is not
	switch {
	case o.Concurrency < 1 || o.Concurrency > MaxConcurrency:
		return fmt.Errorf("%w: concurrency %d (want 1 to %d)", ErrOptions, o.Concurrency, MaxConcurrency)
	case o.Rate != 0 && !sound:
		return fmt.Errorf("%w: %v requests a second (want 0.001 to 10000000, or 0 for a closed loop)", ErrOptions, o.Rate)
	case o.Duration <= 0:
		return fmt.Errorf("%w: a duration of %s (want more than 0s)", ErrOptions, o.Duration)
	case o.Warmup < 0:
		return fmt.Errorf("%w: a warm-up of %s (want 0s or more)", ErrOptions, o.Warmup)
	case o.Gets < 0 || o.Gets > 100:
		return fmt.Errorf("%w: %d %% of gets", ErrOptions, o.Gets)
	case o.Keys < 1 || o.Keys > MaxKeys:
		return fmt.Errorf("%w: %d keys (want 1 to %d)", ErrOptions, o.Keys, MaxKeys)
	case o.KeyChoice == Zipf && !(o.Skew > 1 && o.Skew <= 10):
		return fmt.Errorf("%w: a skew of %v (want above 1, at most 10)", ErrOptions, o.Skew)
	case o.KeySize > model.MaxKey || o.KeySize < len(fmt.Sprint("k", o.Keys-1)):
		return fmt.Errorf("%w: keys of %d bytes (want %d to %d for %d keys)",
			ErrOptions, o.KeySize, len(fmt.Sprint("k", o.Keys-1)), model.MaxKey, o.Keys)
	case o.ValueSize < 0 || o.KeySize+o.ValueSize > model.MaxKeyValue:
		return fmt.Errorf("%w: values of %d bytes (key and value: at most %d)", ErrOptions, o.ValueSize, model.MaxKeyValue)
	case o.TTL != 0 && !endsInTime:
		return fmt.Errorf("%w: values that end after %s (want 1s to 10 years, or 0 for no end)", ErrOptions, o.TTL)
	case o.DistinctValues && o.ValueSize < distinctSize:
		return fmt.Errorf("%w: distinct values of %d bytes (want at least %d)", ErrOptions, o.ValueSize, distinctSize)
	}
	return nil
}

// keyspace has the names of a load's keys: a k and the key's number, of letters and digits only.
// They are parts of one string, which makes no work for a garbage collector.
type keyspace struct {
	all     string // "" if it would be too large: each name is then made when it is asked for
	n, size int
}

// wholeKeyspace is the size, in bytes, up to which names are kept as one string.
const wholeKeyspace = 256 << 20

func (o *Options) keyspace() keyspace {
	k := keyspace{n: o.Keys, size: o.KeySize}
	if k.n*k.size > wholeKeyspace {
		return k
	}

	var all strings.Builder
	all.Grow(k.n * k.size)
	one := make([]byte, 0, k.size)
	for i := range k.n {
		all.Write(k.appendKey(one, i))
	}
	k.all = all.String()
	return k
}

func (k *keyspace) key(i int) string {
	if k.all == "" {
		return string(k.appendKey(make([]byte, 0, k.size), i))
	}
	return k.all[i*k.size : (i+1)*k.size]
}

func (k *keyspace) appendKey(b []byte, i int) []byte {
	var digits [20]byte
	number := strconv.AppendUint(digits[:0], uint64(i), 10)
	b = append(b, 'k')
	for range k.size - 1 - len(number) {
		b = append(b, '0')
	}
	return append(b, number...)
}

func (o *Options) value() []byte {
	value := make([]byte, o.ValueSize)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	return value
}

// distinct returns a value that begins with the number of the set, in 16 hexadecimal digits.
func (o *Options) distinct(pattern []byte, n uint64) []byte {
	var number [distinctSize / 2]byte
	binary.BigEndian.PutUint64(number[:], cmp.Or(o.Series, o.Seed)<<32|n&math.MaxUint32)
	value := make([]byte, len(pattern))
	copy(value, pattern)
	hex.Encode(value, number[:])
	return value
}
