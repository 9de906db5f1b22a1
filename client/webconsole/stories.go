package webconsole

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"quartet/client/trace"
)

const (
	mostStories = 200
	storyWait   = 3 * time.Second // for the story of a request that was sent
	catchMost   = 20              // stories that are caught at once
	catchWait   = 2 * time.Second
)

// stories keeps the newest stories that were heard.
type stories struct {
	catching sync.Mutex // one listens at a time

	mu    sync.Mutex
	kept  map[uint64]*trace.Trace
	order []uint64
	come  chan struct{} // is closed when a story has come, and made anew
}

func newStories() *stories {
	return &stories{kept: map[uint64]*trace.Trace{}, come: make(chan struct{})}
}

// add keeps a story, and forgets the oldest.
func (s *stories) add(t *trace.Trace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept[t.RID] == nil {
		s.order = append(s.order, t.RID)
	}
	s.kept[t.RID] = t
	for len(s.order) > mostStories {
		delete(s.kept, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
	close(s.come)
	s.come = make(chan struct{})
}

// forget drops the story of an earlier request that had the same id: of a cluster that lost its
// memory with its processes, and counts anew.
func (s *stories) forget(rid uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, rid)
	s.order = slices.DeleteFunc(s.order, func(kept uint64) bool { return kept == rid })
}

// all returns what is kept, newest first.
func (s *stories) all() []*trace.Trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*trace.Trace, 0, len(s.order))
	for _, rid := range slices.Backward(s.order) {
		list = append(list, s.kept[rid])
	}
	return list
}

// await returns a story, and waits for it while it may be on its way; nil: it is not known.
func (s *stories) await(ctx context.Context, rid uint64) *trace.Trace {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		t, come := s.kept[rid], s.come
		s.mu.Unlock()
		if t != nil {
			return t
		}

		select {
		case <-come:
		case <-ctx.Done():
			return nil
		}
	}
}

// keepStory keeps the story of a request that was sent while watcher listened, and ends that.
func (s *Server) keepStory(watcher *trace.Watcher, rid uint64) {
	s.stories.forget(rid)
	go func() { // ends with the console at the latest
		defer func() { _ = watcher.Close() }() // of a connection that is closed nothing is left
		if rid == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(s.ctx, storyWait)
		defer cancel()
		if t, err := watcher.Await(ctx, rid); err == nil {
			s.stories.add(t)
		}
	}()
}

var errCatching = errors.New("the console is listening already")

// catch listens to what is said, until it has the stories of some requests or of nothing for a
// while. It does not go on: to hear all that a busy cluster says costs the cluster the copies.
func (s *Server) catch(ctx context.Context) (int, error) {
	c, err := s.at()
	if err != nil {
		return 0, err
	}
	if !s.stories.catching.TryLock() {
		return 0, errCatching
	}
	defer s.stories.catching.Unlock()

	watcher, err := trace.Watch(c.nc, c.subjects, c.inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = watcher.Close() }()

	ctx, cancel := context.WithTimeout(ctx, catchWait)
	defer cancel()
	for n := 0; n < catchMost; {
		select {
		case t := <-watcher.Traces():
			isWhole := t.Model != "" && t.Code != 0
			if isWhole { // else it was under way when we began
				s.stories.add(t)
				n++
			}
		case <-ctx.Done():
			return n, nil
		}
	}
	return catchMost, nil
}
