package listing_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quartet/bus/codec"
	"quartet/bus/lamport"
	"quartet/bus/message"
	"quartet/bus/model"
	"quartet/replica/dedup"
	"quartet/replica/layers"
	"quartet/replica/listing"
	"quartet/replica/store"
)

// world is a replica, as far as lists concern it.
type world struct {
	t     *testing.T
	store *store.Memory
	*layers.Layers
	lists *listing.Lists
	rid   uint64
	looks int
}

func newWorld(t *testing.T, looks int) *world {
	w := &world{t: t, store: store.NewMemory(0), looks: looks}
	w.Layers = layers.New(layers.Config{Store: w.store, Limits: dedup.Limits{Window: 16}})
	w.lists = listing.New(listing.Config{Self: 2, Life: 77, Forms: codec.Forms{}, Layers: w.Layers, Looks: looks})
	return w
}

func (w *world) version() lamport.Version {
	return lamport.Version{Epoch: 1, Timestamp: lamport.Timestamp{Time: w.rid, Node: 1}}
}

// write writes a key by the order; without a value it is deleted.
func (w *world) write(key, value string) {
	w.rid++
	w.Count(1)
	r := &message.Request{RID: w.rid, Request: model.NewSet(model.Linearizable, key, []byte(value))}
	if value == "" {
		r.Type, r.Value = model.Delete, nil
	}
	w.CommitStrong(r, w.version(), w.Position())
}

// accept takes an eventual set that is not in the order yet.
func (w *world) accept(key, value string) *message.Request {
	w.rid++
	r := &message.Request{RID: w.rid, Version: w.version(), Request: model.NewSet(model.Eventual, key, []byte(value))}
	w.Accept(r)
	return r
}

// ask asks for a page, and returns the answer.
func (w *world) ask(c model.Consistency, prefix string, x model.Range) listing.Done {
	w.t.Helper()
	w.rid++
	r := &message.Request{RID: w.rid, Request: model.Request{Model: c, Type: model.List, Key: prefix, Range: &x}}
	if x.From == "" {
		w.lists.Begin(r, listing.Cut{Position: w.Position()})
	} else if refusal := w.lists.GoOn(r); refusal.Code != 0 {
		return listing.Done{Request: r, Code: refusal.Code, Reason: refusal.Reason}
	}
	for turns := 0; turns < 100_000; turns++ {
		if done := w.lists.Run(); len(done) > 0 {
			return done[0]
		}
	}
	w.t.Fatal("no page comes")
	return listing.Done{}
}

// page asks for a page that is to come.
func (w *world) page(c model.Consistency, prefix string, x model.Range) model.Page {
	w.t.Helper()
	d := w.ask(c, prefix, x)
	if d.Code != model.OK {
		w.t.Fatalf("%d: %s", d.Code, d.Reason)
	}
	p, err := codec.ParsePage(d.Page)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func keys(p model.Page) string {
	var all []string
	for i := range p.Items {
		all = append(all, p.Items[i].Key)
	}
	return strings.Join(all, " ")
}

// All pages of a list are of the cut with which it began, in byte order, each key once, whatever is
// written between them; a page that is asked for again is the same.
func TestO30O32PagesAreOfOneCut(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, 1+r.IntN(40))
		for range 300 {
			w.write(fmt.Sprintf("k%03d", r.IntN(400)), [...]string{"", "x", "yy"}[r.IntN(3)])
		}
		weak := r.IntN(2) == 0
		if weak {
			for range 50 {
				w.accept(fmt.Sprintf("k%03d", r.IntN(600)), "w")
			}
		}

		c, want := model.Linearizable, []string{}
		if weak {
			c = model.Eventual
		}
		for i := range 600 {
			key := fmt.Sprintf("k%03d", i)
			rec, _ := w.Committed(key)
			if weak {
				rec, _ = w.Newest(key)
			}
			if rec.Kind == store.KindValue {
				want = append(want, key+string(rec.Value)+fmt.Sprint(rec.Revision))
			}
		}

		var got []string
		x := model.Range{Limit: 1 + r.IntN(40), Values: true}
		for again := 0; ; {
			p := w.page(c, "k", x)
			for range 20 {
				w.write(fmt.Sprintf("k%03d", r.IntN(600)), [...]string{"", "z"}[r.IntN(2)])
			}
			if x.From != "" && again < 2 {
				again++
				if q := w.page(c, "k", x); keys(q) != keys(p) || q.Next != p.Next {
					t.Fatalf("seed %d: asked again, %s (next %s) has become %s (next %s)", seed, keys(p), p.Next, keys(q), q.Next)
				}
			}
			for _, i := range p.Items {
				got = append(got, i.Key+string(i.Value)+fmt.Sprint(i.Revision))
			}
			if x.From = p.Next; p.Next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: there was\n%v\nand the list is\n%v", seed, want, got)
		}
	}
}

// A page ends before its reply would have 512 KiB, in whatever form; one value alone may be larger.
func TestPagesAreBounded(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 20 {
		w.write(fmt.Sprintf("a%02d", i), strings.Repeat("v", 100_000))
	}
	w.write("b", strings.Repeat("v", model.MaxKeyValue-1))
	w.write("c", "small")
	for x := (model.Range{Values: true}); ; {
		p := w.page(model.Sequential, "", x)
		size := 0
		for i := range p.Items {
			size += codec.ItemSize(&p.Items[i])
		}
		if len(p.Items) > 1 && size > model.MaxKeyValue {
			t.Errorf("%d keys have %d bytes", len(p.Items), size)
		}
		if len(p.Items) == 0 {
			t.Fatal("an empty page")
		}
		if x.From = p.Next; p.Next == "" {
			break
		}
	}
	if p := w.page(model.Sequential, "a", model.Range{}); len(p.Items) != 20 || p.Next != "" || p.Items[0].HasValue {
		t.Errorf("without values: %d keys, next %q", len(p.Items), p.Next)
	}
}

// A cursor that cannot be gone on from is refused with a code that says what to do.
func TestCursorsThatAreRefused(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 10 {
		w.write(fmt.Sprint("k", i), "v")
	}
	from := w.page(model.Linearizable, "k", model.Range{Limit: 3}).Next
	cursor, err := codec.ParseNext(from)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*message.Cursor)) string {
		p := cursor
		change(&p)
		return codec.NextWord(&p)
	}

	for name, test := range map[string]struct {
		c      model.Consistency
		prefix string
		from   string
		code   model.Code
	}{
		"as it was":         {model.Linearizable, "k", from, model.OK},
		"another prefix":    {model.Linearizable, "", from, model.Malformed},
		"another model":     {model.Causal, "k", from, model.Malformed},
		"nonsense":          {model.Linearizable, "k", "nonsense", model.Malformed},
		"another life":      {model.Linearizable, "k", with(func(p *message.Cursor) { p.Life++ }), model.Gone},
		"another replica":   {model.Linearizable, "k", with(func(p *message.Cursor) { p.Replica = 3 }), model.Gone},
		"a list of later":   {model.Linearizable, "k", with(func(p *message.Cursor) { p.List = 99 }), model.Gone},
		"a page of later":   {model.Linearizable, "k", with(func(p *message.Cursor) { p.Page = 99 }), model.Malformed},
		"the greatest page": {model.Linearizable, "k", with(func(p *message.Cursor) { p.Page = 1<<64 - 1 }), model.Malformed},
	} {
		if d := w.ask(test.c, test.prefix, model.Range{Limit: 3, From: test.from}); d.Code != test.code {
			t.Errorf("%s: %d %s", name, d.Code, d.Reason)
		}
	}
}

// A list is kept for 60 s after its last page was asked for, and 128 of them are; what is gone is
// 410, and leaves nothing behind.
func TestO33ListsAreKeptForAWhile(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 10 {
		w.write(fmt.Sprint("k", i), "v")
	}
	x := model.Range{Limit: 3}
	first := w.page(model.Sequential, "", x)

	wait := func(ticks int) {
		for range ticks {
			w.lists.Tick()
		}
	}
	x.From = first.Next
	for range 3 {
		wait(listing.KeepTicks - 1)
		if d := w.ask(model.Sequential, "", x); d.Code != model.OK {
			t.Fatalf("it is not kept: %d %s", d.Code, d.Reason)
		}
	}
	wait(listing.KeepTicks + 1)
	if d := w.ask(model.Sequential, "", x); d.Code != model.Gone || w.lists.Len() != 0 {
		t.Errorf("after 60 s: %d %s; %d lists are kept", d.Code, d.Reason, w.lists.Len())
	}

	var nexts []string
	for range listing.MostLists + 5 {
		nexts = append(nexts, w.page(model.Eventual, "", model.Range{Limit: 3}).Next)
		w.write("k1", "another")
	}
	if w.lists.Len() != listing.MostLists {
		t.Errorf("%d lists are kept", w.lists.Len())
	}
	for i, next := range nexts {
		want := model.OK
		if i < 5 {
			want = model.Gone
		}
		if d := w.ask(model.Eventual, "", model.Range{Limit: 3, From: next}); d.Code != want {
			t.Fatalf("list %d: %d %s", i, d.Code, d.Reason)
		}
	}
}

// No turn looks at more keys than it may, however many there are to pass over; and a short list
// does not wait for a long one.
func TestO34TurnsAreShort(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 60_000 {
		w.store.Put(fmt.Sprintf("gone/%06d", i), store.Record{Kind: store.KindTombstone, Revision: 1})
	}
	w.write("here", "v")

	ask := func(prefix string) {
		w.rid++
		r := &message.Request{RID: w.rid, Request: model.Request{Model: model.Linearizable, Type: model.List, Key: prefix}}
		w.lists.Begin(r, listing.Cut{})
	}
	ask("")
	w.lists.Run()
	ask("here")
	turns := 1
	for short := false; ; turns++ {
		done := w.lists.Run()
		for _, d := range done {
			isShort := d.Request.Key == "here"
			if !isShort && !short {
				t.Fatal("the short list waits for the long one")
			}
			short = short || isShort
		}
		if w.lists.Jobs() == 0 {
			break
		}
	}
	if turns < 60_000/2048 {
		t.Errorf("60,000 tombstones were passed over in %d turns", turns)
	}
}

// A list that is dropped with its epoch keeps no snapshot.
func TestListsThatAreDropped(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 10 {
		w.write(fmt.Sprint("k", i), "v")
	}
	for range 3 {
		w.rid++
		w.lists.Begin(&message.Request{RID: w.rid, Request: model.Request{Model: model.Linearizable, Type: model.List}}, listing.Cut{})
	}
	w.lists.Run()
	if n := w.lists.Drop(func(*message.Request) bool { return true }); n != 3 || w.lists.Jobs() != 0 || w.lists.Len() != 0 {
		t.Errorf("%d were dropped, %d are left, %d kept", n, w.lists.Jobs(), w.lists.Len())
	}
}
