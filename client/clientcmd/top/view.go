package top

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fatih/color"

	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/operate"
	"quartet/client/glance"
)

// table writes what happened between two looks for people.
func table(v *glance.View, p console.Palette) string {
	var b strings.Builder

	state := p.Paint("ready", color.FgGreen)
	if !v.Ready {
		state = p.Paint("not ready", color.FgRed)
	}
	if v.Reason != "" {
		state += ": " + console.Printable([]byte(v.Reason))
	}
	fmt.Fprintf(&b, "%s  %s  epoch %d, data: %s, %s requests/s\n\n", v.Time.Format(time.TimeOnly), state, v.Epoch,
		console.OrDash(v.Data), glance.PerSecond(v.Master.Rate))

	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "NODE\tCLOCK\tPOSITION\tOPS/S\tBEHIND\tLAG\tTENTATIVE\tQUEUE\tPENDING\tKEYS\t  MEMBER")
	fmt.Fprintf(t, "%s\t%d\t-\t-\t-\t-\t-\t-\t%d\t-\t  master\n", v.Master.ID, v.Master.Clock, v.Master.Pending)
	for _, r := range v.Replicas {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\n",
			r.ID, r.Clock, r.Position, glance.PerSecond(r.Rate), r.Behind, r.Lag, r.Tentative, r.Queue, r.Pending, r.Keys,
			operate.Membership(r.Status)+operate.Remark(r.Status))
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
			glance.PerSecond(r.Rate), glance.PerSecond(r.Failed), mean, p50, p99, r.Count)
	}
	_ = t.Flush()

	if len(v.Requests) == 0 {
		b.WriteString("no requests yet\n")
	}
	return b.String()
}
