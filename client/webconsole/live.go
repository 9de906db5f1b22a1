package webconsole

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"time"
)

const (
	sendWait  = 5 * time.Second  // for a page to take an event
	aliveWait = 15 * time.Second // after which a silent stream says that it is there
)

// stream sends events to a page.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// begin begins a stream of server-sent events.
func begin(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream")
	s := &stream{w, http.NewResponseController(w)}
	_ = s.control.SetReadDeadline(time.Time{}) // it is to stay; a server without deadlines has none to lift
	return s
}

// send sends an event, as JSON; false: the page is gone.
func (s *stream) send(v any) bool {
	body, err := encode(v)
	return err == nil && s.write("data: "+string(body)+"\n\n")
}

// alive says that the stream is there.
func (s *stream) alive() bool { return s.write(": there\n\n") }

func (s *stream) write(text string) bool {
	if err := s.control.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return false
	}
	_, err := s.w.Write([]byte(text))
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		return false
	}
	return s.control.SetWriteDeadline(time.Time{}) == nil // over HTTP/2 it would end a stream that has nothing to say
}

// encode writes JSON that keeps HTML as it is.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// live keeps a page up to date: all parts at first, and then what has changed.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	only := r.URL.Query()["only"]
	defer s.feed.join()()
	out := begin(w)
	sent := map[string]template.HTML{}
	if !out.alive() {
		return
	}

	for said := time.Now(); ; {
		parts, changed := s.feed.newest()
		news := map[string]template.HTML{}
		for id, html := range parts {
			isWanted := len(only) == 0 || slices.Contains(only, id)
			if isWanted && sent[id] != html {
				news[id], sent[id] = html, html
			}
		}

		isThere := true
		switch { // most looks change nothing of what a page shows a part of
		case len(news) > 0:
			isThere, said = out.send(news), time.Now()
		case time.Since(said) >= aliveWait:
			isThere, said = out.alive(), time.Now()
		}
		if !isThere {
			return
		}
		if !await(r, changed, out) {
			return
		}
	}
}

// await waits for a change; false: the page is gone, or the console ends.
func await(r *http.Request, changed <-chan struct{}, out *stream) bool {
	timer := time.NewTimer(aliveWait)
	defer timer.Stop()
	for {
		select {
		case <-changed:
			return true
		case <-timer.C:
			if !out.alive() {
				return false
			}
			timer.Reset(aliveWait)
		case <-r.Context().Done():
			return false
		}
	}
}
