package clientcmd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd"
	"quartet/client/clientcmd/console"
	"quartet/client/internal/responder"
)

func root() *cobra.Command {
	r := &cobra.Command{Use: "quartet", SilenceErrors: true, SilenceUsage: true}
	r.SetUsageFunc(console.Usage)
	r.AddCommand(clientcmd.Commands(console.Env{
		Getenv: func(string) string { return "" }, Requests: os.DirFS("../../testdata/requests"),
	})...)
	return r
}

// walk calls do with every command and subcommand.
func walk(cmd *cobra.Command, do func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		do(sub)
		walk(sub, do)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	walk(root(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Long, "xit status") || !strings.Contains(cmd.Example, path) {
			t.Errorf("%s lacks a text, its exit statuses or an example", path)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s is not explained", path, f.Name)
			}
		})
		var help bytes.Buffer
		cmd.SetOut(&help)
		if err := cmd.Help(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if f := cmd.Flags().Lookup("creds"); f != nil &&
			strings.Index(help.String(), "--creds") < strings.Index(help.String(), "Connection, as the nats command") {
			t.Errorf("%s: the connection's flags do not stand apart:\n%s", path, help.String())
		}
	})
}

// Every format of the commands that answer from a cluster: what claims to be JSON is, and
// nothing but data goes to stdout.
func TestEveryFormatOfEveryCommand(t *testing.T) {
	r := responder.Start(t, nil)
	operated(t, r)
	quartet(t, r.URL, "set", "k", "v")
	for _, args := range [][]string{
		{"client", "1, 2, k", "1, 2, k"}, {"client", "--check", "linear1"}, {"set", "k", "v"}, {"get", "k"}, {"status"}, {"doctor"},
		{"shell"}, {"explain", "causal"}, {"recover"}, {"remove", "r4"}, {"version"},
	} {
		for _, out := range []string{"table", "json", "jsonl", "raw"} {
			w := world{env: map[string]string{"NATS_URL": r.URL}, stdin: "get k\nget k\n"}
			w.run(t, append(args, "-o", out)...)
			findings := args[0] == "doctor" && w.status == exit.StatusFailed
			if w.status != 0 && !findings {
				t.Errorf("%q -o %s: status %d, %s", args, out, w.status, w.err)
			}

			documents := 0
			for dec := json.NewDecoder(strings.NewReader(w.stdout)); out == "json" || out == "jsonl"; documents++ {
				var v any
				if err := dec.Decode(&v); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%q -o %s: %v\n%s", args, out, err, w.stdout)
				}
			}
			switch lines := strings.Count(w.stdout, "\n"); {
			case out == "json" && documents != 1:
				t.Errorf("%q -o json: %d documents", args, documents)
			case out == "jsonl" && documents != lines, out == "jsonl" && lines == 0:
				t.Errorf("%q -o jsonl: %d objects on %d lines", args, documents, lines)
			}
			if strings.Contains(w.stdout, "\x1b") {
				t.Errorf("%q -o %s: colour in a pipe", args, out)
			}
		}
		if w := quartet(t, r.URL, append(args, "-o", "xml")...); w.status != exit.StatusUsage {
			t.Errorf("%q -o xml: status %d", args, w.status)
		}
	}
}

// operated has a responder answer operators: it is ready, and who is to be removed goes.
func operated(t *testing.T, r *responder.Responder) {
	t.Helper()
	for subject, answer := range map[string]any{
		"quartet.recover": bus.RecoverReply{Ready: true, Present: []string{"r1", "r2", "r3"}},
		"quartet.remove":  bus.RemoveReply{Begun: true},
	} {
		body, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		// a closed connection is the test's own doing
		if _, err := r.Conn.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond(body) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// What a shell asks for when Tab is pressed.
func TestCompletions(t *testing.T) {
	r := responder.Start(t, nil)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"get", "--consistency", ""}, []string{"linearizable\t", "eventual\t"}},
		{[]string{"get", "--replica", ""}, []string{"r1\tmember", "r3\tno member"}},
		{[]string{"remove", ""}, []string{"r1\tmember"}},
		{[]string{"client", ""}, []string{"linear1\tbuilt-in", "causal2\tbuilt-in"}},
		{[]string{"status", "-o", ""}, []string{"jsonl\t"}},
		{[]string{"explain", ""}, []string{"causal\t"}},
		{[]string{"man", "do"}, []string{"doctor\t"}},
	} {
		w := world{env: map[string]string{"NATS_URL": r.URL}}
		out := w.completion(t, c.args...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q: no %q in\n%s", c.args, want, out)
			}
		}
	}
}
