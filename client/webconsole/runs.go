package webconsole

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"quartet/bus"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
	"quartet/client/webconsole/pane"
)

const (
	judgeTime  = 10 * time.Second // for one history, and once more for a small counterexample
	judgeSteps = 1_000_000
	mostJudged = 32        // runs whose verdicts are kept
	mostFile   = 256 << 20 // bytes of a history that is judged here
	mostPage   = 8 << 20
)

// Names of what stands in the folder of a run.
const (
	reportFile = record.LogFolder + "/report.json"
	pageFile   = record.LogFolder + "/report.html"
)

// judged keeps verdicts, by what the history was.
type judged struct {
	judging chan struct{} // holds a token while a history is judged: one at a time

	mu    sync.Mutex
	kept  map[string]*pane.Judged
	order []string
}

func newJudged() *judged {
	return &judged{judging: make(chan struct{}, 1), kept: map[string]*pane.Judged{}}
}

func (j *judged) of(key string) *pane.Judged {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.kept[key]
}

func (j *judged) keep(key string, verdicts *pane.Judged) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.kept[key] == nil {
		j.order = append(j.order, key)
	}
	j.kept[key] = verdicts
	if len(j.order) > mostJudged {
		delete(j.kept, j.order[0])
		j.order = slices.Delete(j.order, 0, 1)
	}
}

// run is the folder of a run.
type run struct {
	name string
	dir  string
	key  string // its history as it is now
	size int64
	at   time.Time
}

var (
	errNoRun  = errors.New("there is no such run")
	errTooBig = fmt.Errorf("a history of more than %d MiB is judged on the command line: quartet check", mostFile>>20)
)

// run finds a run by its name, which must be that of a folder with a history, and no path.
func (s *Server) run(name string) (*run, error) {
	isName := filepath.IsLocal(name) && filepath.Base(name) == name && name != "."
	if !isName {
		return nil, errNoRun
	}
	dir := filepath.Join(s.o.Runs, name)
	info, err := os.Stat(filepath.Join(dir, record.HistoryFile))
	if err != nil || !info.Mode().IsRegular() {
		return nil, errNoRun
	}
	return &run{name, dir, fmt.Sprintf("%s %d %d", name, info.Size(), info.ModTime().UnixNano()), info.Size(), info.ModTime()}, nil
}

func (s *Server) runsPage(w http.ResponseWriter, r *http.Request) {
	shows := pane.Runs{Folder: s.o.Runs}
	list, err := os.ReadDir(s.o.Runs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		shows.Why = err.Error()
	}
	for _, entry := range list {
		if entry.Type()&fs.ModeSymlink != 0 {
			continue // runs/latest leads to one that is in the list
		}
		one, err := s.run(entry.Name())
		if err != nil {
			continue
		}
		e := pane.RunEntry{Name: one.name, At: one.at, Size: one.size}
		if j := s.judged.of(one.key); j != nil {
			e.Verdict = j.Verdict()
		}
		shows.List = append(shows.List, e)
	}
	slices.SortFunc(shows.List, func(a, b pane.RunEntry) int { return b.At.Compare(a.At) })
	s.page(w, r, http.StatusOK, pane.Frame{Title: "Runs", View: "runs"}, "runs", &shows)
}

// found finds the run of a request, or says that there is none.
func (s *Server) found(w http.ResponseWriter, r *http.Request) *run {
	found, err := s.run(r.PathValue("run"))
	if err != nil {
		s.message(w, r, http.StatusNotFound, pane.Notice{Class: "warn", Title: "There is no such run", Text: "Runs are folders of " + s.o.Runs + "."})
		return nil
	}
	return found
}

func (s *Server) runPage(w http.ResponseWriter, r *http.Request) {
	if run := s.found(w, r); run != nil {
		s.showRun(w, r, http.StatusOK, run, "")
	}
}

func (s *Server) showRun(w http.ResponseWriter, r *http.Request, status int, run *run, why string) {
	shows := pane.Run{Name: run.name, Judged: s.judged.of(run.key), Why: why}
	if b, err := os.ReadFile(filepath.Join(run.dir, "stats.json")); err == nil {
		var stats record.Stats
		if json.Unmarshal(b, &stats) == nil {
			shows.Stats = &stats
		}
	}
	if b, err := os.ReadFile(filepath.Join(run.dir, reportFile)); err == nil {
		if report, err := bus.ParseReport(b); err == nil {
			shows.Report = &report
		}
	}
	_, err := os.Stat(filepath.Join(run.dir, pageFile))
	shows.Page = err == nil
	s.page(w, r, status, pane.Frame{Title: run.name, View: "runs"}, "run", &shows)
}

// judgeRun judges a history: what quartet check does. Whoever leaves the page cancels it.
func (s *Server) judgeRun(w http.ResponseWriter, r *http.Request) {
	run := s.found(w, r)
	if run == nil {
		return
	}
	if err := s.judge(r.Context(), run); err != nil {
		s.showRun(w, r, http.StatusUnprocessableEntity, run, err.Error())
		return
	}
	http.Redirect(w, r, r.URL.JoinPath("..").Path, http.StatusSeeOther)
}

// judge judges a history unless its verdicts are kept. If ctx ends before, nothing is kept, and its
// error is returned.
func (s *Server) judge(ctx context.Context, run *run) error {
	select {
	case s.judged.judging <- struct{}{}:
		defer func() { <-s.judged.judging }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.judged.of(run.key) != nil {
		return nil
	}
	if run.size > mostFile {
		return errTooBig
	}
	recording, err := history.ReadFile(filepath.Join(run.dir, record.HistoryFile))
	if err != nil {
		return err
	}

	began := time.Now()
	verdicts := history.Judge(recording, history.Budget{Time: judgeTime, Steps: judgeSteps, Cancelled: ctx.Done()})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.judged.keep(run.key, &pane.Judged{
		Operations: len(recording.Operations), Open: recording.Open(), Nanoseconds: recording.Nanoseconds(),
		Verdicts: verdicts, Took: time.Since(began),
	})
	return nil
}

// runPicture draws the smallest counterexample that was found.
func (s *Server) runPicture(w http.ResponseWriter, r *http.Request) {
	run, err := s.run(r.PathValue("run"))
	i, err2 := strconv.Atoi(r.PathValue("check"))
	if err != nil || err2 != nil {
		http.NotFound(w, r)
		return
	}
	j := s.judged.of(run.key)
	if j == nil || i < 0 || i >= len(j.Verdicts) || len(j.Verdicts[i].Operations) == 0 {
		http.NotFound(w, r)
		return
	}
	s.picture(w, func(b *bytes.Buffer) error { return j.Verdicts[i].Diagram(b, j.Nanoseconds) })
}

// runReport shows the page that the run's cluster has written, of no origin: it was found there.
func (s *Server) runReport(w http.ResponseWriter, r *http.Request) {
	run := s.found(w, r)
	if run == nil {
		return
	}
	info, err := os.Stat(filepath.Join(run.dir, pageFile))
	isPage := err == nil && info.Mode().IsRegular() && info.Size() <= mostPage
	if !isPage {
		http.NotFound(w, r)
		return
	}
	b, err := os.ReadFile(filepath.Join(run.dir, pageFile))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", sealed)
	_, _ = w.Write(b) // a page that is gone misses nothing
}
