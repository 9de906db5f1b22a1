package bench

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"quartet/bus/model"
	"quartet/client/measure/figure"
	"quartet/client/measure/load"
)

// plan is what a bench is to measure: each row at each point, in rounds.
type plan struct {
	swept  *quantity // nil: nothing is
	points []point
	rows   []row
}

// row is one model under one kind of load.
type row struct {
	model model.Consistency
	kind  string
	gets  int
}

func (r row) name() string { return r.model.Word() + " " + r.kind }

// point is one value of what a sweep changes; without a sweep it is the only one.
type point struct {
	value       int // of the sweep
	load        load.Options
	connections int
}

// quantity is what a sweep can change.
type quantity struct {
	name  string // of its flag
	head  string // of its column
	axis  string // of a figure
	bytes bool
	set   func(*load.Options, int)
}

// isRate reports whether the rate is swept. It isn't where nothing is (a nil quantity).
func (q *quantity) isRate() bool { return q != nil && q.name == "rate" }

var quantities = [...]quantity{
	{"concurrency", "AT ONCE", "requests at once", false, func(o *load.Options, n int) { o.Concurrency = n }},
	{"rate", "DUE/S", "requests due a second", false, func(o *load.Options, n int) { o.Rate = float64(n) }},
	{"keys", "KEYS", "keys", false, func(o *load.Options, n int) { o.Keys = n }},
	{"key-size", "KEY B", "bytes of a key", true, func(o *load.Options, n int) { o.KeySize = n }},
	{"value-size", "VALUE B", "bytes of a value", true, func(o *load.Options, n int) { o.ValueSize = n }},
	{sweptReplicas, "REPLICAS", "replicas", false, func(*load.Options, int) {}},
}

const (
	connectionsShared   = "shared"
	connectionsSeparate = "separate"
	driverCallback      = "callback"
	driverGoroutine     = "goroutine"

	defaultOpen    = 4096 // requests that an open loop may have outstanding
	maxConnections = 4096
	maxRounds      = 1000
	maxSweep       = 100
)

// plan puts the flags together; an error is wrong usage.
func (b *bench) plan() (plan, error) {
	var p plan
	if err := b.Words(); err != nil {
		return p, err
	}
	if b.driver != driverCallback && b.driver != driverGoroutine {
		return p, fmt.Errorf("unknown --driver %q (want callback or goroutine)", b.driver)
	}

	b.Load.TTL = time.Duration(b.ttl) * time.Millisecond
	if b.compare && b.ttl > 0 {
		return p, errors.New("--ttl and --compare-kv exclude each other: the bucket's values have no end of their own")
	}

	b.Load.DistinctValues = b.rec.Dir != ""
	rows, err := b.asked()
	if err != nil {
		return p, err
	}
	p.rows = rows

	values, err := p.parseSweep(b.sweep)
	if err != nil {
		return p, err
	}

	if err := errors.Join(b.times(), b.checkOwn(&p)); err != nil {
		return p, err
	}
	open := b.Load.Rate > 0 || p.swept.isRate()
	if open && !b.given("concurrency") {
		if b.connections == connectionsSeparate {
			return p, errors.New("with --rate, --connections separate needs --concurrency: that many connections are made")
		}
		b.Load.Concurrency = defaultOpen
	}

	for _, v := range values {
		point := point{value: v, load: b.Load}
		if p.swept != nil {
			p.swept.set(&point.load, v)
		}
		if err := point.load.Check(); err != nil {
			return p, err
		}
		if point.connections, err = connections(b.connections, point.load.Concurrency); err != nil {
			return p, err
		}
		p.points = append(p.points, point)
	}

	return p, CheckPlot(b.plot)
}

// times settles the rounds and how long each is.
func (b *bench) times() error {
	if !b.given("rounds") && b.compare {
		b.rounds = 5
	}
	inRounds := b.compare || b.given("rounds")
	switch {
	case inRounds && b.given("duration"):
		return errors.New("--duration is of a load without rounds: give the time of one round with --round")
	case !inRounds && b.given("round"):
		return errors.New("--round is the time of one of several --rounds: give the time of the load with --duration")
	case inRounds:
		b.Load.Duration = b.round
		b.Load.Warmup = min(b.Load.Warmup, b.round/4)
	}
	return nil
}

func (b *bench) asked() ([]row, error) {
	if len(b.models) == 1 && b.models[0] == "all" {
		b.models = []string{"1", "2", "3", "4"}
	}
	var rows []row
	for _, name := range b.models {
		m, err := model.ParseConsistency(name)
		if err != nil {
			return nil, err
		}
		for _, kind := range b.kinds {
			share, err := b.GetsOf(kind)
			if err != nil {
				return nil, fmt.Errorf("--request: %w", err)
			}
			row := row{m, kind, share}
			if slices.Contains(rows, row) {
				return nil, fmt.Errorf("%s is asked for twice", row.name())
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("no --consistency or no --request to measure")
	}
	return rows, nil
}

// parseSweep reads QUANTITY=VALUES and returns the values; without a sweep there is one,
// of nothing.
func (p *plan) parseSweep(sweep string) ([]int, error) {
	if sweep == "" {
		return []int{0}, nil
	}

	name, list, _ := strings.Cut(sweep, "=")
	var names []string
	for i := range quantities {
		if quantities[i].name == name {
			p.swept = &quantities[i]
		}
		names = append(names, quantities[i].name)
	}
	if p.swept == nil {
		return nil, fmt.Errorf("unknown --sweep of %q (want %s, then = and values)", name, strings.Join(names, ", "))
	}

	var values []int
	for field := range strings.SplitSeq(list, ",") {
		v, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || v < 0 {
			return nil, fmt.Errorf("--sweep %s: %q is no number", name, field)
		}
		if name == "rate" && v == 0 {
			return nil, errors.New("--sweep rate: 0 is no rate")
		}
		values = append(values, v)
	}

	slices.Sort(values)
	if len(slices.Compact(slices.Clone(values))) < len(values) {
		return nil, fmt.Errorf("--sweep %s names a value twice", name)
	}
	if len(values) > maxSweep {
		return nil, fmt.Errorf("--sweep %s has %d values (want at most %d)", name, len(values), maxSweep)
	}

	return values, nil
}

// connections returns how many are to be made.
func connections(flag string, concurrency int) (int, error) {
	n := 1
	switch flag {
	case connectionsShared:
	case connectionsSeparate:
		n = concurrency
	default:
		var err error
		if n, err = strconv.Atoi(flag); err != nil || n < 1 {
			return 0, fmt.Errorf("unknown --connections %q (want shared or separate, or a number)", flag)
		}
		if n > concurrency {
			return 0, fmt.Errorf("%d --connections for %d requests at once: some would have none", n, concurrency)
		}
	}
	if n > maxConnections {
		return 0, fmt.Errorf("%d connections (want at most %d)", n, maxConnections)
	}
	return n, nil
}

// CheckPlot refuses early what could only fail after all has been measured.
func CheckPlot(file string) error {
	if file == "" {
		return nil
	}
	if _, err := figure.FormatOf(file); err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	dir := cmp.Or(filepath.Dir(file), ".")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("--plot: there is no folder %s", dir)
	}
	return nil
}
