package webconsole

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"quartet/bus"
	"quartet/client/glance"
	"quartet/client/webconsole/pane"
)

//go:embed assets
var assets embed.FS

// routes says what is at which address.
func (s *Server) routes() http.Handler {
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the embedded folder is part of the program
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { // a picture that is opened by itself asks for it
		http.ServeFileFS(w, r, files, "icon.svg")
	})
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(files)))
	mux.HandleFunc("GET /{$}", s.clusterPage)
	mux.HandleFunc("GET /live", s.live)

	mux.HandleFunc("GET /four", s.fourPage)
	mux.HandleFunc("POST /four/try", s.try)
	mux.HandleFunc("POST /demo/{deed}", s.demo)

	mux.HandleFunc("GET /story", s.storiesPage)
	mux.HandleFunc("POST /story", s.sendStory)
	mux.HandleFunc("POST /story/catch", s.catchStories)
	mux.HandleFunc("GET /story/{rid}", s.storyPage)

	mux.HandleFunc("GET /keys", s.keysPage)
	mux.HandleFunc("GET /keys/one", s.keyPage)
	mux.HandleFunc("POST /keys/one", s.changeKey)
	mux.HandleFunc("GET /keys/watch", s.watchKeys)

	mux.HandleFunc("GET /runs", s.runsPage)
	mux.HandleFunc("GET /runs/{run}", s.runPage)
	mux.HandleFunc("POST /runs/{run}/judge", s.judgeRun)
	mux.HandleFunc("GET /runs/{run}/picture/{check}", s.runPicture)
	mux.HandleFunc("GET /runs/{run}/report", s.runReport)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.message(w, r, http.StatusNotFound, pane.Notice{Class: "warn", Title: "There is nothing at this address"})
	})
	return mux
}

// page writes a page.
func (s *Server) page(w http.ResponseWriter, r *http.Request, status int, f pane.Frame, name string, shows any) {
	v := visitorOf(r)
	f.Token, f.Version, f.Visitor, f.Demo = s.token(v), s.o.Version, v.String(), s.o.Demo != nil
	f.ReadsOnly, f.Write = s.mayWrite(r)
	if c, err := s.at(); err == nil {
		f.Server = bus.Redact(c.nc.ConnectedUrl())
	}
	if f.Pill == "" {
		sight := s.feed.fresh(s.ctx)
		f.Pill = sight.Pill()
	}
	if f.Live == "" {
		f.Live = "/live?only=pill"
	}

	var b bytes.Buffer
	if err := pane.Page(&b, f, name, shows); err != nil {
		s.o.Log.Error("the console could not make a page", "error", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a page that is gone misses nothing
}

// message writes a page that says one thing.
func (s *Server) message(w http.ResponseWriter, r *http.Request, status int, n pane.Notice) {
	s.page(w, r, status, pane.Frame{Title: n.Title}, "message", n)
}

// parts answers a page that has asked for parts of it.
func (s *Server) parts(w http.ResponseWriter, status int, parts map[string]template.HTML) {
	body, err := encode(parts)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a page that is gone misses nothing
}

// wantsParts reports whether a page asks for parts of it, in place of a whole one.
func wantsParts(r *http.Request) bool { return r.Header.Get("Quartet-Parts") != "" }

// look asks the cluster how it is.
func (s *Server) look(ctx context.Context, report bool) (*glance.Look, error) {
	c, err := s.at()
	if err != nil {
		return nil, err
	}
	if !report {
		return glance.TakeStatus(ctx, c.client)
	}

	l, err := glance.Take(ctx, c.client)
	if hasStatus := l.Status.Master.ID != ""; err != nil && hasStatus {
		s.o.Log.Debug("the console was told no statistics", "error", err) // how the cluster is can be shown all the same
		return l, nil
	}
	return l, err
}

func (s *Server) clusterPage(w http.ResponseWriter, r *http.Request) {
	sight := s.feed.fresh(r.Context())
	parts, err := sight.Fragments()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.page(w, r, http.StatusOK, pane.Frame{Title: "Cluster", View: "cluster", Live: "/live", Pill: parts["pill"]}, "cluster", parts)
}

// reason says what has failed in one line, for people.
func reason(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(line, "client: ")
}

// isLooking reports whether there is no connection to the cluster yet.
func isLooking(err error) bool { return errors.Is(err, errLooking) }
