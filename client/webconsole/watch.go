package webconsole

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/webconsole/pane"
)

const (
	tellEvery = 100 * time.Millisecond // events of so long are told together
	tellMost  = 50                     // of these are shown
	waiting   = 1024                   // events that may wait to be told
)

// watchKeys tells a page of the changes of keys, many at once.
func (s *Server) watchKeys(w http.ResponseWriter, r *http.Request) {
	out := begin(w)
	if !out.alive() {
		return
	}
	c, err := s.as(r)
	if err != nil {
		out.say("it could not be watched: " + reason(err))
		await(r, nil, out)
		return
	}

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events, failed := make(chan model.Event, waiting), make(chan error, 1)
	go func() {
		failed <- follow(ctx, c.client, r.URL.Query().Get("prefix"), modelOf(r.URL.Query().Get("model")), events)
	}()
	s.tell(r, out, events, failed)
}

// follow hands on what a watch tells, until it ends.
func follow(ctx context.Context, c *client.Client, prefix string, m model.Consistency, events chan<- model.Event) error {
	for e, err := range c.Watch(ctx, prefix, client.With(m)) {
		if err != nil {
			return err
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errors.New("the watch has ended")
}

// tell puts events together, and sends them to the page.
func (s *Server) tell(r *http.Request, out *stream, events <-chan model.Event, failed <-chan error) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	alive := time.NewTicker(aliveWait)
	defer alive.Stop()

	var told pane.Told
	add := func(e model.Event) {
		if told.Events = append(told.Events, e); len(told.Events) > tellMost {
			told.Events, told.More = told.Events[1:], told.More+1
		}
	}
	flush := func() bool {
		isGone := len(told.Events) > 0 && !out.events(&told)
		told = pane.Told{}
		return !isGone
	}

	for {
		select {
		case e := <-events:
			add(e)
		case <-tick.C:
			if !flush() {
				return
			}
		case <-alive.C:
			if !out.alive() {
				return
			}
		case err := <-failed: // what it told before may still wait
			for len(events) > 0 {
				add(<-events)
			}
			if !flush() {
				return
			}
			out.say("the watch has ended: " + reason(err))
			await(r, nil, out)
			return
		case <-r.Context().Done():
			return
		}
	}
}

// events sends events, newest first.
func (s *stream) events(told *pane.Told) bool {
	told.At = time.Now()
	slices.Reverse(told.Events)
	html, err := pane.Fragment("keys-events", told)
	return err == nil && s.send(map[string]any{"events": html})
}

// say puts one line among the events.
func (s *stream) say(text string) {
	html, err := pane.Fragment("keys-said", text)
	if err == nil {
		s.send(map[string]any{"events": html})
	}
}
