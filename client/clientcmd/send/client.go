// Package send is the commands that send requests: client, set, get, delete, create, update, add
// and txn. It promises that everything is read before anything is sent, that requests go in the
// order given, each after the reply to the last (unless --async), and that the exit status is that
// of the worst reply.
package send

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/judge/record"
	"quartet/client/requestfile"
)

const clientLong = `Send requests in the order given, each after the reply to the last, in one session.

Each argument is a request, "CONSISTENCY, REQUEST, DATA", or else the name of a
file with one request a line (blank lines and # comments are passed over): a path,
or a name in ` + requestfile.Folder + `. The files linear1 linear2 seq1 seq2 causal1 causal2
event1 event2 are built in. Everything is read before anything is sent; a mistake is shown
with its line and place. --check only reads.

  CONSISTENCY  1 linearizable · 2 sequential · 3 causal · 4 eventual
  REQUEST      1 set · 2 get · 3 delete · 7 add
  DATA         of a set: key ::: value; of an add: key ::: number; else: key

For each reply a block goes to stdout whose line "data: " holds its body, as a JSON
string where it has line ends or other control characters. What is sent is told on stderr.
With -o json stdout is one array of replies, with -o jsonl a reply a line, with -o raw the
bodies of the OK replies alone, one line end after each; other replies go to stderr then.

` + console.EnvRequests + ` and --also hold requests that are sent first.

Exit status: 0 all answered, 2 malformed, 4 refused, 5 an outcome unknown, 6 no cluster.`

// Client returns the command client.
func Client(env console.Env) *cobra.Command {
	var (
		conn  console.Connection
		model console.Consistency
		out   console.Format
		rec   console.Recording
		from  console.SessionFlag
		also  []string
		async bool
		only  bool
	)
	cmd := &cobra.Command{
		Use:   "client [flags] REQUEST|FILE ...",
		Short: "Send requests and request files, print the replies",
		Long:  clientLong,
		Example: `  quartet client '1, 1, key ::: value' '1, 2, key'
  quartet client linear1
  quartet client --check my-requests.txt
  quartet client --name Client3 --consistency causal seq2
  quartet client --async -o jsonl event1 my-requests.txt
  quartet client --session new '3, 1, key ::: value' '3, 2, key'
  quartet client --record auto linear1 && quartet check runs/latest
  QUARTET_REQUESTS='4, 1, hello ::: world' quartet client '4, 2, hello'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: console.RequestWords(env),
		RunE: func(cmd *cobra.Command, args []string) error {
			requests, err := console.Read(env, also, args, model.Consistency)
			if err == nil {
				err = console.Answered(requests)
			}
			if err != nil {
				return exit.Usage(err)
			}
			if async && from.Given() {
				return exit.Usage(errors.New("--async sends all at once, which no session does: leave out --session"))
			}
			if only {
				return checked(env.Stdout, out, requests)
			}

			ctx, cancel := console.Interruptible(cmd)
			defer cancel()
			c, err := conn.Connect(ctx)
			if err != nil {
				return err
			}
			defer c.Close()

			recorder, err := rec.Open(false)
			if err != nil {
				return err
			}

			r := Runner{Name: conn.Name, stderr: env.Stderr, Printer: console.NewPrinter(env, out), Recorder: recorder, from: from}
			failed := r.Printer.End(r.Send(ctx, c, requests, async))
			console.AtRest(ctx, recorder, c, env.Stderr)
			return console.Recorded(recorder, env.Stderr, failed)
		},
	}

	f := cmd.Flags()
	conn.Flags(f, env)
	conn.NameFlag(f)
	f.Var(&model, "consistency", "send every request under this `MODEL`, whatever its own")
	f.StringArrayVar(&also, "also", nil, "a `REQUEST` (or file) that is sent first; may be repeated")
	f.BoolVar(&only, "check", false, "read everything and say what would be sent, but send nothing")
	f.BoolVar(&async, "async", false, "send all at once, then wait; without the guarantees of a session")
	from.Flag(f)
	rec.Flag(f)
	out.Flag(f)

	return cmd
}

// Runner sends one client's requests and prints their ends.
type Runner struct {
	Name    string
	stderr  io.Writer // for talk; nil: none
	Printer *console.Printer
	Sent    func() // is called after each request's end; may be nil
	file    string // that was named last

	Recorder *record.Recorder    // nil: nothing is recorded
	from     console.SessionFlag // of what is sent in order
}

// Send sends the requests and prints their ends: in order and in one session, or all at once. Its
// error carries the exit status of the worst reply.
func (r *Runner) Send(ctx context.Context, c *client.Client, requests []requestfile.Request, async bool) error {
	if async {
		return r.all(ctx, c, requests)
	}
	return r.inOrder(ctx, c, requests)
}

// inOrder sends each request after the reply to the last, in one session. It stops when
// there is no cluster or ctx ends: the rest is then not sent.
func (r *Runner) inOrder(ctx context.Context, c *client.Client, requests []requestfile.Request) error {
	session, err := r.from.Resume(c)
	if err != nil {
		return err
	}
	r.from.Show(session, r.Printer)
	defer r.from.Tell(session, r.stderr, r.Printer.Format)
	name := r.Recorder.NewSession()
	worst, why := exit.StatusOK, error(nil)
	for i, request := range requests {
		r.say(request)
		out := console.Outgoing(request)
		call := r.Recorder.Begin(r.Name, name, &out)
		result, err := session.Do(ctx, out)
		call.End(&result, err)
		if s := console.ExitStatus(err); s > worst {
			worst, why = s, err
		}
		if stop := errors.Is(err, client.ErrNoCluster) || ctx.Err() != nil; stop {
			return errors.Join(r.last(out, result, err), r.stopped(ctx, worst, why, len(requests)-i))
		}
		if err := r.ended(out, result, err); err != nil {
			return err
		}
	}
	return exit.Silent(worst)
}

// all sends all at once and then waits, as the original's clients did.
func (r *Runner) all(ctx context.Context, c *client.Client, requests []requestfile.Request) error {
	pending := make([]*client.Pending, len(requests))
	calls := make([]record.Call, len(requests))
	for i, request := range requests {
		r.say(request)
		out := console.Outgoing(request)
		calls[i] = r.Recorder.Begin(r.Name, "", &out)
		var err error
		if pending[i], err = c.Begin(ctx, out); err != nil {
			calls[i].End(&client.Result{}, err)
			giveUp(calls[:i])
			return r.stopped(ctx, max(console.ExitStatus(err), exit.StatusUnknown), err, len(requests))
		}
	}

	worst, why := exit.StatusOK, error(nil)
	for i, request := range requests {
		result, err := pending[i].Wait(ctx)
		calls[i].End(&result, err)
		if s := console.ExitStatus(err); s > worst {
			worst, why = s, err
		}
		if stop := errors.Is(err, client.ErrNoCluster) || ctx.Err() != nil; stop {
			giveUp(calls[i+1:])
			return errors.Join(r.last(console.Outgoing(request), result, err), r.stopped(ctx, worst, why, len(requests)-i))
		}

		if err := r.ended(console.Outgoing(request), result, err); err != nil {
			return err
		}
	}

	return exit.Silent(worst)
}

// giveUp records requests that were sent and are not waited for: they may take effect.
func giveUp(calls []record.Call) {
	for _, call := range calls {
		call.End(&client.Result{}, client.ErrUnknownOutcome)
	}
}

// say tells that a request is sent.
func (r *Runner) say(request requestfile.Request) {
	if r.stderr == nil {
		return
	}
	if request.File != "" && request.File != r.file {
		fmt.Fprintf(r.stderr, "%s reads %s\n", r.Name, request.File)
	}
	r.file = request.File
	fmt.Fprintf(r.stderr, "%s sent a request! %s\n", r.Name, console.Printable([]byte(sentence(request))))
}

func sentence(r requestfile.Request) string {
	if r.Type == model.Txn { // it has no text form
		return r.Model.Word() + ", " + r.Type.Word()
	}
	return string(bus.AppendText(nil, &r.Request.Request))
}

// ended prints a request's end.
func (r *Runner) ended(out client.Request, result client.Result, failure error) error {
	if err := r.Printer.Print(r.Name, out, result, failure); err != nil {
		return fmt.Errorf("write a reply: %w", err)
	}
	if r.Sent != nil {
		r.Sent()
	}
	return nil
}

// last prints the end of the request after which nothing is sent any more: as an object for
// a program. People are told by [Runner.stopped].
func (r *Runner) last(out client.Request, result client.Result, failure error) error {
	if !r.Printer.Format.Objects() {
		return nil
	}
	return r.ended(out, result, failure)
}

// stopped says why the rest has no reply.
func (r *Runner) stopped(ctx context.Context, worst int, why error, rest int) error {
	if ctx.Err() != nil {
		return exit.With(max(worst, exit.StatusFailed), fmt.Errorf("interrupted: %d requests without a reply", rest))
	}
	return exit.With(worst, fmt.Errorf("%w: %d requests without a reply", why, rest))
}
