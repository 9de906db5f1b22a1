package config

import (
	"fmt"

	"github.com/spf13/cobra"

	"quartet/bus/host/exit"
)

// UsageArgs is check, whose error is wrong usage and says how the command is called.
func UsageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit.Usage(fmt.Errorf("%w\nusage: %s", err, cmd.UseLine()))
		}
		return nil
	}
}

// NoArgs refuses arguments of a command that takes none.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exit.Usage(fmt.Errorf("%s takes no arguments, and %q is one\nusage: %s", cmd.CommandPath(), args[0], cmd.UseLine()))
}
