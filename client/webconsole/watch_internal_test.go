package webconsole

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"quartet/bus/model"
	"quartet/client/trace"
)

// What a watch has told before it ended is shown before its end is.
func TestTheLastEventsOfAWatchAreShown(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events, failed := make(chan model.Event, 1), make(chan error, 1)
		events <- model.Event{Kind: model.EventSet, Key: "seat/7", Value: []byte("ann"), Revision: 1}
		failed <- errors.New("the connection is closed")
		ctx, cancel := context.WithCancel(r.Context())
		cancel() // the page is gone once the end is told
		new(Server).tell(r.WithContext(ctx), begin(w), events, failed)
	}))
	defer site.Close()

	for range 20 {
		reply, err := http.Get(site.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		_ = reply.Body.Close()
		said := string(body)
		isCut := strings.Contains(said, "has ended") && !strings.Contains(said, "seat/7")
		if err != nil || isCut {
			t.Fatalf("%v, and it says %q", err, said)
		}
	}
}

// A cluster that has lost its memory counts its requests anew: an id leads to the story of the new
// request, not of the earlier one.
func TestAStoryIsNotThatOfAnEarlierRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStories()
		s.add(&trace.Trace{RID: 7, Key: "earlier"})
		s.forget(7)
		if got := s.await(t.Context(), 7); got != nil {
			t.Errorf("the story of %s is told", got.Key)
		}
		s.add(&trace.Trace{RID: 7, Key: "later"})
		if got, all := s.await(t.Context(), 7), s.all(); got == nil || got.Key != "later" || len(all) != 1 {
			t.Errorf("%+v, %d in all", got, len(all))
		}
	})
}
