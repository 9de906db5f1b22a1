// Package clientcmd is the table of a client's commands: client, set, get, delete, create, update,
// add, txn, list, watch, export, import, backup, restore, status, recover, remove, lead, demo,
// bench, compare, check, trace, doctor, shell, explain, top, console, man and version; each is a
// package below. It promises one
// behaviour of all of them: data go to stdout, talk goes to stderr, colour and progress to
// terminals only, and every command ends with an exit status of the public contract (package exit).
package clientcmd

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"quartet/bus/dial"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/bench"
	"quartet/client/clientcmd/check"
	"quartet/client/clientcmd/compare"
	"quartet/client/clientcmd/console"
	"quartet/client/clientcmd/consolecmd"
	"quartet/client/clientcmd/demo"
	"quartet/client/clientcmd/doctor"
	"quartet/client/clientcmd/explain"
	"quartet/client/clientcmd/listcmd"
	"quartet/client/clientcmd/movecmd"
	"quartet/client/clientcmd/operate"
	"quartet/client/clientcmd/securecmd"
	"quartet/client/clientcmd/send"
	"quartet/client/clientcmd/shell"
	"quartet/client/clientcmd/top"
	"quartet/client/clientcmd/tracecmd"
	"quartet/client/clientcmd/watchcmd"
)

// Commands returns the client's commands.
func Commands(env console.Env) []*cobra.Command {
	commands := []*cobra.Command{
		send.Client(env), send.Set(env), send.Get(env), send.Delete(env), send.Create(env), send.Update(env),
		send.Add(env), send.Txn(env), listcmd.Command(env), watchcmd.Command(env), operate.Status(env),
		operate.Recover(env), operate.Remove(env), operate.Lead(env), demo.Command(env), bench.Command(env), compare.Command(env),
		check.Command(env), tracecmd.Command(env),
	}
	commands = append(commands, movecmd.Export(env), movecmd.Import(env), movecmd.Backup(env), movecmd.Restore(env))
	commands = append(commands, doctor.Command(env), shell.Command(env), explain.Command(env), top.Command(env), consolecmd.Command(env),
		securecmd.Command(env), manCommand(env), versionCommand(env))
	for _, cmd := range commands {
		console.Completions(cmd, env)
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error { return console.Ended(run(cmd, args)) }
		}
		cmd.SetFlagErrorFunc(flagError)
	}
	return commands
}

var negative = regexp.MustCompile(`^unknown shorthand flag: '\d' in (-\d+)$`)

// flagError says what to do where a negative number was taken for a flag.
func flagError(cmd *cobra.Command, err error) error {
	if number := negative.FindStringSubmatch(err.Error()); number != nil {
		err = fmt.Errorf("%w: a negative number stands behind --, as in: %s … -- %s", err, cmd.CommandPath(), number[1])
	}
	return exit.Usage(err)
}

// Settings returns the flags that a configuration file and the environment may set for the
// commands of a client; all others say what to do this time.
func Settings() []string {
	return append(dial.Names(), "prefix", "name", "timeout", "retries", "consistency")
}
