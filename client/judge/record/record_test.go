package record_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quartet/bus"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/internal/responder"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

func opened(t *testing.T, o record.Options) *record.Recorder {
	t.Helper()
	r, err := record.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func read(t *testing.T, dir string) *history.Recording {
	t.Helper()
	rec, err := history.ReadFile(filepath.Join(dir, record.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), url, client.WithRetries(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What a client sent over a real server is in the file as it was sent and answered.
func TestRecordsWhatWasSentAndHeard(t *testing.T) {
	served := responder.Start(t, func(c responder.Call) responder.Action {
		switch c.Request.Key {
		case "refused":
			return responder.Action{Code: model.Unavailable}
		case "timeout":
			return responder.Action{Code: model.Unknown}
		}
		return responder.Action{}
	})

	c := connect(t, served.URL)
	dir := t.TempDir()
	r := opened(t, record.Options{Dir: dir, Program: "a test", Complete: true})
	session := r.NewSession()

	for _, request := range []client.Request{
		{Request: model.NewSet(client.Causal, "k", []byte("\xff\n"))},
		{Request: model.NewGet(client.Causal, "k")},
		{Request: model.NewGet(client.Linearizable, "none")},
		{Request: model.NewSet(client.Sequential, "refused", []byte("v")), Options: bus.Options{Identity: "mine"}},
		{Request: model.NewSet(client.Eventual, "timeout", []byte("v"))},
	} {
		call := r.Begin("Client1", session, &request)
		result, err := c.Do(t.Context(), request)
		call.End(&result, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	rec := read(t, dir)
	if rec.Open() || len(rec.Headers) != 1 || rec.Headers[0].Program != "a test" || len(rec.Operations) != 5 {
		t.Fatalf("%+v", rec)
	}

	var last int64
	for i, want := range []history.Operation{
		{ID: 1, Model: model.Causal, Type: model.Set, Key: "k", Value: "\xff\n",
			Replica: "r2", Timestamp: 1, Outcome: history.OK, Code: 200},
		{ID: 2, Model: model.Causal, Type: model.Get, Key: "k", Output: "\xff\n", Found: true,
			Replica: "r3", Timestamp: 1, Outcome: history.OK, Code: 200},
		{ID: 3, Model: model.Linearizable, Type: model.Get, Key: "none",
			Replica: "r1", Position: 1, Outcome: history.OK, Code: 404},
		{ID: 4, Model: model.Sequential, Type: model.Set, Key: "refused", Value: "v",
			Outcome: history.Fail, Code: 503, Identity: "mine"},
		{ID: 5, Model: model.Eventual, Type: model.Set, Key: "timeout", Value: "v",
			Outcome: history.Unknown, Code: 504},
	} {

		got := rec.Operations[i]
		if got.Call < last || got.Return <= got.Call {
			t.Errorf("%d: from %d to %d, after %d", i, got.Call, got.Return, last)
		}
		last = got.Return

		if want.Outcome == history.Unknown { // its id is known, so that it can be sent again
			if want.Identity = got.Identity; got.Identity == "" {
				t.Errorf("no identity: %+v", got)
			}
		}
		want.Client, want.Session, want.Call, want.Return = "Client1", session, got.Call, got.Return
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
	}

	var s record.Stats
	body, err := os.ReadFile(filepath.Join(dir, record.StatsFile))
	if err != nil || json.Unmarshal(body, &s) != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(s.Kinds) != 5 || s.Version != 1 || s.Kinds[0].Model != "linearizable" || s.Kinds[1].Fail != 1 ||
		s.Kinds[2].OK != 1 || s.Kinds[2].P50 <= 0 || s.Kinds[4].Unknown != 1 {
		t.Errorf("%s", body)
	}
}

// Programs that record into one folder at once do not spoil each other's lines, nor
// share sessions, nor clocks that disagree.
func TestSeveralProgramsInOneFolder(t *testing.T) {
	dir := t.TempDir()
	const programs, each = 4, 2000

	var group sync.WaitGroup
	sessions := make([]string, programs)
	for i := range programs {
		r := opened(t, record.Options{Dir: dir})
		sessions[i] = r.NewSession()
		group.Go(func() {
			for range each {
				call := r.Begin("c", sessions[i], &client.Request{
					Request: model.NewSet(client.Eventual, "k", []byte(strings.Repeat("v", 50))),
				})
				call.End(&client.Result{}, nil)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}

	group.Wait()
	if err := cutShort(filepath.Join(dir, record.HistoryFile)); err != nil {
		t.Fatal(err)
	}

	late := opened(t, record.Options{Dir: dir})
	call := late.Begin("c", late.NewSession(), &client.Request{Request: model.NewGet(client.Eventual, "k")})
	call.End(&client.Result{}, client.ErrUnknownOutcome)
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}

	rec := read(t, dir)
	if len(rec.Headers) != programs+1 || len(rec.Cut) != 1 || !rec.Open() || len(rec.Operations) != programs*each {
		t.Errorf("%d headers, cut %v, open %t, %d operations", len(rec.Headers), rec.Cut, rec.Open(), len(rec.Operations))
	}

	slices.Sort(sessions)
	if len(slices.Compact(sessions)) != programs {
		t.Errorf("sessions %v", sessions)
	}

	end := rec.Operations[len(rec.Operations)-1]
	for _, o := range rec.Operations[:len(rec.Operations)-1] {
		if o.Return > end.Call || o.Call < 0 {
			t.Fatalf("%+v did not end before %+v", o, end)
		}
	}
}

// cutShort takes a part of the last line away, as a kill would.
func cutShort(path string) error {
	s, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, s.Size()-20)
}

// What was recorded can be read while the program lives: it may be killed at any time.
func TestFlushesByItself(t *testing.T) {
	dir := t.TempDir()
	r := opened(t, record.Options{Dir: dir})
	call := r.Begin("c", "", &client.Request{Request: model.NewGet(client.Eventual, "k")})
	call.End(&client.Result{}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(read(t, dir).Operations) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("nothing was written")
		}
	}
}

func TestRest(t *testing.T) {
	served := responder.Start(t, nil)
	c := connect(t, served.URL)
	dir := t.TempDir()
	r := opened(t, record.Options{Dir: dir})
	for _, key := range []string{"a", "b"} {
		request := client.NewSet(client.Eventual, key, []byte("1"))
		call := r.Begin("c", "", &request)
		result, err := c.Do(t.Context(), request)
		call.End(&result, err)
	}
	if err := r.Rest(t.Context(), c, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, o := range read(t, dir).Operations {
		if o.Rest {
			if o.Output != "1" || !o.Found || o.Return < o.Call || o.Client != "" {
				t.Errorf("%+v", o)
			}
			seen[o.Model.Word()+o.Replica+o.Key]++
		}
	}
	if len(seen) != 8 { // two keys in two models at the two replicas that are members
		t.Errorf("%v", seen)
	}
}

func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	now := time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	for _, want := range []string{"runs/2026-11-24T15-00-00", "runs/2026-11-24T15-00-00-2"} {
		got, err := record.Folder(record.Auto, now)
		if err != nil || got != want {
			t.Fatalf("%s, %v", got, err)
		}
		latest, err := filepath.EvalSymlinks("runs/latest")
		if err != nil || latest != want {
			t.Errorf("runs/latest leads to %s, %v", latest, err)
		}
	}
	if got, err := record.Folder("mine", now); err != nil || got != "mine" {
		t.Errorf("%s, %v", got, err)
	}
	r := opened(t, record.Options{Dir: "mine"})
	for range 2 {
		if err := r.Logs("elsewhere"); err != nil {
			t.Fatal(err)
		}
	}
	if where, err := os.Readlink("mine/log"); err != nil || !filepath.IsAbs(where) {
		t.Errorf("the logs: %s, %v", where, err)
	}
}

func TestCannotRecord(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, record.HistoryFile), []byte("something else\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"", dir, filepath.Join(dir, record.HistoryFile)} {
		if r, err := record.Open(record.Options{Dir: where}); !errors.Is(err, record.ErrRecord) {
			t.Errorf("%q: %v, %v", where, r, err)
		}
	}
	body, err := os.ReadFile(filepath.Join(dir, record.HistoryFile))
	if err != nil || string(body) != "something else\n" {
		t.Errorf("it was changed: %q, %v", body, err)
	}
	var none *record.Recorder
	none.Begin("c", none.NewSession(), &client.Request{}).End(&client.Result{}, nil)
	if err := errors.Join(none.Flush(), none.Rest(t.Context(), nil, 0), none.Logs("x"), none.Close()); err != nil || none.Dir() != "" {
		t.Error(err)
	}
}
