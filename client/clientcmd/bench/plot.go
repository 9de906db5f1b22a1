package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"quartet/client/measure/figure"
)

// draw writes the figure of what was measured.
func (r *run) draw() error {
	format, err := figure.FormatOf(r.plot)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if r.swept != nil {
		err = r.growth().Write(&b, format)
	} else {
		err = r.comparison().Write(&b, format)
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.plot, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("bench: draw: %w", err)
	}
	return nil
}

// drawingNotes are the lines under a figure's title.
func (r *run) drawingNotes() []string {
	notes := []string{r.printer.conditions()}
	for _, note := range r.printer.notes()[1:] {
		if note != "" {
			notes = append(notes, note)
		}
	}
	return append(notes,
		fmt.Sprintf("%s, %s/%s, %d processors", time.Now().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()))
}

func (r *run) comparison() figure.Comparison {
	f := figure.Comparison{Title: "Latency and throughput by consistency model", Notes: r.drawingNotes()}
	if r.compare {
		f.Title = "quartet and NATS JetStream key-value"
	}
	for _, m := range r.results {
		record := r.record(m)
		group := figure.Group{Name: m.name(), Colour: int(m.model) - 1}
		for i, side := range record.sides() {
			s := figure.Side{
				Name: side.name, Faded: i,
				Rate: side.Rate.Median, P50: side.P50.Median, P90: side.P90.Median, P99: side.P99.Median,
			}
			if !r.compare {
				s.Name = ""
			}
			group.Sides = append(group.Sides, s)
		}
		f.Groups = append(f.Groups, group)
	}
	return f
}

// growth has a line for each row and side. The colour is the model's; dashes tell the kinds of
// load apart, and systems beside quartet are paler.
func (r *run) growth() figure.Growth {
	f := figure.Growth{
		Title: "Throughput and latency by " + r.swept.axis, Notes: r.drawingNotes(),
		Quantity: r.swept.axis, Bytes: r.swept.bytes,
	}
	for _, row := range r.rows {
		var lines []figure.Series
		for _, m := range r.results {
			if m.row != row {
				continue
			}
			record := r.record(m)
			for i, side := range record.sides() {
				if i == len(lines) {
					s := figure.Series{Name: row.name(), Colour: int(row.model) - 1, Faded: i, Dash: slices.Index(r.kinds, row.kind)}
					if r.compare {
						s.Name = side.name + ": " + row.name()
					}
					lines = append(lines, s)
				}
				lines[i].Points = append(lines[i].Points, figure.Point{
					X: float64(m.point.value), Rate: side.Rate.Median, P50: side.P50.Median, P99: side.P99.Median,
				})
			}
		}
		f.Series = append(f.Series, lines...)
	}
	return f
}
