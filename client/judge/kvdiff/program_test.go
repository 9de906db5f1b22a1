package kvdiff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// step is one operation of a program.
type step struct {
	Do       string
	Bucket   string   `json:",omitempty"`
	Key      string   `json:",omitempty"`
	Value    string   `json:",omitempty"`
	Revision revision `json:",omitempty"`
	Config   *config  `json:",omitempty"`

	Purge   bool          `json:",omitempty"`
	TTL     time.Duration `json:",omitempty"` // of a key or a marker; of purgeDeletes the age
	Filters []string      `json:",omitempty"`
	Watch   int           `json:",omitempty"` // which
	Options *watching     `json:",omitempty"`
	Raw     *raw          `json:",omitempty"`
}

// revision says which revision of a step's key is meant. Each side has its own numbers for them.
type revision string

const (
	none     revision = ""
	zero     revision = "zero"
	latest   revision = "latest"   // of the key
	previous revision = "previous" // the one before it
	first    revision = "first"    // of the key
	other    revision = "other"    // the latest of another key
	future   revision = "future"   // above all
)

// raw is a request that no client would send, or whose reply no client shows as a whole.
type raw struct {
	Subject string            // behind the prefix
	Headers map[string]string `json:",omitempty"` // names are sent as they are
	Body    string            `json:",omitempty"`
}

func (s step) String() string {
	s.Value = shortened(s.Value)
	return said(s)
}

// said is a value as JSON, for messages and for comparison.
func said(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func shortened(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%s… (%d bytes)", s[:20], len(s))
	}
	return s
}

// program is what is run on both sides.
type program struct {
	name   string
	legacy bool
	prefix string // of its buckets
	steps  []step
}

// keys are those of programs. The pool is small, so that conditions meet.
var keys = []string{"a", "a.b", "a.c", "a.b.c", "k=1/2", "_x-Y"}

// filters are those of watches and lists.
var filters = []string{">", "a", "a.*", "a.>", "*", "*.b", "*.b.>", "k=1/2", "none", "none.>", "user-*"}

// generator makes programs up.
type generator struct {
	*rand.Rand
	program
	values  int
	watches []int
	history map[string]uint8 // by bucket: one is never raised to several, for then quartet shows more
}

// generate makes the program of a seed. The same seed has the same program.
func generate(seed uint64) program {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 13)), history: map[string]uint8{}}
	g.prefix = fmt.Sprintf("s%d-", seed)
	g.legacy = g.IntN(3) == 0
	g.name = fmt.Sprintf("seed %d, package %s", seed, map[bool]string{true: "nats", false: "jetstream"}[g.legacy])

	g.add(step{Do: "make", Config: g.config(g.prefix + "one")})
	for range 40 {
		g.add(g.step())
	}
	g.add(step{Do: "names"}, step{Do: "statuses"})
	return g.program
}

func (g *generator) add(steps ...step) { g.steps = append(g.steps, steps...) }

func (g *generator) one(list []string) string { return list[g.IntN(len(list))] }

func (g *generator) bucket() string {
	if g.IntN(8) == 0 {
		return g.prefix + "two"
	}
	return g.prefix + "one"
}

// config makes up a bucket's configuration. Buckets are in memory: one in a file that is deleted
// and made again at once has its old messages back (nats-server 2.15.2).
func (g *generator) config(name string) *config {
	history, known := g.history[name]
	if !known {
		history = []uint8{0, 1, 2, 5, 64}[g.IntN(5)]
		g.history[name] = history
	}
	c := &config{Bucket: name, History: history, Memory: true}
	if c.History > 2 && g.IntN(3) == 0 {
		c.History = 2
	}

	some := func() bool { return g.IntN(5) == 0 }
	if some() {
		c.MaxValueSize = 200
	}
	if some() {
		c.Description = "of " + name
	}
	if some() && !g.legacy {
		c.Metadata = map[string]string{"owner": "ann"}
	}
	if g.IntN(2) == 0 && !g.legacy {
		c.MarkerTTL = time.Hour
	}
	if some() {
		c.TTL = time.Hour
	}
	if g.IntN(20) == 0 {
		c.Bucket = g.one([]string{"", "no.dots", "no spaces", "no*"})
	}
	if g.IntN(20) == 0 {
		c.History = 65
	}
	return c
}

func (g *generator) key() string {
	if g.IntN(25) == 0 {
		return g.one([]string{"", ".", "a..b", ".a", "a.", "a b", "a*", "ключ", "a.>"})
	}
	return g.one(keys)
}

// value makes up a value: as a rule a new one, sometimes an empty or a long one.
func (g *generator) value() string {
	g.values++
	switch g.IntN(12) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%d-%s", g.values, strings.Repeat("x", 250))
	}
	return fmt.Sprintf("v%d", g.values)
}

func (g *generator) revision() revision {
	return []revision{latest, latest, latest, previous, first, other, future, zero}[g.IntN(8)]
}

// some returns one filter or several, which may overlap.
func (g *generator) some() []string {
	list := []string{}
	for range []int{0, 1, 1, 1, 2, 2, 3}[g.IntN(7)] {
		list = append(list, g.one(filters))
	}
	return list
}

// step makes up an operation.
func (g *generator) step() step {
	s := step{Bucket: g.bucket()}
	switch dice := g.IntN(100); {
	case dice < 18:
		s.Do, s.Key, s.Value = "put", g.key(), g.value()
	case dice < 26:
		s.Do, s.Key, s.Value = "create", g.key(), g.value()
		if g.IntN(4) == 0 {
			s.TTL = time.Hour
		}
	case dice < 36:
		s.Do, s.Key, s.Value, s.Revision = "update", g.key(), g.value(), g.revision()
	case dice < 47:
		s.Do, s.Key, s.Purge = "remove", g.key(), g.IntN(3) == 0
		if g.IntN(3) == 0 {
			s.Revision = g.revision()
		}
		if g.IntN(6) == 0 {
			s.TTL = time.Hour
		}

	case dice < 55:
		s.Do, s.Key = "get", g.key()
	case dice < 60:
		s.Do, s.Key, s.Revision = "getRevision", g.key(), g.revision()
	case dice < 65:
		s.Do, s.Key = "history", g.key()
	case dice < 68:
		s.Do = "keys"
	case dice < 72:
		s.Do, s.Filters = "listKeys", g.some()
	case dice < 79:
		return g.watch(s)
	case dice < 82:
		return g.stop()
	case dice < 84:
		s.Do, s.TTL = "purgeDeletes", []time.Duration{-1, -1, 0, time.Hour}[g.IntN(4)]
	case dice < 86:
		s.Do = "status"
	case dice < 94:
		return g.raw(s)
	default:
		return g.manage(s)
	}
	return s
}

// mostWatches is how many are open at once.
const mostWatches = 3

// watch begins a watch.
func (g *generator) watch(s step) step {
	if len(g.watches) == mostWatches {
		return g.stop()
	}
	some := func() bool { return g.IntN(4) == 0 }
	s.Do, s.Filters, s.Watch = "watch", g.some(), len(g.steps)
	s.Options = &watching{History: some(), UpdatesOnly: some(), MetaOnly: some(), IgnoreDeletes: some()}
	if some() {
		s.Key, s.Revision = g.one(keys), []revision{latest, previous, first}[g.IntN(3)]
	}
	g.watches = append(g.watches, s.Watch)
	return s
}

// stop ends the oldest watch.
func (g *generator) stop() step {
	if len(g.watches) == 0 {
		return step{Do: "names"}
	}
	s := step{Do: "stop", Watch: g.watches[0]}
	g.watches = g.watches[1:]
	return s
}

// manage does something with buckets.
func (g *generator) manage(s step) step {
	name := g.prefix + "two"
	if g.IntN(8) == 0 {
		name = g.prefix + "one"
	}

	switch g.IntN(8) {
	case 0, 1:
		s.Do, s.Config = "make", g.config(name)
	case 2:
		s.Do, s.Config = "makeOrUpdate", g.config(name)
	case 3:
		s.Do, s.Config = "updateBucket", g.config(name)
	case 4:
		s.Do, s.Bucket = "removeBucket", name
	case 5:
		s.Do, s.Bucket = "open", name
	case 6:
		s.Do = "names"
	default:
		s.Do = "statuses"
	}
	return s
}

// raw makes up a request without a client.
func (g *generator) raw(s step) step {
	key := g.one(keys)
	stream, subject := "KV_"+s.Bucket, "$KV."+s.Bucket+"."+key
	s.Do, s.Key = "raw", key
	put := func(headers ...string) *raw {
		r := &raw{Subject: subject, Body: g.value(), Headers: map[string]string{}}
		for i := 0; i < len(headers); i += 2 {
			r.Headers[headers[i]] = headers[i+1]
		}
		return r
	}

	switch g.IntN(18) {
	case 0, 15, 16:
		s.Raw = put("Nats-Msg-Id", fmt.Sprintf("%sid-%d", s.Bucket, g.IntN(2)))
	case 1:
		s.Raw = put("Nats-Expected-Last-Subject-Sequence", g.one([]string{"x", "-1", "99999", "0"}))
	case 2:
		s.Raw = put("Nats-TTL", g.one([]string{"x", "500ms", "1h", "3600", "0", "never", "-1"}))
	case 3: // without effect: the names of headers are case-sensitive
		s.Raw = put(g.one([]string{"KV-OPERATION", "Nats-Ttl", "nats-expected-last-subject-sequence"}), "7")
	case 4:
		s.Raw = put("KV-Operation", "other")
	case 5:
		s.Raw = put("Nats-Expected-Stream", g.one([]string{stream, "KV_nobody"}))
	case 6:
		s.Raw = put("Nats-Rollup", g.one([]string{"sub", "x"}))
	case 7:
		s.Raw = &raw{Subject: "DIRECT.GET." + stream + "." + subject}
	case 8:
		s.Raw = &raw{Subject: "STREAM.MSG.GET." + stream, Body: said(map[string]string{"last_by_subj": subject})}
	case 9:
		s.Raw = &raw{Subject: g.one([]string{"DIRECT.GET.", "STREAM.MSG.GET."}) + stream,
			Body: g.one([]string{`{"seq":0}`, `{"seq":99999}`, `{`, `{}`, `{"seq":-1}`})}
	case 10:
		s.Raw = &raw{Subject: "STREAM.PURGE." + stream, Body: said(map[string]any{"filter": subject, "keep": g.IntN(2)})}
	case 11:
		s.Raw = &raw{Subject: "STREAM.INFO." + g.one([]string{stream, "KV_nobody"})}
	case 12:
		s.Raw = &raw{Subject: "STREAM.DELETE." + g.one([]string{"KV_nobody", stream}), Body: g.one([]string{"x", "{}"})}
	case 13:
		s.Raw = &raw{Subject: "STREAM.MSG.DELETE." + stream, Body: `{"seq":1}`}
	case 14:
		s.Raw = &raw{Subject: "STREAM.CREATE." + stream, Body: g.one([]string{"{", `{"name":"KV_other"}`, `{"name":"` + stream + `","what":1}`})}
	default:
		s.Raw = &raw{Subject: "CONSUMER." + g.one([]string{"INFO", "DELETE"}) + "." + stream + ".nobody"}
	}
	if s.Raw.Subject != subject {
		s.Key = ""
	}
	return s
}
