package console

import (
	"context"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quartet/bus"
	"quartet/bus/dial"
	"quartet/bus/model"
	"quartet/client"
)

// CompletionLimit is how long a shell may wait for a cluster to name its replicas.
const CompletionLimit = 500 * time.Millisecond

// ModelPromise is what each model is good for, in one line.
var ModelPromise = map[model.Consistency]string{
	model.Linearizable: "one order, as if there were one copy",
	model.Sequential:   "one order, reads may be stale",
	model.Causal:       "never older than what the session has seen",
	model.Eventual:     "any replica, at once",
}

// ModelWords completes the name of a model.
func ModelWords(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	for _, m := range model.All {
		words = append(words, cobra.CompletionWithDesc(m.Word(), ModelPromise[m]))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// CompleteFlags completes flags, by their names, with the words that each may have.
func CompleteFlags(cmd *cobra.Command, flags map[string][]cobra.Completion) {
	for name, words := range flags {
		// Fails only for a flag that is not there.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// Completions gives a command's flags and arguments their completions; flags of other
// types than this package's complete themselves.
func Completions(cmd *cobra.Command, env Env) {
	f := cmd.Flags()
	register := func(name string, complete cobra.CompletionFunc) {
		if f.Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, complete) // fails only where it has one
		}
	}
	if flag := f.Lookup("output"); flag != nil {
		if _, ours := flag.Value.(*Format); ours {
			register("output", formatWords)
		}
	}
	register("consistency", ModelWords)
	register("replica", replicaWords(env))
	if cmd.ValidArgsFunction == nil {
		switch cmd.Name() {
		case "remove":
			cmd.ValidArgsFunction = replicaWords(env)
		case "set", "get", "delete", "create", "update", "add", "status", "recover", "doctor", "top", "demo", "bench":
			cmd.ValidArgsFunction = cobra.NoFileCompletions // a key is no file
		}
	}
	register("context", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return dial.Contexts(env.Getenv), cobra.ShellCompDirectiveNoFileComp
	})
}

// RequestWords completes the client's arguments: built-in request files, and others.
func RequestWords(env Env) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var names []cobra.Completion
		if env.Requests != nil {
			entries, _ := fs.ReadDir(env.Requests, ".")
			for _, e := range entries {
				if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
					names = append(names, cobra.CompletionWithDesc(e.Name(), "built-in request file"))
				}
			}
		}
		return names, cobra.ShellCompDirectiveDefault
	}
}

// replicaWords asks the cluster that the command line names; without an answer soon there
// are no words.
func replicaWords(env Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), CompletionLimit)
		defer cancel()
		var names []cobra.Completion
		for _, r := range replicasOf(ctx, cmd, env) {
			state := "no member"
			if r.Member {
				state = "member"
			}
			names = append(names, cobra.CompletionWithDesc(r.ID, state))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func replicasOf(ctx context.Context, cmd *cobra.Command, env Env) []bus.ReplicaStatus {
	settings, err := dial.Of(cmd.Flags()).Resolve(env.Getenv)
	if err != nil {
		return nil
	}
	prefix, err := cmd.Flags().GetString("prefix")
	if err != nil {
		return nil
	}
	c, err := client.ConnectWith(ctx, settings.Options("quartet completion", nil), client.WithPrefix(prefix))
	if err != nil {
		return nil
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	return s.Replicas
}
