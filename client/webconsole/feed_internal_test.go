package webconsole

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quartet/bus"
	"quartet/client/glance"
)

// looker is a cluster that is looked at.
type looker struct {
	looks, reports int
	err            error
	status         bus.Status
	report         bus.Report
}

func (l *looker) look(ctx context.Context, report bool) (*glance.Look, error) {
	l.looks++
	if report {
		l.reports++
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	look := &glance.Look{At: time.Now(), Status: l.status}
	if report {
		look.Report = l.report
	}
	return look, l.err
}

// While no page is open the cluster is asked nothing; one that is open is kept up to date, with
// statistics once a second.
func TestNobodyLooksWhileNoPageIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var l looker
		f := newFeed(l.look, false)
		go f.run(ctx)

		<-time.After(time.Minute)
		synctest.Wait()
		if l.looks != 0 {
			t.Errorf("%d looks for nobody", l.looks)
		}
		leave := f.join()
		<-time.After(10*time.Second + time.Millisecond)
		synctest.Wait()
		if l.looks < 40 || l.looks > 42 || l.reports < 10 || l.reports > 11 {
			t.Errorf("in ten seconds %d looks, %d with statistics", l.looks, l.reports)
		}
		leave()
		<-time.After(time.Second)
		synctest.Wait()
		before := l.looks
		<-time.After(time.Minute)
		synctest.Wait()
		if l.looks != before {
			t.Errorf("%d looks after the page was closed", l.looks-before)
		}
	})
}

// One look that fails says nothing yet; two in a row do, and what was seen stays there to be read.
func TestAClusterThatDoesNotAnswer(t *testing.T) {
	l := looker{status: bus.Status{Ready: true, Master: bus.MasterStatus{ID: "m1"}}}
	f := newFeed(l.look, false)
	happened := func() string {
		var texts []string
		for _, h := range f.sight.Happened {
			texts = append(texts, h.Text)
		}
		return strings.Join(texts, "; ")
	}

	f.take(t.Context())
	l.err = errors.New("nobody listens")
	f.take(t.Context())
	if !f.sight.Reached {
		t.Error("one look that failed says that the cluster is gone")
	}
	f.take(t.Context())
	if f.sight.Reached || f.sight.Look == nil || happened() != "the cluster does not answer: nobody listens" {
		t.Errorf("reached %t, happened %s", f.sight.Reached, happened())
	}
	l.err = nil
	f.take(t.Context())
	if want := "the cluster answers again; the cluster does not answer: nobody listens"; !f.sight.Reached || happened() != want {
		t.Errorf("reached %t, happened %s", f.sight.Reached, happened())
	}
}

// A page that is closed while it is made says nothing of the cluster.
func TestAPageThatIsGoneSaysNothingOfTheCluster(t *testing.T) {
	l := looker{status: bus.Status{Ready: true}}
	f := newFeed(l.look, false)
	gone, leave := context.WithCancel(t.Context())
	leave()
	if s := f.fresh(gone); !s.Reached {
		t.Errorf("the cluster is said to be gone: %s", s.Why)
	}
}

// Between two views nobody is a member, which is no news; that a process has ended is told at once.
func TestWhatHappensBetweenViews(t *testing.T) {
	replicas := func(member bool, restarts int) []bus.ReplicaStatus {
		return []bus.ReplicaStatus{{ID: "r1", Member: member}, {ID: "r2", Member: member, Restarts: restarts}}
	}
	l := looker{status: bus.Status{Ready: true, Epoch: 1, Replicas: replicas(true, 0)}}
	f := newFeed(l.look, false)
	f.take(t.Context())
	l.status = bus.Status{Reason: "the view is being changed", Epoch: 1, Replicas: replicas(false, 1)}
	f.take(t.Context())
	if len(f.sight.Happened) != 1 || f.sight.Happened[0].Text != "the process of r2 has ended" {
		t.Errorf("%+v", f.sight.Happened)
	}
	l.status = bus.Status{Ready: true, Epoch: 2, Replicas: replicas(true, 1)}
	f.take(t.Context())
	if len(f.sight.Happened) != 2 || f.sight.Happened[0].Text != "view 2: r1, r2" {
		t.Errorf("%+v", f.sight.Happened)
	}
}

// Statistics that did not come in time are no statistics of nothing: what was seen of them stays,
// and the next ones count from the last that came.
func TestStatisticsThatDidNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report := func(count uint64) bus.Report {
			return bus.Report{
				Started: time.Unix(1, 0),
				Groups:  []bus.ReportGroup{{Consistency: "linearizable", Request: "set", Count: count, OK: count}},
			}
		}
		l := looker{status: bus.Status{Ready: true}}
		f := newFeed(l.look, false)
		for _, count := range []uint64{1_000_000, 0, 1_000_010} {
			if l.report = (bus.Report{}); count > 0 {
				l.report = report(count)
			}
			for range reportEvery {
				f.take(t.Context())
				<-time.After(lookEvery)
			}
			if len(f.sight.Requests) != 1 {
				t.Errorf("at %d requests: the statistics have %d rows", count, len(f.sight.Requests))
			}
		}
		rates := f.sight.Rates["linearizable"]
		if got := rates[len(rates)-1]; got > 10 {
			t.Errorf("10 requests in some seconds are %.0f a second", got)
		}
	})
}

// A page whose part of the cluster does not change is told every now and then that its stream is
// there, however often the cluster is looked at: so one that is gone is found out.
func TestAStreamWithoutNewsSaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var l looker
		s := &Server{feed: newFeed(l.look, false)}
		go s.feed.run(ctx)

		w := &deadlines{ResponseRecorder: *httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodGet, "/live?only=pill", nil).WithContext(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.live(w, r)
		}()
		<-time.After(4*aliveWait + lookEvery)
		cancel()
		<-done
		if there, news := strings.Count(w.Body.String(), ": there"), strings.Count(w.Body.String(), "data: "); there < 4 || there > 6 || news != 1 {
			t.Errorf("in %s it says %d times that it is there, and %d times something else", 4*aliveWait, there, news)
		}
	})
}
