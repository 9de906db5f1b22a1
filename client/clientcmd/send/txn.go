package send

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus/codec"
	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/bus/model"
	"quartet/client"
	"quartet/client/clientcmd/console"
	"quartet/client/requestfile"
)

const txnLong = `Do several operations at one place in the order, or none of them: those of "then" if all
conditions of "if" hold there, else those of "else". Models 1 and 2 only.

FILE ("-": stdin) is in the text form, a line an operation:

` + requestfile.TransactionForm + `

Blank lines and lines that begin with # are passed over. The first operation may follow its
"if", "then" or "else" on the same line; a file without these words is a "then". A key with
blanks is parted from its value by " ::: ". Or FILE is one JSON object with if, then and else,
as the public contract has it, for values with line ends or blanks around them.

To stdout goes "then" or "else", with the revision of all that was written, and a line for
each operation that was done; with -o raw the values of gets and adds alone, a line each (an
empty one where there is no value); with -o json and jsonl the whole reply.

Exit status: 0 done (then or else), 2 malformed, 4 an operation could not be done, so nothing
was (or refused), 5 outcome unknown, 6 no cluster.`

// Txn returns the command txn.
func Txn(env console.Env) *cobra.Command {
	var s single
	cmd := &cobra.Command{
		Use:   "txn [flags] FILE|-",
		Short: "Do several operations at once, or none",
		Long:  txnLong,
		Example: `  quartet txn buy.txn
  printf 'if missing seat/7\nthen set seat/7 ann\nelse get seat/7\n' | quartet txn -
  quartet txn -o json transfer.json --consistency sequential --id transfer-17
  printf 'get a\nget b\n' | quartet txn - -o raw   # two keys at one moment`,
		Args: config.UsageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ReadTransaction(env.Stdin, args[0])
			if err != nil {
				return exit.Usage(err)
			}
			if r.Model != 0 && !cmd.Flags().Changed("consistency") {
				s.model.Consistency = r.Model
			}

			request := client.Request{Request: r}
			result, err := s.do(cmd, env, request)
			if errors.Is(err, client.ErrConditionFailed) {
				return exit.With(exit.Status(err), stepFailed(err, &r, &result))
			}
			if err != nil || s.out.Objects() {
				return err
			}
			return s.printTransaction(env, &r, &result)
		},
	}
	s.flags(cmd, env)
	return cmd
}

// ReadTransaction reads the file of a transaction, "-": stdin. The request's model is 0 where the
// file does not say one.
func ReadTransaction(stdin io.Reader, file string) (model.Request, error) {
	name, in := file, stdin
	if file == "-" && stdin != nil {
		name = "stdin"
	} else {
		f, err := os.Open(file)
		if err != nil {
			return model.Request{}, fmt.Errorf("the transaction's file: %w", err)
		}
		defer f.Close()
		in = f
	}

	const most = 4 * model.MaxKeyValue // in JSON a byte may take six
	body, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return model.Request{}, fmt.Errorf("read the transaction: %w", err)
	case len(body) > most:
		return model.Request{}, fmt.Errorf("%s: %w: a transaction has at most %d bytes", name, requestfile.ErrTooLarge, model.MaxKeyValue)
	}
	r, err := requestfile.ParseTransaction(name, body)
	return r, console.Shown(err)
}

// chosen is the list that was done, and its name.
func chosen(r *model.Request, results *model.Results) (string, []model.Step, error) {
	t, err := codec.ParseTransaction(r.Value)
	if results.Succeeded {
		return "then", t.Then, err
	}
	return "else", t.Else, err
}

// printTransaction tells people what was done.
func (s *single) printTransaction(env console.Env, r *model.Request, result *client.Result) error {
	results, err := result.Results()
	if err != nil {
		return exit.With(exit.StatusUnknown, fmt.Errorf("it was done, but the answer cannot be read: %w", err))
	}
	list, steps, err := chosen(r, &results)
	if err != nil || len(steps) != len(results.Results) {
		return exit.With(exit.StatusUnknown, errors.New("it was done, but the answer is of other operations"))
	}

	var b strings.Builder
	if s.out != console.Raw {
		b.WriteString(list)
		wrote := slices.ContainsFunc(steps, func(s model.Step) bool { return s.Type.Writes() })
		if wrote && result.HasRevision {
			fmt.Fprintf(&b, ", revision %d", result.Revision)
		}
		b.WriteByte('\n')
	}
	for i := range steps {
		step, x := &steps[i], &results.Results[i]
		reads := step.Type == model.Get || step.Type == model.Add
		switch {
		case s.out == console.Raw && reads:
			fmt.Fprintf(&b, "%s\n", x.Value)
		case s.out != console.Raw:
			fmt.Fprintf(&b, "%s %s: %s\n", step.Type.Word(), console.Printable([]byte(step.Key)), outcome(step, x))
		}
	}

	if _, err := io.WriteString(env.Stdout, b.String()); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// outcome is what a step came to, for people.
func outcome(step *model.Step, x *model.Result) string {
	switch {
	case x.Code == model.NotFound:
		return "no value"
	case step.Type == model.Add:
		return string(x.Value)
	case step.Type != model.Get:
		return "OK"
	}

	about := fmt.Sprintf("revision %d", x.Revision)
	if x.Expires > 0 {
		about += ", ends " + time.UnixMilli(int64(x.Expires)).UTC().Format(time.RFC3339)
	}
	return console.Printable(x.Value) + "  (" + about + ")"
}

// stepFailed says which operation of a transaction could not be done.
func stepFailed(err error, r *model.Request, result *client.Result) error {
	results, unread := result.Results()
	if unread != nil {
		return err
	}
	list, steps, unread := chosen(r, &results)
	if unread != nil || results.Failed < 0 || results.Failed >= len(steps) {
		return err
	}

	s := &steps[results.Failed]
	var e *client.Error
	at := "has no value"
	if errors.As(err, &e) && e.Revision > 0 {
		at = fmt.Sprintf("has revision %d", e.Revision)
	}
	return fmt.Errorf("%w\noperation %d of %s, %s %s, cannot be done: the key %s", err, results.Failed+1, list, s.Type.Word(),
		console.QuoteJSON(s.Key), at)
}
