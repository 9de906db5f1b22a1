package kv

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// writing is a write as a client's message says it.
type writing struct {
	request model.Request
	options bus.Options
	key     string
	size    int64
	isPurge bool
	ttl     string // of a purge's marker
}

// write serves a put, a create, an update, a delete or a purge: all of them are messages to a key.
func (b *bucket) write(c *call, m *nats.Msg) {
	w, fault := b.parseWrite(c, m)
	if fault != nil {
		b.refuse(m, fault)
		return
	}

	session := b.f.sessions.of(m.Reply, c.model)
	session.ask(b.f, &w.options, w.request.Model)
	b.inFlight++
	b.pending += w.size
	if w.isPurge {
		b.purging[w.request.Key]++
	}
	b.f.host.Ask(w.request, w.options, "", func(a *master.Reply) {
		b.inFlight--
		b.pending -= w.size
		session.observe(b.f, &w.request, a)
		if w.isPurge {
			b.purgeAnswered(w, a)
		}
		b.written(m, w, a)
	})
}

// purgeAnswered notes which change is a purge, and lets the feed go on that has waited for that.
func (b *bucket) purgeAnswered(w *writing, a *master.Reply) {
	isNews := a.Code == model.OK && a.HasRevision && !a.Repeated
	if isNews {
		b.purged[a.Revision] = w.ttl
	}
	b.purging[w.request.Key]--
	if b.purging[w.request.Key] > 0 {
		return
	}
	delete(b.purging, w.request.Key)
	if b.feed != nil {
		b.feed.goOn()
	}
}

// written answers a write by what the cluster has said.
func (b *bucket) written(m *nats.Msg, w *writing, a *master.Reply) {
	switch {
	case a.Code == model.OK && !w.request.Model.Strong(): // it has no place in the order yet, so no number
		b.acknowledge(m, 0, a.Repeated)
	case a.Code == model.OK:
		b.told(w.key, a.Revision, func(number uint64, ok bool) {
			if !ok {
				b.refuse(m, ofCluster(model.Unknown, "the write took effect, but its number is not known: the bucket's changes do not come"))
				return
			}
			b.acknowledge(m, number, a.Repeated)
		})
	case a.Code == model.Failed: // the error names the number that the key has
		b.told(w.key, a.Revision, func(number uint64, _ bool) { b.refuse(m, conflict(number)) })
	default:
		b.refuse(m, ofCluster(a.Code, a.Reason))
	}
}

// told calls done with the number of a key's change, as soon as that is known. Of revision 0 it is
// 0.
func (b *bucket) told(key string, revision uint64, done func(number uint64, ok bool)) {
	if revision == 0 {
		done(0, true)
		return
	}
	if number, ok := b.number(key, revision); ok {
		done(number, true)
		return
	}
	if b.feed == nil {
		done(0, false)
		return
	}
	b.feed.await(revision, func(bool) { done(b.number(key, revision)) })
}

func (b *bucket) number(key string, revision uint64) (number uint64, ok bool) {
	if b.numbers == nil {
		return 0, false
	}
	return b.numbers.number(key, revision)
}

// parseWrite reads a write.
func (b *bucket) parseWrite(c *call, m *nats.Msg) (*writing, *Error) {
	w := &writing{key: c.key}
	if fault := b.unmet(m); fault != nil {
		return nil, fault
	}
	if !isShown(c.key) {
		return nil, malformed("a key is one or more tokens without blanks, * and >, with dots between them")
	}

	r := &w.request
	*r = model.NewSet(c.model, b.name+"/"+c.key, m.Data)
	if r.Value == nil {
		r.Value = []byte{}
	}
	ttl, hasTTL := header(m, headerTTL)
	operation, _ := header(m, headerOperation)
	rollup, _ := header(m, headerRollup)
	rolls := rollup == rollupOfKey && operation != ""
	switch {
	case operation == operationPurge || rolls:
		r.Type, r.Value, w.isPurge, w.ttl = model.Delete, nil, true, ttl
	case operation == operationDelete:
		r.Type, r.Value = model.Delete, nil
	case operation != "":
		return nil, malformed("header " + headerOperation + " is neither DEL nor PURGE")
	case rollup != "":
		return nil, malformed("header " + headerRollup + " stands only beside " + headerOperation)
	}

	if fault := b.ends(r, ttl, hasTTL); fault != nil {
		return nil, fault
	}
	if fault := b.condition(w, m); fault != nil {
		return nil, fault
	}
	if fault := b.fits(w); fault != nil {
		return nil, fault
	}
	w.options.Client = ClientName
	if id, found := header(m, nats.MsgIdHdr); found {
		if err := bus.CheckName(bus.HeaderMsgID, id); err != nil {
			return nil, malformed(err.Error())
		}
		w.options.Identity = id
	}
	if err := bus.Check(r); err != nil {
		return nil, ofRequest(err)
	}
	return w, nil
}

// ClientName is whom what clients of buckets ask for is counted for. What the facade asks for
// itself has another, and is not counted.
const ClientName = "kv"

// unmet refuses conditions that are not kept: to pass over one would be worse.
func (b *bucket) unmet(m *nats.Msg) *Error {
	if len(m.Header) == 0 {
		return nil
	}
	if stream, found := header(m, headerStream); found && b.f.bucketOf(stream) != b.name {
		return errExpectedStream
	}
	if _, found := header(m, headerBatch); found {
		return errBatch
	}
	for _, name := range []string{headerLast, headerLastID, headerLastFilter, headerSchedule, headerIncrement} {
		if _, found := header(m, name); found {
			return malformed("quartet does not have the header " + name)
		}
	}
	return nil
}

// ends reads after which time a value ends.
func (b *bucket) ends(r *model.Request, ttl string, given bool) *Error {
	own := uint64(0)
	if given {
		after, err := parseTTL(ttl)
		if err != nil || after < 0 {
			return errTTLInvalid
		}
		if !b.record.Config.AllowMsgTTL {
			return errTTLDisabled
		}
		own = uint64(after / time.Millisecond)
	}
	if r.Type == model.Set {
		r.TTL = b.record.Config.lifetime(own)
	}
	if r.TTL > model.MaxTTL {
		return errTTLInvalid
	}
	return nil
}

// condition reads the number that a key must have, and makes it the revision that has it.
func (b *bucket) condition(w *writing, m *nats.Msg) *Error {
	text, found := header(m, headerLastOfKey)
	if !found {
		return nil
	}
	r := &w.request
	if !r.Model.Strong() {
		return errConditionalWeak
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return malformed("header " + headerLastOfKey + " is no number")
	}
	r.HasIf = true
	if number == 0 {
		return nil
	}

	revision, ok := b.numbers.revision(w.key, number)
	if !ok { // no change that is remembered has it: not the newest of this key, then
		return conflict(b.numbers.keys[w.key].number)
	}
	r.If = revision
	return nil
}

// fits refuses what is too large for the bucket. Deletes and purges always fit.
func (b *bucket) fits(w *writing) *Error {
	if w.request.Type != model.Set {
		return nil
	}
	c := &b.record.Config
	if c.MaxMsgSize > 0 && int64(len(w.request.Value)) > c.MaxMsgSize {
		return errTooLarge
	}
	if c.MaxBytes <= 0 {
		return nil
	}
	size := int64(sizeOf(c.Storage, subjectPrefix+b.name+"."+w.key, len(w.request.Value)))
	w.size = max(0, b.numbers.grows(w.key, size))
	if b.numbers.bytes+b.pending+w.size > c.MaxBytes {
		return errBytes
	}
	return nil
}

// ofRequest is why the form of a request is wrong.
func ofRequest(err error) *Error {
	if e, ok := err.(*bus.Error); ok {
		return ofCluster(e.Code, e.Reason)
	}
	return malformed(err.Error())
}
