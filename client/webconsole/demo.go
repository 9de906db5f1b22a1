package webconsole

import (
	"context"
	"net/http"
	"strconv"

	"quartet/client/webconsole/pane"
)

// demo pauses, wakes or kills the process of a replica, where the cluster is one of a lesson.
func (s *Server) demo(w http.ResponseWriter, r *http.Request) {
	if s.o.Demo == nil {
		s.refuse(w, http.StatusForbidden, "replicas are paused in a cluster of their own only: quartet console --demo")
		return
	}
	sight := s.feed.fresh(r.Context())
	pid, err := strconv.Atoi(r.PostForm.Get("pid"))
	if err != nil || !isReplica(&sight, pid) {
		s.refuse(w, http.StatusNotFound, "no replica has this process any more")
		return
	}

	deed := map[string]func(int) error{"pause": s.o.Demo.Pause, "wake": s.o.Demo.Wake, "kill": s.o.Demo.Kill}[r.PathValue("deed")]
	if deed == nil {
		s.refuse(w, http.StatusNotFound, "a replica is paused, waked or killed")
		return
	}
	if err := deed(pid); err != nil {
		s.refuse(w, http.StatusConflict, err.Error())
		return
	}
	s.feed.mark(pid, r.PathValue("deed") == "pause")
	s.feed.take(context.WithoutCancel(r.Context()))
	parts, _ := s.feed.newest()
	s.parts(w, http.StatusOK, parts)
}

// isReplica reports whether a process is that of a replica which the cluster's master starts.
func isReplica(sight *pane.Sight, pid int) bool {
	if sight.Look == nil {
		return false
	}
	for _, r := range sight.Look.Status.Replicas {
		if r.PID == pid && r.Supervised {
			return true
		}
	}
	return false
}
