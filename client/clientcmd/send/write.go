package send

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
)

// extras are the flags of what a write says beside key and value.
type extras struct {
	ttl      uint64 // milliseconds; 0: none
	revision uint64
}

const ttlUsage = "end the value after this `TIME`, up to 10 years: 30s, 5m, 1h30m"

func (e *extras) ttlFlag(cmd *cobra.Command) {
	console.TTLFlag(cmd.Flags(), &e.ttl, ttlUsage)
}

func (e *extras) revisionFlag(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&e.revision, "if-revision", 0,
		"take effect only if the key's revision is `N` still; 0: only if it has no value (models 1 and 2)")
}

// apply puts what was asked for into a request.
func (e *extras) apply(cmd *cobra.Command, r *client.Request) {
	if cmd.Flags().Changed("ttl") {
		r.TTL = e.ttl
	}
	if cmd.Flags().Changed("if-revision") {
		client.IfRevision(e.revision)(r)
	}
}

// Delete returns the command delete.
func Delete(env console.Env) *cobra.Command {
	var s single
	var e extras
	cmd := &cobra.Command{
		Use:   "delete [flags] KEY",
		Short: "End what a key holds",
		Long: `Delete one key, whether or not it has a value. Nothing goes to stdout (with -o json or
jsonl, the reply does).
Exit status: 0 deleted, 2 malformed, 4 refused (or the condition failed), 5 outcome unknown,
6 no cluster.`,
		Example: `  quartet delete colour
  quartet delete colour --consistency causal --session new
  quartet delete lock --if-revision 17`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := request(model.Delete, args[0], nil)
			e.apply(cmd, &r)
			_, err := s.do(cmd, env, r)
			return err
		},
	}
	s.flags(cmd, env)
	e.revisionFlag(cmd)
	return cmd
}

// Create returns the command create.
func Create(env console.Env) *cobra.Command {
	var s single
	var e extras
	cmd := &cobra.Command{
		Use:   "create [flags] KEY VALUE",
		Short: "Write one key that has no value",
		Long: `Write one key if it has no value, and print the revision of the new one. VALUE "-" is
read from stdin, byte for byte, to its end. Models 1 and 2 only.
Exit status: 0 written, 2 malformed, 4 it has a value (or refused), 5 outcome unknown,
6 no cluster.`,
		Example: `  quartet create lock/nightly "$(hostname)" --ttl 30s
  revision=$(quartet create cart/17 '{}')`,
		Args: config.UsageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.put(cmd, env, args[0], args[1], &e, client.IfRevision(0))
		},
	}
	s.flags(cmd, env)
	e.ttlFlag(cmd)
	return cmd
}

// Update returns the command update.
func Update(env console.Env) *cobra.Command {
	var s single
	var e extras
	cmd := &cobra.Command{
		Use:   "update [flags] KEY VALUE REVISION",
		Short: "Write one key if nobody has written it since",
		Long: `Write one key if its revision is REVISION still, as get --meta, create and update print
it (0: if it has no value), and print the revision of the new value. VALUE "-" is read from
stdin, byte for byte, to its end. Models 1 and 2 only.
Exit status: 0 written, 2 malformed, 4 it has another revision (or refused), 5 outcome
unknown, 6 no cluster.`,
		Example: `  quartet get cart/17 --meta
  quartet update cart/17 '{"tea":2}' 412
  quartet update lock/nightly "$(hostname)" "$revision" --ttl 30s`,
		Args: config.UsageArgs(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			revision, err := strconv.ParseUint(args[2], 10, 64)
			if err != nil {
				return exit.Usage(fmt.Errorf("a revision is a whole number, not %q: get --meta prints it", args[2]))
			}
			return s.put(cmd, env, args[0], args[1], &e, client.IfRevision(revision))
		},
	}
	s.flags(cmd, env)
	e.ttlFlag(cmd)
	return cmd
}

// Add returns the command add.
func Add(env console.Env) *cobra.Command {
	var s single
	var e extras
	cmd := &cobra.Command{
		Use:   "add [flags] KEY [--] NUMBER",
		Short: "Add to the number that a key holds",
		Long: `Add a whole number of 64 bits to the one that a key holds, and print the sum. A key
without a value counts 0. (Write -- before a negative number.) Models 1 and 2 only.
Exit status: 0 added, 2 malformed, 4 the value is no number, or the sum has more than 64 bits
(or refused), 5 outcome unknown, 6 no cluster.`,
		Example: `  quartet add visits 1
  quartet add stock/17 -- -3`,
		Args: config.UsageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := request(model.Add, args[0], []byte(args[1]))
			e.apply(cmd, &r)
			result, err := s.do(cmd, env, r)
			if err != nil || s.out.Objects() {
				return err
			}
			return printLine(env, string(result.Value))
		},
	}
	s.flags(cmd, env)
	e.revisionFlag(cmd)
	return cmd
}

// put writes a key under a condition and prints the revision of its new value.
func (s *single) put(
	cmd *cobra.Command, env console.Env, key, argument string, e *extras, condition client.RequestOption,
) error {
	value, err := valueOf(env, argument)
	if err != nil {
		return err
	}
	r := request(model.Set, key, value)
	e.apply(cmd, &r)
	condition(&r)

	result, err := s.do(cmd, env, r)
	if err != nil || s.out.Objects() {
		return err
	}
	return printLine(env, strconv.FormatUint(result.Revision, 10))
}

// request is one of the command line; do fills in what all of them have.
func request(t model.Type, key string, value []byte) client.Request {
	return client.Request{Request: model.Request{Type: t, Key: key, Value: value}}
}

func printLine(env console.Env, text string) error {
	if _, err := fmt.Fprintln(env.Stdout, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
