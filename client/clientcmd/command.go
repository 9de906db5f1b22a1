// Package clientcmd promises the commands of a client: client, set, get, status, recover,
// remove, demo, bench, compare, check, trace, doctor, shell, explain, top, man and version.
// Data go to stdout, talk goes to stderr, colour and progress to terminals only, and every
// command ends with an exit status of the public contract (package exit).
package clientcmd

import (
	"github.com/spf13/cobra"

	"quartet/bus/dial"
	"quartet/bus/host/exit"
)

// Commands returns the client's commands.
func Commands(env Env) []*cobra.Command {
	commands := []*cobra.Command{
		clientCommand(env), setCommand(env), getCommand(env), statusCommand(env),
		recoverCommand(env), removeCommand(env), demoCommand(env), benchCommand(env), compareCommand(env), checkCommand(env), traceCommand(env),
	}
	commands = append(commands, doctorCommand(env), shellCommand(env), explainCommand(env), topCommand(env), manCommand(env), versionCommand(env))
	for _, cmd := range commands {
		completions(cmd, env)
		cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Usage(err) })
	}
	return commands
}

// Settings returns the flags that a configuration file and the environment may set for the
// commands of a client; all others say what to do this time.
func Settings() []string {
	return append(dial.Names(), "prefix", "name", "timeout", "retries", "consistency")
}
