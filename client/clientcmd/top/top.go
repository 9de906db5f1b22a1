// Package top is the command top: the cluster, live. It promises that rates and times are of
// the span between two looks, and that an answer that did not come is said with its reason.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/glance"
)

const shortestInterval = 100 * time.Millisecond

// Command returns the command top.
func Command(env console.Env) *cobra.Command {
	t := top{env: env}
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "Watch the cluster at work",
		Long: `Watch the cluster: its replicas with their clocks and positions, how far each is behind,
what waits in them, and for each model and type of request how many are answered a second
and how fast. The master is asked for its status and its statistics at each interval.

  BEHIND  ordered operations that the furthest replica has applied and this one has not
  LAG     causal numbers given out that this replica may not let be read yet
  QUEUE   broadcasts received and not yet delivered
  FAILED  requests that were refused, or of unknown outcome; a get without a value is answered
  MEAN    from the master's receipt to its answer, of the requests of the last interval;
          P50 and P99 are of all since the master started, as many as ALL says

On a terminal it goes on until q or Ctrl-C. With --once, or where stdout is no terminal, it
measures one interval and prints one table; -o json does too, -o jsonl goes on with an object
for each interval unless --once is given, -o raw prints what the cluster said.

Exit status: 0, 2 wrong usage, 6 no cluster.`,
		Example: `  quartet top
  quartet top --interval 5s
  quartet top --once
  quartet top -o jsonl | jq -c '.requests[]'`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			c, err := t.conn.Connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()
			return t.run(ctx, c)
		},
	}
	f := cmd.Flags()
	t.conn.Flags(f, env)
	config.Duration(f, &t.interval, "interval", time.Second, shortestInterval, config.Forever, "time between two looks")
	f.BoolVar(&t.once, "once", false, "measure one interval, print, and end")
	t.out.Flag(f)
	return cmd
}

type top struct {
	env      console.Env
	conn     console.Connection
	out      console.Format
	interval time.Duration
	once     bool
}

func (t *top) run(ctx context.Context, c *client.Client) error {
	before, err := glance.Take(ctx, c)
	if err != nil {
		return exit.With(console.ExitStatus(err), err)
	}
	live := t.out == console.Table && !t.once && console.Terminal(t.env.Stdout)
	stream := t.out == console.JSONL && !t.once
	if live {
		keys, restore := t.takeScreen()
		defer restore()
		return t.watch(ctx, c, before, keys)
	}
	for {
		if !wait(ctx, t.interval, nil) {
			return t.ended(stream)
		}
		now, err := glance.Take(ctx, c)
		if ctx.Err() != nil {
			return t.ended(stream)
		}
		if err != nil {
			return exit.With(console.ExitStatus(err), err)
		}
		if err := t.print(before, now); err != nil || !stream {
			return err
		}
		before = now
	}
}

// ended is the end by Ctrl-C: of a stream that is how it ends, else nothing was measured.
func (t *top) ended(stream bool) error {
	if stream {
		return nil
	}
	return errors.New("interrupted")
}

// wait reports whether d passed before ctx ended or something came on stop.
func wait(ctx context.Context, d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
	case <-ctx.Done():
	}
	return false
}

func (t *top) print(before, now *glance.Look) error {
	var err error
	switch v := glance.Compare(before, now); t.out {
	case console.Raw:
		_, err = fmt.Fprintf(t.env.Stdout, "%s\n%s\n", now.Raw[0], now.Raw[1])
	case console.JSON, console.JSONL:
		return t.out.Object(t.env.Stdout, v)
	default:
		_, err = io.WriteString(t.env.Stdout, table(v, console.PaletteFor(t.env, t.env.Stdout)))
	}
	if err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}

// The screen's own language.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// takeScreen takes the terminal over; the channel is closed when the user wants to leave.
func (t *top) takeScreen() (leave <-chan struct{}, restore func()) {
	keys := make(chan struct{})
	fmt.Fprint(t.env.Stdout, enterScreen)
	restore = func() { fmt.Fprint(t.env.Stdout, leaveScreen) }
	in, ok := t.env.Stdin.(*os.File)
	if !ok || !console.Terminal(in) {
		return keys, restore
	}
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return keys, restore // without keys Ctrl-C still ends it
	}
	go func() { // ends with the process: a read of a terminal cannot be taken back
		key := make([]byte, 1)
		for {
			if _, err := in.Read(key); err != nil {
				return
			}
			if strings.ContainsRune("qQ\x03\x04\x1b", rune(key[0])) {
				close(keys)
				return
			}
		}
	}()
	return keys, func() {
		_ = term.Restore(int(in.Fd()), state)
		fmt.Fprint(t.env.Stdout, leaveScreen)
	}
}

// watch paints until the user leaves. A cluster that does not answer is waited for.
func (t *top) watch(ctx context.Context, c *client.Client, before *glance.Look, leave <-chan struct{}) error {
	text := table(glance.Compare(before, before), console.PaletteFor(t.env, t.env.Stdout))
	for {
		if err := t.paint(text); err != nil {
			return err
		}
		if !wait(ctx, t.interval, leave) {
			return nil
		}
		now, err := glance.Take(ctx, c)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			text = fmt.Sprintf("no answer since %s: %s\n\n%s", before.At.Format(time.TimeOnly),
				console.Printable([]byte(err.Error())), table(glance.Compare(before, before), console.Palette{}))
			continue
		}
		text = table(glance.Compare(before, now), console.PaletteFor(t.env, t.env.Stdout))
		before = now
	}
}

// paint shows text from the upper left corner, as much of it as the screen holds.
func (t *top) paint(text string) error {
	width, height := 80, 24
	if f, ok := console.File(t.env.Stdout); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			width, height = w, h
		}
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = append(lines, "", "q leaves")
	lines = lines[:min(len(lines), height)]
	var b strings.Builder
	b.WriteString(homeCursor)
	for i, line := range lines {
		b.WriteString(fit(line, width) + clearLine)
		if i < len(lines)-1 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString(clearBelow)
	if _, err := io.WriteString(t.env.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the view: %w", err)
	}
	return nil
}

// fit cuts a line to width characters; colours take none and are kept.
func fit(line string, width int) string {
	var b strings.Builder
	escape, used := false, 0
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case used == width:
			continue
		default:
			used++
		}
		b.WriteRune(r)
	}
	return b.String()
}
