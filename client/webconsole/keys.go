package webconsole

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nuid"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/webconsole/pane"
)

const (
	pageKeys   = 100  // shown at once
	askKeys    = 500  // of a page of the list
	mostLooked = 5000 // keys that are looked at for those that contain something
)

func modelOf(word string) model.Consistency {
	if m, err := model.ParseConsistency(word); err == nil {
		return m
	}
	return model.Linearizable
}

func (s *Server) keysPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	k := pane.Keys{Prefix: q.Get("prefix"), Contains: q.Get("contains"), Model: modelOf(q.Get("model"))}
	if err := s.list(r, &k, q.Get("from")); err != nil {
		k.Notice = &pane.Notice{Class: "bad", Title: "The list could not be read", Text: reason(err)}
		if errors.Is(err, client.ErrGone) {
			k.Notice.Title, k.Notice.Text = "The moment of this list is kept no more", "Begin it again."
		}
	}
	s.page(w, r, http.StatusOK, pane.Frame{Title: "Keys", View: "keys"}, "keys", &k)
}

// list fills a page of the view: so many pages of the cluster's list as it takes.
func (s *Server) list(r *http.Request, k *pane.Keys, from string) error {
	c, err := s.as(r)
	if err != nil {
		return err
	}
	limit := pageKeys
	if k.Contains != "" {
		limit = askKeys
	}

	for {
		result, err := c.client.Do(r.Context(), client.Request{Request: model.Request{
			Model: k.Model, Type: model.List, Key: k.Prefix, Range: &model.Range{Limit: limit, Values: true, From: from},
		}})
		if err != nil {
			return err
		}
		page, err := result.Page()
		if err != nil {
			return fmt.Errorf("the page cannot be read: %w", err)
		}

		for _, item := range page.Items {
			if k.Looked++; strings.Contains(item.Key, k.Contains) {
				k.Items = append(k.Items, item)
			}
		}
		if k.Next, from = page.Next, page.Next; from == "" {
			k.Next, from = result.Next, result.Next
		}
		isFull := len(k.Items) >= pageKeys || k.Looked >= mostLooked
		if from == "" || isFull {
			return nil
		}
	}
}

func (s *Server) keyPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	one := s.read(r, q.Get("key"), modelOf(q.Get("model")))
	s.page(w, r, http.StatusOK, pane.Frame{Title: one.Shown(), View: "keys"}, "key", one)
}

// read reads a key for its page.
func (s *Server) read(r *http.Request, key string, m model.Consistency) *pane.One {
	_, may := s.mayWrite(r)
	one := &pane.One{Key: key, Model: m, Write: may, Token: s.token(visitorOf(r)), ID: nuid.Next()}
	c, err := s.as(r)
	if err != nil {
		one.Why = reason(err)
		return one
	}
	result, err := c.client.Get(r.Context(), key, client.With(m))
	if one.Reply = result.Reply; err != nil && !errors.Is(err, client.ErrNotFound) {
		one.Why = reason(err)
	}
	return one
}

// changeKey sets, deletes or adds to a key.
func (s *Server) changeKey(w http.ResponseWriter, r *http.Request) {
	if why, may := s.mayWrite(r); !may {
		s.refuse(w, http.StatusForbidden, why)
		return
	}
	request, err := changeOf(r)
	var notice *pane.Notice
	if err != nil {
		notice = &pane.Notice{Class: "bad", Title: "Nothing was changed", Text: err.Error()}
	} else {
		notice = s.change(r, request)
	}

	one := s.read(r, r.PostForm.Get("key"), modelOf(r.PostForm.Get("model")))
	one.Notice = notice
	if !wantsParts(r) {
		s.page(w, r, http.StatusOK, pane.Frame{Title: one.Shown(), View: "keys"}, "key", one)
		return
	}
	html, err := one.Fragment()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.parts(w, http.StatusOK, map[string]template.HTML{"one": html})
}

// changeOf reads the form of a change.
func changeOf(r *http.Request) (client.Request, error) {
	form := r.PostForm
	request := client.Request{Request: model.Request{Model: modelOf(form.Get("model")), Key: form.Get("key")}}
	t, err := model.ParseType(form.Get("request"))
	if err != nil || !slices.Contains([]model.Type{model.Set, model.Delete, model.Add}, t) {
		return request, errors.New("a key is set, added to or deleted here")
	}

	// A browser sends line ends as CR LF, whatever stood there.
	value := strings.ReplaceAll(form.Get("value"), "\r\n", "\n")
	if request.Type = t; t != model.Delete {
		request.Value = []byte(value)
	}
	request.Identity = form.Get("id")

	switch form.Get("if") {
	case "missing":
		client.IfRevision(0)(&request)
	case "revision":
		n, err := strconv.ParseUint(form.Get("revision"), 10, 64)
		if err != nil {
			return request, errors.New("a revision is a whole number")
		}
		client.IfRevision(n)(&request)
	}
	if text := form.Get("ttl"); text != "" {
		ms, err := bus.ParseTTL(text)
		if err != nil {
			return request, fmt.Errorf("a time is written like 30s, 5m or 1h30m: %w", err)
		}
		request.TTL = ms
	}
	return request, nil
}

// change sends a change, and says what came of it.
func (s *Server) change(r *http.Request, request client.Request) *pane.Notice {
	c, err := s.as(r)
	if err != nil {
		return &pane.Notice{Class: "bad", Title: "Nothing was changed", Text: reason(err)}
	}
	result, err := c.client.Do(r.Context(), request)
	switch {
	case errors.Is(err, client.ErrUnknownOutcome):
		return &pane.Notice{
			Class: "warn", Title: "It is not known whether this took effect", Text: reason(err) + ". What is read below may not show it yet.",
		}
	case errors.Is(err, client.ErrConditionFailed):
		return &pane.Notice{
			Class: "bad", Title: "Nothing was changed: the condition did not hold",
			Text: fmt.Sprintf("%s; its revision is %d", reason(err), result.Revision),
		}
	case err != nil:
		return &pane.Notice{Class: "bad", Title: "Nothing was changed", Text: reason(err)}
	}

	text := "Answered by " + result.Replica.String()
	if result.HasRevision {
		text += fmt.Sprintf(", revision %d", result.Revision)
	}
	title := map[model.Type]string{model.Set: "Written", model.Delete: "Deleted", model.Add: "Added: the sum is " + string(result.Value)}[request.Type]
	return &pane.Notice{Class: "good", Title: title, Text: text + "."}
}
