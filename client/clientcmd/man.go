package clientcmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"quartet/bus/host/config"
	"quartet/bus/host/exit"
	"quartet/client/clientcmd/console"
)

func manCommand(env console.Env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man [flags] [COMMAND]",
		Short: "Write the manual pages",
		Long: `Write the manual page of a command, or of quartet itself, to stdout; with --dir, the
pages of all commands as files quartet.1, quartet-get.1, … into a folder, which is made if
it is not there.

Exit status: 0 written, 1 it could not be written, 2 there is no such command.`,
		Example: `  quartet man get | man -l -
  quartet man --dir /usr/local/share/man/man1`,
		Args: config.UsageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Section: "1", Source: "quartet " + env.Version, Manual: "quartet"}
			page, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return exit.Usage(fmt.Errorf("there is no command %q", args))
			}
			if dir == "" {
				if err := doc.GenMan(page, header, env.Stdout); err != nil {
					return fmt.Errorf("write the manual page: %w", err)
				}
				return nil
			}
			if len(args) > 0 {
				return exit.Usage(fmt.Errorf("--dir writes the pages of all commands; it takes no COMMAND"))
			}
			return pages(cmd.Root(), header, dir, env)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, c := range cmd.Root().Commands() {
				names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	config.NotEmpty(cmd.Flags(), &dir, "dir", "", "write the pages of all commands into `DIR`")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

func pages(root *cobra.Command, header *doc.GenManHeader, dir string, env console.Env) error {
	root.DisableAutoGenTag = true // a page is the same each time it is made
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("write the manual pages: %w", err)
	}
	written, err := filepath.Glob(filepath.Join(dir, root.Name()+"*.1"))
	if err != nil {
		return fmt.Errorf("look at the manual pages: %w", err)
	}
	fmt.Fprintf(env.Stderr, "%d pages in %s\n", len(written), dir)
	return nil
}
