// Package check is the command check: it judges recorded histories. It promises that a verdict
// is ok only where the whole search ended; what is not known is said to be unknown.
package check

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/console"
	"quartet/client/judge/history"
	"quartet/client/judge/record"
)

// noPictures is the word that turns pictures off.
const noPictures = "none"

// inquiry is what the command is told.
type inquiry struct {
	env      console.Env
	budget   time.Duration
	within   time.Duration // after its TTL a value ends; 0: that is not judged
	pictures string        // a folder; "": beside the history; noPictures
	out      console.Format
}

// Command returns the command check.
func Command(env console.Env) *cobra.Command {
	c := inquiry{env: env}
	cmd := &cobra.Command{
		Use:   "check [flags] DIR|FILE ...",
		Short: "Judge recorded histories: did the cluster keep what each model promises?",
		Long: `Judge histories that --record has written: a FILE, or the ` + record.HistoryFile + ` of a DIR (a DIR
without one: every .jsonl file in it). "-" is stdin. Each history is judged by itself.

  linearizable  operations of model 1, key by key: one order, each between its request
                and its reply (Porcupine), with conditions, sums and revisions; weak
                writes and those of unknown outcome take effect at most once at any later
                time; a value with a TTL may end at any time after that
  sequential    models 1 and 2 over all keys: one order that keeps every session's own
  transactions  in that order: all or nothing, by their conditions, of one cut
  lists         all pages are the one cut that their position names
  watches       every change once, in order; at rest, all of them
  revisions     one revision is one change; those of a key rise
  causal        causal convergence of model 3
  sessions      read your writes, monotonic reads, monotonic writes, writes follow reads
  steady        no replica shows a value, another, and the first again (models 3 and 4)
  only once     no write took effect twice
  converged     at rest all replicas hold the same
  eventual      and that is the last that was written; nothing deleted comes back
  ends          values with a TTL end in time (only with --ends-within)

What a history has no operations for is not judged. A verdict is ok, violated or unknown:
the budget ran out, or the history lacks what the check needs; unknown is never ok. For
a violation the smallest counterexample that can be found is told and drawn.

Exit status: 0 all ok, 1 one is violated or unknown, 2 wrong usage, or a file that cannot
be read as a history.`,
		Example: `  quartet client --record auto linear1 && quartet check runs/latest
  quartet check --budget 5m -o json runs/latest
  quartet check --pictures /tmp testdata/histories/causal-effect-without-cause.jsonl`,
		Args: config.UsageArgs(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return c.run(args) },
	}
	f := cmd.Flags()
	config.Duration(f, &c.budget, "budget", 10*time.Second, time.Nanosecond, config.Forever,
		"how long one history may be searched, and once more for a small counterexample")
	config.Duration(f, &c.within, "ends-within", 0, 0, config.Forever,
		"judge that values end no later than this after their TTL (a cluster that is ready all the time: 1s); 0: do not")
	config.NotEmpty(f, &c.pictures, "pictures", "",
		"`DIR` for the pictures of violations (default: beside the history); "+noPictures+": draw none")
	c.out.Flag(f)
	return cmd
}

// judgedHistory is one file's result, as -o json and jsonl print it.
type judgedHistory struct {
	File       string          `json:"file"`
	Operations int             `json:"operations"`
	Open       bool            `json:"open"`          // sets may be missing
	Cut        []int           `json:"cut,omitempty"` // lines that were cut off
	Verdict    string          `json:"verdict"`       // the worst of Checks
	Checks     []judgedByCheck `json:"checks"`

	nanoseconds bool
	verdicts    []history.Verdict
}

type judgedByCheck struct {
	Check          string   `json:"check"`
	Verdict        string   `json:"verdict"`
	Judged         int      `json:"judged"` // operations that the check says something of
	Reason         string   `json:"reason,omitempty"`
	Counterexample []string `json:"counterexample,omitempty"` // one operation each
	Culprit        int      `json:"culprit,omitempty"`        // the place in it, from 1, of a get that returned what it could not
	Allowed        []string `json:"allowed,omitempty"`        // what it could have returned
	Picture        string   `json:"picture,omitempty"`        // file
}

func (c *inquiry) run(args []string) error {
	var files []string
	for _, argument := range args {
		found, err := histories(argument)
		if err != nil {
			return exit.Usage(err)
		}
		files = append(files, found...)
	}
	// Everything is read before anything is judged: a mistake is told at once.
	recordings := make([]*history.Recording, len(files))
	for i, file := range files {
		var err error
		if recordings[i], err = c.read(file); err != nil {
			return exit.Usage(fmt.Errorf("%s: %w", file, err))
		}
	}

	list := make([]judgedHistory, len(files))
	count := make(map[string]int)
	for i, file := range files {
		list[i] = c.judge(file, recordings[i])
		recordings[i] = nil // it may be large
		count[list[i].Verdict]++
		if err := c.print(&list[i]); err != nil {
			return err
		}
	}

	if c.out == console.JSON {
		if err := c.out.Object(c.env.Stdout, list); err != nil {
			return err
		}
	}

	bad := count[history.Violated.String()]
	if unknown := count[history.Undecided.String()]; bad+unknown > 0 {
		return exit.With(exit.StatusFailed, fmt.Errorf("of %d histories %d are violated and %d unknown", len(files), bad, unknown))
	}
	return nil
}

// histories returns the files that an argument names.
func histories(argument string) ([]string, error) {
	info, err := os.Stat(argument)
	switch {
	case argument == "-":
		return []string{argument}, nil
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{argument}, nil
	}
	recorded := filepath.Join(argument, record.HistoryFile)
	if _, err := os.Stat(recorded); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return []string{recorded}, err
	}
	found, err := os.ReadDir(argument)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range found {
		if strings.HasSuffix(entry.Name(), ".jsonl") {
			files = append(files, filepath.Join(argument, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no %s and no other .jsonl file in it", argument, record.HistoryFile)
	}
	return files, nil
}

func (c *inquiry) read(file string) (*history.Recording, error) {
	if file == "-" {
		return history.Read(c.env.Stdin)
	}
	return history.ReadFile(file)
}

// judge judges one history and draws what is violated.
func (c *inquiry) judge(file string, r *history.Recording) judgedHistory {
	steps := max(1, int(c.budget/(10*time.Second))) * 1_000_000
	j := judgedHistory{
		File: file, Operations: len(r.Operations), Open: r.Open(), Cut: r.Cut, nanoseconds: r.Nanoseconds(),
		verdicts: history.Judge(r, history.Budget{Time: c.budget, Steps: steps, EndWithin: c.within}), Verdict: history.Passed.String(),
	}
	for i := range j.verdicts {
		v := &j.verdicts[i]
		by := judgedByCheck{
			Check: v.Check, Verdict: v.Result.String(), Judged: v.Judged, Reason: v.Reason, Culprit: v.Culprit, Allowed: v.Allowed,
		}
		for k := range v.Operations {
			by.Counterexample = append(by.Counterexample, v.Operations[k].String())
		}
		if len(v.Operations) > 0 && c.pictures != noPictures {
			var err error
			if by.Picture, err = c.draw(file, v, j.nanoseconds); err != nil {
				fmt.Fprintf(c.env.Stderr, "no picture: %v\n", err)
			}
		}
		switch {
		case v.Result == history.Violated:
			j.Verdict = v.Result.String()
		case v.Result == history.Undecided && j.Verdict == history.Passed.String():
			j.Verdict = v.Result.String()
		}
		j.Checks = append(j.Checks, by)
	}
	return j
}

// draw writes a violation's picture and returns its file.
func (c *inquiry) draw(file string, v *history.Verdict, nanoseconds bool) (string, error) {
	dir, name := filepath.Split(file)
	if file == "-" {
		dir, name = "", "stdin"
	}
	if c.pictures != "" {
		dir = c.pictures
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	name = strings.TrimSuffix(name, ".jsonl") + "." + strings.ReplaceAll(v.Check, " ", "-") + "." + v.PictureKind()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	return path, errors.Join(v.Picture(f, nanoseconds), f.Close())
}

func (c *inquiry) print(j *judgedHistory) error {
	switch c.out {
	case console.JSON:
		return nil // all at the end
	case console.JSONL:
		return c.out.Object(c.env.Stdout, j)
	}
	var b strings.Builder
	if c.out == console.Raw {
		for _, by := range j.Checks {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", j.File, by.Check, by.Verdict)
		}
	} else {
		c.table(&b, j)
	}
	if _, err := io.WriteString(c.env.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the verdicts: %w", err)
	}
	return nil
}

func (c *inquiry) table(b *strings.Builder, j *judgedHistory) {
	p := console.PaletteFor(c.env, c.env.Stdout)
	fmt.Fprintf(b, "%s: %d operations, %s\n", j.File, j.Operations, painted(p, j.Verdict))

	if j.Open {
		fmt.Fprintln(b, "  sets may be missing from it: values that it does not explain are taken for older ones")
	}
	for _, line := range j.Cut {
		fmt.Fprintf(b, "  line %d was cut off and is passed over: who recorded it was killed\n", line)
	}

	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, by := range j.Checks {
		// The verdict stands last: colour has no width on the screen, but for the writer.
		fmt.Fprintf(w, "  %s\t%d\t%s\n", by.Check, by.Judged, painted(p, by.Verdict))
	}
	_ = w.Flush() // a strings.Builder takes everything

	if !slices.ContainsFunc(j.Checks, func(by judgedByCheck) bool { return by.Check == "converged" }) {
		fmt.Fprintln(b, "  not judged: whether the replicas converged (no gets at rest were recorded)")
	}

	for i, by := range j.Checks {
		if by.Reason == "" {
			continue
		}
		fmt.Fprintf(b, "\n  %s: %s: %s\n", by.Check, painted(p, by.Verdict), by.Reason)
		for line := range strings.Lines(j.verdicts[i].Words(j.nanoseconds)) {
			b.WriteString("  " + line)
		}
		if by.Picture != "" {
			fmt.Fprintf(b, "    drawn in %s\n", by.Picture)
		}
	}

	b.WriteByte('\n')
}

// painted is the word of a verdict in its colour.
func painted(p console.Palette, word string) string {
	hue := map[string]color.Attribute{
		history.Passed.String(): color.FgGreen, history.Violated.String(): color.FgRed, history.Undecided.String(): color.FgYellow,
	}[word]
	return p.Paint(word, hue)
}
