package webconsole

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quartet/bus/model"
	"quartet/client"
	"quartet/client/trace"
	"quartet/client/webconsole/pane"
)

// fourKey is the key that the view begins with.
const fourKey = "colour"

func (s *Server) fourPage(w http.ResponseWriter, r *http.Request) {
	f := pane.Four{Key: r.URL.Query().Get("key"), Replica: r.URL.Query().Get("replica"), Value: "green"}
	s.showFour(w, r, http.StatusOK, f)
}

// showFour writes the whole view.
func (s *Server) showFour(w http.ResponseWriter, r *http.Request, status int, f pane.Four) {
	if f.Key == "" {
		f.Key = fourKey
	}
	sight := s.feed.fresh(r.Context())
	parts, err := sight.Fragments()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.Replicas, f.Names = parts["replicas"], replicaNames(&sight)
	s.page(w, r, status, pane.Frame{Title: "A key, four ways", View: "four", Live: "/live?only=replicas&only=pill", Pill: parts["pill"]}, "four", &f)
}

func replicaNames(sight *pane.Sight) []string {
	var names []string
	if sight.Look != nil {
		for _, r := range sight.Look.Status.Replicas {
			names = append(names, r.ID)
		}
	}
	return names
}

// try sends one request, or one in each model, and shows what came of it.
func (s *Server) try(w http.ResponseWriter, r *http.Request) {
	isAuto := r.PostForm.Get("auto") != ""
	what, which, _ := strings.Cut(r.PostForm.Get("do"), ":")
	if isAuto {
		what, which = r.PostForm.Get("request"), r.PostForm.Get("model")
	}
	models := model.All[:]
	if which != "all" {
		m, err := model.ParseConsistency(which)
		if err != nil {
			s.refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		models = []model.Consistency{m}
	}
	t, err := model.ParseType(what)
	switch {
	case err != nil || !slices.Contains([]model.Type{model.Set, model.Get}, t):
		s.refuse(w, http.StatusBadRequest, "a key is set or got here")
		return
	}
	why, may := s.mayWrite(r)
	if isRefused := t.Writes() && !may; isRefused {
		s.refuse(w, http.StatusForbidden, why)
		return
	}

	asked := attempt{typ: t, key: r.PostForm.Get("key"), value: r.PostForm.Get("value"), replica: r.PostForm.Get("replica"), watched: !isAuto}
	parts, results := map[string]template.HTML{}, map[model.Consistency]template.HTML{}
	for m, tried := range s.tryAll(r, models, asked, isAuto) {
		html, err := tried.Result()
		if err != nil {
			s.refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		results[m], parts[fmt.Sprintf("result-%d", m)] = html, html
		if !isAuto {
			continue
		}
		if parts["cell"], err = tried.Cell(); err != nil {
			s.refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
	}
	if wantsParts(r) {
		s.parts(w, http.StatusOK, parts)
		return
	}
	s.showFour(w, r, http.StatusOK, pane.Four{Key: asked.key, Value: asked.value, Replica: asked.replica, Results: results})
}

// refuse answers what cannot be done: in the place of what was asked for, or as a page.
func (s *Server) refuse(w http.ResponseWriter, status int, why string) { http.Error(w, why, status) }

// attempt is a request that is to be sent.
type attempt struct {
	typ                 model.Type
	key, value, replica string
	watched             bool // its story is wanted
}

// numbers are the values that are written by themselves.
var numbers atomic.Uint64

// tryAll sends a request in each of some models, at the same time.
func (s *Server) tryAll(r *http.Request, models []model.Consistency, asked attempt, auto bool) map[model.Consistency]*pane.Tried {
	all := map[model.Consistency]*pane.Tried{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, m := range models {
		a := asked
		if auto && a.typ == model.Set {
			a.value = strconv.FormatUint(numbers.Add(1), 10)
		}
		group.Go(func() {
			tried := s.tryOne(r, m, a)
			mu.Lock()
			defer mu.Unlock()
			all[m] = tried
		})
	}
	group.Wait()
	return all
}

// tryOne sends one request.
func (s *Server) tryOne(r *http.Request, m model.Consistency, a attempt) *pane.Tried {
	tried := &pane.Tried{Model: m, Type: a.typ, Value: a.value}
	c, err := s.as(r)
	if err != nil {
		tried.Why = reason(err)
		return tried
	}
	var watcher *trace.Watcher
	if a.watched {
		watcher, _ = trace.Watch(c.nc, c.subjects, c.inbox) // without it there is no story, that is all
	}

	request := client.Request{Request: model.Request{Model: m, Type: a.typ, Key: a.key}}
	if a.typ == model.Set {
		request.Value = []byte(a.value)
	} else {
		request.Replica = a.replica
	}
	began := time.Now()
	result, err := c.client.Do(r.Context(), request)
	now := time.Now()
	tried.Took, tried.Reply = now.Sub(began), result.Reply
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		tried.Failed(reason(err), errors.Is(err, client.ErrUnknownOutcome))
	}

	switch {
	case a.typ == model.Set && err == nil:
		s.ages.wrote(m, a.key, request.Value, began, now)
	case a.typ == model.Get && result.Found:
		tried.Age = s.ages.of(m, a.key, result.Value, began, now)
	}
	if watcher != nil {
		tried.Story = result.RID != 0
		s.keepStory(watcher, result.RID)
	}
	return tried
}
