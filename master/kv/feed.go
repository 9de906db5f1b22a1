package kv

import (
	"time"

	"github.com/nats-io/nats.go"

	"quartet/bus"
	"quartet/bus/follow"
	"quartet/bus/model"
	"quartet/master"
)

const (
	feedSilence = 12 * time.Second // of a stream: heartbeats come every 5 s
	feedProbe   = time.Second      // how often a silent one is asked whether its replica is there
	feedPause   = 100 * time.Millisecond
)

// feed is a watch of the cluster's own, of the keys below a prefix, in the order of their
// revisions, each change once. It goes on by itself at another replica.
type feed struct {
	f      *Facade
	model  model.Consistency
	prefix string
	take   func(e *model.Event)      // of what was there, that it has caught up, and of changes
	lost   func()                    // the changes to go on from are kept no more
	holds  func(e *model.Event) bool // an event has to wait for [feed.goOn]; nil: none has

	follower *follow.Follower
	history  bus.History
	token    string // of the stream; "": there is none
	flow     string // where its newest event is acknowledged; "": nowhere yet
	heard    time.Time
	probed   time.Time
	again    time.Time // when the next stream is to be asked for; zero: there is one
	upTo     uint64    // all changes up to this revision were told
	waits    waits
	backlog  []heard // what waits for goOn
	frames   bus.FrameReader
	told     []heard // by the message that is heard
}

// begin begins it after a revision; "": with what is there.
func (d *feed) begin(from string) {
	d.follower = follow.New(d.model, from)
	d.stream()
}

// end ends it.
func (d *feed) end() {
	delete(d.f.feeds, d.token)
	d.token, d.again, d.backlog = "", time.Time{}, nil
}

// stream asks for the next stream.
func (d *feed) stream() {
	d.end()
	token := d.f.newToken()
	d.token, d.flow, d.heard = token, "", d.f.host.Now()
	d.f.feeds[token] = d

	r := model.Request{Model: d.model, Type: model.Watch, Key: d.prefix}
	if from := d.follower.Begin(); from != "" {
		r.Range = &model.Range{From: from}
	}
	o := bus.Options{Client: "kv " + d.prefix}
	if d.history != (bus.History{}) {
		o.History, o.AsksHistory = d.history, true
	}

	d.f.host.Ask(r, o, d.f.inbox(ofFeed, token), func(a *master.Reply) {
		switch {
		case d.token != token || a.Code == model.OK:
		case a.Code == model.Gone, a.Code == model.Misdirected:
			d.giveUp()
		default:
			d.retry()
		}
	})
}

// giveUp says that the changes to go on from are not to be had.
func (d *feed) giveUp() {
	d.end()
	d.history = bus.History{}
	d.lost()
}

// retry asks for the next stream in a moment.
func (d *feed) retry() {
	d.end()
	d.again = d.f.host.Now().Add(feedPause)
}

// heard is an event that was told, and the subject on which it is to be acknowledged; "": it is
// not.
type heard struct {
	event bus.Event
	flow  string
}

// goOn takes what has waited.
func (d *feed) goOn() {
	backlog := d.backlog
	d.backlog = nil
	d.takeAll(backlog)
}

// hear takes a message of the stream: a frame of events, one event, or the server's word that an
// acknowledgement found nobody: the replica is gone.
func (d *feed) hear(m *nats.Msg) {
	d.told = d.told[:0]
	switch {
	case bus.IsFrame(m):
		err := d.frames.Read(m.Data, func(e *bus.Event) bool {
			d.told = append(d.told, heard{event: *e})
			return true
		})
		if err != nil || len(d.told) == 0 {
			d.retry()
			return
		}
		d.told[len(d.told)-1].flow = m.Reply

	case bus.IsEvent(m):
		e, err := bus.ParseEvent(m)
		if err != nil {
			d.retry()
			return
		}
		d.told = append(d.told, heard{e, m.Reply})

	default:
		if m.Header.Get("Status") == "503" {
			d.retry()
		}
		return
	}

	d.takeAll(d.told)
}

// takeAll takes events, or has them wait behind those that do.
func (d *feed) takeAll(all []heard) {
	token := d.token
	for i := range all {
		h := &all[i]
		isHeld := d.holds != nil && d.holds(&h.event.Event)
		if isHeld || len(d.backlog) > 0 {
			d.backlog = append(d.backlog, *h)
			continue
		}
		if d.takes(h); d.token != token {
			return // the stream is over
		}
	}
}

// takes takes an event.
func (d *feed) takes(h *heard) {
	e := &h.event
	if e.History.Epoch >= d.history.Epoch && e.History != (bus.History{}) {
		d.history = e.History
	}
	d.heard = d.f.host.Now()
	token := d.token
	switch d.follower.Take(e.Stream, &e.Event, d.give) {
	case follow.Gone:
		d.giveUp()
		return
	case follow.Resume:
		d.retry()
		return
	}

	if d.token != token {
		return // what was taken has ended this stream
	}
	d.upTo = max(d.upTo, d.follower.From())
	d.waits.release(d.upTo)
	if h.flow != "" {
		d.flow = h.flow
		d.acknowledge()
	}
}

// give gives an event out, and what waits for it goes on.
func (d *feed) give(e model.Event) { d.take(&e) }

func (d *feed) acknowledge() {
	d.probed = d.heard
	d.f.host.Send(&nats.Msg{Subject: d.flow, Reply: d.f.inbox(ofFeed, d.token)})
}

// tick looks whether the stream is alive.
func (d *feed) tick(now time.Time) {
	switch {
	case !d.again.IsZero():
		if now.After(d.again) {
			d.stream()
		}
	case d.token == "":
	case now.Sub(d.heard) > feedSilence:
		d.stream()
	case d.flow != "" && now.Sub(d.heard) > feedProbe && now.Sub(d.probed) > feedProbe:
		d.acknowledge()
		d.probed = now
	}
	d.waits.expire(now)
}

// feedWait is how long a change is waited for that has happened.
const feedWait = 5 * time.Second

// await calls done when all changes up to a revision were told, or when that takes too long.
func (d *feed) await(revision uint64, done func(told bool)) {
	if revision <= d.upTo {
		done(true)
		return
	}
	d.waits.add(revision, d.f.host.Now().Add(feedWait), done)
}
