package webconsole

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/trace"
	"quartet/client/webconsole/pane"
)

func (s *Server) storiesPage(w http.ResponseWriter, r *http.Request) {
	s.showStories(w, r, http.StatusOK, nil)
}

// showStories writes the view of stories.
func (s *Server) showStories(w http.ResponseWriter, r *http.Request, status int, notice *pane.Notice) {
	sight := s.feed.fresh(r.Context())
	shows := pane.Stories{List: s.stories.all(), Names: replicaNames(&sight), Notice: notice}
	s.page(w, r, status, pane.Frame{Title: "Stories", View: "story", Pill: sight.Pill()}, "stories", &shows)
}

// catchStories listens for a moment.
func (s *Server) catchStories(w http.ResponseWriter, r *http.Request) {
	n, err := s.catch(r.Context())
	switch {
	case err != nil:
		s.showStories(w, r, http.StatusConflict, &pane.Notice{Class: "bad", Title: "Nothing was heard", Text: reason(err)})
	case n == 0:
		s.showStories(w, r, http.StatusOK, &pane.Notice{
			Class: "warn", Title: "Nobody has sent a request in the last two seconds", Text: "Send one here, or from elsewhere.",
		})
	default:
		http.Redirect(w, r, "/story", http.StatusSeeOther)
	}
}

// sendStory sends a request and leads to its story.
func (s *Server) sendStory(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	m, err := model.ParseConsistency(form.Get("model"))
	t, err2 := model.ParseType(form.Get("request"))
	known := []model.Type{model.Set, model.Get, model.Delete, model.List}
	if err != nil || err2 != nil || !slices.Contains(known, t) {
		s.showStories(w, r, http.StatusBadRequest, &pane.Notice{Class: "bad", Title: "This cannot be sent from here"})
		return
	}
	why, may := s.mayWrite(r)
	if isRefused := t.Writes() && !may; isRefused {
		s.showStories(w, r, http.StatusForbidden, &pane.Notice{Class: "bad", Title: "It was not sent", Text: why})
		return
	}

	request := client.Request{Request: model.Request{Model: m, Type: t, Key: form.Get("key")}}
	if t == model.Set {
		request.Value = []byte(form.Get("value"))
	}
	request.Replica = form.Get("replica")
	rid, err := s.sendTraced(r, request)
	if rid == 0 {
		s.showStories(w, r, http.StatusBadGateway, &pane.Notice{Class: "bad", Title: "There is nothing to show", Text: reason(err)})
		return
	}
	http.Redirect(w, r, "/story/"+strconv.FormatUint(rid, 10), http.StatusSeeOther)
}

// sendTraced sends a request while its messages are listened to. A request that has failed has a
// story, too.
func (s *Server) sendTraced(r *http.Request, request client.Request) (uint64, error) {
	c, err := s.as(r)
	if err != nil {
		return 0, err
	}
	watcher, err := trace.Watch(c.nc, c.subjects, c.inbox)
	if err != nil {
		return 0, err
	}
	result, err := c.client.Do(r.Context(), request)
	s.keepStory(watcher, result.RID)
	return result.RID, err
}

// storyPage shows one story, as a page or (RID.svg) as a picture: the very one of quartet trace.
func (s *Server) storyPage(w http.ResponseWriter, r *http.Request) {
	name, isPicture := strings.CutSuffix(r.PathValue("rid"), ".svg")
	rid, err := strconv.ParseUint(name, 10, 64)
	var t *trace.Trace
	if err == nil {
		t = s.stories.await(r.Context(), rid)
	}
	if t == nil {
		s.message(w, r, http.StatusNotFound, pane.Notice{
			Class: "warn", Title: "This story is not known",
			Text: "The console tells only what it has listened to, and keeps the last 200 stories. Of the past tell the nodes' " +
				"logs, if they were written at level debug: quartet trace RID --log-dir DIR",
		})
		return
	}

	if isPicture {
		s.picture(w, func(b *bytes.Buffer) error { return t.SVG(b) })
		return
	}
	sight := s.feed.fresh(r.Context())
	s.page(w, r, http.StatusOK, pane.Frame{Title: "Request " + name, View: "story", Pill: sight.Pill()}, "story", pane.StoryOf(t))
}

// picture writes an SVG, which has styles of its own.
func (s *Server) picture(w http.ResponseWriter, draw func(*bytes.Buffer) error) {
	var b bytes.Buffer
	if err := draw(&b); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Content-Security-Policy", sealed)
	_, _ = w.Write(b.Bytes()) // a page that is gone misses nothing
}
