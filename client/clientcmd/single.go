package clientcmd

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
)

// single is what set and get share.
type single struct {
	conn    connection
	model   consistency
	out     format
	rec     recording
	session sessionFlag
	replica replicaName
	id      string
}

// replicaName is a replica's name as a flag. Whether a replica is called so, the cluster
// says: every wrong name is refused in the same way.
type replicaName string

// String implements pflag.Value.
func (r *replicaName) String() string { return string(*r) }

// Type implements pflag.Value.
func (r *replicaName) Type() string { return "string" }

// Set implements pflag.Value.
func (r *replicaName) Set(text string) error {
	if text == "" {
		return errors.New("want r1, r2, …; leave it out, and any replica serves")
	}
	*r = replicaName(text)
	return nil
}

func (s *single) flags(cmd *cobra.Command, env Env) {
	f := cmd.Flags()
	s.conn.flags(f, env)
	s.conn.nameFlag(f)
	s.model.Consistency = model.Linearizable
	f.Var(&s.model, "consistency", "`MODEL`: linearizable, sequential, causal or eventual (or 1 to 4)")
	f.Var(&s.replica, "replica", "have this replica serve it (`r1`, r2, …)")
	config.NotEmpty(f, &s.id, "id", "", "the request's own `ID`: a set with the same id again executes nothing")
	s.session.flag(f)
	s.rec.flag(f)
	s.out.flag(f)
}

// do sends the request; the error has its exit status.
func (s *single) do(cmd *cobra.Command, env Env, r client.Request) (client.Result, error) {
	ctx, cancel := interruptible(cmd)
	defer cancel()
	c, err := s.conn.connect(ctx)
	if err != nil {
		return client.Result{}, err
	}
	defer c.Close()
	r.Consistency, r.Replica, r.ID = s.model.Consistency, string(s.replica), s.id
	recorder, err := s.rec.open(false)
	if err != nil {
		return client.Result{}, err
	}
	session, err := s.session.resume(c)
	if err != nil {
		return client.Result{}, err
	}
	call := recorder.Begin(s.conn.name, "", &r)
	result, err := session.Do(ctx, r)
	call.End(&result, err)
	p := newPrinter(env, formatJSONL)
	s.session.show(session, p)
	s.session.tell(session, env.Stderr, s.out)
	var unwritten error
	if s.out.objects() {
		if failed := p.print(s.conn.name, r, result, err); failed != nil {
			unwritten = fmt.Errorf("write the reply: %w", failed)
		}
	}
	if failed := recorded(recorder, env.Stderr, unwritten); failed != nil {
		return result, errors.Join(failed, exit.With(status(err), err))
	}
	if err == nil {
		return result, nil
	}
	if errors.Is(err, client.ErrNotFound) {
		return result, exit.With(exit.StatusNoValue, fmt.Errorf("no value for key %s", quoteJSON(r.Key)))
	}
	var e *client.Error
	if errors.As(err, &e) && e.Unknown && e.ID != "" {
		err = fmt.Errorf("%w\nsend it again with --id %s to learn the outcome", err, e.ID)
	}
	return result, exit.With(status(err), err)
}

func setCommand(env Env) *cobra.Command {
	var s single
	cmd := &cobra.Command{
		Use:   "set [flags] KEY VALUE",
		Short: "Write one key",
		Long: `Write one key. VALUE "-" is read from stdin, byte for byte, to its end. Nothing goes
to stdout (with -o json or jsonl, the reply does).

Exit status: 0 written, 2 malformed, 4 refused, 5 outcome unknown, 6 no cluster.`,
		Example: `  quartet set colour green
  quartet set colour blue --consistency eventual
  quartet set colour red --consistency causal --session new
  quartet set picture - < picture.png`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			value := []byte(args[1])
			if args[1] == "-" {
				var err error
				// One byte more than fits is enough to be refused; how many follow is not known.
				if value, err = io.ReadAll(io.LimitReader(env.Stdin, model.MaxKeyValue+1)); err != nil {
					return fmt.Errorf("read the value: %w", err)
				}

				if len(value) > model.MaxKeyValue {
					err := &client.Error{Code: model.TooLarge, Reason: fmt.Sprintf("the value on stdin has more than %d bytes, which key and value together have at most", model.MaxKeyValue)}
					return exit.With(status(err), err)
				}
			}
			_, err := s.do(cmd, env, client.Request{Type: model.Set, Key: args[0], Value: value})
			return err
		},
	}
	s.flags(cmd, env)
	return cmd
}

func getCommand(env Env) *cobra.Command {
	var s single
	var raw bool
	cmd := &cobra.Command{
		Use:   "get [flags] KEY",
		Short: "Read one key",
		Long: `Read one key and print its value alone to stdout, with one line end after it
(-o raw, or --raw: without, byte for byte). -o json and jsonl print the whole reply.

Exit status: 0 found, 2 malformed, 3 no value, 4 refused, 5 no reply, 6 no cluster.`,
		Example: `  quartet get colour
  quartet get colour --consistency eventual --replica r2
  quartet get colour --consistency causal --session AQAHYOcmhg
  quartet get picture --raw > picture.png`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := s.do(cmd, env, client.Request{Type: model.Get, Key: args[0]})
			if err != nil || s.out.objects() {
				return err
			}
			value := result.Value
			if !raw && s.out != formatRaw {
				value = append(value[:len(value):len(value)], '\n')
			}
			if _, err := env.Stdout.Write(value); err != nil {
				return fmt.Errorf("write the value: %w", err)
			}
			return nil
		},
	}
	s.flags(cmd, env)
	cmd.Flags().BoolVar(&raw, "raw", false, "print the value byte for byte, without a line end after it")
	return cmd
}
