package send

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

// single is what set and get share.
type single struct {
	conn    console.Connection
	model   console.Consistency
	out     console.Format
	rec     console.Recording
	session console.SessionFlag
	replica ReplicaName
	id      string
}

// ReplicaName is a replica's name as a flag. Whether a replica is called so, the cluster
// says: every wrong name is refused in the same way.
type ReplicaName string

// String implements pflag.Value.
func (r *ReplicaName) String() string { return string(*r) }

// Type implements pflag.Value.
func (r *ReplicaName) Type() string { return "string" }

// Set implements pflag.Value.
func (r *ReplicaName) Set(text string) error {
	if text == "" {
		return errors.New("want r1, r2, …; leave it out, and any replica serves")
	}
	*r = ReplicaName(text)
	return nil
}

func (s *single) flags(cmd *cobra.Command, env console.Env) {
	f := cmd.Flags()
	s.conn.Flags(f, env)
	s.conn.NameFlag(f)
	s.model.Consistency = model.Linearizable
	f.Var(&s.model, "consistency", "`MODEL`: linearizable, sequential, causal or eventual (or 1 to 4)")
	f.Var(&s.replica, "replica", "have this replica serve it (`r1`, r2, …)")
	config.NotEmpty(f, &s.id, "id", "", "the request's own `ID`: a set with the same id again executes nothing")
	s.session.Flag(f)
	s.rec.Flag(f)
	s.out.Flag(f)
}

// do sends the request; the error has its exit status.
func (s *single) do(cmd *cobra.Command, env console.Env, r client.Request) (client.Result, error) {
	ctx, cancel := console.Interruptible(cmd)
	defer cancel()
	c, err := s.conn.Connect(ctx)
	if err != nil {
		return client.Result{}, err
	}
	defer c.Close()

	r.Model, r.Replica, r.Identity = s.model.Consistency, string(s.replica), s.id
	recorder, err := s.rec.Open(false)
	if err != nil {
		return client.Result{}, err
	}
	session, err := s.session.Resume(c)
	if err != nil {
		return client.Result{}, err
	}

	call := recorder.Begin(s.conn.Name, "", &r)
	result, err := session.Do(ctx, r)
	call.End(&result, err)

	p := console.NewPrinter(env, console.JSONL)
	s.session.Show(session, p)
	s.session.Tell(session, env.Stderr, s.out)

	var unwritten error
	if s.out.Objects() {
		if failed := p.Print(s.conn.Name, r, result, err); failed != nil {
			unwritten = fmt.Errorf("write the reply: %w", failed)
		}
	}
	if failed := console.Recorded(recorder, env.Stderr, unwritten); failed != nil {
		return result, errors.Join(failed, exit.With(console.ExitStatus(err), err))
	}

	if err == nil {
		return result, nil
	}
	if errors.Is(err, client.ErrNotFound) {
		return result, exit.With(exit.StatusNoValue, fmt.Errorf("no value under key %s", console.QuoteJSON(r.Key)))
	}

	if errors.Is(err, client.ErrConditionFailed) {
		return result, exit.With(console.ExitStatus(err), conditionFailed(err, &r))
	}
	var e *client.Error
	if errors.As(err, &e) && e.Unknown && e.ID != "" {
		err = fmt.Errorf("%w\nsend it again with --id %s to learn the outcome", err, e.ID)
	}
	return result, exit.With(console.ExitStatus(err), err)
}

// Set returns the command set.
func Set(env console.Env) *cobra.Command {
	var s single
	var e extras
	cmd := &cobra.Command{
		Use:   "set [flags] KEY VALUE",
		Short: "Write one key",
		Long: `Write one key. VALUE "-" is read from stdin, byte for byte, to its end. Nothing goes
to stdout (with -o json or jsonl, the reply does).

Exit status: 0 written, 2 malformed, 4 refused (or the condition failed), 5 outcome unknown,
6 no cluster.`,
		Example: `  quartet set colour green
  quartet set colour blue --consistency eventual
  quartet set colour red --consistency causal --session new
  quartet set session/17 open --ttl 30m
  quartet set picture - < picture.png`,
		Args: config.UsageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := valueOf(env, args[1])
			if err != nil {
				return err
			}
			r := request(model.Set, args[0], value)
			e.apply(cmd, &r)
			_, err = s.do(cmd, env, r)
			return err
		},
	}
	s.flags(cmd, env)
	e.ttlFlag(cmd)
	e.revisionFlag(cmd)
	return cmd
}

// valueOf is a value as an argument gives it, "-": as stdin does.
func valueOf(env console.Env, argument string) ([]byte, error) {
	if argument != "-" {
		return []byte(argument), nil
	}

	// One byte more than fits is enough to be refused; how many follow is not known.
	value, err := io.ReadAll(io.LimitReader(env.Stdin, model.MaxKeyValue+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	if len(value) > model.MaxKeyValue {
		err := &client.Error{Code: model.TooLarge, Reason: fmt.Sprintf(
			"the value on stdin has more than %d bytes, which key and value together have at most", model.MaxKeyValue)}
		return nil, exit.With(console.ExitStatus(err), err)
	}
	return value, nil
}

// Get returns the command get.
func Get(env console.Env) *cobra.Command {
	var s single
	var raw, meta bool
	cmd := &cobra.Command{
		Use:   "get [flags] KEY",
		Short: "Read one key",
		Long: `Read one key and print its value alone to stdout, with one line end after it
(-o raw, or --raw: without, byte for byte). -o json and jsonl print the whole reply. --meta
prints before the value, a line each, what else is known of it: its revision (unless it is not
committed yet), when it ends, position or timestamp, and who answered.

Exit status: 0 found, 2 malformed, 3 no value, 4 refused, 5 no reply, 6 no cluster.`,
		Example: `  quartet get colour
  quartet get colour --consistency eventual --replica r2
  quartet get colour --consistency causal --session AQAHYOcmhg
  quartet get cart/17 --meta
  quartet get picture --raw > picture.png`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := s.do(cmd, env, request(model.Get, args[0], nil))
			if err != nil || s.out.Objects() {
				return err
			}
			if meta {
				return printMeta(env, &result)
			}
			value := result.Value
			if !raw && s.out != console.Raw {
				value = append(value[:len(value):len(value)], '\n')
			}
			if _, err := env.Stdout.Write(value); err != nil {
				return fmt.Errorf("write the value: %w", err)
			}
			return nil
		},
	}
	s.flags(cmd, env)
	cmd.Flags().BoolVar(&meta, "meta", false, "print what else is known of the value, a line each, and the value last")
	cmd.Flags().BoolVar(&raw, "raw", false, "print the value byte for byte, without a line end after it")
	return cmd
}

// printMeta prints what is known of a value, a line each, and the value in the last.
func printMeta(env console.Env, result *client.Result) error {
	var b strings.Builder
	line := func(label, value string) { fmt.Fprintf(&b, "%s: %s\n", label, value) }

	if result.HasRevision {
		line("revision", strconv.FormatUint(result.Revision, 10))
	}
	if result.Expires > 0 {
		line("expires", time.UnixMilli(int64(result.Expires)).UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	if result.HasPosition {
		line("position", strconv.FormatUint(result.Position, 10))
	}
	if result.Timestamp > 0 {
		line("timestamp", strconv.FormatUint(result.Timestamp, 10))
	}
	line("replica", result.Replica.String())
	line("value", console.Printable(result.Value))

	if _, err := io.WriteString(env.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the value: %w", err)
	}
	return nil
}

// conditionFailed says what stands at the key, and what to do.
func conditionFailed(err error, r *client.Request) error {
	var e *client.Error
	switch {
	case !errors.As(err, &e) || !r.HasIf:
		return err
	case e.Revision == 0:
		return fmt.Errorf("%w\nthe key has no value: create writes it", err)
	}
	return fmt.Errorf("%w\nthe key has revision %d: read it (get --meta), and try again with that one", err, e.Revision)
}
