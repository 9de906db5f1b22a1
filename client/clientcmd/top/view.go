package top

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fatih/color"

	"quartet/bus"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/operate"
)

// view is what happened between two looks at a cluster.
type view struct {
	Time     time.Time     `json:"time"`
	Seconds  float64       `json:"seconds"` // between the two looks
	Ready    bool          `json:"ready"`
	Reason   string        `json:"reason,omitempty"`
	Epoch    uint64        `json:"epoch"`
	Master   masterView    `json:"master"`
	Replicas []replicaView `json:"replicas"`
	Requests []requestView `json:"requests"`

	data string
}

type masterView struct {
	ID      string  `json:"id"`
	Clock   uint64  `json:"clock"`
	Last    uint64  `json:"last"`
	Pending uint64  `json:"pending"`
	Rate    float64 `json:"per_second"` // requests answered
}

type replicaView struct {
	ID        string  `json:"id"`
	Member    bool    `json:"member"`
	Phase     string  `json:"phase,omitempty"`
	Clock     uint64  `json:"clock"`
	Position  uint64  `json:"position"`
	Rate      float64 `json:"positions_per_second"`
	Behind    uint64  `json:"behind"`
	Lag       uint64  `json:"lag"`
	Tentative uint64  `json:"tentative"`
	Queue     uint64  `json:"queue"`
	Pending   uint64  `json:"pending"`
	Keys      uint64  `json:"keys"`

	remark string
}

type requestView struct {
	Consistency string  `json:"consistency"`
	Request     string  `json:"request"`
	Rate        float64 `json:"per_second"`
	Failed      float64 `json:"failed_per_second"`
	Mean        float64 `json:"mean_us"` // of those in between
	P50         int64   `json:"p50_us"`  // of all
	P99         int64   `json:"p99_us"`
	Count       uint64  `json:"count"`
}

// compare puts two looks together. A master that was started anew in between counts from 0.
func compare(before, now *sample) *view {
	s := &now.status
	seconds := now.at.Sub(before.at).Seconds()
	v := &view{
		Time: now.at, Seconds: seconds, Ready: s.Ready, Reason: s.Reason, Epoch: s.Epoch, data: s.Data,
		Replicas: []replicaView{}, Requests: []requestView{},
	}
	same := before.stats.Started.Equal(now.stats.Started)
	old := map[[2]string]bus.ReportGroup{}
	if same {
		for _, g := range before.stats.Groups {
			old[[2]string{g.Consistency, g.Request}] = g
		}
	}
	for _, g := range now.stats.Groups {
		was := old[[2]string{g.Consistency, g.Request}]
		r := requestView{
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
	v.compareReplicas(&before.status, s)
	return v
}

func (v *view) compareReplicas(before, now *bus.Status) {
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
		v.Replicas = append(v.Replicas, replicaView{
			ID: r.ID, Member: r.Member, Phase: r.Phase, Clock: r.Clock, Position: r.Position, Rate: rate(was, r.Position, v.Seconds),
			Behind: furthest - r.Position, Lag: now.Master.Last - min(r.Safe, now.Master.Last),
			Tentative: r.Tentative, Queue: r.Queue, Pending: r.Pending, Keys: r.Keys, remark: operate.Membership(r) + operate.Remark(r),
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

func (v *view) table(p console.Palette) string {
	var b strings.Builder

	state := p.Paint("ready", color.FgGreen)
	if !v.Ready {
		state = p.Paint("not ready", color.FgRed)
	}
	if v.Reason != "" {
		state += ": " + console.Printable([]byte(v.Reason))
	}
	fmt.Fprintf(&b, "%s  %s  epoch %d, data: %s, %s requests/s\n\n", v.Time.Format(time.TimeOnly), state, v.Epoch,
		console.OrDash(v.data), perSecond(v.Master.Rate))

	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tCLOCK\tPOSITION\tOPS/S\tBEHIND\tLAG\tTENTATIVE\tQUEUE\tPENDING\tKEYS\t  MEMBER")
	fmt.Fprintf(t, "%s\t%d\t-\t-\t-\t-\t-\t-\t%d\t-\t  master\n", v.Master.ID, v.Master.Clock, v.Master.Pending)
	for _, r := range v.Replicas {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n",
			r.ID, r.Clock, r.Position, perSecond(r.Rate), r.Behind, r.Lag, r.Tentative, r.Queue, r.Pending, r.Keys, r.remark)
	}
	_ = t.Flush() // a strings.Builder refuses nothing
	b.WriteString("\n")

	fmt.Fprintln(t, "MODEL\tREQUEST\tREQ/S\tFAILED/S\tMEAN\tP50\tP99\tALL\t")
	for _, r := range v.Requests {
		mean := "-"
		if r.Mean > 0 {
			mean = console.Micros(int64(math.Round(r.Mean)))
		}
		p50, p99 := "-", "-"
		if r.P99 > 0 {
			p50, p99 = console.Micros(r.P50), console.Micros(r.P99)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", console.OrDash(r.Consistency), console.OrDash(r.Request),
			perSecond(r.Rate), perSecond(r.Failed), mean, p50, p99, r.Count)
	}
	_ = t.Flush()

	if len(v.Requests) == 0 {
		b.WriteString("no requests yet\n")
	}
	return b.String()
}

// perSecond writes a rate with as many digits as mean something.
func perSecond(rate float64) string {
	if rate > 0 && rate < 10 {
		return fmt.Sprintf("%.1f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}
