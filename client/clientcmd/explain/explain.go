// Package explain is the command explain: a model in plain words, and what it costs on the
// cluster that answers. It promises words without a cluster, and figures only from one.
package explain

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client/clientcmd/console"
)

// limit is how long explain looks for a cluster whose figures it could show.
const limit = 2 * time.Second

// Command returns the command explain.
func Command(env console.Env) *cobra.Command {
	var conn console.Connection
	var out console.Format
	cmd := &cobra.Command{
		Use:   "explain [flags] MODEL",
		Short: "Explain a consistency model, and what it costs here",
		Long: `Explain a consistency model in plain words: what it promises, a tiny example of what
can be seen and what cannot, what it costs, and when it is the wrong one. MODEL is
linearizable, sequential, causal or eventual, or 1 to 4.

The costs are those of the running cluster, from its own statistics; where none is found
that is said, and only the messages are counted.

Exit status: 0 explained, with or without a cluster; 2 wrong usage.`,
		Example: `  quartet explain causal
  quartet explain 1 --nats nats://127.0.0.1:4222
  quartet explain eventual -o json | jq .wrong`,
		Args:              config.UsageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: console.ModelWords,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := model.ParseConsistency(args[0])
			if err != nil {
				return exit.Usage(err)
			}
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			here := &clusterFigures{}
			if err := here.gather(ctx, &conn); err != nil {
				here.missing = firstLine(err.Error())
			}
			return writeExplanation(env, out, m, here)
		},
	}
	conn.Flags(cmd.Flags(), env)
	out.Flag(cmd.Flags())
	return cmd
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clusterFigures are what the running cluster says of itself.
type clusterFigures struct {
	missing  string // why there are none
	replicas int
	report   bus.Report
}

// gather asks the cluster.
func (f *clusterFigures) gather(ctx context.Context, conn *console.Connection) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := conn.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	f.replicas = len(s.Replicas)
	f.report, err = c.Report(ctx)
	return err
}

// cost is what requests of one model and type have cost here.
type cost struct {
	Request string `json:"request"`
	Count   uint64 `json:"count"`
	Failed  uint64 `json:"failed"`
	P50     int64  `json:"p50_us"`
	P99     int64  `json:"p99_us"`
}

// of returns the figures of one model.
func (f *clusterFigures) of(m model.Consistency) []cost {
	var costs []cost
	for _, g := range f.report.Groups {
		if g.Consistency == m.Word() && g.P99 > 0 { // what was refused at sight has cost nothing
			costs = append(costs, cost{g.Request, g.Count, g.Failed, g.P50, g.P99})
		}
	}
	return costs
}

func writeExplanation(env console.Env, out console.Format, m model.Consistency, here *clusterFigures) error {
	t := texts[m]
	if out.Objects() {
		return out.Object(env.Stdout, struct {
			Model    string `json:"model"`
			Promise  string `json:"promise"`
			Example  string `json:"example"`
			Messages string `json:"messages"`
			Writes   string `json:"writes"`
			Watches  string `json:"watches"`
			Wrong    string `json:"wrong"`
			Replicas int    `json:"replicas,omitempty"`
			Costs    []cost `json:"costs"`
			Missing  string `json:"no_figures,omitempty"`
		}{
			m.Word(), t.promise, t.example, t.messages, t.writes, t.watches, t.wrong, here.replicas,
			append([]cost{}, here.of(m)...), here.missing,
		})
	}
	text := Explanation(m, here)
	if out == console.Table {
		text = headings(text, console.PaletteFor(env, env.Stdout))
	}
	if _, err := io.WriteString(env.Stdout, text); err != nil {
		return fmt.Errorf("write the explanation: %w", err)
	}
	return nil
}

// headings paints the lines that do not begin with a blank.
func headings(text string, p console.Palette) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" && line[0] != ' ' {
			lines[i] = p.Paint(line, color.Bold)
		}
	}
	return strings.Join(lines, "\n")
}

// Explanation is the whole text; without here it says nothing of the cluster.
func Explanation(m model.Consistency, here *clusterFigures) string {
	t := texts[m]
	var b strings.Builder
	part := func(title, text string) {
		fmt.Fprintf(&b, "%s\n  %s\n\n", title, strings.ReplaceAll(strings.Trim(text, "\n"), "\n", "\n  "))
	}
	fmt.Fprintf(&b, "%d %s: %s\n\n", m, m.Word(), console.ModelPromise[m])
	part("It promises", t.promise)
	part("What can be seen, and what cannot", t.example)
	part("Deletes, conditions, ends", t.writes)
	part("Lists and watches", t.watches)
	part("What it costs", t.messages)
	if here != nil {
		part("Here", here.text(m))
	}
	part("When it is wrong", t.wrong)
	return strings.TrimSuffix(b.String(), "\n")
}

// text is what the cluster's statistics say of a model.
func (f *clusterFigures) text(m model.Consistency) string {
	if f.missing != "" {
		return "no cluster was found, so there are no figures: " + f.missing
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d replicas. Times from the master's receipt of a request to its answer, since %s:\n", f.replicas,
		f.report.Started.Local().Format("2006-01-02 15:04"))

	costs := f.of(m)
	for _, c := range costs {
		fmt.Fprintf(&b, "  %s  half within %s, 99 %% within %s  (%d requests, %d failed)\n", c.Request, console.Micros(c.P50),
			console.Micros(c.P99), c.Count, c.Failed)
	}
	if len(costs) == 0 {
		fmt.Fprintf(&b, "  none under this model yet: quartet get some-key --consistency %s\n", m.Word())
	}

	others := false
	for _, other := range model.All {
		if other == m {
			continue
		}
		for _, c := range f.of(other) {
			if !others {
				b.WriteString("Beside it:\n")
				others = true
			}
			fmt.Fprintf(&b, "  %-12s %s  half within %s, 99 %% within %s\n", other.Word(), c.Request,
				console.Micros(c.P50), console.Micros(c.P99))
		}
	}
	return b.String()
}
