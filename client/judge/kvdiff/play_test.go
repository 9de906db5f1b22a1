package kvdiff_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits of what one step may take; none is reached where all is well.
const (
	stepLimit  = 20 * time.Second
	eventLimit = 5 * time.Second // until a watch shows a write
)

// side is one of the two that are compared.
type side struct {
	name   string
	nc     *nats.Conn
	prefix string // of the facade; "": real JetStream
}

// subject is where a request of the API, or a write, goes.
func (s *side) subject(name string) string {
	switch {
	case s.prefix != "":
		return s.prefix + "." + name
	case strings.HasPrefix(name, "$KV."):
		return name
	}
	return "$JS.API." + name
}

func (s *side) jetStream() (jetstream.JetStream, error) {
	if s.prefix == "" {
		return jetstream.New(s.nc)
	}
	return jetstream.NewWithAPIPrefix(s.nc, s.prefix)
}

// api returns the newer or the older Go API of a side.
func (s *side) api(legacy bool) (api, error) {
	if !legacy {
		js, err := s.jetStream()
		return modern{js}, err
	}
	if s.prefix == "" {
		js, err := s.nc.JetStream()
		return old{js}, err
	}
	js, err := s.nc.JetStream(nats.APIPrefix(s.prefix))
	return old{js}, err
}

// player runs a program on a side.
type player struct {
	*side
	api
	program *program
	js      jetstream.JetStream
	buckets map[string]bucket
	watches map[int]*openWatch
	seen    map[string]*revisions // by bucket
	keeps   map[string]uint8      // by bucket: its history
	at      int                   // the step
}

// openWatch is a watch that a program has begun.
type openWatch struct {
	*watch
	bucket  string
	filters []string
	o       watching

	// overwritten are values that a bucket without history need not have any more. A watch that
	// resumes may show them: quartet's shows what it can, JetStream's what is left.
	overwritten map[uint64]bool
}

// drops reports whether an event is left out of the comparison.
func (w *openWatch) drops(e entry) bool { return w.overwritten[e.revision] }

// revisions are what is known of a bucket's numbers on a side.
type revisions struct {
	names   map[uint64]string   // by revision
	ofKey   map[string][]uint64 // rising
	marked  map[string]bool     // keys that were deleted last
	strange int                 // named revisions that no step wrote
	top     uint64
}

// newPlayer returns a player of a program on a side, before its first step.
func newPlayer(s *side, p *program) (*player, error) {
	js, err := s.jetStream()
	if err != nil {
		return nil, err
	}
	a, err := s.api(p.legacy)
	return &player{
		side: s, api: a, program: p, js: js, buckets: map[string]bucket{}, watches: map[int]*openWatch{},
		seen: map[string]*revisions{}, keeps: map[string]uint8{},
	}, err
}

// end stops the program's watches and deletes its buckets.
func (p *player) end(ctx context.Context) error {
	var errs []error
	for _, w := range p.watches {
		_ = w.stop() // its bucket may be gone
	}
	for name := range p.seen {
		err := p.js.DeleteKeyValue(ctx, name)
		if !errors.Is(err, jetstream.ErrBucketNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *player) of(bucket string) *revisions {
	r := p.seen[bucket]
	if r == nil {
		r = &revisions{names: map[uint64]string{}, ofKey: map[string][]uint64{}, marked: map[string]bool{}}
		p.seen[bucket] = r
	}
	return r
}

// revision is the number that a step means, on this side.
func (p *player) revision(s *step) uint64 {
	r := p.of(s.Bucket)
	list := r.ofKey[s.Key]
	switch {
	case s.Revision == future:
		return r.top + 1000
	case s.Revision == other:
		most := uint64(0)
		for key, list := range r.ofKey {
			if key != s.Key {
				most = max(most, list[len(list)-1])
			}
		}
		return most
	case len(list) == 0:
		return 0
	case s.Revision == latest:
		return list[len(list)-1]
	case s.Revision == previous:
		return list[max(0, len(list)-2)]
	case s.Revision == first:
		return list[0]
	}
	return 0
}

// named is a revision as both sides call it: by the step that wrote it.
func (p *player) named(bucket string, n uint64) string {
	r := p.of(bucket)
	if n == 0 {
		return "0"
	}
	if r.names[n] == "" {
		r.strange++
		r.names[n] = fmt.Sprintf("x%d", r.strange)
	}
	return "@" + r.names[n]
}

// purged notes that a key has nothing left: its newest revision is called so.
func (p *player) purged(bucket, key string) {
	r := p.of(bucket)
	if list := r.ofKey[key]; len(list) > 0 {
		newest := list[len(list)-1]
		r.names[newest] = strings.TrimSuffix(r.names[newest], "-purged") + "-purged"
	}
}

// wrote notes that the step made a revision of its key. It says what is wrong with it.
func (p *player) wrote(s *step, n uint64) string {
	r := p.of(s.Bucket)
	if n <= r.top {
		return fmt.Sprintf("ok, with a revision that is not above the one before (%t)", n == r.top)
	}
	r.top = n
	r.names[n] = fmt.Sprintf("w%d", p.at)
	r.ofKey[s.Key] = append(r.ofKey[s.Key], n)
	return "ok"
}

// play runs a step and tells what came of it, in words that are the same on both sides.
func (p *player) play(ctx context.Context, at int) string {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, errors.New("no answer in time"))
	defer cancel()
	p.at = at
	s := &p.program.steps[at]
	if out, is := p.playManager(ctx, s); is {
		return out
	}

	b := p.buckets[s.Bucket]
	if b == nil && s.Do != "raw" {
		got, err := p.api.open(ctx, s.Bucket)
		if err != nil {
			return "open: " + wrong(err)
		}
		b, p.buckets[s.Bucket] = got, got
	}
	if out, is := p.playWrite(ctx, b, s); is {
		return out
	}
	return p.playRead(ctx, b, s)
}

// playManager runs the steps about buckets.
func (p *player) playManager(ctx context.Context, s *step) (out string, is bool) {
	made := func(b bucket, err error) string {
		if err == nil {
			p.buckets[s.Config.Bucket], p.keeps[s.Config.Bucket] = b, s.Config.History
			p.of(s.Config.Bucket)
		}
		return wrong(err)
	}

	switch s.Do {
	case "make":
		return made(p.api.make(ctx, *s.Config)), true
	case "makeOrUpdate":
		return made(p.api.makeOrUpdate(ctx, *s.Config)), true
	case "updateBucket":
		return made(p.api.update(ctx, *s.Config)), true
	case "open":
		b, err := p.api.open(ctx, s.Bucket)
		if err == nil {
			p.buckets[s.Bucket] = b
		}
		return wrong(err), true
	case "removeBucket":
		for i, w := range p.watches {
			if w.bucket == s.Bucket {
				_ = w.stop() // the test is of the bucket
				delete(p.watches, i)
			}
		}
		err := p.api.remove(ctx, s.Bucket)
		if err == nil {
			p.seen[s.Bucket], p.buckets[s.Bucket] = nil, nil
			p.of(s.Bucket)
		}
		return wrong(err), true
	case "names":
		all, err := p.api.names(ctx)
		all = slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, p.program.prefix) })
		slices.Sort(all)
		return fmt.Sprintf("%s %q", wrong(err), all), true
	case "statuses":
		all, err := p.api.statuses(ctx)
		all = slices.DeleteFunc(all, func(s status) bool { return !strings.HasPrefix(s.bucket, p.program.prefix) })
		slices.SortFunc(all, func(a, b status) int { return cmp.Compare(a.bucket, b.bucket) })
		return fmt.Sprintf("%s %s", wrong(err), all), true
	}
	return "", false
}

// playWrite runs the steps that write a key.
func (p *player) playWrite(ctx context.Context, b bucket, s *step) (out string, is bool) {
	var n uint64
	var err error
	marker, condition := false, ""
	switch s.Do {
	case "put":
		n, err = b.put(ctx, s.Key, s.Value)
	case "create":
		n, err = b.create(ctx, s.Key, s.Value, s.TTL)
	case "update":
		condition = fmt.Sprintf("if %s: ", p.named(s.Bucket, p.revision(s)))
		n, err = b.update(ctx, s.Key, s.Value, p.revision(s))
	case "remove":
		marker = true
		if s.Revision != none {
			condition = fmt.Sprintf("if %s: ", p.named(s.Bucket, p.revision(s)))
		}
		err = b.remove(ctx, s.Key, removal{Purge: s.Purge, Revision: p.revision(s), TTL: s.TTL})
		if err == nil { // which revision the marker has, clients do not show
			n, err = p.lastOf(ctx, s)
		}
	default:
		return "", false
	}

	if err != nil {
		return condition + wrong(err), true
	}
	out = condition + p.wrote(s, n) + p.shown(ctx, s, n, marker)
	p.of(s.Bucket).marked[s.Key] = marker
	return out, true
}

// lastOf asks for the revision of a key's last message.
func (p *player) lastOf(ctx context.Context, s *step) (uint64, error) {
	stream, err := p.js.Stream(ctx, "KV_"+s.Bucket)
	if err != nil {
		return 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, "$KV."+s.Bucket+"."+s.Key)
	if err != nil {
		return 0, fmt.Errorf("its marker: %w", err)
	}
	return m.Sequence, nil
}

// playRead runs the steps that only look.
func (p *player) playRead(ctx context.Context, b bucket, s *step) string {
	switch s.Do {
	case "get":
		e, err := b.get(ctx, s.Key)
		return p.entry(s, e, err)
	case "getRevision":
		e, err := b.getRevision(ctx, s.Key, p.revision(s))
		return p.entry(s, e, err)
	case "history":
		all, err := b.history(ctx, s.Key)
		return fmt.Sprintf("%s %s", wrong(err), p.entries(s.Bucket, all))

	case "keys":
		all, err := b.keys(ctx)
		return fmt.Sprintf("%s %q", wrong(err), all)
	case "listKeys":
		all, err := b.listKeys(ctx, s.Filters)
		return fmt.Sprintf("%s %q", wrong(err), all)

	case "watch":
		return p.begin(ctx, b, s)
	case "stop":
		w := p.watches[s.Watch]
		if w == nil {
			return "no watch"
		}
		delete(p.watches, s.Watch)
		return wrong(w.stop())
	case "purgeDeletes":
		err := b.purgeDeletes(ctx, s.TTL)
		for key, is := range p.of(s.Bucket).marked {
			if is && s.TTL < 0 && err == nil {
				p.purged(s.Bucket, key)
			}
		}
		return wrong(err)
	case "status":
		st, err := b.status(ctx)
		return fmt.Sprintf("%s %s", wrong(err), st)
	case "await": // a watch shows something by itself
		return p.await(ctx, s)
	case "gone": // a key ends by itself, without a sign
		return p.gone(ctx, b, s)
	case "raw":
		return p.raw(ctx, s)
	}
	return "unknown step " + s.Do
}

func (p *player) entry(s *step, e entry, err error) string {
	if err != nil {
		return wrong(err)
	}
	return p.entries(s.Bucket, []entry{e})
}

// entries are words for what was read. A time is that of now, more or less.
func (p *player) entries(bucket string, list []entry) string {
	var all []string
	for _, e := range list {
		text := fmt.Sprintf("%s %s=%q %s", e.op, e.key, shortened(e.value), p.named(bucket, e.revision))
		if e.delta > 0 {
			text += fmt.Sprintf(" delta %d", e.delta)
		}
		if age := time.Since(e.created); age < -time.Minute || age > time.Hour {
			text += " created at another time"
		}
		all = append(all, text)
	}
	return "[" + strings.Join(all, "; ") + "]"
}

// begin begins a watch, and reads what was there.
func (p *player) begin(ctx context.Context, b bucket, s *step) string {
	o := *s.Options
	o.From = p.revision(s)
	w, err := b.watch(context.Background(), s.Filters, o)
	if err != nil {
		return wrong(err)
	}
	opened := &openWatch{watch: w, bucket: s.Bucket, filters: s.Filters, o: o, overwritten: map[uint64]bool{}}
	p.watches[s.Watch] = opened
	if o.From > 0 && p.keeps[s.Bucket] <= 1 {
		for _, list := range p.of(s.Bucket).ofKey {
			for _, revision := range list[:len(list)-1] {
				opened.overwritten[revision] = true
			}
		}
	}
	if o.UpdatesOnly { // nothing says that all has come which was there
		return "ok"
	}

	var all []entry
	for {
		e, done, err := w.updates(ctx)
		if err != nil || done {
			return wrong(err) + " " + p.entries(s.Bucket, all)
		}
		if o.From > 0 {
			e.delta = 0
		}
		if !opened.drops(e) {
			all = append(all, e)
		}
	}
}

// shown reads what watches show of a write of the step's key.
func (p *player) shown(ctx context.Context, s *step, revision uint64, marker bool) string {
	out := ""
	for _, i := range p.open() {
		w := p.watches[i]
		dropped := marker && w.o.IgnoreDeletes
		if w.bucket != s.Bucket || dropped || !matches(w.filters, s.Key) {
			continue
		}
		out += p.until(ctx, i, func(e entry) bool { return e.revision >= revision })
	}
	return out
}

// open lists the watches in order.
func (p *player) open() []int {
	var list []int
	for i := range p.watches {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

// until reads a watch until it has shown what is waited for.
func (p *player) until(ctx context.Context, watch int, enough func(entry) bool) string {
	ctx, cancel := context.WithTimeoutCause(ctx, eventLimit, errors.New("nothing more comes"))
	defer cancel()
	w := p.watches[watch]
	var all []entry
	for {
		e, done, err := w.updates(ctx)
		if err != nil {
			return fmt.Sprintf(", watch %d: %s %s", watch, wrong(err), p.entries(w.bucket, all))
		}
		if done {
			continue // of the values that were there: of a watch from a revision it may come late
		}
		if e.delta = 0; w.drops(e) {
			continue
		}
		if all = append(all, e); enough(e) {
			return fmt.Sprintf(", watch %d: %s", watch, p.entries(w.bucket, all))
		}
	}
}

// await waits for the next event of a watch: of a key that ends by itself.
func (p *player) await(ctx context.Context, s *step) string {
	if p.watches[s.Watch] == nil {
		return "no watch"
	}
	return p.until(ctx, s.Watch, func(entry) bool { return true })
}

// gone polls until a key has no value.
func (p *player) gone(ctx context.Context, b bucket, s *step) string {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := b.get(ctx, s.Key); err != nil {
			return wrong(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "it stays"
		}
	}
}

// matches reports whether a key matches one of a watch's filters, by the rules of NATS.
func matches(filters []string, key string) bool {
	if len(filters) == 0 {
		return true
	}
	return slices.ContainsFunc(filters, func(filter string) bool {
		f, k := strings.Split(filter, "."), strings.Split(key, ".")
		for i, token := range f {
			switch {
			case token == ">":
				return len(k) > i
			case i >= len(k), token != "*" && token != k[i]:
				return false
			}
		}
		return len(f) == len(k)
	})
}

// raw sends a request as it is, and tells of its reply what clients may read.
func (p *player) raw(ctx context.Context, s *step) string {
	m := &nats.Msg{Subject: p.subject(s.Raw.Subject), Header: nats.Header{}, Data: []byte(s.Raw.Body)}
	for name, value := range s.Raw.Headers {
		m.Header[name] = []string{value}
	}
	ctx, cancel := context.WithTimeout(ctx, eventLimit)
	defer cancel()
	r, err := p.nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return wrong(err)
	}
	return p.reply(ctx, s, r)
}

// message is the reply to a request for one message, and an acknowledgement; what is not there is
// zero.
type message struct {
	Type      string `json:"type"`
	Stream    string `json:"stream"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
	Success   bool   `json:"success"`
	Purged    *int   `json:"purged"`
	Error     *struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
	Message *struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Data    []byte `json:"data"`
		Headers []byte `json:"hdrs"`
	} `json:"message"`
}

// reply tells the answer to a raw request in the words by which both sides are compared.
func (p *player) reply(ctx context.Context, s *step, r *nats.Msg) string {
	if code := r.Header.Get("Status"); code != "" {
		return "status " + code
	}
	if number := r.Header.Get("Nats-Sequence"); number != "" {
		n, _ := strconv.ParseUint(number, 10, 64)
		return fmt.Sprintf("%s %s %q %s", r.Header.Get("Nats-Stream"), r.Header.Get("Nats-Subject"), shortened(string(r.Data)), p.named(s.Bucket, n))
	}

	var a message
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return "no JSON: " + string(r.Data)
	}
	switch {
	case a.Error != nil && a.Error.ErrCode == 10059: // a client compares the text
		return fmt.Sprintf("error %d/%d %s", a.Error.Code, a.Error.ErrCode, a.Error.Description)
	case a.Error != nil:
		return fmt.Sprintf("error %d/%d", a.Error.Code, a.Error.ErrCode)
	case a.Message != nil:
		return fmt.Sprintf("%s %s %q %s", a.Type, a.Message.Subject, shortened(string(a.Message.Data)), p.named(s.Bucket, a.Message.Seq))
	case a.Seq != 0 && a.Duplicate:
		return fmt.Sprintf("ok %s, a duplicate of %s", a.Stream, p.named(s.Bucket, a.Seq))
	case a.Seq != 0:
		op := s.Raw.Headers["KV-Operation"]
		p.of(s.Bucket).marked[s.Key] = op == "DEL" || op == "PURGE"
		return p.wrote(s, a.Seq) + " " + a.Stream + p.shown(ctx, s, a.Seq, op == "DEL" || op == "PURGE")
	case a.Purged != nil:
		if key, ok := strings.CutPrefix(purgeFilter(s.Raw.Body), "$KV."+s.Bucket+"."); ok && p.of(s.Bucket).marked[key] {
			p.purged(s.Bucket, key)
		}
		return fmt.Sprintf("%s success %t, purged %d", a.Type, a.Success, *a.Purged)
	}
	if strings.HasPrefix(s.Raw.Subject, "STREAM.DELETE.") && a.Success {
		p.seen[s.Bucket], p.buckets[s.Bucket] = nil, nil
		p.of(s.Bucket)
	}
	return fmt.Sprintf("%s success %t", a.Type, a.Success)
}

// purgeFilter is what a request purges down to nothing.
func purgeFilter(body string) string {
	var r struct {
		Filter string `json:"filter"`
		Keep   int    `json:"keep"`
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil || r.Keep > 0 {
		return ""
	}
	return r.Filter
}
