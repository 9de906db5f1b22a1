// Package glance is what two looks at a cluster tell: rates, what is behind, and what has happened
// in between. It promises that a rate is of the span between the looks, that a master that was
// started anew counts from nothing, and that no figure becomes negative or endless.
package glance

import (
	"context"
	"strconv"
	"strings"
	"time"

	"quartet/bus"
	"quartet/client"
)

// Look is one look at a cluster.
type Look struct {
	At     time.Time
	Status bus.Status
	Report bus.Report
	Raw    [2][]byte // status and report, as they came
}

// TakeStatus asks a cluster for its status alone.
func TakeStatus(ctx context.Context, c *client.Client) (*Look, error) {
	l := &Look{At: time.Now()}
	var err error
	if l.Raw[0], err = c.StatusJSON(ctx); err != nil {
		return l, err
	}
	l.Status, err = bus.ParseStatus(l.Raw[0])
	return l, err
}

// Take asks a cluster for its status and its statistics.
func Take(ctx context.Context, c *client.Client) (*Look, error) {
	l, err := TakeStatus(ctx, c)
	if err != nil {
		return l, err
	}
	if l.Raw[1], err = c.ReportJSON(ctx); err != nil {
		return l, err
	}
	l.Report, err = bus.ParseReport(l.Raw[1])
	return l, err
}

// View is what happened between two looks at a cluster. Its fields are those that
// "quartet top -o json" prints.
type View struct {
	Time     time.Time `json:"time"`
	Seconds  float64   `json:"seconds"` // between the two looks
	Ready    bool      `json:"ready"`
	Reason   string    `json:"reason,omitempty"`
	Epoch    uint64    `json:"epoch"`
	Master   Master    `json:"master"`
	Replicas []Replica `json:"replicas"`
	Requests []Request `json:"requests"`

	Data string `json:"-"`
}

// Master is the master's part.
type Master struct {
	ID      string  `json:"id"`
	Clock   uint64  `json:"clock"`
	Last    uint64  `json:"last"`
	Pending uint64  `json:"pending"`
	Rate    float64 `json:"per_second"` // requests answered
}

// Replica is one replica's part.
type Replica struct {
	ID        string  `json:"id"`
	Member    bool    `json:"member"`
	Phase     string  `json:"phase,omitempty"`
	Clock     uint64  `json:"clock"`
	Position  uint64  `json:"position"`
	Rate      float64 `json:"positions_per_second"`
	Behind    uint64  `json:"behind"` // positions, of the furthest replica
	Lag       uint64  `json:"lag"`    // causal numbers given out that it may not let be read yet
	Tentative uint64  `json:"tentative"`
	Queue     uint64  `json:"queue"`
	Pending   uint64  `json:"pending"`
	Keys      uint64  `json:"keys"`

	Status *bus.ReplicaStatus `json:"-"` // of the later look
}

// Request is the requests of one model and type.
type Request struct {
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Rate        float64 `json:"per_second"`
	Failed      float64 `json:"failed_per_second"`
	Mean        float64 `json:"mean_us"` // of those in between
	P50         int64   `json:"p50_us"`  // of all
	P99         int64   `json:"p99_us"`
	Count       uint64  `json:"count"`
}

// Compare puts two looks together. A master that was started anew in between counts from 0.
func Compare(before, now *Look) *View {
	s := &now.Status
	seconds := now.At.Sub(before.At).Seconds()
	v := &View{
		Time: now.At, Seconds: seconds, Ready: s.Ready, Reason: s.Reason, Epoch: s.Epoch, Data: s.Data,
		Replicas: []Replica{}, Requests: []Request{},
	}

	old := map[[2]string]bus.ReportGroup{}
	if before.Report.Started.Equal(now.Report.Started) {
		for _, g := range before.Report.Groups {
			old[[2]string{g.Consistency, g.Request}] = g
		}
	}

	for _, g := range now.Report.Groups {
		was := old[[2]string{g.Consistency, g.Request}]
		r := Request{
			Consistency: g.Consistency, Request: g.Request, P50: g.P50, P99: g.P99, Count: g.Count,
			Rate: rate(was.Count, g.Count, seconds), Failed: rate(was.Failed, g.Failed, seconds),
		}
		if n := g.Timed - min(was.Timed, g.Timed); n > 0 {
			r.Mean = max(0, g.Mean*float64(g.Timed)-was.Mean*float64(was.Timed)) / float64(n)
		}
		v.Master.Rate += r.Rate
		v.Requests = append(v.Requests, r)
	}

	v.Master.ID, v.Master.Clock, v.Master.Last, v.Master.Pending = s.Master.ID, s.Master.Clock, s.Master.Last, s.Master.Pending
	v.compareReplicas(&before.Status, s)
	return v
}

func (v *View) compareReplicas(before, now *bus.Status) {
	positions := map[string]uint64{}
	for _, r := range before.Replicas {
		positions[r.ID] = r.Position
	}

	var furthest uint64
	for _, r := range now.Replicas {
		furthest = max(furthest, r.Position)
	}

	for i := range now.Replicas {
		r := &now.Replicas[i]
		was, known := positions[r.ID]
		if !known {
			was = r.Position
		}
		v.Replicas = append(v.Replicas, Replica{
			ID: r.ID, Member: r.Member, Phase: r.Phase, Clock: r.Clock, Position: r.Position, Rate: rate(was, r.Position, v.Seconds),
			Behind: furthest - r.Position, Lag: now.Master.Last - min(r.Safe, now.Master.Last),
			Tentative: r.Tentative, Queue: r.Queue, Pending: r.Pending, Keys: r.Keys, Status: r,
		})
	}
}

// rate is how much a counter has grown a second, 0 for one that fell or for no time.
func rate(was, is uint64, seconds float64) float64 {
	if is < was || seconds <= 0 {
		return 0
	}
	return float64(is-was) / seconds
}

// PerSecond writes a rate with as many digits as mean something.
func PerSecond(rate float64) string {
	if rate > 0 && rate < 10 {
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(rate, 'f', 0, 64)
}

// Remark is why a replica is no member, whom it does not hear, and how its process ended last;
// "": there is nothing to say. It is in the cluster's own words, and as long as these are.
func Remark(r *bus.ReplicaStatus) string {
	var parts []string
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	if len(r.Unheard) > 0 {
		parts = append(parts, "does not hear "+strings.Join(r.Unheard, ", "))
	}

	if r.Restarts > 0 {
		ended := "ended " + strconv.Itoa(r.Restarts) + " times in a row"
		if r.Restarts == 1 {
			ended = "ended lately"
		}
		if r.LastError != "" && !strings.Contains(r.Reason, r.LastError) {
			ended += ": " + r.LastError
		}
		parts = append(parts, ended)
	}
	return strings.Join(parts, "; ")
}
