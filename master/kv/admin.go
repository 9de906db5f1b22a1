package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/master"
)

// live are the buckets that there are, by name in order.
func (f *Facade) live() []*bucket {
	var all []*bucket
	for _, name := range slices.Sorted(maps.Keys(f.buckets)) {
		if b := f.buckets[name]; b.record.State == stateLive {
			all = append(all, b)
		}
	}
	return all
}

// apiLevel is the level of JetStream's API that the facade has: markers for what ends.
const apiLevel = 1

// account answers INFO.
func (f *Facade) account(m *nats.Msg) {
	type api struct {
		Level  int    `json:"level"`
		Total  uint64 `json:"total"`
		Errors uint64 `json:"errors"`
	}
	type limits struct {
		MaxMemory    int `json:"max_memory"`
		MaxStorage   int `json:"max_storage"`
		MaxStreams   int `json:"max_streams"`
		MaxConsumers int `json:"max_consumers"`
	}

	f.answer(m, typeAccount, struct {
		Memory    int    `json:"memory"`
		Storage   int64  `json:"storage"`
		Streams   int    `json:"streams"`
		Consumers int    `json:"consumers"`
		Limits    limits `json:"limits"`
		API       api    `json:"api"`
	}{
		Storage: f.bytes(), Streams: len(f.live()), Limits: limits{-1, -1, -1, -1},
		API: api{Level: apiLevel, Total: f.counts.Requests, Errors: f.counts.Refused},
	})
}

func (f *Facade) bytes() (sum int64) {
	for _, b := range f.live() {
		if b.numbers != nil {
			sum += b.numbers.bytes
		}
	}
	return sum
}

// Pages of buckets, as servers have them.
const (
	pageOfNames = 1024
	pageOfInfos = 256
)

// paging says in an answer which part of all buckets it holds.
type paging struct {
	Total  int `json:"total"`
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
}

// page reads which buckets are asked for, limit at the most.
func (f *Facade) page(m *nats.Msg, limit int) (of []*bucket, p paging, fault *Error) {
	var r struct {
		Offset  int    `json:"offset"`
		Subject string `json:"subject"`
	}
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &r); err != nil {
			return nil, p, badJSON(err)
		}
	}
	for _, b := range f.live() {
		if r.Subject == "" || collides(r.Subject, subjectPrefix+b.name+".>") {
			of = append(of, b)
		}
	}
	p = paging{Total: len(of), Offset: min(max(r.Offset, 0), len(of)), Limit: limit}
	of = of[p.Offset:]
	return of[:min(limit, len(of))], p, nil
}

// collides reports whether some subject matches both of two filters.
func collides(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range x {
		switch {
		case x[i] == ">":
			return len(y) > i
		case i >= len(y):
			return false
		case y[i] == ">":
			return true
		case x[i] != y[i] && x[i] != "*" && y[i] != "*":
			return false
		}
	}
	return len(x) == len(y)
}

// names answers STREAM.NAMES.
func (f *Facade) names(m *nats.Msg) {
	of, p, fault := f.page(m, pageOfNames)
	if fault != nil {
		f.fail(m, typeNames, fault)
		return
	}
	streams := make([]string, 0, len(of))
	for _, b := range of {
		streams = append(streams, streamPrefix+b.name)
	}
	f.answer(m, typeNames, struct {
		paging
		Streams []string `json:"streams"`
	}{p, streams})
}

// list answers STREAM.LIST.
func (f *Facade) list(m *nats.Msg) {
	of, p, fault := f.page(m, pageOfInfos)
	if fault != nil {
		f.fail(m, typeList, fault)
		return
	}
	f.abreast(of, func() {
		streams := make([]streamInfo, 0, len(of))
		for _, b := range of {
			streams = append(streams, b.info(false))
		}
		f.answer(m, typeList, struct {
			paging
			Streams []streamInfo `json:"streams"`
		}{p, streams})
	})
}

// status serves STREAM.INFO.
func (b *bucket) status(m *nats.Msg) {
	b.abreast(func(told bool) {
		if !told {
			b.f.fail(m, typeInfo, errLoading)
			return
		}
		b.f.answer(m, typeInfo, b.info(true))
	})
}

// info is the bucket as clients see its stream. alone: it is not one of a list.
func (b *bucket) info(alone bool) streamInfo {
	i := streamInfo{Config: b.record.Config, Created: b.record.Created, Timestamp: b.f.host.Now().UTC()}
	if alone {
		total, offset, limit := 0, 0, 1024
		i.Total, i.Offset, i.Limit = &total, &offset, &limit
	}
	if n := b.numbers; n != nil {
		at := time.Unix(0, n.lastAt).UTC()
		if n.lastAt == 0 {
			at = time.Time{}
		}
		i.State = streamState{LastTime: at, Messages: n.messages, Bytes: n.bytes, First: b.record.First, Last: n.last(), NumSubjects: len(n.keys)}
	}
	return i
}

// create serves STREAM.CREATE.
func (f *Facade) create(c *call, m *nats.Msg) {
	config, fault := parseConfig(c.bucket, m.Data)
	if fault != nil {
		f.fail(m, typeCreate, fault)
		return
	}
	f.createBucket(c.bucket, config, m, true)
}

// createBucket makes a bucket, or finds it made. again: if another was faster, that is looked at.
func (f *Facade) createBucket(name string, config *Config, m *nats.Msg, again bool) {
	b := f.buckets[name]
	next := record{Config: *config, State: stateLive, Created: f.host.Now().UTC(), First: 1}
	r := model.NewSet(model.Linearizable, recordKey(name), nil)
	r.HasIf = true
	switch {
	case b == nil:
	case b.record.State == stateLive && b.record.Config.equal(config):
		f.answerInfo(b, m, typeCreate)
		return
	case b.record.State == stateLive:
		f.fail(m, typeCreate, errNameInUse)
		return
	case b.record.State == stateDeleting:
		b.hold(m, func() { f.createBucket(name, config, m, again) })
		return
	default:
		next.First, next.Ceiling, r.If = b.record.Ceiling+1, b.record.Ceiling, b.revision
	}

	r.Value = next.encode()
	f.host.Ask(r, bus.Options{}, "", func(a *master.Reply) {
		switch {
		case a.Code == model.OK:
			f.catalog.await(a.Revision, func(bool) { f.answerMade(name, m) })
		case a.Code == model.Failed && again:
			f.catalog.await(a.Revision, func(bool) { f.createBucket(name, config, m, false) })
		default:
			f.fail(m, typeCreate, ofCluster(a.Code, a.Reason))
		}
	})
}

// answerMade answers that a bucket was made. It is not waited for until it is open: there may be
// many keys already.
func (f *Facade) answerMade(name string, m *nats.Msg) {
	b := f.buckets[name]
	if b == nil || b.record.State != stateLive {
		f.fail(m, typeCreate, errNotFound)
		return
	}
	f.answerInfo(b, m, typeCreate)
}

// whenOpen calls done with a live bucket when that is open.
func (f *Facade) whenOpen(name string, m *nats.Msg, done func(*bucket)) {
	b := f.buckets[name]
	switch {
	case b == nil || b.record.State != stateLive:
		f.fail(m, typeInfo, errNotFound)
	case !b.open: // its keys are still being read and numbered
		b.hold(m, func() { f.whenOpen(name, m, done) })
	default:
		done(b)
	}
}

// answerInfo answers that a bucket is as it was asked for. kind: the type of the answer.
func (f *Facade) answerInfo(b *bucket, m *nats.Msg, kind string) {
	i, yes := b.info(false), true
	if kind == typeCreate {
		i.DidCreate = &yes
	}
	f.answer(m, kind, i)
}

// update serves STREAM.UPDATE.
func (f *Facade) update(c *call, m *nats.Msg) {
	config, fault := parseConfig(c.bucket, m.Data)
	if fault != nil {
		f.fail(m, typeUpdate, fault)
		return
	}
	f.whenOpen(c.bucket, m, func(b *bucket) { b.reconfigure(config, m) })
}

// reconfigure changes the bucket's configuration.
func (b *bucket) reconfigure(config *Config, m *nats.Msg) {
	if fault := b.record.Config.changeable(config); fault != nil {
		b.f.fail(m, typeUpdate, fault)
		return
	}
	next := *b.record
	reshapes := next.Config.History != config.History
	next.Config = *config
	opening := b.opening
	b.writeRecord(&next, func(a *master.Reply) {
		if a.Code != model.OK {
			b.f.fail(m, typeUpdate, ofCluster(a.Code, a.Reason))
			return
		}
		if reshapes && b.opening == opening { // the shadow keeps more or less of each key now
			b.reopen()
		}
		b.f.whenOpen(b.name, m, func(b *bucket) { b.f.answerInfo(b, m, typeUpdate) })
	})
}

// remove serves STREAM.DELETE: the bucket's keys are deleted, and its name is free again.
func (b *bucket) remove(m *nats.Msg) {
	if body := string(bytes.TrimSpace(m.Data)); body != "" && body != "{}" {
		b.f.fail(m, typeDelete, errNotEmpty)
		return
	}
	next := *b.record
	next.State = stateDeleting
	b.writeRecord(&next, func(a *master.Reply) {
		if a.Code != model.OK {
			b.f.fail(m, typeDelete, ofCluster(a.Code, a.Reason))
			return
		}
		b.removed = append(b.removed, m)
		b.empty()
	})
}

// empty deletes the keys of a bucket that is to go, until there are none.
func (b *bucket) empty() {
	if b.emptying {
		return
	}
	b.emptying = true
	b.emptyPage()
}

// emptyPage deletes a page of keys, and then the next one.
func (b *bucket) emptyPage() {
	r := model.Request{Model: model.Linearizable, Type: model.List, Key: b.name + "/", Range: &model.Range{Limit: model.DefaultPage}}
	b.f.host.Ask(r, bus.Options{}, "", func(a *master.Reply) {
		if a.Code != model.OK {
			b.emptying = false // again at the next look
			return
		}
		page, err := pageOf(a)
		switch {
		case err != nil:
			b.emptying = false
		case len(page.Items) > 0:
			b.emptyKeys(page.Items)
		case b.inFlight > 0: // a write that was taken before may yet take effect
			b.emptying = false
		default:
			b.gone()
		}
	})
}

// emptyKeys deletes keys, and goes on when all are deleted.
func (b *bucket) emptyKeys(items []model.Item) {
	open, failed := len(items), false
	for i := range items {
		r := model.Request{Model: model.Linearizable, Type: model.Delete, Key: items[i].Key}
		b.f.host.Ask(r, bus.Options{}, "", func(a *master.Reply) {
			open--
			failed = failed || a.Code != model.OK
			switch {
			case open > 0:
			case failed:
				b.emptying = false
			default:
				b.emptyPage()
			}
		})
	}
}

// gone remembers of a bucket only its numbers: one of the same name goes on after them. Watchers
// are told first that its keys are deleted, and nothing is numbered after that: a watch that has
// been told a higher number than the bucket goes on from would be deaf in the next one.
func (b *bucket) gone() {
	if b.feed == nil || !b.open {
		b.goneAfter(b.record.Ceiling)
		return
	}
	b.abreast(func(bool) {
		b.feed.end()
		b.goneAfter(max(b.numbers.last(), b.record.First-1))
	})
}

// goneAfter remembers that no number above last was told.
func (b *bucket) goneAfter(last uint64) {
	next := *b.record
	next.State, next.Ceiling = stateGone, last
	b.writeRecord(&next, func(a *master.Reply) {
		b.emptying = false
		if a.Code != model.OK {
			return
		}

		s := b.shadow()
		removed, held := b.removed, b.held
		b.removed, b.held = nil, nil
		b.close()
		b.job(func(ctx context.Context) func() {
			err := b.f.o.Streams.Remove(ctx, s)
			return func() {
				if err != nil {
					b.f.log.Warn("the stream of a bucket that is gone cannot be removed", "bucket", b.name, "error", err)
				}
				for _, m := range removed {
					b.f.answer(m, typeDelete, struct {
						Success bool `json:"success"`
					}{true})
				}
				letGoOn(&held)
			}
		})
	})
}

// purgeRequest is the body of STREAM.PURGE.
type purgeRequest struct {
	Filter   string `json:"filter,omitempty"`
	Sequence uint64 `json:"seq,omitempty"`
	Keep     uint64 `json:"keep,omitempty"`
}

// purge serves STREAM.PURGE of a key: its markers and its history go. A value is never purged: who
// means that deletes it.
func (b *bucket) purge(m *nats.Msg) {
	var r purgeRequest
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &r); err != nil {
			b.f.fail(m, typePurge, badJSON(err))
			return
		}
	}
	key := keyOf(b.name, r.Filter)
	if !isShown(key) || r.Sequence > 0 {
		b.f.fail(m, typePurge, errWhole)
		return
	}

	b.settled(func(stored bool) {
		e, found := b.numbers.keys[key]
		keep := int(min(r.Keep, maxShown))
		if found && e.marker == isValue {
			keep = max(keep, 1)
		}
		purged := b.numbers.keep(key, keep)
		if b.shadowed && stored {
			body := jsonOf(purgeRequest{Filter: r.Filter, Keep: uint64(keep)})
			b.f.ask(&nats.Msg{Subject: apiPrefix + "STREAM.PURGE." + b.shadow().Name, Data: body}, func(*nats.Msg) {
				b.purgedKey(m, purged)
			})
			return
		}
		b.purgedKey(m, purged)
	})
}

func (b *bucket) purgedKey(m *nats.Msg, purged int) {
	b.f.answer(m, typePurge, struct {
		Success bool `json:"success"`
		Purged  int  `json:"purged"`
	}{true, purged})
}

// pageOf reads a page of keys.
func pageOf(a *master.Reply) (model.Page, error) {
	r := bus.Reply{Answer: a.Answer, Model: model.Linearizable, Type: model.List}
	return r.Page()
}
