package console

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"quartet/bus/dial"
)

// Usage prints a command's usage: like cobra's own, but the flags that say how to reach a
// NATS server stand by themselves at the end, since every command has them.
func Usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")

	// What has commands below it does nothing but help by itself.
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.UseLine() + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.CommandPath() + " COMMAND\n")
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	for _, group := range cmd.Groups() {
		listCommands(&b, cmd, group.ID, group.Title)
	}
	listCommands(&b, cmd, "", "Other commands:")

	own, shared := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags, shared.SortFlags = false, false
	names := dial.Names()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "nats" && slices.Contains(names, f.Name) {
			shared.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})

	if own.HasAvailableFlags() {
		b.WriteString("\nFlags:\n" + own.FlagUsages())
	}
	if shared.HasAvailableFlags() {
		b.WriteString("\nConnection, as the nats command takes it (quartet doctor says what came from where):\n" + shared.FlagUsages())
	}

	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\"%s COMMAND --help\" says more about a command.\n", cmd.CommandPath())
	}

	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// listCommands adds the subcommands of one group, those of none with the id "".
func listCommands(b *strings.Builder, cmd *cobra.Command, id, title string) {
	first := true
	for _, sub := range cmd.Commands() {
		shown := sub.IsAvailableCommand() || sub.Name() == "help"
		if sub.GroupID != id || !shown {
			continue
		}
		if first {
			b.WriteString("\n" + title + "\n")
			first = false
		}
		fmt.Fprintf(b, "  %-11s %s\n", sub.Name(), sub.Short)
	}
}
