// Package listing is the lists of a replica. It promises that all pages of a list are of one cut:
// that of the moment at which the list began (rules O30 to O34 of DESIGN.md), whatever has happened
// since; and that a page which is asked for again is the same page.
//
// A list whose first page is not all of it is kept for 60 s after its last page was asked for, with
// a snapshot of the cut. Lists are bounded in number, and the snapshots in memory: the oldest goes
// first. No turn takes long for lists: a page that needs many looks is made in several turns.
//
// The package is pure: no I/O, clock, goroutine or lock. The machine (package replica) owns the
// lists.
package listing

import (
	"fmt"
	"slices"

	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/layers"
	"quartet/replica/store"
)

// Bounds, of which the public contract names the time.
const (
	MostLists  = 128  // that are kept
	KeepTicks  = 6000 // of 10 ms: 60 s
	mostStarts = 1024 // pages of a list of which it is known where they begin: the last ones
)

// What one turn does at the most for lists.
const (
	turnLooks  = 2048 // keys that are looked at
	turnBytes  = 512 << 10
	sliceLooks = 1024 // for one page, before the next one has its turn
	mostActive = 64   // pages that are made at once
)

// Forms are those of pages, as package codec has them.
type Forms interface {
	AppendPage(dst []byte, p *model.Page) ([]byte, error)
	ItemSize(i *model.Item) int
	NextWord(p *message.Cursor) string
	ParseNext(word string) (message.Cursor, error)
}

// Config is what the lists of a replica are born with.
type Config struct {
	Self   lamport.Node
	Life   uint64 // of the process
	Forms  Forms
	Layers *layers.Layers
	Looks  int // at keys, that a turn takes at the most; 0: 2,048
}

// Cut is where in the history a list begins.
type Cut struct {
	History   message.History
	Position  uint64
	Timestamp uint64 // of a causal list: what has been seen when it began; 0 of all others
}

// Done is the answer to a list that was asked for.
type Done struct {
	Request   *message.Request
	Code      model.Code
	Reason    string
	Page      []byte // of an OK, as Forms have it
	Position  uint64 // of the cut
	Timestamp uint64
}

// Refusal is why a list does not begin, or go on. Code 0: it does.
type Refusal struct {
	Code   model.Code
	Reason string
}

// Lists are the lists of a replica. They have one owner. Make them with [New].
type Lists struct {
	cfg     Config
	number  uint64  // of the newest that is kept
	kept    []*list // the least recently asked for first
	active  []*job  // in turn
	waiting []*job
	ticks   uint64
}

// list is a list, and the cut of which its pages are.
type list struct {
	number   uint64 // 0: it is not kept
	prefix   string
	model    model.Consistency
	cut      Cut
	snapshot *layers.Snapshot
	starts   []start
	base     uint64 // the page whose start is the first in starts
	asked    uint64 // tick at which a page was asked for last
	jobs     int
	whole    bool // its last page was made
}

// start is where a page begins.
type start struct {
	from string
	next []next
}

// next is which page follows a page that was asked for in some way.
type next struct {
	limit  int
	values bool
	page   uint64
}

// job is a page that is being made.
type job struct {
	request *message.Request
	list    *list
	page    uint64
	from    string // the next key to be looked at
	limit   int
	values  bool
	items   []model.Item
	size    int
}

// New returns no lists of a replica.
func New(cfg Config) *Lists {
	if cfg.Looks <= 0 {
		cfg.Looks = turnLooks
	}
	return &Lists{cfg: cfg}
}

// Len is how many lists are kept, Jobs how many pages are being made.
func (l *Lists) Len() int { return len(l.kept) }

// Jobs is how many pages are being made.
func (l *Lists) Jobs() int { return len(l.active) + len(l.waiting) }

// GoesOn reports whether a list goes on from an earlier page, and so from a cut that is there.
func GoesOn(r *model.Request) bool {
	return r.Type == model.List && r.Range != nil && r.Range.From != ""
}

// Begin begins a list: its cut is what there is now.
func (l *Lists) Begin(r *message.Request, cut Cut) {
	at := &list{prefix: r.Key, model: r.Model, cut: cut, starts: []start{{from: r.Key}}}
	if r.Model.Strong() {
		at.snapshot = l.cfg.Layers.Snapshot()
	} else {
		at.snapshot = l.cfg.Layers.NewestSnapshot()
	}
	l.ask(r, at, 0)
}

// GoOn goes on with a list from an earlier page.
func (l *Lists) GoOn(r *message.Request) Refusal {
	p, err := l.cfg.Forms.ParseNext(r.Range.From)
	if err != nil {
		return Refusal{model.Malformed, err.Error()}
	}
	if p.Replica != l.cfg.Self || p.Life != l.cfg.Life {
		return Refusal{model.Gone, fmt.Sprintf("the process that kept the list is gone (%s has another one now): begin again", p.Replica)}
	}

	i := slices.IndexFunc(l.kept, func(at *list) bool { return at.number == p.List })
	if i < 0 || l.kept[i].snapshot.Lost() {
		return Refusal{model.Gone, fmt.Sprintf(
			"replica %s keeps this list no more: it was not asked for in time, or too much has changed since it began; begin again", l.cfg.Self)}
	}
	at := l.kept[i]
	switch {
	case at.prefix != r.Key || at.model != r.Model:
		return Refusal{model.Malformed, fmt.Sprintf("the page before is of the model %s and the prefix %q: so are all pages of a list",
			at.model.Word(), at.prefix)}
	case p.Page < at.base: // the cursor is a client's to use again, but not for ever
		return Refusal{model.Gone, fmt.Sprintf("of a list replica %s keeps the last %d pages, and this one was before them: begin again",
			l.cfg.Self, mostStarts)}
	case p.Page >= at.base+uint64(len(at.starts)):
		return Refusal{model.Malformed, "the list has no such page"}
	}

	l.kept = append(slices.Delete(l.kept, i, i+1), at)
	l.ask(r, at, p.Page)
	return Refusal{}
}

// ask has a page of a list made.
func (l *Lists) ask(r *message.Request, at *list, page uint64) {
	j := &job{request: r, list: at, page: page, from: at.starts[page-at.base].from, limit: model.DefaultPage}
	if x := r.Range; x != nil {
		j.values = x.Values
		if x.Limit > 0 {
			j.limit = min(x.Limit, model.MaxPage)
		}
	}
	at.asked = l.ticks
	at.jobs++
	l.waiting = append(l.waiting, j)
}

// Tick counts time: lists that nobody has gone on with for long are kept no more.
func (l *Lists) Tick() {
	l.ticks++
	for len(l.kept) > 0 && l.kept[0].asked+KeepTicks < l.ticks && l.kept[0].jobs == 0 {
		l.kept[0].snapshot.Close()
		l.kept = l.kept[1:]
	}
}

// Drop gives up making the pages that fit, and returns how many these were.
func (l *Lists) Drop(fits func(*message.Request) bool) int {
	before := l.Jobs()
	gone := func(j *job) bool {
		if !fits(j.request) {
			return false
		}
		l.end(j)
		return true
	}
	l.active = slices.DeleteFunc(l.active, gone)
	l.waiting = slices.DeleteFunc(l.waiting, gone)
	return before - l.Jobs()
}

// end says that a page of a list is made, or is not to be made any more.
func (l *Lists) end(j *job) {
	j.list.jobs--
	if j.list.number == 0 {
		j.list.snapshot.Close()
	}
}

// Run goes on with the pages that are being made, as far as one turn allows, and returns the
// answers to those that are done.
func (l *Lists) Run() []Done {
	var done []Done
	left := budget{looks: l.cfg.Looks, bytes: turnBytes}
	for l.Jobs() > 0 && !left.spent() {
		for len(l.active) < mostActive && len(l.waiting) > 0 {
			l.active = append(l.active, l.waiting[0])
			l.waiting = slices.Delete(l.waiting, 0, 1)
		}

		j := l.active[0]
		l.active = slices.Delete(l.active, 0, 1)
		answer, over := l.work(j, &left)
		if !over {
			l.active = append(l.active, j)
			continue
		}
		l.end(j)
		done = append(done, answer)
	}
	return done
}

// budget is what may still be looked at.
type budget struct{ looks, bytes int }

func (b *budget) spent() bool { return b.looks <= 0 || b.bytes <= 0 }

// work goes on with a page for a while, and reports whether it is over.
func (l *Lists) work(j *job, left *budget) (Done, bool) {
	at := j.list
	if at.snapshot.Lost() {
		return l.lost(j), true
	}

	slice := budget{looks: min(sliceLooks, left.looks), bytes: left.bytes}
	before := slice
	took, ready := at.snapshot.Prepare(slice.looks)
	slice.looks -= took
	over, more := false, ""
	if ready && !slice.spent() {
		over, more = l.look(j, &slice)
	}
	left.looks -= before.looks - slice.looks
	left.bytes -= before.bytes - slice.bytes
	if !over {
		return Done{}, false
	}
	return l.made(j, more), true
}

// lost is the answer to a page whose cut had to be given up.
func (l *Lists) lost(j *job) Done {
	d := Done{Request: j.request, Code: model.Gone, Reason: "too much has changed since the list began: begin again"}
	if j.list.number == 0 {
		d.Code = model.Unavailable // nothing of it was told
	}
	return d
}

// look looks at keys until the page is whole (over; more is the key with which the next one begins,
// or ""), or enough was looked at.
func (l *Lists) look(j *job, left *budget) (over bool, more string) {
	over = true
	j.list.snapshot.Each(j.from, func(key string, rec store.Record) bool {
		if len(key) < len(j.list.prefix) || key[:len(j.list.prefix)] != j.list.prefix {
			return false
		}
		if left.spent() {
			over, j.from = false, key
			return false
		}
		left.looks--
		left.bytes -= len(key) + len(rec.Value)
		if rec.Kind != store.KindValue {
			return true
		}
		if !l.add(j, key, &rec) {
			more = key
			return false
		}
		return true
	})
	return over, more
}

// add adds a key to a page, and reports whether there is room for it.
func (l *Lists) add(j *job, key string, rec *store.Record) bool {
	if len(j.items) == j.limit {
		return false
	}
	x := model.Item{Key: key, Revision: rec.Revision, Expires: rec.Expires, HasValue: j.values}
	if j.values {
		if x.Value = rec.Value; x.Value == nil {
			x.Value = []byte{}
		}
	}
	if j.list.model == model.Causal {
		x.Timestamp = rec.Number
	}

	size := l.cfg.Forms.ItemSize(&x)
	if len(j.items) > 0 && j.size+size > model.MaxKeyValue {
		return false
	}
	j.size += size
	j.items = append(j.items, x)
	return true
}

// made is the answer to a page that is whole; more is where the next one begins, or "".
func (l *Lists) made(j *job, more string) Done {
	at := j.list
	d := Done{Request: j.request, Code: model.OK, Position: at.cut.Position, Timestamp: at.cut.Timestamp}
	page := model.Page{Items: j.items}
	if more == "" {
		at.whole = true
	} else {
		l.keep(at)
		page.Next = l.cfg.Forms.NextWord(&message.Cursor{
			History: at.cut.History, Life: l.cfg.Life, Position: at.cut.Position, Replica: l.cfg.Self,
			List: at.number, Page: at.after(j, more),
		})
	}

	var err error
	if d.Page, err = l.cfg.Forms.AppendPage(nil, &page); err != nil { // what stands in the layers has a form
		d.Code, d.Reason = model.Unavailable, "the page cannot be told: "+err.Error()
	}
	return d
}

// after is the page that follows one which was just made. Asked for again in the same way it is
// followed by the same page.
func (at *list) after(j *job, more string) uint64 {
	page := at.base + uint64(len(at.starts))
	if j.page >= at.base {
		p := &at.starts[j.page-at.base]
		for _, n := range p.next {
			if n.limit == j.limit && n.values == j.values && n.page >= at.base {
				return n.page
			}
		}
		p.next = append(p.next, next{j.limit, j.values, page})
	}

	at.starts = append(at.starts, start{from: more})
	if len(at.starts) > mostStarts {
		at.starts = slices.Delete(at.starts, 0, 1)
		at.base++
	}
	return page
}

// keep keeps a list of which there is more. Where too many are kept, one that was told as a whole
// goes, or else the oldest.
func (l *Lists) keep(at *list) {
	if at.number > 0 {
		return
	}
	l.number++
	at.number = l.number
	l.kept = append(l.kept, at)
	if len(l.kept) <= MostLists {
		return
	}

	i := max(slices.IndexFunc(l.kept, func(at *list) bool { return at.whole }), 0)
	l.kept[i].snapshot.Close()
	l.kept = slices.Delete(l.kept, i, i+1)
}
