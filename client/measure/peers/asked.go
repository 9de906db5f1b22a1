package peers

import (
	"fmt"
	"slices"

	"quartet/bus/model"
	"quartet/client/measure/load"
)

// Asked is a demand that quartet must meet, and what was measured of it.
type Asked struct {
	What    string  `json:"what"`
	Against string  `json:"against"`
	Measure string  `json:"measure"` // throughput: at least; p50 time: at most
	Ratio   float64 `json:"asked"`

	Measured []Reached `json:"measured"`
	Why      string    `json:"not_measured,omitempty"`
}

// Reached is what one driver measured.
type Reached struct {
	Driver  string      `json:"driver"`
	Ratio   load.Spread `json:"ratio"`
	Reached bool        `json:"reached"` // by the median
}

// The measures of [Asked].
const (
	throughput = "throughput"
	p50Time    = "p50 time"
)

// demand is a row of what must be reached, in one load, by one system compared with another.
type demand struct {
	what, against string
	load          string
	model         model.Consistency
	ours, theirs  string
	at, theirsAt  int // requests at once
	measure       string
	ratio         float64
	request       string // of ours; theirs is the same, or, of its own, a set
}

// demands returns the project's own demands; medians of one run on a machine with two processors.
func demands() []demand {
	const (
		linearizable = model.Linearizable
		eventual     = model.Eventual
		memory       = quartetMemory
	)

	plain := []demand{
		{"linearizable set, 64 shared, memory", "NATS KV R1 file put",
			"set", linearizable, memory, natsR1, 64, 64, throughput, 1.0, ""},
		{"linearizable set, 64 shared, memory", "NATS KV R3 file put",
			"set", linearizable, memory, natsR3, 64, 64, throughput, 2.2, ""},
		{"linearizable set, 64 shared, memory", "etcd put, tmpfs",
			"set", linearizable, memory, etcdMemory, 64, 64, throughput, 5, ""},
		{"linearizable get, 64 shared", "NATS KV R3 direct get (may be stale)",
			"get", linearizable, memory, natsR3, 64, 64, throughput, 3.5, ""},
		{"linearizable get, 64 shared", "etcd linearizable get",
			"get", linearizable, memory, etcdMemory, 64, 64, throughput, 8, ""},
		{"eventual set, 64 shared", "NATS KV R1 file put",
			"set", eventual, memory, natsR1, 64, 64, throughput, 1.6, ""},
		{"eventual get, 64 shared", "NATS KV R1 get",
			"get", eventual, memory, natsR1, 64, 64, throughput, 2.4, ""},
		{"linearizable set, --dir --sync always", "etcd put, fsync",
			"set-durable", linearizable, quartetAlways, etcdFsync, 64, 64, throughput, 4, ""},
		{"linearizable set, --dir --sync always", "etcd put, fsync (least)",
			"set-durable", linearizable, quartetAlways, etcdFsync, 64, 64, throughput, 3, ""},
		{"linearizable set, --dir --sync interval", "its own in memory",
			"set-durable", linearizable, quartetInterval, memory, 64, 64, throughput, 0.7, ""},
		{"linearizable set, 64 connections", "NATS KV R3 file put",
			"set-separate", linearizable, memory, natsR3, 64, 64, throughput, 1.1, ""},
		{"linearizable get, 64 connections", "NATS KV R3 get (may be stale)",
			"get-separate", linearizable, memory, natsR3, 64, 64, throughput, 1.1, ""},
		{"linearizable set, one at a time", "NATS KV R3 file put",
			"set-single", linearizable, memory, natsR3, 1, 1, p50Time, 1.0, ""},
		{"linearizable get, one at a time", "NATS KV R3 get (may be stale)",
			"get-single", linearizable, memory, natsR3, 1, 1, p50Time, 0.9, ""},
		{"linearizable set, 256 shared", "its own, 64 shared",
			"set-256", linearizable, memory, memory, 256, 64, throughput, 2.5, ""},
		{"linearizable get, 256 shared", "its own, 64 shared",
			"get-256", linearizable, memory, memory, 256, 64, throughput, 2, ""},
	}
	own := func(request string, ratio float64) demand {
		return demand{"linearizable " + request + ", 64 shared, memory, by key", "its own set",
			"operations", linearizable, memory, memory, 64, 64, throughput, ratio, request}
	}
	list := func(what, against string, theirs string) demand {
		return demand{what, against, "list", linearizable, memory, theirs, 1, 1, throughput, 2, lists}
	}
	byNATS := func(what, load, request string, ratio float64) demand {
		return demand{what + " by nats.go, 64 on one connection", "NATS KV R3, the same",
			load, linearizable, memory, natsR3, 64, 64, throughput, ratio, request}
	}
	plain = append(plain, byNATS("linearizable put", "kv-put", "", 1.3), byNATS("linearizable get", "kv-get", "", 1.5),
		byNATS("linearizable put until a watch has shown it", "kv-watch", watched, 1),
		list("linearizable list of all keys with values", "etcd range, tmpfs, pages of as many", etcdMemory),
		list("linearizable list of all keys with values", "NATS KV R3, the values of a watch", natsR3))
	return append(plain, own(deletes, 0.95), own(creates, 0.95), own(txns, 4), demand{
		"linearizable " + txns + ", 64 shared, memory", "etcd's, tmpfs",
		"operations", linearizable, memory, etcdMemory, 64, 64, throughput, 5, txns,
	})
}

func (r *Report) ask() []Asked {
	asked := []Asked{}
	for _, d := range demands() {
		a := Asked{What: d.what, Against: d.against, Measure: d.measure, Ratio: d.ratio, Measured: []Reached{}}
		if a.Measured = r.reached(&d); len(a.Measured) == 0 {
			a.Measured, a.Why = []Reached{}, r.why(&d)
		}
		asked = append(asked, a)
	}
	return asked
}

// reached returns the ratio of ours to theirs, of each driver of ours.
func (r *Report) reached(d *demand) []Reached {
	l := r.named(d.load)
	if l == nil || l.Rounds == 0 {
		return nil
	}

	var all []Reached
	for i := range l.Ratios {
		ratio := &l.Ratios[i]
		us, them := &l.Sides[ratio.ours], &l.Sides[ratio.theirs]
		isOurs := us.System == d.ours && us.Consistency == d.model.String() && us.Concurrency == d.at && us.Request == d.request
		if !isOurs || them.System != d.theirs || them.Concurrency != d.theirsAt {
			continue
		}

		got := Reached{Driver: us.Driver, Ratio: ratio.Rate}
		got.Reached = got.Ratio.Median >= d.ratio
		if d.measure == p50Time {
			got.Ratio = ratio.P50
			got.Reached = got.Ratio.Median > 0 && got.Ratio.Median <= d.ratio
		}
		all = append(all, got)
	}
	return all
}

// why says why a demand has no figure.
func (r *Report) why(d *demand) string {
	for _, m := range r.Missing {
		if m.Peer == d.theirs {
			return m.Peer + " is missing"
		}
	}

	l := r.named(d.load)
	if l == nil {
		return fmt.Sprintf("load %s was not run", d.load)
	}
	for _, system := range []string{d.ours, d.theirs} {
		if !slices.ContainsFunc(l.Sides, func(s Side) bool { return s.System == system }) {
			return system + " was not asked for"
		}
	}
	return "no round was complete"
}
