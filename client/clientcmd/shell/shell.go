// Package shell is the command shell: a prompt with history, hints and completion, or lines of
// a pipe. It promises one session from the first line to the last, and that a mistake in a
// line sends nothing.
package shell

import (
	"bufio"
	"context"
	"errors"
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
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/listcmd"
	"quartet/client/clientcmd/send"
	"quartet/client/clientcmd/watchcmd"
	"quartet/client/judge/record"
)

const help = `get KEY                      read a key
set KEY VALUE                write it; KEY ::: VALUE where the key holds blanks
delete KEY                   end what it holds
create KEY VALUE             write it if it has no value (models 1 and 2)
add KEY NUMBER               add to the number that it holds (models 1 and 2)
txn FILE                     several operations at one place in the order, or none (models 1 and 2)
list [PREFIX]                the keys that begin with it
list -v [PREFIX]             … and their values
watch [PREFIX]               what is there, then each change, until Ctrl-C (at a prompt only)
1, 1, key ::: value          any request of the public contract, under its own model
.consistency [MODEL]         the model of these words: linearizable, sequential, causal, eventual (or 1 to 4)
.replica [r2|any]            have one replica serve everything
.session [new|TOKEN]         what the session has seen, and its token; begin a new one, or go on with another's
.status                      how the cluster is
.explain [MODEL]             what a model promises
.help                        this
.quit                        or exit, or Ctrl-D`

// Command returns the command shell.
func Command(env console.Env) *cobra.Command {
	s := shell{env: env}
	cmd := &cobra.Command{
		Use:   "shell [flags]",
		Short: "Send requests one by one at a prompt",
		Long: `Send requests from a prompt, all in one session, and see for each answer which replica
gave it and how long that took. There is a history (up, Ctrl-R), kept in
$XDG_STATE_HOME/quartet/history or the file that QUARTET_HISTORY names ("none" for none),
and Tab completes commands, models, replicas and the keys that were used.

` + help + `

Where stdin is no terminal there is no prompt: each line is a request or a command as
above, blank lines and # comments are passed over, and a malformed line is told on stderr.

Exit status: 0 at a prompt. Without one that of the worst line: 0 all answered,
2 malformed, 4 refused, 5 an outcome unknown, 6 no cluster.`,
		Example: `  quartet shell
  quartet shell --consistency causal --replica r2
  printf 'set k v\nget k\n' | quartet shell -o raw`,
		Args: config.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	f := cmd.Flags()
	s.conn.Flags(f, env)
	s.conn.NameFlag(f)
	s.model.Consistency = model.Linearizable
	f.Var(&s.model, "consistency", "`MODEL` of get and set, until .consistency says another")
	f.Var(&s.replica, "replica", "have this `REPLICA` serve everything, until .replica says another")
	s.from.Flag(f)
	s.rec.Flag(f)
	s.out.Flag(f)
	return cmd
}

// shell is a prompt, or the lines of a pipe.
type shell struct {
	env     console.Env
	conn    console.Connection
	out     console.Format
	rec     console.Recording
	model   console.Consistency
	from    console.SessionFlag
	replica send.ReplicaName // that everything is sent to; "": any

	client   *client.Client
	session  *client.Session
	recorder *record.Recorder
	name     string // of the session, in the record
	printer  *console.Printer
	paint    console.Palette
	prompt   bool
	keys     words    // that were used
	replicas []string // that the cluster has, as far as is known
	number   int      // of the line, without a prompt
	worst    int
}

// lineReader yields what the user types. next returns [io.EOF] at the end and
// errInterrupted for a line that was given up.
type lineReader interface{ next() (string, error) }

var errInterrupted = errors.New("interrupted")

func (s *shell) run(cmd *cobra.Command) (err error) {
	ctx, cancel := console.Interruptible(cmd)
	if s.client, err = s.conn.Connect(ctx); err != nil {
		cancel()
		return err
	}
	defer s.client.Close()
	if s.session, err = s.from.Resume(s.client); err != nil {
		cancel()
		return err
	}
	if s.recorder, err = s.rec.Open(false); err != nil {
		cancel()
		return err
	}

	s.name = s.recorder.NewSession()
	s.printer = console.NewPrinter(s.env, s.out)
	if s.from.Given() {
		s.printer.Token = func() string { return s.session.Token() }
	}
	s.paint = console.PaletteFor(s.env, s.env.Stdout)
	s.prompt = console.Terminal(s.env.Stdin) && console.Terminal(s.env.Stdout)

	var lines lineReader = newPipe(s.env.Stdin)
	if s.prompt {
		cancel() // at a prompt Ctrl-C ends a request, not the shell
		if lines, err = s.open(); err != nil {
			return err
		}
		s.look(cmd.Context())
	} else {
		defer cancel()
	}

	err = s.loop(cmd, ctx, lines)
	return console.Recorded(s.recorder, s.env.Stderr, s.printer.End(err))
}

// loop takes line after line. pipe is the context of all lines where there is no prompt.
func (s *shell) loop(cmd *cobra.Command, pipe context.Context, lines lineReader) error {
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, errInterrupted):
			continue
		case errors.Is(err, io.EOF):
			if s.prompt {
				return nil
			}
			return exit.Silent(s.worst)
		case err != nil:
			return err
		}

		s.number++
		ctx, cancel := pipe, context.CancelFunc(func() {})
		if s.prompt {
			ctx, cancel = console.Interruptible(cmd)
		}
		more, err := s.take(ctx, strings.TrimSpace(line))
		cancel()

		switch {
		case err != nil && !s.prompt:
			return err
		case err != nil:
			s.say(err)
		case !more && s.prompt:
			return nil
		case !more:
			return exit.Silent(s.worst)
		}
	}
}

// take does what a line says. It reports false when the shell is to end; an error ends a
// pipe, and is only told at a prompt.
func (s *shell) take(ctx context.Context, line string) (more bool, err error) {
	l, err := parseLine(line, s.model.Consistency)
	switch {
	case err != nil:
		s.mistake(err)
		return true, nil
	case l.command != "":
		return s.command(ctx, l.command, l.argument)
	case l.request == nil:
		return true, nil
	}
	return true, s.ask(ctx, *l.request)
}

// ask sends a request and prints its answer.
func (s *shell) ask(ctx context.Context, r client.Request) error {
	r.Replica = string(s.replica)
	if r.Type == model.Watch {
		return s.watch(ctx, &r)
	}
	if r.Type == model.List {
		return s.list(ctx, r)
	}
	if r.Key != "" {
		s.keys.add(r.Key)
	}
	call := s.recorder.Begin(s.conn.Name, s.name, &r)
	began := time.Now()
	result, err := s.session.Do(ctx, r)
	took := time.Since(began)
	call.End(&result, err)
	code := console.ExitStatus(err)
	s.worst = max(s.worst, code)
	if failed := s.show(&r, &result, err, took); failed != nil {
		return failed
	}
	if code == exit.StatusNoCluster || ctx.Err() != nil {
		return exit.With(max(code, exit.StatusFailed), fmt.Errorf("line %d: %w", s.number, err))
	}
	return nil
}

// list shows a list, page by page. Its last page is told about as an answer is.
func (s *shell) list(ctx context.Context, r client.Request) error {
	r.Text = false // JSON says more of each key
	p := listcmd.NewPrinter(s.env.Stdout, s.keysAs())
	for {
		call := s.recorder.Begin(s.conn.Name, s.name, &r)
		result, err := s.session.Do(ctx, r)
		call.End(&result, err)
		page, unread := result.Page()
		if err == nil {
			err = unread
		}
		if err != nil {
			s.worst = max(s.worst, console.ExitStatus(err))
			return errors.Join(p.End(nil), s.show(&r, &result, err, 0))
		}

		for i := range page.Items {
			s.keys.add(page.Items[i].Key)
		}
		if err := s.page(p, &r, &result, page.Items); err != nil {
			return err
		}
		if result.Next == "" || ctx.Err() != nil {
			return p.End(nil)
		}
		goOn := model.Range{From: result.Next}
		if r.Range != nil {
			goOn.Limit, goOn.Values = r.Range.Limit, r.Range.Values
		}
		r.Range = &goOn
	}
}

// keysAs is how the keys of a list are printed: to a program that reads JSON their pages are.
func (s *shell) keysAs() console.Format {
	if s.out.Objects() {
		return console.JSONL
	}
	return s.out
}

// page shows a page of a list: by its keys, or, to a program that reads JSON, as any other answer.
func (s *shell) page(p *listcmd.Printer, r *client.Request, result *client.Result, items []client.Item) error {
	if s.out.Objects() {
		return s.printer.Print(s.conn.Name, *r, *result, nil)
	}
	for i := range items {
		if err := p.Show(&items[i]); err != nil {
			return err
		}
	}
	return nil
}

// watch shows changes until Ctrl-C.
func (s *shell) watch(ctx context.Context, r *client.Request) error {
	if !s.prompt {
		s.mistake(errors.New("a watch goes on until Ctrl-C, and no line after it would be read: use quartet watch"))
		return nil
	}
	if s.out == console.JSON {
		s.mistake(errors.New("the events of a watch are no answers, of which -o json makes its array: use -o jsonl, or quartet watch"))
		return nil
	}
	shown := watchcmd.NewShower(s.env.Stdout, s.out)
	shown.Record(s.recorder, s.conn.Name)
	err := watchcmd.Follow(ctx, s.client, r, shown)
	s.worst = max(s.worst, console.ExitStatus(err))
	return err
}

// show prints an answer: as a line that ends with who gave it and how long that took, or
// in the format that was asked for.
func (s *shell) show(r *client.Request, result *client.Result, failure error, took time.Duration) error {
	isSilent := r.Type == model.Set || r.Type == model.Delete
	if s.out == console.Raw && isSilent && failure == nil {
		return nil
	}
	if s.out != console.Table {
		return s.printer.Print(s.conn.Name, *r, *result, failure)
	}

	text, hue := "OK", color.FgGreen
	switch {
	case failure == nil && len(result.Value) > 0, failure == nil && r.Type == model.Get:
		text, hue = console.Printable(console.Data(r, result)), color.Reset
	case errors.Is(failure, client.ErrNotFound):
		text, hue = "no value", color.FgYellow
	case failure != nil:
		text, hue = strings.TrimPrefix(failure.Error(), "client: "), color.FgRed
	}

	about := []string{took.Round(10 * time.Microsecond).String(), r.Model.Word()}
	if result.Replica != 0 {
		about = append([]string{result.Replica.String()}, about...)
	}
	if result.HasRevision {
		about = append(about, fmt.Sprintf("revision %d", result.Revision))
	}
	if result.HasPosition {
		about = append(about, fmt.Sprintf("position %d", result.Position))
	}
	if result.Timestamp != 0 {
		about = append(about, fmt.Sprintf("timestamp %d", result.Timestamp))
	}

	_, err := fmt.Fprintf(s.env.Stdout, "%s  %s\n", s.paint.Paint(text, hue), s.paint.Paint("("+strings.Join(about, ", ")+")", color.Faint))
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// mistake tells of a line that is no request and no command.
func (s *shell) mistake(err error) {
	s.worst = max(s.worst, exit.StatusUsage)
	if !s.prompt {
		err = fmt.Errorf("line %d: %w", s.number, err)
	}
	s.say(err)
}

func (s *shell) say(err error) { fmt.Fprintln(s.env.Stderr, err) }

// look learns the replicas' names, for completion; without an answer soon there are none.
func (s *shell) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, console.CompletionLimit)
	defer cancel()
	st, err := s.client.Status(ctx)
	if err != nil {
		return
	}
	s.replicas = nil
	for _, r := range st.Replicas {
		s.replicas = append(s.replicas, r.ID)
	}
}

// pipe reads lines from what is no terminal.
type pipe struct{ lines *bufio.Scanner }

// longestLine is a request of the greatest size with room for its words.
const longestLine = model.MaxKeyValue + 4096

func newPipe(r io.Reader) *pipe {
	if r == nil {
		r = strings.NewReader("")
	}
	p := &pipe{lines: bufio.NewScanner(r)}
	p.lines.Buffer(nil, longestLine)
	return p
}

func (p *pipe) next() (string, error) {
	if p.lines.Scan() {
		return p.lines.Text(), nil
	}
	switch err := p.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return "", exit.Usage(fmt.Errorf("a line of more than %d bytes", longestLine))
	case err != nil:
		return "", fmt.Errorf("read the requests: %w", err)
	}
	return "", io.EOF
}

// turnTo begins a new session, or one that goes on with a token, or stays where it is, and
// says what the session has seen.
func (s *shell) turnTo(argument string) error {
	if argument != "" {
		session, err := s.client.Resume(argument)
		if err != nil {
			s.mistake(err)
			return nil
		}
		s.session, s.name = session, s.recorder.NewSession()
	}
	token := s.session.Token()
	seen, err := bus.ParseSession(token) // own writes count, too
	if err != nil {
		return err
	}
	return s.print(fmt.Sprintf("position seen %d (sequential), timestamp seen %d (causal)\ntoken %s", seen.Position, seen.Timestamp, token))
}
